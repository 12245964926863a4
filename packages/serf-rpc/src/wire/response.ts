/** Answers between their bytes and what they say. */
import type { Coordinate } from '@kith/interface'
import { MsgpackReader, MsgpackWriter } from '@kith/msgpack'
import { readFields, readFrame, readMap, shownText, writeTexts } from './fields.ts'
import { readMembers, writeMembers } from './member.ts'
import type {
  BodyKind,
  Command,
  KeyReport,
  ResponseBody,
  ResponseHeader,
  Stats,
} from './message.ts'

/** The error after which no body follows, although the command has one. */
export const authenticationRequired = 'Authentication required'

/** What follows the header of an answer to `command`, also where it carries an error. */
export function bodyKind(command: Command): BodyKind | undefined {
  switch (command) {
    case 'join':
      return 'joined'
    case 'members':
    case 'members-filtered':
      return 'members'
    case 'install-key':
    case 'use-key':
    case 'remove-key':
    case 'list-keys':
      return 'keys'
    case 'stats':
      return 'stats'
    case 'get-coordinate':
      return 'coordinate'
    default:
      return undefined
  }
}

/** What an answer carries that has only its error to say. */
export function emptyBody(kind: BodyKind): ResponseBody {
  switch (kind) {
    case 'joined':
      return { kind, count: 0 }
    case 'members':
      return { kind, members: [] }
    case 'keys':
      return { kind, report: emptyReport }
    case 'stats':
      return { kind, stats: new Map() }
    case 'coordinate':
      return { kind, coordinate: undefined }
  }
}

const emptyReport: KeyReport = Object.freeze({
  keys: undefined,
  messages: new Map(),
  errors: 0,
  members: 0,
  responses: 0,
})

export function decodeResponseHeader(frame: Uint8Array): ResponseHeader | undefined {
  const header = { error: '', sequence: 0n }
  const read = readFrame(frame, {
    Seq: (reader) => (header.sequence = reader.u64()),
    Error: (reader) => (header.error = reader.shownText()),
  })
  return read ? header : undefined
}

export function decodeBody(kind: BodyKind, frame: Uint8Array): ResponseBody | undefined {
  const reader = new MsgpackReader(frame)
  const body = readBody(kind, reader)
  return reader.failure === undefined ? body : undefined
}

function readBody(kind: BodyKind, reader: MsgpackReader): ResponseBody {
  switch (kind) {
    case 'joined': {
      let count = 0
      readFields(reader, { Num: () => (count = reader.uint(0x7fff_ffff)) })
      return { kind, count }
    }
    case 'members': {
      let members: Extract<ResponseBody, { kind: 'members' }>['members'] = []
      readFields(reader, { Members: () => (members = readMembers(reader)) })
      return { kind, members }
    }
    case 'keys':
      return { kind, report: readReport(reader) }
    case 'stats':
      return { kind, stats: readStats(reader) }
    case 'coordinate':
      return { kind, coordinate: readPlace(reader) }
  }
}

function readReport(reader: MsgpackReader): KeyReport {
  let messages: ReadonlyMap<string, string> | undefined
  let keys: ReadonlyMap<string, number> | undefined
  const counts = { errors: 0, members: 0, responses: 0 }
  const count = (): number => reader.uint(0x7fff_ffff)
  readFields(reader, {
    Messages: () => (messages = readMap(reader, shownText)),
    Keys: () => (keys = readMap(reader, count)),
    NumNodes: () => (counts.members = count()),
    NumErr: () => (counts.errors = count()),
    NumResp: () => (counts.responses = count()),
  })
  return { keys, messages: messages ?? new Map<string, string>(), ...counts }
}

function readStats(reader: MsgpackReader): Stats {
  const section = (): ReadonlyMap<string, string> => readMap(reader, shownText) ?? new Map()
  return readMap(reader, section) ?? new Map<string, ReadonlyMap<string, string>>()
}

function readPlace(reader: MsgpackReader): Coordinate | undefined {
  const place = { error: 0, adjustment: 0, height: 0 }
  const vector: number[] = []
  let known = false
  const readCoordinate = (): void =>
    readFields(reader, {
      Vec: () => reader.array(() => void vector.push(reader.float())),
      Error: () => (place.error = reader.float()),
      Adjustment: () => (place.adjustment = reader.float()),
      Height: () => (place.height = reader.float()),
    })
  readFields(reader, { Coord: readCoordinate, Ok: () => (known = reader.bool()) })
  return known ? { vector, ...place } : undefined
}

export function encodeResponse(
  sequence: bigint,
  error: string,
  body: ResponseBody | undefined,
): Uint8Array {
  const writer = new MsgpackWriter('ext')
  writeResponseHeader(writer, sequence, error)
  if (body !== undefined) writeBody(writer, body)
  return writer.finish()
}

export function writeResponseHeader(writer: MsgpackWriter, sequence: bigint, error: string): void {
  writer.map(2).text('Error').text(error).text('Seq').uint(sequence)
}

function writeBody(writer: MsgpackWriter, body: ResponseBody): void {
  switch (body.kind) {
    case 'joined':
      return void writer.map(1).text('Num').int(body.count)
    case 'members':
      return writeMembers(writer.map(1).text('Members'), body.members)
    case 'keys':
      return writeReport(writer, body.report)
    case 'stats':
      writer.map(body.stats.size)
      for (const [name, section] of body.stats) writeTexts(writer.text(name), section)
      return
    case 'coordinate':
      return writePlace(writer, body.coordinate)
  }
}

function writeReport(writer: MsgpackWriter, report: KeyReport): void {
  writer.map(5).text('Keys')
  if (report.keys === undefined) writer.nil()
  else {
    writer.map(report.keys.size)
    for (const [key, count] of report.keys) writer.text(key).int(count)
  }
  writeTexts(writer.text('Messages'), report.messages)
  writer.text('NumErr').int(report.errors).text('NumNodes').int(report.members)
  writer.text('NumResp').int(report.responses)
}

function writePlace(writer: MsgpackWriter, coordinate: Coordinate | undefined): void {
  const { adjustment = 0, error = 0, height = 0, vector } = coordinate ?? {}
  writer.map(2).text('Coord').map(4).text('Adjustment').float(adjustment)
  writer.text('Error').float(error).text('Height').float(height).text('Vec')
  if (vector === undefined) writer.nil()
  else {
    writer.array(vector.length)
    for (const part of vector) writer.float(part)
  }
  writer.text('Ok').bool(coordinate !== undefined)
}
