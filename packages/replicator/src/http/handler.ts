/**
 * Serves a source over HTTP without knowing any framework: `POST /v1/replication/{operation}`,
 * bodies
 * in our own format, errors as problem details (RFC 9457).
 */
import { setImmediate as turnOfLoop } from 'node:timers/promises'
import { describeProblems, isKithError, showValue } from '@kith/interface'
import type { OptionProblem, ReplicationSource } from '@kith/interface'
import { ReplicatorError } from '../errors.ts'
import { atOnceBytesMax, bytesOf } from '../runtime/turns.ts'
import { createCodec } from '../wire/codec.ts'
import type { Codec, Decoded } from '../wire/codec.ts'
import { wireLimits } from '../wire/limits.ts'
import { readBody } from './body.ts'
import { MessageMemory } from './memory.ts'

export type ReplicationOperation = 'hello' | 'pull' | 'chain' | 'fetch'

export interface ReplicationHandlerLimits {
  /** Most bytes of a hello or of a pull's request; default 20 MiB, which 65,536 origins need. */
  readonly requestBytesMax: number
  /** Calls under way at once; more are answered 503. Default 4,096. */
  readonly callsMax: number
}

export interface ReplicationHandlerOptions {
  readonly source: ReplicationSource
  readonly limits?: Partial<ReplicationHandlerLimits>
}

export interface ReplicationReply {
  readonly status: number
  readonly headers: Record<string, string>
  readonly body: Uint8Array
  /**
   * Gives the memory of the body back, once it was sent. Left to the collector without; a second
   * call does nothing.
   */
  readonly release: () => void
}

export interface ReplicationHandler {
  /** Never rejects: whatever goes wrong is a reply. Aborting `signal` ends a parked pull. */
  handle(
    operation: ReplicationOperation,
    body: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<ReplicationReply>
  /** Answers what is parked with 503, and everything after it. Idempotent. */
  stop(): Promise<void>
}

const messageType = 'application/vnd.kith.replication'

interface Serving {
  readonly source: ReplicationSource
  readonly codec: Codec
  readonly memory: MessageMemory
  readonly limits: ReplicationHandlerLimits
  readonly stopping: AbortController
  readonly calls: Set<Promise<unknown>>
}

const limitDefaults: ReplicationHandlerLimits = Object.freeze({
  requestBytesMax: wireLimits.requestBytesMax,
  callsMax: 4_096,
})

function resolveLimits(given: Partial<ReplicationHandlerLimits> = {}): ReplicationHandlerLimits {
  const limits = { ...limitDefaults, ...given }
  const problems: OptionProblem[] = []
  for (const [name, value] of Object.entries(limits)) {
    const field = `limits.${name}`
    if (!Object.hasOwn(limitDefaults, name)) {
      problems.push({ field, got: showValue(value), want: 'left out: it is not an option' })
    } else if (!Number.isInteger(value) || value < 1 || value > 2 ** 31 - 1) {
      const want = 'an integer from 1 to 2147483647'
      problems.push({ field, got: showValue(value), want })
    }
  }
  if (problems.length === 0) return Object.freeze(limits)
  throw new ReplicatorError('ERR_REPLICATOR_OPTIONS', describeProblems(problems), {
    details: problems,
  })
}

/** Throws `ERR_REPLICATOR_OPTIONS` that names every limit out of range. */
export function createReplicationHandler(options: ReplicationHandlerOptions): ReplicationHandler {
  const memory = new MessageMemory()
  const serving: Serving = {
    source: options.source,
    codec: createCodec((bytes) => memory.take(bytes)),
    memory,
    limits: resolveLimits(options.limits),
    stopping: new AbortController(),
    calls: new Set(),
  }
  return {
    async handle(operation, body, signal) {
      if (serving.stopping.signal.aborted) return problem(stopped())
      if (serving.calls.size >= serving.limits.callsMax) return problem(busy())
      const call = answer(serving, operation, body, signal)
      serving.calls.add(call)
      try {
        return await call
      } finally {
        serving.calls.delete(call)
      }
    },
    async stop() {
      serving.stopping.abort(stopped())
      await Promise.allSettled(serving.calls)
      serving.memory.clear()
    },
  }
}

function stopped(): ReplicatorError {
  return new ReplicatorError('ERR_REPLICATOR_STOPPED', 'this member is stopping')
}

function busy(): ReplicatorError {
  return new ReplicatorError('ERR_REPLICATOR_UNAVAILABLE', 'too many calls are under way')
}

async function answer(
  serving: Serving,
  operation: ReplicationOperation,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<ReplicationReply> {
  const both = new AbortController()
  const abort = (event: Event): void => both.abort((event.target as AbortSignal).reason)
  if (signal.aborted) both.abort(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  serving.stopping.signal.addEventListener('abort', abort, { once: true })
  try {
    const small = operation === 'chain' || operation === 'fetch'
    const bytesMax = small ? wireLimits.smallBytesMax : serving.limits.requestBytesMax
    const bytes = await unlessAborted(readBody(body, bytesMax), both.signal)
    const reply = await run(serving, operation, bytes, both.signal)
    return {
      status: 200,
      headers: { 'content-type': messageType, 'content-length': String(reply.length) },
      body: reply,
      release: serving.memory.releaseOf(reply),
    }
  } catch (cause) {
    return problem(cause)
  } finally {
    signal.removeEventListener('abort', abort)
    serving.stopping.signal.removeEventListener('abort', abort)
  }
}

/** A caller that never finishes its body must not hold up `stop`. */
function unlessAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

async function run(
  { source, codec }: Serving,
  operation: ReplicationOperation,
  bytes: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  switch (operation) {
    case 'hello':
      return codec.hello.encode(await source.hello(open(codec.hello.decode(bytes)), signal))
    case 'pull': {
      const request = open(codec.pullRequest.decode(bytes))
      const response = await source.pull(request, signal)
      // Written to its message in one turn and to the connection in the next: the last of its
      // batches were read in this one.
      const large = bytesOf(response.batches) > atOnceBytesMax
      if (large) await turnOfLoop()
      const encoded = codec.pullResponse.encode(response)
      response.release?.()
      if (large) await turnOfLoop()
      return encoded
    }
    case 'chain': {
      const { origin, sequences } = open(codec.chainRequest.decode(bytes))
      return codec.chainResponse.encode(await source.chainAt(origin, sequences, signal))
    }
    case 'fetch': {
      const { origin, first } = open(codec.fetchRequest.decode(bytes))
      return codec.fetchResponse.encode(await source.fetch(origin, first, signal))
    }
  }
}

function open<Value>(decoded: Decoded<Value>): Value {
  if (decoded.ok) return decoded.value
  throw new ReplicatorError('ERR_REPLICATOR_MALFORMED', `malformed message: ${decoded.problem}`)
}

const statusOf: Readonly<Record<string, number>> = Object.freeze({
  ERR_REPLICATOR_CLUSTER: 409,
  ERR_REPLICATOR_HELLO_NEEDED: 428,
  ERR_REPLICATOR_MALFORMED: 400,
  ERR_REPLICATOR_SELF: 409,
  ERR_REPLICATOR_STOPPED: 503,
  ERR_REPLICATOR_TOO_LARGE: 413,
  ERR_REPLICATOR_UNAVAILABLE: 503,
  ERR_REPLICATOR_VERSION: 409,
})

function problem(cause: unknown): ReplicationReply {
  const known = isKithError(cause)
  const code = known ? cause.code : 'ERR_REPLICATOR_UNAVAILABLE'
  const status = statusOf[code] ?? 503
  // Only our own words go out; what broke underneath stays in this process.
  const detail = known ? cause.message : 'the call could not be answered'
  const document = { type: 'about:blank', title: code, status, code, detail }
  const body = new TextEncoder().encode(JSON.stringify(document))
  return {
    status,
    headers: {
      'content-type': 'application/problem+json',
      'content-length': String(body.length),
    },
    body,
    release: () => {},
  }
}
