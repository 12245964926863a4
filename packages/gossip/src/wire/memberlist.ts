/** memberlist's messages one at a time, type byte first, without outer layers. */
import { invariant } from '@kith/interface'
import type {
  AckMessage,
  AliveMessage,
  DeadMessage,
  ErrorMessage,
  IndirectPingMessage,
  NackMessage,
  PacketMessage,
  PingMessage,
  SuspectMessage,
  UserMessage,
  Versions,
} from './message.ts'
import { MsgpackReader, MsgpackWriter } from './msgpack.ts'
import type { Dialect, WriterRoom } from './msgpack.ts'
import type { DecodeProblemKind } from './problem.ts'
import { decodeSerf } from './serf.ts'

/** The type bytes of memberlist. */
export const messageType = {
  ping: 0,
  indirectPing: 1,
  ack: 2,
  suspect: 3,
  alive: 4,
  dead: 5,
  pushPull: 6,
  compound: 7,
  user: 8,
  compress: 9,
  encrypt: 10,
  nack: 11,
  crc: 12,
  error: 13,
  label: 244,
} as const

export const uint32Max: number = 0xffff_ffff
export const portMax: number = 0xffff

/** Everything that is one msgpack struct behind its type byte. */
export type StructMessage = Exclude<PacketMessage, UserMessage> | ErrorMessage

/** A message or the name of what is wrong with it. `bytes` begins with the type byte. */
export function decodeMessage(bytes: Uint8Array): PacketMessage | ErrorMessage | DecodeProblemKind {
  const type = bytes[0]
  if (type === undefined) return 'emptyMessage'
  if (type === messageType.user) return decodeUser(bytes.slice(1))
  if (type > messageType.error) return 'typeUnknown'
  const reader = new MsgpackReader(bytes, 1)
  const message = readStruct(type, reader)
  return typeof message === 'string' ? message : (verdict(reader) ?? message)
}

/** The problem a reader ran into, for a message that has all of its bytes. */
export function verdict(reader: MsgpackReader): DecodeProblemKind | undefined {
  if (reader.failure !== undefined) return 'messageMalformed'
  return reader.textInvalid ? 'textInvalid' : undefined
}

/** Reads the struct behind `type`; the caller asks the reader whether that went well. */
export function readStruct(type: number, reader: MsgpackReader): StructMessage | DecodeProblemKind {
  switch (type) {
    case messageType.ping:
      return readPing(reader)
    case messageType.indirectPing:
      return readIndirectPing(reader)
    case messageType.ack:
      return readAck(reader)
    case messageType.nack:
      return readNack(reader)
    case messageType.suspect:
      return readAccusation(reader, 'suspect')
    case messageType.dead:
      return readAccusation(reader, 'dead')
    case messageType.alive:
      return readAlive(reader)
    case messageType.error:
      return readError(reader)
    default:
      return 'typeMisplaced'
  }
}

function decodeUser(bytes: Uint8Array): UserMessage | DecodeProblemKind {
  return bytes.length === 0 ? 'emptyMessage' : { kind: 'user', message: decodeSerf(bytes), bytes }
}

function readPing(reader: MsgpackReader): PingMessage | DecodeProblemKind {
  let [sequenceNumber, node, sourcePort, sourceNode] = [0, '', 0, '']
  let sourceAddress: Uint8Array = new Uint8Array(0)
  reader.struct(['SeqNo', 'Node', 'SourceAddr', 'SourcePort', 'SourceNode'], (field) => {
    if (field === 'SeqNo') sequenceNumber = reader.uint(uint32Max)
    else if (field === 'Node') node = reader.text()
    else if (field === 'SourceAddr') sourceAddress = reader.bytes()
    else if (field === 'SourcePort') sourcePort = reader.uint(portMax)
    else if (field === 'SourceNode') sourceNode = reader.text()
    else reader.skip()
  })
  if (!usableAddress(sourceAddress) && sourceAddress.length > 0) return addressProblem(reader)
  return { kind: 'ping', sequenceNumber, node, sourceAddress, sourcePort, sourceNode }
}

function readIndirectPing(reader: MsgpackReader): IndirectPingMessage | DecodeProblemKind {
  let [sequenceNumber, port, node, nack, sourcePort, sourceNode] = [0, 0, '', false, 0, '']
  let target: Uint8Array = new Uint8Array(0)
  let sourceAddress: Uint8Array = new Uint8Array(0)
  const fields = ['SeqNo', 'Target', 'Port', 'Node', 'Nack', 'SourceAddr', 'SourcePort']
  reader.struct([...fields, 'SourceNode'], (field) => {
    if (field === 'SeqNo') sequenceNumber = reader.uint(uint32Max)
    else if (field === 'Target') target = reader.bytes()
    else if (field === 'Port') port = reader.uint(portMax)
    else if (field === 'Node') node = reader.text()
    else if (field === 'Nack') nack = reader.bool()
    else if (field === 'SourceAddr') sourceAddress = reader.bytes()
    else if (field === 'SourcePort') sourcePort = reader.uint(portMax)
    else if (field === 'SourceNode') sourceNode = reader.text()
    else reader.skip()
  })
  if (!usableAddress(target)) return addressProblem(reader)
  if (!usableAddress(sourceAddress) && sourceAddress.length > 0) return addressProblem(reader)
  const source = { sourceAddress, sourcePort, sourceNode }
  return { kind: 'indirectPing', sequenceNumber, target, port, node, nack, ...source }
}

function readAck(reader: MsgpackReader): AckMessage {
  let sequenceNumber = 0
  let payload: Uint8Array = new Uint8Array(0)
  reader.struct(['SeqNo', 'Payload'], (field) => {
    if (field === 'SeqNo') sequenceNumber = reader.uint(uint32Max)
    else if (field === 'Payload') payload = reader.bytes()
    else reader.skip()
  })
  return { kind: 'ack', sequenceNumber, payload }
}

function readNack(reader: MsgpackReader): NackMessage {
  let sequenceNumber = 0
  reader.struct(['SeqNo'], (field) => {
    if (field === 'SeqNo') sequenceNumber = reader.uint(uint32Max)
    else reader.skip()
  })
  return { kind: 'nack', sequenceNumber }
}

function readError(reader: MsgpackReader): ErrorMessage {
  let text = ''
  reader.struct(['Error'], (field) => {
    if (field === 'Error') text = reader.text()
    else reader.skip()
  })
  return { kind: 'error', text }
}

function readAccusation(
  reader: MsgpackReader,
  kind: 'suspect' | 'dead',
): SuspectMessage | DeadMessage {
  let [incarnation, node, from] = [0, '', '']
  reader.struct(['Incarnation', 'Node', 'From'], (field) => {
    if (field === 'Incarnation') incarnation = reader.uint(uint32Max)
    else if (field === 'Node') node = reader.text()
    else if (field === 'From') from = reader.text()
    else reader.skip()
  })
  return { kind, incarnation, node, from }
}

function readAlive(reader: MsgpackReader): AliveMessage | DecodeProblemKind {
  let [incarnation, node, port] = [0, '', 0]
  let address: Uint8Array = new Uint8Array(0)
  let meta: Uint8Array = new Uint8Array(0)
  let versions: Versions | undefined
  reader.struct(['Incarnation', 'Node', 'Addr', 'Port', 'Meta', 'Vsn'], (field) => {
    if (field === 'Incarnation') incarnation = reader.uint(uint32Max)
    else if (field === 'Node') node = reader.text()
    else if (field === 'Addr') address = reader.bytes()
    else if (field === 'Port') port = reader.uint(portMax)
    else if (field === 'Meta') meta = reader.bytes()
    else if (field === 'Vsn') versions = readVersions(reader)
    else reader.skip()
  })
  if (!usableAddress(address)) return addressProblem(reader)
  if (versions === undefined) return verdict(reader) ?? 'versionsShort'
  return { kind: 'alive', incarnation, node, address, port, meta, versions }
}

/** The first six bytes; undefined for fewer. */
export function readVersions(reader: MsgpackReader): Versions | undefined {
  const [pmin, pmax, pcur, dmin, dmax, dcur] = reader.bytes()
  if (pmin === undefined || pmax === undefined || pcur === undefined) return undefined
  if (dmin === undefined || dmax === undefined || dcur === undefined) return undefined
  return [pmin, pmax, pcur, dmin, dmax, dcur]
}

function usableAddress(bytes: Uint8Array): boolean {
  return bytes.length === 4 || bytes.length === 16
}

// A body that is malformed as a whole is named as such, not by the field it cost.
function addressProblem(reader: MsgpackReader): DecodeProblemKind {
  return verdict(reader) ?? 'addressInvalid'
}

/**
 * One message, type byte first. A user message's `bytes` are copied as they are. `room` is that of
 * whoever encodes many of them.
 */
export function encodeMessage(
  message: PacketMessage | ErrorMessage,
  dialect: Dialect = 'old',
  room?: WriterRoom,
): Uint8Array {
  const writer = new MsgpackWriter(dialect, room)
  writer.byte(messageType[message.kind])
  if (message.kind === 'user') {
    invariant(message.bytes.length > 0, 'an empty user message would crash old members')
    return writer.append(message.bytes).finish()
  }
  writeStruct(writer, message)
  return writer.finish()
}

function writeStruct(writer: MsgpackWriter, message: StructMessage): void {
  switch (message.kind) {
    case 'ping':
      return writePing(writer, message)
    case 'indirectPing':
      return writeIndirectPing(writer, message)
    case 'ack':
      writer.map(2).text('Payload').bytesOrNil(message.payload)
      return void writer.text('SeqNo').uint(message.sequenceNumber)
    case 'nack':
      return void writer.map(1).text('SeqNo').uint(message.sequenceNumber)
    case 'suspect':
    case 'dead':
      writer.map(3).text('From').text(message.from)
      writer.text('Incarnation').uint(message.incarnation)
      return void writer.text('Node').text(message.node)
    case 'alive':
      return writeAlive(writer, message)
    case 'error':
      return void writer.map(1).text('Error').text(message.text)
  }
}

function writePing(writer: MsgpackWriter, message: PingMessage): void {
  writer
    .map(2 + sourceCount(message))
    .text('Node')
    .text(message.node)
  writer.text('SeqNo').uint(message.sequenceNumber)
  writeSource(writer, message)
}

function writeIndirectPing(writer: MsgpackWriter, message: IndirectPingMessage): void {
  writer
    .map(5 + sourceCount(message))
    .text('Nack')
    .bool(message.nack)
  writer.text('Node').text(message.node).text('Port').uint(message.port)
  writer.text('SeqNo').uint(message.sequenceNumber)
  writeSource(writer, message)
  writer.text('Target').bytes(message.target)
}

type Source = Pick<PingMessage, 'sourceAddress' | 'sourcePort' | 'sourceNode'>

// Go leaves these three out when they say nothing.
function sourceCount(source: Source): number {
  const { sourceAddress, sourcePort, sourceNode } = source
  return [sourceAddress.length > 0, sourceNode !== '', sourcePort > 0].filter(Boolean).length
}

function writeSource(writer: MsgpackWriter, source: Source): void {
  if (source.sourceAddress.length > 0) writer.text('SourceAddr').bytes(source.sourceAddress)
  if (source.sourceNode !== '') writer.text('SourceNode').text(source.sourceNode)
  if (source.sourcePort > 0) writer.text('SourcePort').uint(source.sourcePort)
}

function writeAlive(writer: MsgpackWriter, message: AliveMessage): void {
  writer.map(6).text('Addr').bytes(message.address)
  writer.text('Incarnation').uint(message.incarnation)
  writer.text('Meta').bytesOrNil(message.meta).text('Node').text(message.node)
  writer.text('Port').uint(message.port)
  writer.text('Vsn').bytes(Uint8Array.from(message.versions))
}
