/** What each command of a caller means: an answer at once, or a call of the host. */
import type { SerfKeyCommand } from '../words.ts'
import type { Command, KeyCommand, Request, ResponseBody } from '../wire/message.ts'
import { authenticationRequired, bodyKind, emptyBody, encodeResponse } from '../wire/response.ts'
import { parseFilters } from './filter.ts'
import type { EndCause, HostAnswer, HostCall } from './input.ts'
import { createOutbox } from './outbox.ts'
import { parseLevel, tellMonitor } from './records.ts'
import type { ConnectionState } from './state.ts'
import { send, streamCount } from './state.ts'

const nothing = new Uint8Array(0)
const keyCommands: Readonly<Record<KeyCommand, SerfKeyCommand>> = {
  'install-key': 'install',
  'use-key': 'use',
  'remove-key': 'remove',
}

/** Answers; the command's body follows also where there is only an error to say. */
export function answer(
  state: ConnectionState,
  command: Command | undefined,
  sequence: bigint,
  error: string,
  body?: ResponseBody,
): void {
  const kind = command === undefined ? undefined : bodyKind(command)
  const following =
    kind === undefined || error === authenticationRequired ? undefined : (body ?? emptyBody(kind))
  send(state, encodeResponse(sequence, error, following))
}

export function end(state: ConnectionState, why?: EndCause): void {
  state.phase = 'ended'
  state.deadline = undefined
  state.outputs.push(why === undefined ? { kind: 'end' } : { kind: 'end', why })
}

/** A request of somebody who is known, or greets, or shows a key. */
export function perform(
  state: ConnectionState,
  sequence: bigint,
  request: Request,
  now: number,
): void {
  state.outputs.push({ kind: 'count', what: 'requests' })
  const { command } = request
  state.outputs.push({ kind: 'count', what: `command.${command}` })
  switch (command) {
    case 'handshake':
      return answer(state, command, sequence, greet(state, request.version))
    case 'auth':
      return authenticate(state, sequence, request.key)
    case 'stream':
      return answer(state, command, sequence, openStream(state, sequence, request.filter))
    case 'monitor':
      return openMonitor(state, sequence, request.level)
    case 'stop':
      return stop(state, sequence, request.stream)
    case 'query': {
      const error = streamProblem(state, sequence) ?? queryProblem(request.name, request.payload)
      if (error !== undefined) return answer(state, command, sequence, error)
      return call(state, command, sequence, { kind: 'query', query: request, sequence })
    }
    case 'respond': {
      const query = state.openQueries.get(request.id)
      if (query === undefined || query.expiresAt <= now) {
        state.openQueries.delete(request.id)
        return answer(state, command, sequence, 'No pending queries matching ID')
      }
      const payload = request.payload ?? nothing
      return call(state, command, sequence, { kind: 'respond', handle: query.handle, payload })
    }
    default:
      return call(state, command, sequence, hostCall(request))
  }
}

type PlainRequest = Exclude<
  Request,
  { command: 'handshake' | 'auth' | 'stream' | 'monitor' | 'stop' | 'query' | 'respond' }
>

function hostCall(request: PlainRequest): HostCall {
  switch (request.command) {
    case 'members':
      return { kind: 'members', filter: undefined }
    case 'members-filtered': {
      const { name, status, tags = new Map<string, string>() } = request
      return { kind: 'members', filter: { name, status, tags } }
    }
    case 'event': {
      const { name, payload = nothing, coalesce } = request
      return { kind: 'event', name, payload, coalesce }
    }
    case 'join':
      return { kind: 'join', addresses: request.addresses ?? [], replay: request.replay }
    case 'leave':
      return { kind: 'leave' }
    case 'force-leave':
      return { kind: 'forceLeave', name: request.name, prune: request.prune }
    case 'tags': {
      const { set = new Map<string, string>(), remove = [] } = request
      return { kind: 'tags', set, remove }
    }
    case 'install-key':
    case 'use-key':
    case 'remove-key':
      return { kind: 'keys', command: keyCommands[request.command], key: request.key }
    case 'list-keys':
      return { kind: 'keys', command: 'list', key: undefined }
    case 'stats':
      return { kind: 'stats' }
    case 'get-coordinate':
      return { kind: 'coordinate', name: request.name }
  }
}

function call(
  state: ConnectionState,
  command: Command,
  sequence: bigint,
  hostCall: HostCall,
): void {
  state.busy = { command, sequence }
  state.outputs.push({ kind: 'call', call: hostCall })
}

/** The host did what it was asked last, or could not. */
export function answered(state: ConnectionState, given: HostAnswer): void {
  const { busy } = state
  state.busy = undefined
  if (busy === undefined || state.phase === 'ended') return
  const { command, sequence, level } = busy
  const failed = given.error !== ''
  if (command === 'query' && !failed) {
    state.queries.set(sequence, { outbox: createOutbox(), done: false })
  }
  answer(state, command, sequence, given.error, given.body)
  if (failed) return
  if (command === 'monitor' && level !== undefined) {
    state.monitor = { sequence, level, outbox: createOutbox() }
    for (const line of given.history ?? []) tellMonitor(state, state.monitor, line)
  }
  if (command === 'leave') {
    state.outputs.push({ kind: 'shutdown' })
    end(state)
  }
}

function greet(state: ConnectionState, version: number): string {
  if (version !== 1) return 'Unsupported IPC version'
  if (state.phase !== 'greeting') return 'Handshake already performed'
  state.phase = state.options.authorise === undefined ? 'open' : 'stranger'
  if (state.phase === 'open') state.deadline = undefined
  return ''
}

function authenticate(state: ConnectionState, sequence: bigint, key: string): void {
  const { authorise, limits } = state.options
  if (authorise === undefined ? key === '' : authorise(key)) {
    state.phase = 'open'
    state.deadline = undefined
    return answer(state, 'auth', sequence, '')
  }
  state.keysWrong += 1
  state.outputs.push({ kind: 'count', what: 'keysWrong' })
  answer(state, 'auth', sequence, 'Invalid authentication token')
  if (state.keysWrong >= limits.wrongKeysMax) end(state, 'keysWrongTooOften')
}

/** Why no stream can begin under this sequence. */
function streamProblem(state: ConnectionState, sequence: bigint): string | undefined {
  const taken = state.streams.has(sequence) || state.queries.has(sequence)
  if (taken || state.monitor?.sequence === sequence) return 'Stream with given sequence exists'
  const { streamsMax } = state.options.limits
  const full = streamCount(state) >= streamsMax
  return full ? `This connection has ${streamsMax} streams already, the most it may` : undefined
}

function queryProblem(name: string, payload: Uint8Array | undefined): string | undefined {
  if (!name.startsWith('_serf_')) return undefined
  const ping = name === '_serf_ping' && (payload === undefined || payload.length === 0)
  return ping ? undefined : "Queries cannot contain the '_serf_' prefix"
}

function openStream(state: ConnectionState, sequence: bigint, filter: string): string {
  const problem = streamProblem(state, sequence)
  if (problem !== undefined) return problem
  const filters = parseFilters(filter)
  if (filters === undefined) return 'Invalid event filter'
  state.streams.set(sequence, { filters, outbox: createOutbox() })
  return ''
}

function openMonitor(state: ConnectionState, sequence: bigint, text: string): void {
  const level = parseLevel(text)
  const error =
    level === undefined
      ? `Unknown log level: ${text.toUpperCase()}`
      : state.monitor === undefined
        ? streamProblem(state, sequence)
        : 'Monitor already exists'
  if (level === undefined || error !== undefined) {
    return answer(state, 'monitor', sequence, error ?? '')
  }
  state.busy = { command: 'monitor', sequence, level }
  state.outputs.push({ kind: 'call', call: { kind: 'logs' } })
}

function stop(state: ConnectionState, sequence: bigint, stream: bigint): void {
  state.streams.delete(stream)
  if (state.monitor?.sequence === stream) state.monitor = undefined
  answer(state, 'stop', sequence, '')
}
