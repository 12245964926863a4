/** Serf's messages, Serf's type byte first: what stands inside memberlist's user message. */
import type {
  ConflictMember,
  JoinIntent,
  LeaveIntent,
  QueryMessage,
  QueryResponseMessage,
  RelayMessage,
  SerfMessage,
  UserEventMessage,
  UserMessage,
  Versions,
} from './message.ts'
import { decodeFilter, encodeFilter } from './filter.ts'
import { MsgpackReader, MsgpackWriter } from './msgpack.ts'
import type { Dialect } from './msgpack.ts'

export const serfType = {
  leaveIntent: 0,
  joinIntent: 1,
  pushPull: 2,
  userEvent: 3,
  query: 4,
  queryResponse: 5,
  conflictResponse: 6,
  keyRequest: 7,
  keyResponse: 8,
  relay: 9,
} as const

const uint32Max = 0xffff_ffff
const portMax = 0xffff

/** Undefined for unknown types and malformed bodies, text that is not UTF-8 included. */
export function decodeSerf(bytes: Uint8Array): SerfMessage | undefined {
  const reader = new MsgpackReader(bytes, 1)
  const message = readSerf(bytes, reader)
  return reader.failure === undefined && !reader.textInvalid ? message : undefined
}

function readSerf(bytes: Uint8Array, reader: MsgpackReader): SerfMessage | undefined {
  switch (bytes[0]) {
    case serfType.leaveIntent:
      return readLeave(reader)
    case serfType.joinIntent:
      return readJoin(reader)
    case serfType.userEvent:
      return readUserEvent(reader)
    case serfType.query:
      return readQuery(reader)
    case serfType.queryResponse:
      return readQueryResponse(reader)
    case serfType.relay:
      return readRelay(bytes, reader)
    default:
      return undefined
  }
}

function readLeave(reader: MsgpackReader): LeaveIntent {
  let [lamportTime, node, prune] = [0n, '', false]
  reader.struct(['LTime', 'Node', 'Prune'], (field) => {
    if (field === 'LTime') lamportTime = reader.u64()
    else if (field === 'Node') node = reader.text()
    else if (field === 'Prune') prune = reader.bool()
    else reader.skip()
  })
  return { kind: 'leaveIntent', lamportTime, node, prune }
}

function readJoin(reader: MsgpackReader): JoinIntent {
  let [lamportTime, node] = [0n, '']
  reader.struct(['LTime', 'Node'], (field) => {
    if (field === 'LTime') lamportTime = reader.u64()
    else if (field === 'Node') node = reader.text()
    else reader.skip()
  })
  return { kind: 'joinIntent', lamportTime, node }
}

function readUserEvent(reader: MsgpackReader): UserEventMessage {
  let [lamportTime, name, coalesce] = [0n, '', false]
  let payload: Uint8Array = new Uint8Array(0)
  reader.struct(['LTime', 'Name', 'Payload', 'CC'], (field) => {
    if (field === 'LTime') lamportTime = reader.u64()
    else if (field === 'Name') name = reader.text()
    else if (field === 'Payload') payload = reader.bytes()
    else if (field === 'CC') coalesce = reader.bool()
    else reader.skip()
  })
  return { kind: 'userEvent', lamportTime, name, payload, coalesce }
}

const queryFields = ['LTime', 'ID', 'Addr', 'Port', 'SourceNode', 'Filters', 'Flags']

function readQuery(reader: MsgpackReader): QueryMessage {
  const query: Mutable<QueryMessage> = {
    kind: 'query',
    lamportTime: 0n,
    id: 0,
    address: new Uint8Array(0),
    port: 0,
    sourceNode: '',
    filters: [],
    flags: 0,
    relayFactor: 0,
    timeoutNs: 0n,
    name: '',
    payload: new Uint8Array(0),
  }
  reader.struct([...queryFields, 'RelayFactor', 'Timeout', 'Name', 'Payload'], (field) => {
    if (field === 'LTime') query.lamportTime = reader.u64()
    else if (field === 'ID') query.id = reader.uint(uint32Max)
    else if (field === 'Addr') query.address = reader.bytes()
    else if (field === 'Port') query.port = reader.uint(portMax)
    else if (field === 'SourceNode') query.sourceNode = reader.text()
    else if (field === 'Filters') query.filters = readFilters(reader)
    else if (field === 'Flags') query.flags = reader.uint(uint32Max)
    else if (field === 'RelayFactor') query.relayFactor = reader.uint(0xff)
    else if (field === 'Timeout') query.timeoutNs = reader.i64()
    else if (field === 'Name') query.name = reader.text()
    else if (field === 'Payload') query.payload = reader.bytes()
    else reader.skip()
  })
  return query
}

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] }

function readFilters(reader: MsgpackReader): QueryMessage['filters'] {
  const filters: QueryMessage['filters'][number][] = []
  reader.array(() => void filters.push(decodeFilter(reader.bytes())))
  return filters
}

function readQueryResponse(reader: MsgpackReader): QueryResponseMessage {
  let [lamportTime, id, from, flags] = [0n, 0, '', 0]
  let payload: Uint8Array = new Uint8Array(0)
  reader.struct(['LTime', 'ID', 'From', 'Flags', 'Payload'], (field) => {
    if (field === 'LTime') lamportTime = reader.u64()
    else if (field === 'ID') id = reader.uint(uint32Max)
    else if (field === 'From') from = reader.text()
    else if (field === 'Flags') flags = reader.uint(uint32Max)
    else if (field === 'Payload') payload = reader.bytes()
    else reader.skip()
  })
  return { kind: 'queryResponse', lamportTime, id, from, flags, payload }
}

function readRelay(bytes: Uint8Array, reader: MsgpackReader): RelayMessage {
  let [port, zone, node] = [0, '', '']
  let address: Uint8Array = new Uint8Array(0)
  const destination = (): void =>
    reader.struct(['IP', 'Port', 'Zone'], (field) => {
      if (field === 'IP') address = reader.bytes()
      else if (field === 'Port') port = reader.uint(portMax)
      else if (field === 'Zone') zone = reader.text()
      else reader.skip()
    })
  reader.struct(['DestAddr', 'DestName'], (field) => {
    if (field === 'DestAddr') destination()
    else if (field === 'DestName') node = reader.text()
    else reader.skip()
  })
  return { kind: 'relay', address, port, zone, node, body: bytes.slice(reader.position) }
}

/** A Serf message of ours, fields in the alphabetical order in which Go writes them. */
export function encodeSerf(message: SerfMessage, dialect: Dialect = 'old'): Uint8Array {
  const writer = new MsgpackWriter(dialect)
  writer.byte(serfType[message.kind])
  switch (message.kind) {
    case 'leaveIntent':
      writer.map(3).text('LTime').uint(message.lamportTime).text('Node').text(message.node)
      return writer.text('Prune').bool(message.prune).finish()
    case 'joinIntent':
      writer.map(2).text('LTime').uint(message.lamportTime)
      return writer.text('Node').text(message.node).finish()
    case 'userEvent':
      writer.map(4).text('CC').bool(message.coalesce).text('LTime').uint(message.lamportTime)
      writer.text('Name').text(message.name)
      return writer.text('Payload').bytesOrNil(message.payload).finish()
    case 'query':
      return encodeQuery(writer, message)
    case 'queryResponse':
      writer.map(5).text('Flags').uint(message.flags).text('From').text(message.from)
      writer.text('ID').uint(message.id).text('LTime').uint(message.lamportTime)
      return writer.text('Payload').bytesOrNil(message.payload).finish()
    case 'relay':
      writer.map(2).text('DestAddr').map(3).text('IP').bytes(message.address)
      writer.text('Port').int(message.port).text('Zone').text(message.zone)
      return writer.text('DestName').text(message.node).append(message.body).finish()
  }
}

function encodeQuery(writer: MsgpackWriter, message: QueryMessage): Uint8Array {
  writer.map(11).text('Addr').bytes(message.address).text('Filters')
  if (message.filters.length === 0) writer.nil()
  else writer.array(message.filters.length)
  for (const filter of message.filters) writer.bytes(encodeFilter(filter))
  writer.text('Flags').uint(message.flags).text('ID').uint(message.id)
  writer.text('LTime').uint(message.lamportTime).text('Name').text(message.name)
  writer.text('Payload').bytesOrNil(message.payload).text('Port').uint(message.port)
  writer.text('RelayFactor').uint(message.relayFactor)
  writer.text('SourceNode').text(message.sourceNode)
  return writer.text('Timeout').int(message.timeoutNs).finish()
}

/** The user message that carries a Serf message of ours. */
export function userMessage(message: SerfMessage, dialect: Dialect = 'old'): UserMessage {
  return { kind: 'user', message, bytes: encodeSerf(message, dialect) }
}

const conflictFields = ['Name', 'Addr', 'Port', 'Tags', 'Status', 'ProtocolMin', 'ProtocolMax']
const delegateFields = ['ProtocolCur', 'DelegateMin', 'DelegateMax', 'DelegateCur']

/**
 * The payload of an answer to `_serf_conflict`: the member as the answerer has it, `nobody` where
 * it knows none of that name, undefined where the payload is malformed.
 */
export function decodeConflictResponse(payload: Uint8Array): ConflictMember | 'nobody' | undefined {
  if (payload[0] !== serfType.conflictResponse) return undefined
  const reader = new MsgpackReader(payload, 1)
  if (reader.nil()) return 'nobody'
  const numbers = new Map<string, number>()
  const tags = new Map<string, string>()
  let name = ''
  let address: Uint8Array = new Uint8Array(0)
  const readTags = (): void =>
    reader.entries((key) => {
      const value = reader.text()
      if (key !== undefined) tags.set(key, value)
    })
  reader.struct([...conflictFields, ...delegateFields], (field) => {
    if (field === 'Name') name = reader.text()
    else if (field === 'Addr') address = reader.bytes()
    else if (field === 'Tags') readTags()
    else if (numberFields.includes(field)) numbers.set(field, reader.uint(portMax))
    else reader.skip()
  })
  if (reader.failure !== undefined || reader.textInvalid) return undefined
  const get = (field: string): number => numbers.get(field) ?? 0
  const versions = versionFields.map(get) as unknown as Versions
  return { name, address, port: get('Port'), tags, status: get('Status'), versions }
}

const versionFields = [
  'ProtocolMin',
  'ProtocolMax',
  'ProtocolCur',
  'DelegateMin',
  'DelegateMax',
  'DelegateCur',
]
const numberFields = ['Port', 'Status', ...versionFields]

/** What a member answers to `_serf_conflict`; undefined for a name it does not know. */
export function encodeConflictResponse(
  member: ConflictMember | undefined,
  dialect: Dialect = 'old',
): Uint8Array {
  const writer = new MsgpackWriter(dialect).byte(serfType.conflictResponse)
  if (member === undefined) return writer.nil().finish()
  const [pmin, pmax, pcur, dmin, dmax, dcur] = member.versions
  writer.map(11).text('Addr').bytes(member.address).text('DelegateCur').uint(dcur)
  writer.text('DelegateMax').uint(dmax).text('DelegateMin').uint(dmin)
  writer.text('Name').text(member.name).text('Port').uint(member.port)
  writer.text('ProtocolCur').uint(pcur).text('ProtocolMax').uint(pmax)
  writer.text('ProtocolMin').uint(pmin).text('Status').int(member.status)
  writer.text('Tags').map(member.tags.size)
  for (const [key, value] of member.tags) writer.text(key).text(value)
  return writer.finish()
}
