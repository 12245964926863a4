/** Rows of the small tables to and from what the contract calls them, and their checksums. */
import { fromHex, invariant, toHex } from '@kith/interface'
import type {
  Digests,
  OriginStatus,
  StoredCursor,
  StoredHole,
  StoredMeta,
  StoredOrigin,
  StoredReplica,
  StoredProducer,
} from '@kith/interface'
import { writeU32 } from '../../wire/bytes.ts'
import { utf8Bytes, writeUtf8 } from '../../wire/text.ts'

/** What SQLite gives for a column of ours; anything else fails the checksum. */
export type Value = string | number | Uint8Array | null | bigint

export function bytesOf(hex: string): Uint8Array {
  const bytes = fromHex(hex)
  invariant(bytes !== undefined, 'an id or chain is hex')
  return bytes
}

const tags = { null: 0, number: 1, text: 2, blob: 3, other: 4 } as const

/** Small values are gathered here, so that a row costs one call into the digest, not forty. */
const gathered = new Uint8Array(4096)
const gatheredView = new DataView(gathered.buffer)
const headBytes = 9

/**
 * CRC-32 over the name of the table and the values, each with its type and length, so that none
 * can pass for another. The name is in it because a damaged schema can lead to another's rows.
 */
export function rowCrc(table: string, values: readonly Value[], digests: Digests): number {
  let crc: number | undefined
  let at = writeUtf8(gathered, 0, table)
  const flush = (): void => {
    crc = digests.crc32(gathered.subarray(0, at), crc)
    at = 0
  }
  for (const value of values) {
    if (at + headBytes > gathered.length) flush()
    const bytes = writeHead(value, at)
    at += headBytes
    if (bytes === undefined) continue
    if (at + bytes.length > gathered.length) flush()
    if (bytes.length > gathered.length) crc = digests.crc32(bytes, crc)
    else {
      gathered.set(bytes, at)
      at += bytes.length
    }
  }
  flush()
  return crc ?? 0
}

/** Writes type and length, or the number itself, and returns the bytes that follow. */
function writeHead(value: Value, at: number): Uint8Array | undefined {
  gathered.fill(0, at, at + headBytes)
  if (typeof value === 'number') {
    gathered[at] = tags.number
    gatheredView.setFloat64(at + 1, value, true)
    return undefined
  }
  if (value === null || typeof value === 'bigint') {
    gathered[at] = value === null ? tags.null : tags.other
    return undefined
  }
  const bytes = typeof value === 'string' ? utf8Bytes(value) : value
  gathered[at] = typeof value === 'string' ? tags.text : tags.blob
  writeU32(gathered, at + 1, bytes.length)
  return bytes
}

export function originValues(id: number, row: StoredOrigin): readonly Value[] {
  return [
    id,
    bytesOf(row.origin),
    row.member,
    row.floor,
    row.next,
    bytesOf(row.chain),
    row.status,
    row.bytes,
    row.records,
    row.dropped,
    row.why,
    row.changedAt,
  ]
}

export function readOrigin(values: readonly Value[]): StoredOrigin {
  const [, origin, member, floor, next, chain, status, ...rest] = values
  const [bytes, records, dropped, why, changedAt] = rest
  return {
    origin: toHex(origin as Uint8Array),
    member: member as string,
    floor: floor as number,
    next: next as number,
    chain: toHex(chain as Uint8Array),
    status: status as OriginStatus,
    bytes: bytes as number,
    records: records as number,
    dropped: dropped as number,
    why: why as string,
    changedAt: changedAt as number,
  }
}

export function holeValues(id: number, originId: number, row: StoredHole): readonly Value[] {
  return [id, originId, row.from, row.to, bytesOf(row.chain), row.why, row.at]
}

export function readHole(values: readonly Value[], origin: string): StoredHole {
  const [, , from, to, chain, why, at] = values
  return {
    origin,
    from: from as number,
    to: to as number,
    chain: toHex(chain as Uint8Array),
    why: why as string,
    at: at as number,
  }
}

export function cursorValues(id: number, row: StoredCursor): readonly Value[] {
  return [id, row.name, row.next, row.revision, row.changedAt]
}

export function readCursor(values: readonly Value[]): StoredCursor {
  const [, name, next, revision, changedAt] = values
  return {
    name: name as string,
    next: next as number,
    revision: revision as number,
    changedAt: changedAt as number,
  }
}

export function producerValues(id: number, row: StoredProducer): readonly Value[] {
  return [id, row.id, row.answers, row.usedAt]
}

export function readProducer(values: readonly Value[]): StoredProducer {
  const [, name, answers, usedAt] = values
  return {
    id: name as string,
    answers: plainBytes(answers as Uint8Array),
    usedAt: usedAt as number,
  }
}

export function replicaValues(id: number, row: StoredReplica): readonly Value[] {
  return [id, bytesOf(row.logId), row.member, row.acked, row.seenAt]
}

export function readReplica(values: readonly Value[]): StoredReplica {
  const [, logId, member, acked, seenAt] = values
  return {
    logId: toHex(logId as Uint8Array),
    member: member as string,
    acked: plainBytes(acked as Uint8Array),
    seenAt: seenAt as number,
  }
}

export interface TableCounts {
  readonly origin: number
  readonly hole: number
  readonly cursor: number
  readonly producer: number
  readonly replica: number
}

export interface MetaRow {
  readonly meta: StoredMeta
  readonly counts: TableCounts
}

export function metaValues(
  id: number,
  format: number,
  { meta, counts }: MetaRow,
): readonly Value[] {
  return [
    id,
    format,
    bytesOf(meta.logId),
    bytesOf(meta.origin),
    meta.clean ? 1 : 0,
    meta.createdAt,
    meta.rotatedAt,
    meta.rotationOwed,
    meta.floor,
    counts.origin,
    counts.hole,
    counts.cursor,
    counts.producer,
    counts.replica,
  ]
}

export function readMeta(values: readonly Value[]): MetaRow {
  const [, , logId, own, clean, createdAt, rotatedAt, rotationOwed, floor, ...counts] = values
  const [origin, hole, cursor, producer, replica] = counts as number[]
  return {
    meta: {
      logId: toHex(logId as Uint8Array),
      origin: toHex(own as Uint8Array),
      clean: clean === 1,
      createdAt: createdAt as number,
      rotatedAt: rotatedAt as number,
      rotationOwed: rotationOwed as string,
      floor: floor as number,
    },
    counts: {
      origin: origin ?? 0,
      hole: hole ?? 0,
      cursor: cursor ?? 0,
      producer: producer ?? 0,
      replica: replica ?? 0,
    },
  }
}

/** The driver gives Buffers; a plain view behaves the same in every environment. */
export function plainBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
