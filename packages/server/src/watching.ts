/** `GET /v1/services[/:name]` with `follow`: the instances, then each change, as lines that go on. */
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
  await sendLines(reply, context, async function* answers(signal) {
    const { service, options } = wanted
    for await (const instances of registry.watch(service, { ...options, signal })) {
      yield describeService(registry, wanted, instances)
    }
  })
}

/** The same for all services: a line each at first, then one for each that changed. */
export async function followServices(reply: FastifyReply, context: RouteContext): Promise<void> {
  const { registry } = context.parts()
  await sendLines(reply, context, (signal) => servicesAsTheyChange(registry, signal))
}

/** What comes while the reader is busy is one change of each service: it gets the latest. */
async function* servicesAsTheyChange(
  registry: RegistryPort,
  signal: AbortSignal,
): AsyncGenerator<ServiceAnswer> {
  const waiting = new Set(registry.services().keys())
  let wake = (): void => {}
  const unsubscribe = registry.onChange((service) => {
    waiting.add(service)
    wake()
  })
  const abort = (): void => wake()
  signal.addEventListener('abort', abort)
  try {
    while (!signal.aborted) {
      const [service] = waiting
      if (service === undefined) {
        await new Promise<void>((resolve) => (wake = resolve))
        continue
      }
      waiting.delete(service)
      yield { service, instances: registry.resolve(service, { passing: false }) }
    }
  } finally {
    unsubscribe()
    signal.removeEventListener('abort', abort)
  }
}

/** One more of those who follow, where there is room for one. */
async function sendLines(
  reply: FastifyReply,
  context: RouteContext,
  read: (signal: AbortSignal) => AsyncIterable<ServiceAnswer>,
): Promise<void> {
  const { watchersMax, watchBeatMs, writeTimeoutMs } = context.limits
  const { counters } = context
  if (counters.watchers >= watchersMax) {
    throw new ServerError('ERR_SERVER_BUSY', `${watchersMax} readers follow services already`)
  }
  const ended = new AbortController()
  const signal = goneSignal(reply.raw, context.stopping, ended.signal)
  const lines = beating(read(signal), watchBeatMs, (answer) => `${JSON.stringify(answer)}\n`)
  reply.hijack()
  counters.watchers += 1
  try {
    await sendStream(reply.raw, HEAD, lines, { signal, writeTimeoutMs })
  } catch (cause) {
    context.logger.warn({ cause }, 'an answer that follows services broke off')
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
  try {
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
  } finally {
    // Not awaited: where it waits for a change, only the end of the answer wakes it.
    void iterator.return?.()
  }
}

/** Undefined where `next` takes longer than `beatMs`. */
function orBeat<Value>(next: Promise<Value>, beatMs: number): Promise<Value | undefined> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(undefined), beatMs)
    next.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
