/**
 * What the test itself did to the cluster, and so what any member could know at best. It never
 * looks at what the cores believe: checkers compare their beliefs with this.
 */
import type { Unsubscribe } from '@kith/interface'
import type { PartitionScope } from '@kith/sim'
import type { Actor, Cluster } from './cluster.ts'

const heavyLoss = 0.1

export class World {
  readonly cluster: Cluster
  /**
   * Since when the member runs and has most of the cluster in reach both ways; absent: it has not.
   */
  readonly healthySince: Map<Actor, number> = new Map()
  /** When a member's process last died, for those that are down. */
  readonly crashedAt: Map<Actor, number> = new Map()
  /** Names that left in order and did not come back. */
  readonly leavers: Set<string> = new Set()
  /** Members that left once, and may have come back since. */
  readonly leftBefore: Set<Actor> = new Set()
  /** When the last fault was applied or taken away. */
  lastChangeAt = 0
  /** How often each kind of fault was applied. */
  readonly counters: Record<string, number> = {}
  #loss = 0
  #heavyLossEndedAt = -Infinity
  readonly #cuts = new Map<string, number>()

  constructor(cluster: Cluster) {
    this.cluster = cluster
  }

  /** A share of all packets is lost, from now on. */
  get loss(): number {
    return this.#loss
  }

  /** When more than a tenth of all packets was lost for the last time. */
  get heavyLossUntil(): number {
    return this.#loss > heavyLoss ? Infinity : this.#heavyLossEndedAt
  }

  start(actor: Actor, seeds: readonly Actor[]): void {
    if (actor.life > 0) this.#count('restarts')
    this.cluster.start(actor)
    this.cluster.join(actor, seeds)
    this.crashedAt.delete(actor)
    this.leavers.delete(actor.name)
    this.#changed()
  }

  crash(actor: Actor, afterwards: 'refuse' | 'swallow'): void {
    if (!actor.up) return
    this.cluster.crash(actor, afterwards)
    this.crashedAt.set(actor, this.cluster.clock.now())
    this.leavers.delete(actor.name)
    this.#count(afterwards === 'refuse' ? 'crashesRefusing' : 'crashesSilent')
    this.#changed()
  }

  pause(actor: Actor): void {
    if (!actor.up || actor.paused) return
    this.cluster.pause(actor)
    this.#count('pauses')
    this.#changed()
  }

  resume(actor: Actor): void {
    if (!actor.up || !actor.paused) return
    this.cluster.resume(actor)
    this.#changed()
  }

  leave(actor: Actor): void {
    if (!actor.up || actor.left || actor.paused) return
    actor.left = true
    this.leavers.add(actor.name)
    this.leftBefore.add(actor)
    this.cluster.command(actor, { kind: 'leave', id: 2 })
    this.#count('leaves')
    this.#changed()
  }

  setTags(actor: Actor, tags: Readonly<Record<string, string>>): void {
    if (!actor.up || actor.left) return
    actor.tags = tags
    this.cluster.command(actor, { kind: 'setTags', id: 3, tags })
    this.#count('tagChanges')
  }

  /** Everything from `from` to `to` is swallowed until the returned function is called. */
  cut(
    from: readonly Actor[],
    to: readonly Actor[],
    kind: string,
    scope: PartitionScope = 'all',
  ): Unsubscribe {
    const heal = this.cluster.network.block(addresses(from), addresses(to), scope)
    this.#addCuts(from, to, 1)
    this.#count(kind)
    this.#changed()
    let cut = true
    return () => {
      if (!cut) return
      cut = false
      heal()
      this.#addCuts(from, to, -1)
      this.#count('heals')
      this.#changed()
    }
  }

  setLoss(loss: number): void {
    if (this.#loss > heavyLoss) this.#heavyLossEndedAt = this.cluster.clock.now()
    if (loss > 0) this.#count(loss > heavyLoss ? 'heavyLosses' : 'lightLosses')
    this.#loss = loss
    this.cluster.network.setFaults({ loss })
    this.#changed()
  }

  /** A share of all packets arrives with a bit flipped, from now on. */
  setCorruption(corrupt: number): void {
    if (corrupt > 0) this.#count('corruptions')
    this.cluster.network.setFaults({ corrupt })
    this.#changed()
  }

  get anyCut(): boolean {
    return this.#cuts.size > 0
  }

  /** Both run, and packets and streams pass both ways. */
  mutual(a: Actor, b: Actor): boolean {
    if (!a.up || !b.up || a.paused || b.paused) return false
    return !this.#cuts.has(`${a.name}>${b.name}`) && !this.#cuts.has(`${b.name}>${a.name}`)
  }

  #addCuts(from: readonly Actor[], to: readonly Actor[], by: number): void {
    for (const a of from) {
      for (const b of to) {
        const key = `${a.name}>${b.name}`
        const cuts = (this.#cuts.get(key) ?? 0) + by
        if (cuts === 0) this.#cuts.delete(key)
        else this.#cuts.set(key, cuts)
      }
    }
  }

  #changed(): void {
    const now = this.cluster.clock.now()
    this.lastChangeAt = now
    const live = this.cluster.live()
    for (const actor of this.cluster.actors) {
      const reached = live.filter((other) => other === actor || this.mutual(actor, other)).length
      const healthy = actor.up && !actor.paused && !actor.left && reached * 2 > live.length
      if (!healthy) this.healthySince.delete(actor)
      else if (!this.healthySince.has(actor)) this.healthySince.set(actor, now)
    }
  }

  #count(kind: string): void {
    this.counters[kind] = (this.counters[kind] ?? 0) + 1
  }
}

function addresses(actors: readonly Actor[]): readonly Actor['address'][] {
  return actors.map((actor) => actor.address)
}
