/** Requests between their bytes and what they say. Fields are written in order of the alphabet. */
import { MsgpackWriter } from '@kith/msgpack'
import {
  readBytes,
  readFrame,
  readList,
  readMap,
  strictText,
  writeBytes,
  writeList,
  writeTexts,
} from './fields.ts'
import type { Command, QueryRequest, Request, RequestHeader } from './message.ts'

/** The request that a body holds; undefined where it does not fit. */
type Decode = (body: Uint8Array) => Request | undefined

/** How the body of each command is read; undefined where none follows the header. */
const decoders: Readonly<Record<Command, Decode | undefined>> = {
  handshake: decodeHandshake,
  auth: oneText('AuthKey', (key) => ({ command: 'auth', key })),
  event: decodeEvent,
  'force-leave': decodeForceLeave,
  join: decodeJoin,
  members: undefined,
  'members-filtered': decodeFilter,
  tags: decodeTags,
  stream: oneText('Type', (filter) => ({ command: 'stream', filter })),
  monitor: oneText('LogLevel', (level) => ({ command: 'monitor', level })),
  stop: decodeStop,
  leave: undefined,
  query: decodeQuery,
  respond: decodeRespond,
  'install-key': oneText('Key', (key) => ({ command: 'install-key', key })),
  'use-key': oneText('Key', (key) => ({ command: 'use-key', key })),
  'remove-key': oneText('Key', (key) => ({ command: 'remove-key', key })),
  'list-keys': undefined,
  stats: undefined,
  'get-coordinate': oneText('Node', (name) => ({ command: 'get-coordinate', name })),
}

export const commands: readonly Command[] = Object.freeze(Object.keys(decoders) as Command[])

/** `command` as one of Serf's; undefined for any other text. */
export function knownCommand(command: string): Command | undefined {
  return Object.hasOwn(decoders, command) ? (command as Command) : undefined
}

/** Whether a body follows the header of a request. */
export function requestHasBody(command: Command): boolean {
  return decoders[command] !== undefined
}

export function decodeRequestHeader(frame: Uint8Array): RequestHeader | undefined {
  const header = { command: '', sequence: 0n }
  const read = readFrame(frame, {
    Command: (reader) => (header.command = reader.text()),
    Seq: (reader) => (header.sequence = reader.u64()),
  })
  return read ? header : undefined
}

/** `body` is absent exactly where the command has none. Undefined where it does not fit. */
export function decodeRequest(command: Command, body: Uint8Array | undefined): Request | undefined {
  const decode = decoders[command]
  if (decode !== undefined) return body === undefined ? undefined : decode(body)
  switch (command) {
    case 'members':
    case 'leave':
    case 'list-keys':
    case 'stats':
      return body === undefined ? { command } : undefined
    default:
      return undefined
  }
}

function oneText(field: string, request: (text: string) => Request): Decode {
  return (body) => {
    let text = ''
    const read = readFrame(body, { [field]: (reader) => (text = reader.text()) })
    return read ? request(text) : undefined
  }
}

function decodeHandshake(body: Uint8Array): Request | undefined {
  let version = 0n
  const read = readFrame(body, { Version: (reader) => (version = reader.i64()) })
  return read ? { command: 'handshake', version: Number(version) } : undefined
}

function decodeStop(body: Uint8Array): Request | undefined {
  let stream = 0n
  const read = readFrame(body, { Stop: (reader) => (stream = reader.u64()) })
  return read ? { command: 'stop', stream } : undefined
}

function decodeEvent(body: Uint8Array): Request | undefined {
  const fields = { name: '', coalesce: false }
  let payload: Uint8Array | undefined
  const read = readFrame(body, {
    Name: (reader) => (fields.name = reader.text()),
    Payload: (reader) => (payload = readBytes(reader)),
    Coalesce: (reader) => (fields.coalesce = reader.bool()),
  })
  return read ? { command: 'event', payload, ...fields } : undefined
}

function decodeRespond(body: Uint8Array): Request | undefined {
  let id = 0n
  let payload: Uint8Array | undefined
  const read = readFrame(body, {
    ID: (reader) => (id = reader.u64()),
    Payload: (reader) => (payload = readBytes(reader)),
  })
  return read ? { command: 'respond', id, payload } : undefined
}

function decodeForceLeave(body: Uint8Array): Request | undefined {
  const fields = { name: '', prune: false }
  const read = readFrame(body, {
    Node: (reader) => (fields.name = reader.text()),
    Prune: (reader) => (fields.prune = reader.bool()),
  })
  return read ? { command: 'force-leave', ...fields } : undefined
}

function decodeJoin(body: Uint8Array): Request | undefined {
  let addresses: readonly string[] | undefined
  let replay = false
  const read = readFrame(body, {
    Existing: (reader) => (addresses = readList(reader)),
    Replay: (reader) => (replay = reader.bool()),
  })
  return read ? { command: 'join', addresses, replay } : undefined
}

function decodeFilter(body: Uint8Array): Request | undefined {
  let tags: ReadonlyMap<string, string> | undefined
  const fields = { status: '', name: '' }
  const read = readFrame(body, {
    Tags: (reader) => (tags = readMap(reader, strictText)),
    Status: (reader) => (fields.status = reader.text()),
    Name: (reader) => (fields.name = reader.text()),
  })
  return read ? { command: 'members-filtered', tags, ...fields } : undefined
}

function decodeTags(body: Uint8Array): Request | undefined {
  let set: ReadonlyMap<string, string> | undefined
  let remove: readonly string[] | undefined
  const read = readFrame(body, {
    Tags: (reader) => (set = readMap(reader, strictText)),
    DeleteTags: (reader) => (remove = readList(reader)),
  })
  return read ? { command: 'tags', set, remove } : undefined
}

function decodeQuery(body: Uint8Array): Request | undefined {
  let filterMembers: readonly string[] | undefined
  let filterTags: ReadonlyMap<string, string> | undefined
  let payload: Uint8Array | undefined
  const fields = { acks: false, relayFactor: 0, timeoutNs: 0n, name: '' }
  const read = readFrame(body, {
    FilterNodes: (reader) => (filterMembers = readList(reader)),
    FilterTags: (reader) => (filterTags = readMap(reader, strictText)),
    RequestAck: (reader) => (fields.acks = reader.bool()),
    RelayFactor: (reader) => (fields.relayFactor = reader.uint(0xff)),
    Timeout: (reader) => (fields.timeoutNs = reader.i64()),
    Name: (reader) => (fields.name = reader.text()),
    Payload: (reader) => (payload = readBytes(reader)),
  })
  return read ? { command: 'query', filterMembers, filterTags, payload, ...fields } : undefined
}

export function encodeRequest(sequence: bigint, request: Request): Uint8Array {
  const writer = new MsgpackWriter('ext').map(2)
  writer.text('Command').text(request.command).text('Seq').uint(sequence)
  writeRequest(writer, request)
  return writer.finish()
}

function writeRequest(writer: MsgpackWriter, request: Request): void {
  switch (request.command) {
    case 'members':
    case 'leave':
    case 'list-keys':
    case 'stats':
      return
    case 'handshake':
      return void writer.map(1).text('Version').int(request.version)
    case 'auth':
      return void writer.map(1).text('AuthKey').text(request.key)
    case 'stream':
      return void writer.map(1).text('Type').text(request.filter)
    case 'monitor':
      return void writer.map(1).text('LogLevel').text(request.level)
    case 'stop':
      return void writer.map(1).text('Stop').uint(request.stream)
    case 'get-coordinate':
      return void writer.map(1).text('Node').text(request.name)
    case 'install-key':
    case 'use-key':
    case 'remove-key':
      return void writer.map(1).text('Key').text(request.key)
    case 'force-leave':
      writer.map(2).text('Node').text(request.name)
      return void writer.text('Prune').bool(request.prune)
    case 'event':
      writer.map(3).text('Coalesce').bool(request.coalesce).text('Name').text(request.name)
      return writeBytes(writer.text('Payload'), request.payload)
    case 'respond':
      writer.map(2).text('ID').uint(request.id)
      return writeBytes(writer.text('Payload'), request.payload)
    case 'join':
      writeList(writer.map(2).text('Existing'), request.addresses)
      return void writer.text('Replay').bool(request.replay)
    case 'members-filtered':
      writer.map(3).text('Name').text(request.name).text('Status').text(request.status)
      return writeTexts(writer.text('Tags'), request.tags)
    case 'tags':
      writeList(writer.map(2).text('DeleteTags'), request.remove)
      return writeTexts(writer.text('Tags'), request.set)
    case 'query':
      return writeQuery(writer, request)
  }
}

function writeQuery(writer: MsgpackWriter, request: QueryRequest): void {
  writeList(writer.map(7).text('FilterNodes'), request.filterMembers)
  writeTexts(writer.text('FilterTags'), request.filterTags)
  writeBytes(writer.text('Name').text(request.name).text('Payload'), request.payload)
  writer.text('RelayFactor').uint(request.relayFactor).text('RequestAck').bool(request.acks)
  writer.text('Timeout').int(request.timeoutNs)
}
