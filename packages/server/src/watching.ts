/** `GET /v1/services/:name` with `follow`: the instances, then each change, as lines that go on. */
import type { ServiceInstance } from '@kith/interface'
import type { FastifyReply } from 'fastify'
import type { RouteContext } from './context.ts'
import { ServerError } from './errors.ts'
import type { RegistryPort, ResolvePortOptions } from './ports.ts'
import { goneSignal, sendStream } from './stream.ts'

const HEAD = {
  status: 200,
  headers: { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' },
}
/** Says only that the agent is there. */
const BEAT = '\n'

export interface WantedService {
  readonly service: string
  readonly options: ResolvePortOptions
}

export interface ServiceAnswer {
  readonly service: string
  readonly instances: readonly ServiceInstance[]
  /** With `near`: milliseconds to each member of an instance that somebody measured. */
  readonly distances?: Readonly<Record<string, number>>
}

export function describeService(
  registry: RegistryPort,
  { service, options: { near } }: WantedService,
  instances: readonly ServiceInstance[],
): ServiceAnswer {
  if (near === undefined) return { service, instances }
  const members = [...new Set(instances.map(({ member }) => member))]
  const distances = members.flatMap((member) => {
    const ms = member === near ? 0 : registry.rtt(near, member)
    return ms === undefined ? [] : [[member, ms] as const]
  })
  return { service, instances, distances: Object.fromEntries(distances) }
}

/** Ends when the reader goes, when the server stops, or when the registry does. */
export async function followService(
  reply: FastifyReply,
  wanted: WantedService,
  context: RouteContext,
): Promise<void> {
  const { registry } = context.parts()
  const { watchersMax, watchBeatMs, writeTimeoutMs } = context.limits
  const { counters } = context
  if (counters.watchers >= watchersMax) {
    throw new ServerError('ERR_SERVER_BUSY', `${watchersMax} readers follow services already`)
  }
  const ended = new AbortController()
  const signal = goneSignal(reply.raw, context.stopping, ended.signal)
  const states = registry.watch(wanted.service, { ...wanted.options, signal })
  const lines = beating(states, watchBeatMs, (instances) => {
    return `${JSON.stringify(describeService(registry, wanted, instances))}\n`
  })
  reply.hijack()
  counters.watchers += 1
  try {
    await sendStream(reply.raw, HEAD, lines, { signal, writeTimeoutMs })
  } catch (cause) {
    context.logger.warn({ cause }, 'an answer that follows a service broke off')
  } finally {
    counters.watchers -= 1
    ended.abort()
  }
}

/** A line for each state, and a beat after each `beatMs` without one. */
async function* beating<State>(
  states: AsyncIterable<State>,
  beatMs: number,
  line: (state: State) => string,
): AsyncGenerator<string> {
  const iterator = states[Symbol.asyncIterator]()
  let next = iterator.next()
  for (;;) {
    const result = await orBeat(next, beatMs)
    if (result === undefined) {
      yield BEAT
      continue
    }
    if (result.done === true) return
    yield line(result.value)
    next = iterator.next()
  }
}

/** Undefined where `next` takes longer than `beatMs`. */
function orBeat<Value>(next: Promise<Value>, beatMs: number): Promise<Value | undefined> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(undefined), beatMs)
    next.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
