/**
 * The batch: 64 bytes of header and a body of records, the unit of disk, wire and replication.
 * Layout and clauses stand in `SPEC.md` (LOG-1 to LOG-6).
 */
import { fromHex, invariant, toHex } from '@kith/interface'
import type { Chain, Digests, OriginId } from '@kith/interface'
import { copyBytes, readU32, readU48, sameBytes, writeU32, writeU48 } from './bytes.ts'

export const HEADER_BYTES = 64
/**
 * Encoded records a batch may hold, unless it holds a single larger one. A group of 128 records of
 * 1 KiB is one batch; reading one record costs reading its batch, so that a larger one would make
 * single reads dear.
 */
export const BATCH_PAYLOAD_BYTES_MAX: number = 160 * 1024
export const BATCH_RECORDS_MAX = 1024
/** One encoded record: key, headers and value together. */
export const RECORD_BYTES_MAX: number = 1024 * 1024
/** The largest body anybody may send: one record of the largest size and its end. */
export const BODY_BYTES_MAX: number = RECORD_BYTES_MAX + 4
export const BATCH_BYTES_MAX: number = HEADER_BYTES + BODY_BYTES_MAX

const magic = 0x424b // "KB"
const version = 1
const sequenceMax = 2 ** 48 - 1

const at = {
  magic: 0,
  version: 2,
  flags: 3,
  headerCrc: 4,
  bodyCrc: 8,
  bodyLength: 12,
  count: 16,
  first: 20,
  keyId: 26,
  origin: 28,
  timeMin: 44,
  timeMaxDelta: 50,
  chain: 54,
  reserved: 62,
} as const

/** Bit 0: compressed body; bit 1: encrypted body. Both reserved: nobody writes them yet. */
const knownFlags = 0

export interface BatchHeader {
  readonly origin: OriginId
  readonly first: number
  readonly count: number
  readonly timeMin: number
  readonly timeMaxDelta: number
  readonly bodyLength: number
}

export type BatchFailure =
  /** Fewer bytes than the header says, or more. */
  | 'length'
  | 'magic'
  | 'headerCrc'
  | 'bodyCrc'
  /** A field out of its range, or reserved bytes that are not zero. */
  | 'field'
  /** Written by a newer version. */
  | 'version'
  /** Flags not known here: a compressed or encrypted body, or something newer. */
  | 'flags'

export type BatchHeaderResult =
  | { readonly ok: true; readonly header: BatchHeader }
  | { readonly ok: false; readonly failure: BatchFailure }

/** The chain before the first batch of an origin. */
export function originChain(origin: OriginId, digests: Digests): Chain {
  const id = fromHex(origin)
  invariant(id?.length === 16, 'an origin id is 16 bytes')
  return toHex(digests.sha256(chainPrefix, id))
}

/** "origin" in ASCII. */
const chainPrefix = Uint8Array.of(0x6f, 0x72, 0x69, 0x67, 0x69, 0x6e)

/**
 * Fills in the header of a batch whose body already stands behind `HEADER_BYTES` free bytes, and
 * returns the chain after it. `bytes` is exactly the batch.
 */
export function sealBatch(
  bytes: Uint8Array,
  header: Omit<BatchHeader, 'bodyLength'>,
  previous: Chain,
  digests: Digests,
): Chain {
  const origin = fromHex(header.origin)
  invariant(origin?.length === 16, 'an origin id is 16 bytes')
  invariant(header.first >= 1 && header.first + header.count <= sequenceMax, 'sequence in range')
  const head = bytes.subarray(0, HEADER_BYTES).fill(0)
  const body = bytes.subarray(HEADER_BYTES)
  head[at.magic] = magic & 0xff
  head[at.magic + 1] = magic >>> 8
  head[at.version] = version
  writeU32(head, at.bodyCrc, digests.crc32(body))
  writeU32(head, at.bodyLength, body.length)
  writeU32(head, at.count, header.count)
  writeU48(head, at.first, header.first)
  head.set(origin, at.origin)
  writeU48(head, at.timeMin, header.timeMin)
  writeU32(head, at.timeMaxDelta, header.timeMaxDelta)
  // The two fields the chain leaves out are still zero here.
  const chain = digests.sha256(hashBytes(previous), head, digests.sha256(body))
  head.set(chain.subarray(0, 8), at.chain)
  writeU32(head, at.headerCrc, digests.crc32(head))
  return toHex(chain)
}

/** Reads and checks a header; `bytes` must be exactly one batch. Hostile input: never throws. */
export function readBatchHeader(bytes: Uint8Array, digests: Digests): BatchHeaderResult {
  if (bytes.length < HEADER_BYTES) return { ok: false, failure: 'length' }
  const head = copyBytes(bytes, 0, HEADER_BYTES)
  if (((head[0] ?? 0) | ((head[1] ?? 0) << 8)) !== magic) return { ok: false, failure: 'magic' }
  const headerCrc = readU32(head, at.headerCrc)
  writeU32(head, at.headerCrc, 0)
  if (digests.crc32(head) !== headerCrc) return { ok: false, failure: 'headerCrc' }
  if (head[at.version] !== version) return { ok: false, failure: 'version' }
  if (((head[at.flags] ?? 0) & ~knownFlags) !== 0) return { ok: false, failure: 'flags' }
  const header: BatchHeader = {
    origin: toHex(head.subarray(at.origin, at.origin + 16)),
    first: readU48(head, at.first),
    count: readU32(head, at.count),
    timeMin: readU48(head, at.timeMin),
    timeMaxDelta: readU32(head, at.timeMaxDelta),
    bodyLength: readU32(head, at.bodyLength),
  }
  if (!inRange(header, head)) return { ok: false, failure: 'field' }
  if (bytes.length !== HEADER_BYTES + header.bodyLength) return { ok: false, failure: 'length' }
  return { ok: true, header }
}

function inRange(header: BatchHeader, head: Uint8Array): boolean {
  const unused =
    (head[at.keyId] ?? 0) | (head[at.keyId + 1] ?? 0) | (head[62] ?? 0) | (head[63] ?? 0)
  return (
    unused === 0 &&
    header.first >= 1 &&
    header.count >= 1 &&
    header.count <= BATCH_RECORDS_MAX &&
    header.first + header.count <= sequenceMax &&
    header.bodyLength <= BODY_BYTES_MAX &&
    header.bodyLength >= header.count * 4
  )
}

/** The time of the first record of a checked batch, in wall milliseconds at its origin. */
export function batchTimeMin(bytes: Uint8Array): number {
  return readU48(bytes, at.timeMin)
}

/** Header and body checksums. Hostile input: never throws. */
export function checkBatch(bytes: Uint8Array, digests: Digests): BatchHeaderResult {
  const result = readBatchHeader(bytes, digests)
  if (!result.ok) return result
  const crc = digests.crc32(bytes.subarray(HEADER_BYTES))
  return crc === readU32(bytes, at.bodyCrc) ? result : { ok: false, failure: 'bodyCrc' }
}

/** The chain after a checked batch, or undefined where its own eight bytes disagree. */
export function chainAfter(
  bytes: Uint8Array,
  previous: Chain,
  digests: Digests,
): Chain | undefined {
  const head = copyBytes(bytes, 0, HEADER_BYTES)
  const stated = copyBytes(head, at.chain, at.chain + 8)
  head.fill(0, at.headerCrc, at.headerCrc + 4).fill(0, at.chain, at.chain + 8)
  const chain = digests.sha256(
    hashBytes(previous),
    head,
    digests.sha256(bytes.subarray(HEADER_BYTES)),
  )
  return sameBytes(stated, chain.subarray(0, 8)) ? toHex(chain) : undefined
}

function hashBytes(chain: Chain): Uint8Array {
  const bytes = fromHex(chain)
  invariant(bytes?.length === 32, 'a chain is 32 bytes')
  return bytes
}
