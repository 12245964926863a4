/** A discovery inside one process, whole or broken in one named way. */
import type { Clock, Discovery, DiscoveryHandlers, PluginContext } from '@kith/interface'
import { systemClock } from '@kith/interface/node'
import type { DiscoverySubject } from '../src/index.ts'

export type DiscoveryFault =
  | 'takes bad options'
  | 'finds one twice'
  | 'finds no addresses'
  | 'gives away its own list'
  | 'remembers the first answer'
  | 'says nothing of changes'
  | 'changes without a change'
  | 'lets a handler throw'
  | 'fails without a word'
  | 'stays failed'
  | 'fails its start'
  | 'ignores the signal'
  | 'ignores the signal while it looks'
  | 'starts twice'
  | 'starts when aborted'
  | 'finds before the start'
  | 'never stops'
  | 'finds after the stop'
  | 'forgets finds under way'
  | 'notices after the stop'

class Source {
  seeds: readonly string[] = ['10.0.0.1:7946', 'db.internal']
  spoiled = false
  held = false
  readonly watchers = new Set<() => void>()
  #release: (() => void)[] = []

  provide(seeds: readonly string[]): void {
    this.seeds = seeds
    this.spoiled = false
    this.held = false
    for (const release of this.#release.splice(0)) release()
    for (const watcher of this.watchers) watcher()
  }

  async wait(): Promise<void> {
    if (this.held) await new Promise<void>((resolve) => void this.#release.push(resolve))
  }
}

class TinyDiscovery implements Discovery {
  readonly name = 'tiny'
  readonly #source: Source
  readonly #fault: DiscoveryFault | undefined
  readonly #context: PluginContext
  readonly #stopping = new AbortController()
  #started = false
  #failed = false
  #first: string[] | undefined
  readonly #own: string[]
  #watcher: (() => void) | undefined

  constructor(source: Source, fault: DiscoveryFault | undefined, context: PluginContext) {
    this.#source = source
    this.#fault = fault
    this.#context = context
    this.#own = [...source.seeds]
  }

  #is(fault: DiscoveryFault): boolean {
    return this.#fault === fault
  }

  async start(handlers: DiscoveryHandlers, options: { signal?: AbortSignal } = {}): Promise<void> {
    if (!this.#is('starts when aborted')) options.signal?.throwIfAborted()
    const late = this.#stopping.signal.aborted
    if ((this.#started || late) && !this.#is('starts twice')) throw new Error('once')
    if (this.#is('fails its start') && this.#source.spoiled) throw new Error('spoiled')
    this.#started = true
    this.#watcher = () => {
      if (this.#is('says nothing of changes')) return
      if (this.#is('lets a handler throw')) return this.#once(handlers)
      try {
        handlers.changed()
      } catch (cause) {
        this.#context.logger.error({ err: cause }, 'a handler threw')
      }
    }
    this.#source.watchers.add(this.#watcher)
    if (this.#is('changes without a change')) this.#context.clock.after(1, this.#watcher)
  }

  /** As if the throw had ended whatever watches. */
  #once(handlers: DiscoveryHandlers): void {
    if (this.#watcher) this.#source.watchers.delete(this.#watcher)
    try {
      handlers.changed()
    } catch {}
  }

  async find(signal?: AbortSignal): Promise<string[]> {
    const running = this.#started && !this.#stopping.signal.aborted
    const early = this.#is('finds before the start') && !this.#stopping.signal.aborted
    const late = this.#is('finds after the stop') && this.#stopping.signal.aborted
    if (!running && !early && !late) throw new Error('does not run')
    if (!this.#is('ignores the signal')) signal?.throwIfAborted()
    await this.#waited(signal)
    if (this.#source.spoiled || (this.#failed && this.#is('stays failed'))) {
      this.#failed = true
      throw new Error(this.#is('fails without a word') ? '' : 'the source is spoiled')
    }
    return this.#answer()
  }

  async #waited(signal: AbortSignal | undefined): Promise<void> {
    const ends: Promise<unknown>[] = [this.#source.wait()]
    const watch = (ended: AbortSignal): void => {
      ends.push(
        new Promise((_, reject) => {
          ended.addEventListener('abort', () => reject(new Error('ended')))
        }),
      )
    }
    if (signal && !this.#is('ignores the signal while it looks')) watch(signal)
    if (!this.#is('forgets finds under way')) watch(this.#stopping.signal)
    for (const end of ends) end.catch(() => {})
    await Promise.race(ends)
  }

  #answer(): string[] {
    const found = [...this.#source.seeds]
    this.#first ??= found
    if (this.#is('remembers the first answer')) return [...this.#first]
    if (this.#is('gives away its own list')) return this.#own
    if (this.#is('finds one twice')) found.push(...found.slice(0, 1))
    if (this.#is('finds no addresses')) return found.map((seed) => `tcp://${seed}`)
    return found
  }

  async stop(): Promise<void> {
    if (this.#is('never stops')) await new Promise(() => {})
    this.#stopping.abort()
    if (this.#watcher && !this.#is('notices after the stop')) {
      this.#source.watchers.delete(this.#watcher)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

/** Bounds of seconds pass in a tenth of them: nothing here takes long, unless it never ends. */
const hurried: Clock = {
  ...systemClock,
  after: (delayMs, callback) => systemClock.after(delayMs / 10, callback),
}

export function openTinyDiscovery(fault?: DiscoveryFault): DiscoverySubject {
  const source = new Source()
  return {
    clock: hurried,
    finds: source.seeds,
    factory: (context) => new TinyDiscovery(source, fault, context),
    bad: [
      {
        field: 'seeds',
        make: () => {
          if (fault !== 'takes bad options') throw new TypeError('seeds must be a list')
        },
      },
    ],
    provide: async (seeds) => source.provide(seeds),
    spoil: async () => void (source.spoiled = true),
    hold: async () => void (source.held = true),
  }
}
