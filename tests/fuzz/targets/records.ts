/** Batches of a log, and the messages of replication that carry them. */
import { nodeDigests } from '@kith/interface/node'
import {
  chainAfter,
  checkBatch,
  HEADER_BYTES,
  originChain,
  sealBatch,
} from '../../../packages/log/src/wire/batch.ts'
import {
  readEnds,
  readRecord,
  recordLength,
  wellFormedBody,
  writeRecord,
} from '../../../packages/log/src/wire/record.ts'
import { createCodec } from '../../../packages/replicator/src/wire/codec.ts'
import type { Codec, Decoded } from '../../../packages/replicator/src/wire/codec.ts'
import { readBatchHead } from '../../../packages/replicator/src/wire/head.ts'
import type { AppendRecord } from '@kith/interface'
import { msgpackMutator } from '../mutate-msgpack.ts'
import { ascii, holds, sameBytes } from '../target.ts'
import type { FuzzTarget, Mutator } from '../target.ts'

const origin = '0123456789abcdef0123456789abcdef'
const chain = originChain(origin, nodeDigests)

function batchOf(records: readonly AppendRecord[]): Uint8Array {
  const lengths = records.map((record) => recordLength(record, 0))
  const body = lengths.reduce((sum, length) => sum + length, 0)
  const bytes = new Uint8Array(HEADER_BYTES + body + records.length * 4)
  const view = new DataView(bytes.buffer)
  let at = HEADER_BYTES
  for (const [index, record] of records.entries()) {
    at = writeRecord(bytes, at, record, 0)
    view.setUint32(HEADER_BYTES + body + index * 4, at - HEADER_BYTES, true)
  }
  const header = { origin, first: 1, count: records.length, timeMin: 1_700_000_000_000 }
  sealBatch(bytes, { ...header, timeMaxDelta: 0 }, chain, nodeDigests)
  return bytes
}

const batches = (): readonly Uint8Array[] => [
  batchOf([{ value: ascii('hello') }]),
  batchOf([
    { value: ascii('a'), key: ascii('k'), headers: { type: 'x', '': 'empty' } },
    { value: new Uint8Array(0), headers: {} },
    { value: new Uint8Array(300).fill(7), key: new Uint8Array(0) },
  ]),
  batchOf([{ value: ascii('v'), headers: { constructor: 'c', toString: '\ufeffmark' } }]),
]

/** Both checksums fit again: without that no damage gets beyond them. */
const mended: Mutator = (bytes) => {
  if (bytes.length < HEADER_BYTES) return bytes
  const copy = bytes.slice()
  const view = new DataView(copy.buffer)
  view.setUint32(12, copy.length - HEADER_BYTES, true)
  view.setUint32(8, nodeDigests.crc32(copy.subarray(HEADER_BYTES)), true)
  view.setUint32(4, 0, true)
  view.setUint32(4, nodeDigests.crc32(copy.subarray(0, HEADER_BYTES)), true)
  return copy
}

function checkRecords(body: Uint8Array, count: number): void {
  const ends = readEnds(body, count)
  holds(ends !== undefined, 'a good body without ends')
  for (let index = 0; index < count; index += 1) {
    const [from, to] = [ends[index] ?? 0, ends[index + 1] ?? 0]
    const record = readRecord(body, from, to)
    holds(record !== undefined, 'a good body with a bad record')
    const { timeDelta, ...kept } = record
    const length = recordLength(kept, timeDelta)
    const written = new Uint8Array(length)
    writeRecord(written, 0, kept, timeDelta)
    holds(sameBytes(written, body.subarray(from, to)), 'a record changes when written again')
  }
}

export const batch: FuzzTarget = {
  bytesMax: 8_192,
  seeds: batches,
  words: ['\u0003\u0000', '__proto__', '\u0000\u0001\u0000'].map(ascii),
  mutators: [mended, mended, mended],
  ends: ['records', 'badBody', 'headerCrc', 'length', 'field', 'magic', 'bodyCrc'],
  check(bytes) {
    const result = checkBatch(bytes, nodeDigests)
    readBatchHead(bytes)
    if (!result.ok) return result.failure
    const { count, timeMaxDelta, bodyLength } = result.header
    holds(bytes.length === HEADER_BYTES + bodyLength, 'a batch of another length')
    chainAfter(bytes, chain, nodeDigests)
    const body = bytes.subarray(HEADER_BYTES)
    if (!wellFormedBody(body, count, timeMaxDelta)) return 'badBody'
    checkRecords(body, count)
    return 'records'
  },
}

const codec = createCodec()
const state = {
  origin,
  member: 'a',
  floor: 1,
  next: 3,
  chain,
  status: 'live' as const,
  own: true,
  holes: [{ from: 1, to: 2 }],
}

function messages(): readonly Uint8Array[] {
  const vector = [state]
  return [
    codec.hello.encode({
      versions: [1],
      clusterId: 'c',
      logId: origin,
      member: 'a',
      origin,
      durable: true,
      vector,
      vectorVersion: 4,
    }),
    codec.pullRequest.encode({
      logId: origin,
      bytesMax: 1000,
      maxWaitMs: 10,
      vectorVersion: 4,
      want: [{ origin, next: 1, chain: null }],
      ack: new Map([[origin, 2]]),
    }),
    codec.pullResponse.encode({
      logId: origin,
      more: false,
      vectorVersion: 4,
      vector,
      gaps: [{ origin, asked: 1, resume: 3, chainBefore: chain }],
      forks: [{ origin, sequence: 2, chain }],
      batches: batches(),
    }),
    codec.chainRequest.encode({ origin, sequences: [1, 2] }),
    codec.chainResponse.encode([chain, null]),
    codec.fetchRequest.encode({ origin, first: 1 }),
    codec.fetchResponse.encode(batches()[0]),
    codec.fetchResponse.encode(undefined),
  ]
}

/** Lengths that fit again, of the header and of the first part. */
const relengthened: Mutator = (bytes, random) => {
  if (bytes.length < 10) return bytes
  const copy = bytes.slice()
  const view = new DataView(copy.buffer)
  const header = view.getUint32(0, true)
  if (header + 9 > copy.length || random.below(4) === 0) {
    view.setUint32(0, random.below(copy.length), true)
    return copy
  }
  view.setUint32(header + 5, Math.max(0, copy.length - header - 9), true)
  return copy
}

const formats: readonly (keyof Codec)[] = [
  'hello',
  'pullRequest',
  'pullResponse',
  'chainRequest',
  'chainResponse',
  'fetchRequest',
  'fetchResponse',
]

function checkFormat<Value>(
  format: { encode(value: Value): Uint8Array; decode(bytes: Uint8Array): Decoded<Value> },
  bytes: Uint8Array,
  name: string,
): string | undefined {
  const decoded = format.decode(bytes)
  if (!decoded.ok) return decoded.problem
  const written = format.encode(decoded.value)
  const again = format.decode(written)
  holds(again.ok, `a ${name} is not read back`)
  holds(sameBytes(format.encode(again.value), written), `a ${name} changes`)
  return undefined
}

export const replication: FuzzTarget = {
  bytesMax: 16_384,
  seeds: messages,
  words: ['\u0091', '\u0001t', '\u00a9__proto__', '\u00a1n'].map(
    (text) => new Uint8Array(Buffer.from(text, 'latin1')),
  ),
  mutators: [msgpackMutator([4]), msgpackMutator([4]), relengthened],
  ends: [...formats, 'nothing'],
  check(bytes) {
    let read = 'nothing'
    for (const name of formats) {
      const problem = checkFormat(codec[name] as Parameters<typeof checkFormat>[0], bytes, name)
      if (problem === undefined) read = name
    }
    return read
  },
}
