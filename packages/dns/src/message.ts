/**
 * Queries and answers as bytes. The codec is dns-packet; what it is given was bounded before, and
 * nothing that it throws gets out.
 */
import {
  type Answer,
  AUTHORITATIVE_ANSWER,
  decode,
  type OptAnswer,
  RECURSION_DESIRED,
  TRUNCATED_RESPONSE,
} from 'dns-packet'
import type { RecordBytes } from './prepared.ts'

export interface Query {
  readonly id: number
  /** As it was asked, case and all. */
  readonly name: string
  /** `A`, `SRV`, `UNKNOWN_65`. */
  readonly type: string
  readonly inClass: boolean
  /** 0 for a query; an answer repeats it. */
  readonly opcode: number
  readonly recursionDesired: boolean
  /** The question as bytes, which an answer repeats. */
  readonly question: Buffer
  /** What the asking side says in EDNS0; undefined where it has none. */
  readonly edns: { readonly version: number; readonly bytesMax: number } | undefined
}

export interface Reply {
  /** 0 well, 1 format, 2 failed, 3 no such name, 4 not implemented, 5 refused, 16 EDNS version. */
  readonly code: number
  readonly authoritative: boolean
  readonly answers: readonly Answer[]
  readonly authorities: readonly Answer[]
  /** Left out first where the answer is too long. */
  readonly additionals: readonly Answer[]
}

const headerBytes = 12
const responseFlag = 0x8000
const nameBytesMax = 255
const labelBytesMax = 63
/** Records behind the question: an OPT, perhaps a signature. */
const additionalsMax = 4
/** Bytes that a record has beside its name and its data. */
const recordBytesMin = 11

/** Undefined for whatever is no query that can be answered. Never throws. */
export function decodeQuery(bytes: Uint8Array, bytesMax: number): Query | undefined {
  if (bytes.length < headerBytes || bytes.length > bytesMax) return undefined
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const end = questionEnd(buffer)
  if (end === undefined) return undefined
  try {
    const packet = decode(buffer)
    const question = packet.questions?.[0]
    if (question === undefined) return undefined
    const opt = packet.additionals?.find((record): record is OptAnswer => record.type === 'OPT')
    return {
      id: packet.id ?? 0,
      name: question.name,
      type: question.type,
      inClass: question.class === 'IN' || question.class === 'ANY',
      opcode: ((packet.flags ?? 0) >> 11) & 0x0f,
      question: buffer.subarray(headerBytes, end),
      recursionDesired: ((packet.flags ?? 0) & RECURSION_DESIRED) !== 0,
      edns:
        opt === undefined ? undefined : { version: opt.ednsVersion, bytesMax: opt.udpPayloadSize },
    }
  } catch {
    return undefined
  }
}

/**
 * Where the question ends in a query with one question whose name is plain (no pointer, no byte
 * that would be written differently), no answers, and few further records; undefined for others.
 */
function questionEnd(buffer: Buffer): number | undefined {
  const isResponse = ((buffer[2] ?? 0) & 0x80) !== 0
  const further = buffer.readUInt16BE(10)
  if (isResponse || buffer.readUInt16BE(4) !== 1 || buffer.readUInt32BE(6) !== 0) {
    return undefined
  }
  if (further > additionalsMax) return undefined
  let at = headerBytes
  for (;;) {
    const length = buffer[at]
    if (length === undefined || length > labelBytesMax) return undefined
    at += 1
    if (length === 0) break
    if (at + length > buffer.length || at + length - headerBytes > nameBytesMax) {
      return undefined
    }
    const labelEnd = at + length
    for (; at < labelEnd; at += 1) if (!isPlain(buffer[at] ?? 0)) return undefined
  }
  at += 4
  return at + further * recordBytesMin <= buffer.length ? at : undefined
}

/** Letters, digits, hyphen, underscore: what names of services, tags and members are made of. */
function isPlain(byte: number): boolean {
  const letter = (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a
  return letter || (byte >= 0x30 && byte <= 0x39) || byte === 0x2d || byte === 0x5f
}

/** How long an answer over UDP may be for whoever asked. */
export function answerBytesMax(query: Query, udpBytesMax: number): number {
  return Math.min(Math.max(query.edns?.bytesMax ?? 512, 512), udpBytesMax)
}

export interface Encoded {
  readonly bytes: Buffer
  readonly truncated: boolean
}

/**
 * At most `bytesMax` bytes: without the additional records where they do not fit, then with as many
 * answers as do and the mark that there are more.
 */
export function encodeReply(
  query: Query,
  reply: Reply,
  bytesMax: number,
  udpBytesMax: number,
  recordBytes: RecordBytes,
): Encoded {
  const bytesOf = (record: Answer): Buffer => recordBytes.of(record)
  const answers = reply.answers.map(bytesOf)
  const authorities = reply.authorities.map(bytesOf)
  const opt = optRecord(query, reply.code, udpBytesMax).map(bytesOf)
  let left = bytesMax - headerBytes - query.question.length
  left -= lengthOf(authorities) + lengthOf(opt) + lengthOf(answers)
  const more = reply.additionals.map(bytesOf)
  const additionals = lengthOf(more) <= left ? [...more, ...opt] : opt
  const truncated = left < 0
  while (left < 0 && answers.length > 0) left += answers.pop()?.length ?? 0
  const flags =
    responseFlag |
    (query.opcode << 11) |
    (reply.authoritative ? AUTHORITATIVE_ANSWER : 0) |
    (truncated ? TRUNCATED_RESPONSE : 0) |
    (query.recursionDesired ? RECURSION_DESIRED : 0) |
    (reply.code & 0x0f)
  const header = Buffer.allocUnsafe(headerBytes)
  const counts = [1, answers.length, authorities.length, additionals.length]
  for (const [at, value] of [query.id, flags, ...counts].entries()) {
    header.writeUInt16BE(value, 2 * at)
  }
  const records = [...answers, ...authorities, ...additionals]
  return { bytes: Buffer.concat([header, query.question, ...records]), truncated }
}

function lengthOf(parts: readonly Buffer[]): number {
  let sum = 0
  for (const { length } of parts) sum += length
  return sum
}

function optRecord(query: Query, code: number, udpBytesMax: number): OptAnswer[] {
  if (query.edns === undefined) return []
  const fields = { name: '.', udpPayloadSize: udpBytesMax, extendedRcode: code >> 4 }
  const opt = { type: 'OPT', ...fields, ednsVersion: 0, flags: 0, flag_do: false, options: [] }
  return [opt as unknown as OptAnswer]
}
