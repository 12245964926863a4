/** Every direction between two places: its faults, its partitions, and the dice. */
import type { Unsubscribe } from '@kith/interface'
import type { VirtualClock } from './clock.ts'
import { calmLink, resolveLink } from './faults.ts'
import type { LinkFaults, NetworkStats } from './faults.ts'
import type { SimRandom } from './random.ts'
import type { Place, Trace } from './trace.ts'

/** What a partition stops. */
export type PartitionScope = 'all' | 'packets' | 'streams'

const retransmitFirstMs = 200
const retransmitLastMs = 10_000

function pair(from: Place, to: Place): number {
  return from.id * 0x10_0000 + to.id
}

export class Links {
  readonly clock: VirtualClock
  readonly random: SimRandom
  readonly stats: NetworkStats
  readonly trace: Trace
  #everywhere: LinkFaults
  #calm: boolean
  readonly #own = new Map<number, LinkFaults>()
  readonly #blockedPackets = new Map<number, number>()
  readonly #blockedStreams = new Map<number, number>()

  constructor(clock: VirtualClock, random: SimRandom, stats: NetworkStats, trace: Trace) {
    this.clock = clock
    this.random = random
    this.stats = stats
    this.trace = trace
    this.#everywhere = calmLink
    this.#calm = true
  }

  /** Changes the faults of every direction that has none of its own. */
  setEverywhere(changes: Partial<LinkFaults>): void {
    this.#everywhere = resolveLink(this.#everywhere, changes)
    this.#calm = this.#own.size === 0
  }

  /** Gives one direction faults of its own; undefined takes them away again. */
  setOne(from: Place, to: Place, changes: Partial<LinkFaults> | undefined): void {
    if (changes === undefined) this.#own.delete(pair(from, to))
    else this.#own.set(pair(from, to), resolveLink(this.faults(from, to), changes))
    this.#calm = this.#own.size === 0
  }

  clearOwn(): void {
    this.#own.clear()
    this.#calm = true
  }

  faults(from: Place, to: Place): LinkFaults {
    return this.#calm ? this.#everywhere : (this.#own.get(pair(from, to)) ?? this.#everywhere)
  }

  /** One way. Overlapping partitions add up: the way is open when all of them healed. */
  block(from: readonly Place[], to: readonly Place[], scope: PartitionScope): Unsubscribe {
    const maps = [
      ...(scope === 'streams' ? [] : [this.#blockedPackets]),
      ...(scope === 'packets' ? [] : [this.#blockedStreams]),
    ]
    const keys = from.flatMap((a) => to.map((b) => pair(a, b)))
    for (const map of maps) for (const key of keys) map.set(key, (map.get(key) ?? 0) + 1)
    let healed = false
    return () => {
      if (healed) return
      healed = true
      for (const map of maps) {
        for (const key of keys) {
          const left = (map.get(key) ?? 1) - 1
          if (left > 0) map.set(key, left)
          else map.delete(key)
        }
      }
    }
  }

  healAll(): void {
    this.#blockedPackets.clear()
    this.#blockedStreams.clear()
  }

  packetsBlocked(from: Place, to: Place): boolean {
    return this.#blockedPackets.size > 0 && this.#blockedPackets.has(pair(from, to))
  }

  streamsBlocked(from: Place, to: Place): boolean {
    return this.#blockedStreams.size > 0 && this.#blockedStreams.has(pair(from, to))
  }

  /** Milliseconds that one thing takes on this link. */
  delay(link: LinkFaults): number {
    let delay = link.latencyMs
    if (link.jitterMs > 0) delay += this.random.float() * link.jitterMs
    if (link.straggler > 0 && this.random.float() < link.straggler) {
      this.stats.straggled += 1
      delay -= Math.log(1 - this.random.float()) * link.stragglerMs
    }
    return delay
  }

  /**
   * Carries one thing that is sent again until it arrives, as TCP does, with a growing pause.
   * `wanted` ends the attempts: whoever waits has its own deadline.
   */
  carry(from: Place, to: Place, wanted: () => boolean, arrive: () => void): void {
    const attempt = (pauseMs: number): void => {
      const link = this.faults(from, to)
      this.clock.post(this.clock.now() + this.delay(link), () => {
        if (!wanted()) return
        const blocked = this.streamsBlocked(from, to)
        if (!blocked && !this.random.chance(link.loss)) {
          arrive()
          return
        }
        if (blocked) this.stats.partitioned += 1
        else this.stats.lost += 1
        this.stats.retransmitted += 1
        this.trace.add(this.clock.now(), blocked ? 'partition' : 'lose', from, to)
        const next = Math.min(pauseMs * 2, retransmitLastMs)
        this.clock.post(this.clock.now() + pauseMs, () => {
          if (wanted()) attempt(next)
        })
      })
    }
    attempt(retransmitFirstMs)
  }
}
