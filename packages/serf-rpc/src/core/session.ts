/**
 * One connection of a client as a machine: it greets, shows its key, numbers what it asks, and
 * knows of every answer whether a body or records follow.
 */
import type {
  BodyKind,
  Command,
  Request,
  ResponseBody,
  StreamCommand,
  StreamedRecord,
} from '../wire/message.ts'
import { decodeRecord } from '../wire/record.ts'
import { encodeRequest } from '../wire/request.ts'
import {
  authenticationRequired,
  bodyKind,
  decodeBody,
  decodeResponseHeader,
} from '../wire/response.ts'
import { FrameSplitter } from '../wire/splitter.ts'

export interface SessionOptions {
  readonly authKey: string | undefined
  /** Bytes of one header, body or record of the agent. */
  readonly responseBytesMax: number
}

export type SessionInput =
  | { readonly kind: 'connected' }
  /** The core takes the bytes over. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** `id` is the runtime's own; it comes back with the answer and with each record. */
  | { readonly kind: 'ask'; readonly id: number; readonly request: Request }

export type SessionFailure =
  | { readonly kind: 'handshake' | 'auth'; readonly error: string }
  | { readonly kind: 'protocol'; readonly text: string }

export type SessionOutput =
  | { readonly kind: 'send'; readonly bytes: Uint8Array }
  /** Through handshake and key: requests may come. */
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'answer'
      readonly id: number
      readonly error: string
      readonly body: ResponseBody | undefined
    }
  | { readonly kind: 'record'; readonly id: number; readonly record: StreamedRecord }
  /** Nothing further can be understood. */
  | { readonly kind: 'fail'; readonly failure: SessionFailure }

/** A request under way; one of a stream stays as long as records may come. */
interface Pending {
  readonly id: number
  readonly command: Command
  answered: boolean
}

type Awaited =
  | { readonly kind: 'header' }
  | {
      readonly kind: 'body'
      readonly body: BodyKind
      readonly pending: Pending
      readonly error: string
    }
  | {
      readonly kind: 'record'
      readonly command: StreamCommand
      readonly pending: Pending
      readonly sequence: bigint
    }

export interface SessionState {
  readonly options: SessionOptions
  readonly splitter: FrameSplitter
  phase: 'new' | 'greeting' | 'authenticating' | 'ready' | 'failed'
  awaited: Awaited
  nextSequence: bigint
  readonly pending: Map<bigint, Pending>
  outputs: SessionOutput[]
}

const nestingMax = 8
/** The ids of the session's own requests; the runtime counts from 1. */
const ownId = 0
/** Errors after which the agent leaves out the body, and for the last two hangs up. */
const bodyless: ReadonlySet<string> = new Set([
  authenticationRequired,
  'Handshake required',
  'Unsupported command',
])

export function createSession(options: SessionOptions): SessionState {
  return {
    options,
    splitter: new FrameSplitter(),
    phase: 'new',
    awaited: { kind: 'header' },
    nextSequence: 1n,
    pending: new Map(),
    outputs: [],
  }
}

export function stepSession(state: SessionState, input: SessionInput): readonly SessionOutput[] {
  if (state.phase === 'failed') return []
  if (input.kind === 'connected') {
    state.phase = 'greeting'
    ask(state, ownId, { command: 'handshake', version: 1 })
  } else if (input.kind === 'ask') ask(state, input.id, input.request)
  else {
    state.splitter.push(input.bytes)
    readFrames(state)
  }
  const { outputs } = state
  state.outputs = []
  return outputs
}

function ask(state: SessionState, id: number, request: Request): void {
  const sequence = state.nextSequence
  state.nextSequence += 1n
  state.pending.set(sequence, { id, command: request.command, answered: false })
  state.outputs.push({ kind: 'send', bytes: encodeRequest(sequence, request) })
}

function fail(state: SessionState, failure: SessionFailure): void {
  state.phase = 'failed'
  state.outputs.push({ kind: 'fail', failure })
}

function broken(state: SessionState, text: string): void {
  fail(state, { kind: 'protocol', text })
}

function readFrames(state: SessionState): void {
  const { responseBytesMax: bytesMax } = state.options
  const limits = { bytesMax, valuesMax: bytesMax, nestingMax }
  // The phase changes inside: a session that failed reads nothing more.
  const failed = (): boolean => state.phase === 'failed'
  for (let frame = state.splitter.next(limits); frame; frame = state.splitter.next(limits)) {
    readFrame(state, frame)
    if (failed()) return
  }
  const { failure } = state.splitter
  if (failure === 'malformed') broken(state, 'what it sent is no msgpack')
  else if (failure !== undefined) {
    broken(state, `it sent more than ${bytesMax} bytes, or more deeply nested, in one piece`)
  }
}

function readFrame(state: SessionState, frame: Uint8Array): void {
  const { awaited } = state
  state.awaited = { kind: 'header' }
  switch (awaited.kind) {
    case 'header':
      return readHeader(state, frame)
    case 'body': {
      const body = decodeBody(awaited.body, frame)
      if (body !== undefined) return settle(state, awaited.pending, awaited.error, body)
      return broken(state, `the body of its answer to ${awaited.pending.command} is malformed`)
    }
    case 'record': {
      const record = decodeRecord(awaited.command, frame)
      if (record === undefined)
        return broken(state, `a record of a ${awaited.command} is malformed`)
      const over = record.command === 'query' && record.record.kind === 'done'
      if (over) state.pending.delete(awaited.sequence)
      state.outputs.push({ kind: 'record', id: awaited.pending.id, record })
    }
  }
}

function readHeader(state: SessionState, frame: Uint8Array): void {
  const header = decodeResponseHeader(frame)
  if (header === undefined) return broken(state, 'the header of an answer is malformed')
  const { sequence, error } = header
  const pending = state.pending.get(sequence)
  if (pending === undefined) return broken(state, `nothing was asked under sequence ${sequence}`)
  const { command } = pending
  if (pending.answered) {
    const streamed = streams(command)
    if (streamed === undefined) return broken(state, `${command} was answered twice`)
    state.awaited = { kind: 'record', command: streamed, pending, sequence }
    return
  }
  pending.answered = true
  if (streams(command) === undefined || error !== '') state.pending.delete(sequence)
  const body = bodyKind(command)
  if (body === undefined || bodyless.has(error)) return settle(state, pending, error, undefined)
  state.awaited = { kind: 'body', body, pending, error }
}

function streams(command: Command): StreamCommand | undefined {
  return command === 'query' || command === 'stream' || command === 'monitor' ? command : undefined
}

function settle(
  state: SessionState,
  { id, command }: Pending,
  error: string,
  body: ResponseBody | undefined,
): void {
  if (id !== ownId) return void state.outputs.push({ kind: 'answer', id, error, body })
  if (error !== '') {
    return fail(state, { kind: command === 'handshake' ? 'handshake' : 'auth', error })
  }
  const { authKey } = state.options
  if (command === 'handshake' && authKey !== undefined) {
    state.phase = 'authenticating'
    return ask(state, ownId, { command: 'auth', key: authKey })
  }
  state.phase = 'ready'
  state.outputs.push({ kind: 'ready' })
}
