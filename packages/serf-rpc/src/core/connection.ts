/**
 * One connection of the server as a machine: bytes of a caller, answers of the host and news of the
 * cluster go in; bytes, calls of the host and the end come out.
 */
import type { Command, RequestHeader } from '../wire/message.ts'
import {
  decodeRequest,
  decodeRequestHeader,
  knownCommand,
  requestHasBody,
} from '../wire/request.ts'
import { authenticationRequired } from '../wire/response.ts'
import type { FrameLimits } from '../wire/splitter.ts'
import type { ConnectionInput, ConnectionOutput } from './input.ts'
import { flush, tellAnswer, tellEvent, tellLine } from './records.ts'
import { answer, answered, end, perform } from './requests.ts'
import type { ConnectionState } from './state.ts'
import { isStranger, wantsBytes } from './state.ts'

const nestingMax = 8
const strangerValuesMax = 32

export function step(
  state: ConnectionState,
  input: ConnectionInput,
  now: number,
): readonly ConnectionOutput[] {
  if (state.phase === 'ended') return []
  take(state, input, now)
  const { outputs } = state
  state.outputs = []
  return outputs
}

/** When the shell must next pass a `deadline` input; undefined means never. */
export function nextDeadline(state: ConnectionState): number | undefined {
  return state.deadline
}

function take(state: ConnectionState, input: ConnectionInput, now: number): void {
  switch (input.kind) {
    case 'bytes':
      state.splitter.push(input.bytes)
      return readRequests(state, now)
    case 'ended':
      state.ended = true
      return readRequests(state, now)
    case 'answer':
      answered(state, input.answer)
      return readRequests(state, now)
    case 'sent':
      state.unsentBytes -= input.bytes
      flush(state)
      return readRequests(state, now)
    case 'event':
      return tellEvent(state, input.event, now)
    case 'line':
      return tellLine(state, input.line)
    case 'record':
      return tellAnswer(state, input.sequence, input.record)
    case 'close':
      return end(state)
    case 'deadline':
      if (state.deadline !== undefined && now >= state.deadline) end(state, 'handshakeLate')
  }
}

/** One request after the other, in order, while the host is free and the caller reads. */
function readRequests(state: ConnectionState, now: number): void {
  while (wantsBytes(state)) {
    const frame = state.splitter.next(frameLimits(state))
    if (frame === undefined) {
      const { failure } = state.splitter
      if (failure === undefined) return state.ended ? end(state) : undefined
      return end(state, failure === 'malformed' ? 'undecodable' : 'frameTooLarge')
    }
    if (state.header === undefined) readHeader(state, frame, now)
    else readBody(state, state.header, frame, now)
  }
}

function frameLimits(state: ConnectionState): FrameLimits {
  const { strangerBytesMax, requestBytesMax } = state.options.limits
  if (isStranger(state)) {
    return { bytesMax: strangerBytesMax, valuesMax: strangerValuesMax, nestingMax }
  }
  return { bytesMax: requestBytesMax, valuesMax: requestBytesMax, nestingMax }
}

function readHeader(state: ConnectionState, frame: Uint8Array, now: number): void {
  const header = decodeRequestHeader(frame)
  if (header === undefined) return end(state, 'undecodable')
  const { refusal } = state.options
  if (refusal !== undefined) {
    answer(state, undefined, header.sequence, refusal)
    return end(state, 'certificateRefused')
  }
  const command = knownCommand(header.command)
  if (state.phase === 'greeting' && command !== 'handshake') {
    answer(state, undefined, header.sequence, 'Handshake required')
    return end(state, 'handshakeMissing')
  }
  if (command === undefined) return refuseUnknown(state, header)
  const { sequence } = header
  if (requestHasBody(command)) state.header = { command, sequence }
  else readBody(state, { command, sequence }, undefined, now)
}

/** Whether a body follows is not known, so nothing after it can be read. */
function refuseUnknown(state: ConnectionState, { sequence }: RequestHeader): void {
  const error = state.phase === 'open' ? 'Unsupported command' : authenticationRequired
  answer(state, undefined, sequence, error)
  end(state, 'commandUnknown')
}

function readBody(
  state: ConnectionState,
  { command, sequence }: { readonly command: Command; readonly sequence: bigint },
  frame: Uint8Array | undefined,
  now: number,
): void {
  state.header = undefined
  if (state.phase === 'stranger' && command !== 'auth' && command !== 'handshake') {
    // Serf leaves the body unread and stumbles over it; it is of no use to anybody.
    return answer(state, command, sequence, authenticationRequired)
  }
  const request = decodeRequest(command, frame)
  if (request === undefined) return end(state, 'undecodable')
  perform(state, sequence, request, now)
}
