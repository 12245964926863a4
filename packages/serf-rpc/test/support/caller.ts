// A caller of the server's machine, without a socket: what it sends, what it is sent.
import type {
  ConnectionInput,
  ConnectionOutput,
  HostAnswer,
  HostCall,
} from '../../src/core/input.ts'
import { step } from '../../src/core/connection.ts'
import {
  type ConnectionOptions,
  type ConnectionState,
  createConnection,
} from '../../src/core/state.ts'
import { defaultServerLimits, type RpcServerLimits } from '../../src/limits.ts'
import type { Command, Request } from '../../src/wire/message.ts'
import { encodeRequest } from '../../src/wire/request.ts'
import { type ReadAnswer, readAnswers } from './dialogue.ts'
import { joined } from './vectors.ts'

export interface Caller {
  readonly state: ConnectionState
  now: number
  /** Sequences count from 1 unless one is given. */
  ask(request: Request, sequence?: bigint): void
  send(bytes: Uint8Array): void
  run(input: ConnectionInput): void
  /** What the server sent since the last look. */
  heard(): ReadAnswer[]
  /** Calls of the host since the last look. */
  calls(): HostCall[]
  reply(answer: HostAnswer): void
  /** Why the server hung up; `in order` without a fault; undefined where it did not. */
  readonly ended: string | undefined
  readonly counts: string[]
  readonly warnings: string[]
  readonly shutdowns: number
}

export function createCaller(
  options: { limits?: Partial<RpcServerLimits>; key?: string } = {},
): Caller {
  const { key } = options
  const limits = { ...defaultServerLimits, ...options.limits }
  const connection: ConnectionOptions =
    key === undefined ? { limits } : { limits, authorise: (given) => given === key }
  const state = createConnection(connection, 0)
  const asked = new Map<bigint, Command>()
  const answered = new Set<bigint>()
  let outputs: ConnectionOutput[] = []
  let ended: string | undefined
  let shutdowns = 0
  const caller: Caller = {
    state,
    now: 0,
    counts: [],
    warnings: [],
    get ended() {
      return ended
    },
    get shutdowns() {
      return shutdowns
    },
    ask(request, sequence = BigInt(asked.size + 1)) {
      asked.set(sequence, request.command)
      caller.send(encodeRequest(sequence, request))
    },
    send: (bytes) => caller.run({ kind: 'bytes', bytes }),
    run(input) {
      for (const output of step(state, input, caller.now)) {
        outputs.push(output)
        if (output.kind === 'end') ended = output.why ?? 'in order'
        if (output.kind === 'count') caller.counts.push(output.what)
        if (output.kind === 'warn') caller.warnings.push(output.text)
        if (output.kind === 'shutdown') shutdowns += 1
      }
    },
    heard() {
      const bytes = outputs.flatMap((it) => (it.kind === 'send' ? [it.bytes] : []))
      outputs = outputs.filter(({ kind }) => kind !== 'send')
      return readAnswers(joined(bytes), asked, undefined, answered)
    },
    calls() {
      const found = outputs.flatMap((it) => (it.kind === 'call' ? [it.call] : []))
      outputs = outputs.filter(({ kind }) => kind !== 'call')
      return found
    },
    reply: (answer) => caller.run({ kind: 'answer', answer }),
  }
  return caller
}

/** Through the handshake, and whatever it heard of it forgotten. */
export function createGreeted(options: Parameters<typeof createCaller>[0] = {}): Caller {
  const caller = createCaller(options)
  caller.ask({ command: 'handshake', version: 1 })
  caller.heard()
  return caller
}
