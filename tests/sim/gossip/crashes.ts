/**
 * M4 against the clock: from a crash until every live member shows it failed, which must be within
 * a bound that comes from the protocol. It holds where crashes are all there is.
 */
import type { GossipTimings } from '@kith/gossip/core'
import { spreadMs, undetected } from './agreement.ts'
import { Violation } from './checkers.ts'
import type { Actor } from './cluster.ts'
import type { World } from './world.ts'

/**
 * Intervals until enough members have probed a crashed one that its suspicion is the shortest: who
 * accuses it and the two that confirm. Each member comes to it once in a round, at a place of its
 * own drawing; where six tenths of them live, fewer than three have come after 26 intervals once in
 * a hundred thousand crashes, however many they are.
 */
const probedIntervalsMax = 26

/**
 * From a crash until everybody shows it: the probes, the shortest suspicion, the rounds of gossip.
 * Small clusters have probed all in less, because twice a round is the longest that anybody takes.
 */
export function crashBoundMs(timings: GossipTimings, count: number): number {
  const { probeIntervalMs, suspicionFactor } = timings
  const probes = Math.min(2 * count - 1, probedIntervalsMax)
  const suspicion = suspicionFactor * Math.max(1, Math.log10(count))
  return (probes + suspicion) * probeIntervalMs + spreadMs(timings, count)
}

/** Shares of the bound that are counted apart, so that a file of evidence shows what was needed. */
const shares = 10

export class CrashTimer {
  readonly counters: Record<string, number> = { crashesTimed: 0 }
  readonly #world: World
  readonly #boundMs: number
  readonly #timed = new Set<Actor>()

  constructor(world: World, boundMs: number) {
    this.#world = world
    this.#boundMs = boundMs
  }

  /** Some crash is not seen by all yet. */
  get waiting(): boolean {
    return [...this.#world.crashedAt.keys()].some((actor) => !this.#timed.has(actor))
  }

  /** To be called often: a crash is timed as well as that. */
  look(): void {
    const now = this.#world.cluster.clock.now()
    for (const [actor, at] of this.#world.crashedAt) {
      if (this.#timed.has(actor)) continue
      const missing = undetected(this.#world, actor)
      const tookMs = now - at
      if (missing.length === 0) this.#count(actor, tookMs)
      else if (tookMs > this.#boundMs) {
        const late = `${tookMs.toFixed(0)} of ${this.#boundMs.toFixed(0)} ms after its crash`
        throw new Violation('M4 timed', now, `${missing.join('; ')} ${late}`)
      }
    }
  }

  #count(actor: Actor, tookMs: number): void {
    this.#timed.add(actor)
    const share = Math.min(shares, Math.floor((tookMs / this.#boundMs) * shares) + 1)
    const key = `crashes seen within ${share}/${shares} of the bound`
    this.counters[key] = (this.counters[key] ?? 0) + 1
    this.counters['crashesTimed'] = (this.counters['crashesTimed'] ?? 0) + 1
  }
}
