/**
 * One service as an agent tells it: its state is kept while agents come and go, and says its age
 * (REG-28, REG-29).
 */
import type { CancelTimer, ServiceInstance } from '@kith/interface'
import { Picker } from '../runtime/picker.ts'
import type { ResolveOptions } from '../runtime/types.ts'
import { type AgentRing, isRefusal, nobodyAnswered } from './agents.ts'
import { readState, type ServiceState } from './answers.ts'
import { askForLines } from './http.ts'
import type { ResolvedClientOptions } from './options.ts'
import type { KnownService } from './types.ts'

/** A connection that held for so long was a good one: the next failure is the first again. */
const steadyMs = 1_000
const retryMsMin = 100
/** How long an agent that begins with an empty list is not believed where others knew instances. */
const doubtMs = 5_000

export interface FollowedEvents {
  changed(): void
  connected(agent: string): void
  lost(agent: string, cause: Error): void
  /** Nothing follows any more: idle, refused or stopped. */
  ended(): void
}

export interface Question {
  readonly service: string
  readonly near: string | undefined
}

export class FollowedService {
  readonly picker: Picker
  /** Iterations under way: while there are some the service is in use. */
  watchers = 0
  usedAt: number
  readonly #options: ResolvedClientOptions
  readonly #ring: AgentRing
  readonly #events: FollowedEvents
  readonly #question: Question
  readonly #ended = new AbortController()
  #state: ServiceState | undefined
  #passing: readonly ServiceInstance[] = []
  #heardAt = 0
  #agent: string | undefined
  #failed: Error | undefined
  #waiting = new Set<() => void>()
  #cancelDoubt: CancelTimer | undefined

  constructor(
    question: Question,
    options: ResolvedClientOptions,
    ring: AgentRing,
    events: FollowedEvents,
  ) {
    this.#question = question
    this.#options = options
    this.#ring = ring
    this.#events = events
    this.usedAt = options.clock.now()
    this.picker = new Picker({
      random: options.random,
      clock: options.clock,
      rtt: (_from, to) => this.#state?.distances.get(to),
      self: () => question.near ?? '',
    })
    void this.#run()
  }

  get known(): KnownService | undefined {
    const { instances } = this.#state ?? {}
    if (instances === undefined) return undefined
    return { instances, ageMs: this.#options.clock.now() - this.#heardAt, agent: this.#agent }
  }

  /**
   * Resolves once something is known, also where that is old. Rejects with the failures of all
   * agents, at once while they are left alone after having failed, or with the signal's reason.
   */
  async ready(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    if (this.#state === undefined && this.#failed === undefined) await this.#next(signal)
    signal?.throwIfAborted()
    if (this.#state === undefined && this.#failed !== undefined) throw this.#failed
  }

  /** As `ready`, through every failure but a refusal or the end. */
  async readyAtLast(signal: AbortSignal | undefined): Promise<void> {
    while (this.#state === undefined && signal?.aborted !== true) {
      if (this.#ended.signal.aborted) {
        if (isRefusal(this.#failed)) throw this.#failed
        return
      }
      await this.#next(signal)
    }
  }

  resolve({ passing = true, tags, limit, near }: ResolveOptions): readonly ServiceInstance[] {
    let found = passing ? this.#passing : (this.#state?.instances ?? [])
    if (tags !== undefined && tags.length > 0) {
      found = found.filter((instance) => tags.every((tag) => instance.tags.includes(tag)))
    }
    if (near !== undefined) found = this.picker.byDistance(found, near)
    return limit === undefined ? found : found.slice(0, limit)
  }

  /** Idempotent; whoever waits gets `cause`. */
  end(cause: Error): void {
    if (this.#ended.signal.aborted) return
    this.#failed = cause
    this.#ended.abort(cause)
    this.#cancelDoubt?.()
    this.#wake()
    this.#events.ended()
  }

  async #run(): Promise<void> {
    const { signal } = this.#ended
    const { clock } = this.#options
    let failures: unknown[] = []
    while (!signal.aborted) {
      const base = this.#ring.current()
      const from = clock.now()
      const cause = await this.#follow(base)
      if (signal.aborted) return
      // Where something is known the question was right: then it is this agent that is not.
      if (isRefusal(cause) && this.#state === undefined) return this.end(cause)
      if (clock.now() - from >= steadyMs) failures = []
      this.#ring.leave(base)
      failures.push(cause)
      if (failures.length % this.#ring.size !== 0) continue
      this.#failed = nobodyAnswered(failures.slice(-this.#ring.size))
      this.#wake()
      if (this.#isIdle()) return this.end(this.#failed)
      await this.#pause(failures.length / this.#ring.size)
      if (!signal.aborted) this.#failed = undefined
    }
  }

  /** Follows one agent for as long as it speaks; what ended that is the answer. */
  async #follow(base: URL): Promise<Error> {
    const { service, near } = this.#question
    const query = new URLSearchParams({ passing: 'false', follow: 'true' })
    if (near !== undefined) query.set('near', near)
    const url = new URL(`v1/services/${encodeURIComponent(service)}?${query.toString()}`, base)
    let cause = new Error(`${base.origin} ended its answer`)
    try {
      const { signal } = this.#ended
      for await (const answer of askForLines(url, { ...this.#options, signal })) {
        if (answer !== undefined) this.#accept(readState(answer), base.origin)
        else if (this.#cancelDoubt === undefined) this.#heardAt = this.#options.clock.now()
        if (this.#isIdle()) this.end(new Error('nobody used it'))
      }
    } catch (thrown) {
      cause = thrown as Error
    }
    this.#cancelDoubt?.()
    this.#cancelDoubt = undefined
    if (this.#agent !== undefined) {
      this.#agent = undefined
      this.#events.lost(base.origin, cause)
    }
    return cause
  }

  #accept(state: ServiceState, agent: string): void {
    const first = this.#agent === undefined
    this.#agent = agent
    this.#cancelDoubt?.()
    this.#cancelDoubt = undefined
    if (first) this.#events.connected(agent)
    const known = (this.#state?.instances.length ?? 0) > 0
    if (first && known && state.instances.length === 0) {
      // It may have just started and know nobody yet.
      this.#cancelDoubt = this.#options.clock.after(doubtMs, () => {
        this.#cancelDoubt = undefined
        this.#take(state)
      })
      return
    }
    this.#take(state)
  }

  #take(next: ServiceState): void {
    const before = this.#state?.instances
    const instances = keepUnchanged(before ?? [], next.instances)
    this.#heardAt = this.#options.clock.now()
    this.#failed = undefined
    const changed = before === undefined || instances !== before
    this.#state = { instances, distances: next.distances }
    if (!changed) return
    this.#passing = Object.freeze(instances.filter(({ status }) => status === 'passing'))
    this.#wake()
    this.#events.changed()
  }

  #isIdle(): boolean {
    const { clock, idleMs } = this.#options
    return this.watchers === 0 && this.#waiting.size === 0 && clock.now() - this.usedAt > idleMs
  }

  #pause(round: number): Promise<void> {
    const { clock, random, retryMsMax } = this.#options
    const most = Math.min(retryMsMax, retryMsMin * 2 ** Math.min(round - 1, 30))
    const { signal } = this.#ended
    return new Promise((resolve) => {
      const finish = (): void => {
        cancel()
        signal.removeEventListener('abort', finish)
        resolve()
      }
      const cancel = clock.after(most * (0.5 + random.float() / 2), finish)
      signal.addEventListener('abort', finish, { once: true })
    })
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = new Set()
    for (const wake of waiting) wake()
  }

  /** The next state, failure or end, or the signal's abort. */
  async #next(signal: AbortSignal | undefined): Promise<void> {
    let wake = (): void => {}
    const woken = new Promise<void>((resolve) => (wake = resolve))
    this.#waiting.add(wake)
    signal?.addEventListener('abort', wake, { once: true })
    await woken
    signal?.removeEventListener('abort', wake)
    this.#waiting.delete(wake)
  }
}

/** The same objects, and the same list, for what did not change: that is how changes are told. */
function keepUnchanged(
  before: readonly ServiceInstance[],
  after: readonly ServiceInstance[],
): readonly ServiceInstance[] {
  const keyOf = ({ id, member }: ServiceInstance): string => `${id}/${member}`
  const known = new Map(before.map((one) => [keyOf(one), one]))
  const kept = after.map((one) => {
    const old = known.get(keyOf(one))
    return old !== undefined && JSON.stringify(old) === JSON.stringify(one) ? old : one
  })
  const same = kept.length === before.length && kept.every((one, at) => one === before[at])
  return same ? before : Object.freeze(kept)
}
