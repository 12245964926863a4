// Reads one direction of a connection as the machines do, and writes it again.
import type { Command, Request, ResponseBody, StreamedRecord } from '../../src/wire/message.ts'
import { decodeRecord, encodeRecord } from '../../src/wire/record.ts'
import {
  decodeRequest,
  decodeRequestHeader,
  encodeRequest,
  knownCommand,
  requestHasBody,
} from '../../src/wire/request.ts'
import {
  bodyKind,
  decodeBody,
  decodeResponseHeader,
  encodeResponse,
} from '../../src/wire/response.ts'
import { FrameSplitter } from '../../src/wire/splitter.ts'

export const roomy = { bytesMax: 1 << 24, valuesMax: 1 << 24, nestingMax: 8 }

export function split(bytes: Uint8Array, pieceBytes = Math.max(1, bytes.length)): Uint8Array[] {
  const splitter = new FrameSplitter()
  const frames: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    splitter.push(bytes.slice(at, at + pieceBytes))
    for (let frame = splitter.next(roomy); frame; frame = splitter.next(roomy)) {
      frames.push(frame.slice())
    }
  }
  if (splitter.failure !== undefined) throw new Error(splitter.failure)
  if (splitter.heldBytes > 0) throw new Error(`${splitter.heldBytes} bytes are left`)
  return frames
}

export interface ReadRequest {
  readonly sequence: bigint
  readonly request: Request
}

export function readRequests(bytes: Uint8Array, pieceBytes?: number): ReadRequest[] {
  const frames = split(bytes, pieceBytes)
  const requests: ReadRequest[] = []
  for (let frame = frames.shift(); frame; frame = frames.shift()) {
    const header = decodeRequestHeader(frame)
    const command = knownCommand(header?.command ?? '')
    if (header === undefined || command === undefined) throw new Error('no header')
    const body = requestHasBody(command) ? frames.shift() : undefined
    const request = decodeRequest(command, body)
    if (request === undefined) throw new Error(`no ${command}`)
    requests.push({ sequence: header.sequence, request })
  }
  return requests
}

export function writeRequests(requests: readonly ReadRequest[]): Uint8Array[] {
  return requests.map(({ sequence, request }) => encodeRequest(sequence, request))
}

export interface ReadAnswer {
  readonly sequence: bigint
  readonly error: string
  readonly body?: ResponseBody | undefined
  readonly record?: StreamedRecord | undefined
}

/** `asked`: which command each sequence belongs to. */
export function readAnswers(
  bytes: Uint8Array,
  asked: ReadonlyMap<bigint, Command>,
  pieceBytes?: number,
  answered = new Set<bigint>(),
): ReadAnswer[] {
  const frames = split(bytes, pieceBytes)
  const answers: ReadAnswer[] = []
  for (let frame = frames.shift(); frame; frame = frames.shift()) {
    const header = decodeResponseHeader(frame)
    const command = asked.get(header?.sequence ?? 0n)
    if (header === undefined || command === undefined) throw new Error('no header')
    const { sequence, error } = header
    if (!answered.has(sequence)) {
      answered.add(sequence)
      const kind = bodyKind(command)
      const bare = kind === undefined || error === 'Authentication required'
      const body = bare ? undefined : decodeBody(kind, frames.shift() ?? frame)
      if (!bare && body === undefined) throw new Error(`no ${kind}`)
      answers.push({ sequence, error, body })
      continue
    }
    if (command !== 'query' && command !== 'stream' && command !== 'monitor') {
      throw new Error(`${command} twice`)
    }
    const record = decodeRecord(command, frames.shift() ?? frame)
    if (record === undefined) throw new Error(`no record of ${command}`)
    answers.push({ sequence, error, record })
  }
  return answers
}

export function writeAnswers(answers: readonly ReadAnswer[]): Uint8Array[] {
  return answers.map(({ sequence, error, body, record }) =>
    record === undefined ? encodeResponse(sequence, error, body) : encodeRecord(sequence, record),
  )
}
