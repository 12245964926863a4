/**
 * The layers of a datagram: checksum outermost, then compression, then a compound of messages.
 * Whatever arrives, reading ends within a bound of work and memory and reports what it dropped.
 */
import { invariant, releaseBytes } from '@kith/interface'
import type { Digests } from '@kith/interface'
import { compressLzw, decompressLzw } from './lzw.ts'
import { decodeMessage, messageType, verdict } from './memberlist.ts'
import type { PacketMessage } from './message.ts'
import { MsgpackReader, MsgpackWriter } from './msgpack.ts'
import type { DecodeProblem, DecodeProblemKind } from './problem.ts'

/** What one packet is filled up to before the checksum, which is not counted. */
export const packetBytesTarget: number = 1400
/** The largest datagram there is, and the most that all decompression of one may yield. */
const packetBytesMax = 65_536
const partsPerCompoundMax = 255
/** More messages than any honest packet has room for. */
const partsMax = 1024
/** Compound in compress in compound and so on: honest packets have two layers. */
const layersMax = 6
const crcHeaderBytes = 5
const protocolWithCrc = 5

export interface DecodedPacket {
  readonly messages: readonly PacketMessage[]
  readonly problems: readonly DecodeProblem[]
}

interface Reading {
  readonly messages: PacketMessage[]
  readonly problems: DecodeProblem[]
  decompressedLeft: number
  partsLeft: number
}

/** Reads one datagram through every layer. Good parts survive bad ones. Never throws. */
export function decodePacket(bytes: Uint8Array, digests: Digests): DecodedPacket {
  const reading: Reading = {
    messages: [],
    problems: [],
    decompressedLeft: packetBytesMax,
    partsLeft: partsMax,
  }
  if (bytes.length > packetBytesMax) report(reading, 'packetTooLarge')
  else if (bytes[0] !== messageType.crc || bytes.length < crcHeaderBytes) {
    readLayer(reading, bytes, 0)
  } else if (readUint32(bytes, 1) === digests.crc32(bytes.subarray(crcHeaderBytes))) {
    readLayer(reading, bytes.subarray(crcHeaderBytes), 0)
  } else report(reading, 'crcMismatch')
  return { messages: reading.messages, problems: reading.problems }
}

function report(reading: Reading, kind: DecodeProblemKind, type?: number): void {
  reading.problems.push(type === undefined ? { kind } : { kind, type })
}

function readLayer(reading: Reading, bytes: Uint8Array, depth: number): void {
  if (depth >= layersMax) return report(reading, 'nestingTooDeep', bytes[0])
  if (bytes[0] === messageType.compound) return readCompound(reading, bytes, depth)
  if (bytes[0] === messageType.compress) return readCompressed(reading, bytes, depth)
  const message = decodeMessage(bytes)
  if (typeof message === 'string') report(reading, message, bytes[0])
  else if (message.kind === 'error') report(reading, 'typeMisplaced', bytes[0])
  else reading.messages.push(message)
}

function readCompound(reading: Reading, bytes: Uint8Array, depth: number): void {
  const count = bytes[1] ?? 0
  let start = 2 + count * 2
  if (bytes.length < 2 || bytes.length < start) return report(reading, 'compoundShort')
  for (let index = 0; index < count; index += 1) {
    const length = readUint16(bytes, 2 + index * 2)
    if (start + length > bytes.length) return report(reading, 'compoundTruncated')
    if (reading.partsLeft === 0) return report(reading, 'tooManyParts')
    reading.partsLeft -= 1
    readLayer(reading, bytes.subarray(start, start + length), depth + 1)
    start += length
  }
}

function readCompressed(reading: Reading, bytes: Uint8Array, depth: number): void {
  const body = decodeCompressed(bytes)
  if (typeof body === 'string') return report(reading, body)
  const plain = decompressLzw(body, reading.decompressedLeft)
  releaseBytes(body)
  if (plain === 'tooLarge') return report(reading, 'compressTooLarge')
  if (plain === 'malformed') return report(reading, 'compressMalformed')
  if (plain.length === 0) return report(reading, 'compressEmpty')
  reading.decompressedLeft -= plain.length
  readLayer(reading, plain, depth + 1)
  // Every field was copied out of it.
  releaseBytes(plain)
}

function decodeCompressed(bytes: Uint8Array): Uint8Array | DecodeProblemKind {
  const reader = new MsgpackReader(bytes, 1)
  const { algorithm, body } = readCompress(reader)
  const problem = verdict(reader)
  if (problem !== undefined) return 'compressMalformed'
  return algorithm === 0 ? body : 'compressAlgorithm'
}

/** The compress wrapper's struct, also read from streams. */
export function readCompress(reader: MsgpackReader): { algorithm: number; body: Uint8Array } {
  let algorithm = 0
  let body: Uint8Array = new Uint8Array(0)
  reader.struct(['Algo', 'Buf'], (field) => {
    if (field === 'Algo') algorithm = reader.uint(0xff)
    else if (field === 'Buf') body = reader.bytes()
    else reader.skip()
  })
  return { algorithm, body }
}

/** The compress wrapper around `plain`, larger than `plain` where that is how it compresses. */
export function wrapCompress(plain: Uint8Array): Uint8Array {
  const writer = new MsgpackWriter()
  writer.byte(messageType.compress).map(2).text('Algo').uint(0)
  return writer.text('Buf').bytes(compressLzw(plain)).finish()
}

export interface PacketOptions {
  /** Adds the checksum layer; only for members whose pmax is at least 5. */
  readonly crc?: Digests | undefined
  /** Compresses where that makes the packet smaller. */
  readonly compress?: boolean
}

/** One datagram of 1 to 255 encoded messages: bare for one, a compound for several. */
export function encodePacket(
  parts: readonly Uint8Array[],
  { crc, compress }: PacketOptions = {},
): Uint8Array {
  if (compress !== true) return joinParts(parts, crc)
  const plain = joinParts(parts, undefined)
  const compressed = wrapCompress(plain)
  return joinParts([compressed.length < plain.length ? compressed : plain], crc)
}

function joinParts(parts: readonly Uint8Array[], crc: Digests | undefined): Uint8Array {
  const [first] = parts
  const count = parts.length
  invariant(first !== undefined && count <= partsPerCompoundMax, '1 to 255 parts a packet')
  let length = 0
  for (const part of parts) {
    invariant(part.length > 0, 'an empty part would crash old members')
    invariant(part.length <= 0xffff, 'a part fits its 16-bit length')
    length += part.length
  }
  if (count === 1 && crc === undefined) return first
  const start = crc === undefined ? 0 : crcHeaderBytes
  const body = start + (count === 1 ? 0 : 2 + 2 * count)
  const packet = new Uint8Array(body + length)
  if (count > 1) writeCompoundHeader(packet, start, parts)
  let at = body
  for (const part of parts) {
    packet.set(part, at)
    at += part.length
  }
  if (crc !== undefined) {
    packet[0] = messageType.crc
    writeUint32(packet, 1, crc.crc32(packet.subarray(start)))
  }
  return packet
}

function writeCompoundHeader(
  packet: Uint8Array,
  start: number,
  parts: readonly Uint8Array[],
): void {
  packet[start] = messageType.compound
  packet[start + 1] = parts.length
  let at = start + 2
  for (const { length } of parts) {
    packet[at] = length >> 8
    packet[at + 1] = length & 0xff
    at += 2
  }
}

/** Whether a member with this highest protocol version reads the checksum layer. */
export function understandsCrc(protocolMax: number): boolean {
  return protocolMax >= protocolWithCrc
}

/**
 * Bytes left for piggybacked broadcasts beside messages of `used` bytes, in a packet that a label
 * and encryption make longer by `overhead`.
 */
export function piggybackBudget(used: number, overhead: number): number {
  return packetBytesTarget - used - 2 - overhead
}

/** What a queued broadcast of this encoded length, type byte included, takes from a budget. */
export function broadcastCost(encodedLength: number): number {
  return encodedLength + 2
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

function readUint16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  for (let index = 0; index < 4; index += 1) bytes[at + index] = value >>> (24 - 8 * index)
}

function readUint32(bytes: Uint8Array, at: number): number {
  return ((readUint16(bytes, at) << 16) | readUint16(bytes, at + 2)) >>> 0
}
