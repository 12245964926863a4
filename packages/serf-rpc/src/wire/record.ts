/** What follows an answer on its sequence: of queries, of streams, of monitors. */
import { MsgpackReader, MsgpackWriter } from '@kith/msgpack'
import { readBytes, readFields, writeBytes } from './fields.ts'
import { readMembers, writeMembers } from './member.ts'
import type {
  QueryRecord,
  StreamCommand,
  StreamedRecord,
  StreamRecord,
  WireMember,
} from './message.ts'
import { writeResponseHeader } from './response.ts'

/** Undefined where the frame is no record of such a stream. */
export function decodeRecord(
  command: StreamCommand,
  frame: Uint8Array,
): StreamedRecord | undefined {
  const reader = new MsgpackReader(frame)
  const record = readRecord(command, reader)
  return reader.failure === undefined ? record : undefined
}

function readRecord(command: StreamCommand, reader: MsgpackReader): StreamedRecord | undefined {
  switch (command) {
    case 'query': {
      const record = readQueryRecord(reader)
      return record === undefined ? undefined : { command, record }
    }
    case 'stream':
      return { command, record: readStreamRecord(reader) }
    case 'monitor': {
      let line = ''
      readFields(reader, { Log: () => (line = reader.shownText()) })
      return { command, line }
    }
  }
}

function readQueryRecord(reader: MsgpackReader): QueryRecord | undefined {
  let payload: Uint8Array | undefined
  const fields = { kind: '', from: '' }
  readFields(reader, {
    Type: () => (fields.kind = reader.text()),
    From: () => (fields.from = reader.shownText()),
    Payload: () => (payload = readBytes(reader)),
  })
  const { kind, from } = fields
  if (kind !== 'ack' && kind !== 'response' && kind !== 'done') return undefined
  return { kind, from, payload }
}

function readStreamRecord(reader: MsgpackReader): StreamRecord {
  let members: readonly WireMember[] = []
  let payload: Uint8Array | undefined
  const fields = { event: '', name: '' }
  const times = { lamportTime: 0n, id: 0n }
  let coalesce = false
  readFields(reader, {
    Event: () => (fields.event = reader.shownText()),
    Members: () => (members = readMembers(reader)),
    ID: () => (times.id = reader.u64()),
    LTime: () => (times.lamportTime = reader.u64()),
    Name: () => (fields.name = reader.shownText()),
    Payload: () => (payload = readBytes(reader)),
    Coalesce: () => (coalesce = reader.bool()),
  })
  const { event, name } = fields
  const { lamportTime, id } = times
  if (event === 'user') return { kind: 'user', name, payload, lamportTime, coalesce }
  if (event === 'query') return { kind: 'query', id, name, payload, lamportTime }
  return { kind: 'members', event, members }
}

export function encodeRecord(sequence: bigint, streamed: StreamedRecord): Uint8Array {
  const writer = new MsgpackWriter('ext')
  writeResponseHeader(writer, sequence, '')
  if (streamed.command === 'query') writeQueryRecord(writer, streamed.record)
  else if (streamed.command === 'stream') writeStreamRecord(writer, streamed.record)
  else writer.map(1).text('Log').text(streamed.line)
  return writer.finish()
}

function writeQueryRecord(writer: MsgpackWriter, record: QueryRecord): void {
  writeBytes(writer.map(3).text('From').text(record.from).text('Payload'), record.payload)
  writer.text('Type').text(record.kind)
}

function writeStreamRecord(writer: MsgpackWriter, record: StreamRecord): void {
  switch (record.kind) {
    case 'members':
      writer.map(2).text('Event').text(record.event)
      return writeMembers(writer.text('Members'), record.members)
    case 'user':
      writer.map(5).text('Coalesce').bool(record.coalesce).text('Event').text('user')
      writer.text('LTime').uint(record.lamportTime).text('Name').text(record.name)
      return writeBytes(writer.text('Payload'), record.payload)
    case 'query':
      writer.map(5).text('Event').text('query').text('ID').uint(record.id)
      writer.text('LTime').uint(record.lamportTime).text('Name').text(record.name)
      return writeBytes(writer.text('Payload'), record.payload)
  }
}
