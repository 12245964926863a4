/**
 * Safety of membership, checked after every transition of every core: M1, M2 and M3 of the
 * project's invariants. Written against what members show, with nothing of the code that makes them
 * show it.
 */
import { decodePacket, members } from '@kith/gossip/core'
import type { Input, Output } from '@kith/gossip/core'
import { nodeDigests } from '@kith/interface/node'
import type { Member } from '@kith/interface'
import type { Actor, Watcher } from './cluster.ts'
import type { World } from './world.ts'

export class Violation extends Error {
  readonly checker: string

  constructor(checker: string, at: number, text: string) {
    super(`${checker} at ${at.toFixed(1)} ms: ${text}`)
    this.checker = checker
  }
}

interface Status {
  state: string
  incarnation: number
}

interface Row extends Status {
  /** The entry itself, which tells a member forgotten and met again from one that never went. */
  readonly entry: unknown
}

/** What one life of an observer showed of each subject. */
interface Shown {
  life: number
  readonly rows: Map<string, Row>
  /** Status and incarnation of each subject in the view that users see. */
  readonly view: Map<string, Status>
  /** Subjects whose row was pruned since the view last showed them alive. */
  readonly pruned: Set<string>
}

const over = new Set(['dead', 'left', 'failed'])

/** M1 and M2: rows never come back by themselves, and incarnations belong to their subjects. */
export class RowChecker implements Watcher {
  /**
   * Rows that ended, rows that came back in order, rows forgotten: proof that there was something
   * to check.
   */
  readonly counters: { deaths: number; revivals: number; prunes: number } = {
    deaths: 0,
    revivals: 0,
    prunes: 0,
  }
  readonly #actors: ReadonlyMap<string, Actor>
  readonly #shown = new Map<Actor, Shown>()

  constructor(actors: readonly Actor[]) {
    this.#actors = new Map(actors.map((actor) => [actor.name, actor]))
  }

  transition(actor: Actor, _input: Input, outputs: readonly Output[], now: number): void {
    const shown = this.#shownBy(actor)
    this.#checkRows(actor, shown, now)
    // The view only changes with an event, so there is no need to read it at every step.
    if (outputs.some((output) => output.kind === 'event')) this.#checkView(actor, shown, now)
  }

  #shownBy(actor: Actor): Shown {
    const known = this.#shown.get(actor)
    if (known?.life === actor.life) return known
    const fresh = { life: actor.life, rows: new Map(), view: new Map(), pruned: new Set<string>() }
    this.#shown.set(actor, fresh)
    return fresh
  }

  #checkRows(actor: Actor, shown: Shown, now: number): void {
    const entries = actor.state?.entries
    if (entries === undefined) return
    for (const [name, entry] of entries) {
      const before = this.#rowBefore(actor, shown, name, entry, now)
      if (before?.state === entry.state && before.incarnation === entry.incarnation) continue
      const owner = this.#actors.get(name)
      const row = `${actor.name} shows ${name} ${entry.state} at ${entry.incarnation}`
      if (owner === undefined) throw new Violation('M2', now, `${row}; nobody has that name`)
      if (entry.incarnation > owner.incarnationMax) {
        throw new Violation('M2', now, `${row}; its own highest is ${owner.incarnationMax}`)
      }
      if (before === undefined) {
        shown.rows.set(name, { state: entry.state, incarnation: entry.incarnation, entry })
        continue
      }
      if (entry.incarnation < before.incarnation) {
        throw new Violation('M2', now, `${row}; it was at ${before.incarnation} already`)
      }
      const revived = over.has(before.state) && !over.has(entry.state)
      if (revived && entry.incarnation <= before.incarnation) {
        throw new Violation('M1', now, `${row}; it was ${before.state} at ${before.incarnation}`)
      }
      if (revived) this.counters.revivals += 1
      if (!over.has(before.state) && over.has(entry.state)) this.counters.deaths += 1
      before.state = entry.state
      before.incarnation = entry.incarnation
    }
    if (entries.size < shown.rows.size) this.#checkPruned(actor, shown, now)
  }

  /** What was shown of this very entry: one step may forget a member and meet it again. */
  #rowBefore(
    actor: Actor,
    shown: Shown,
    name: string,
    entry: unknown,
    now: number,
  ): Row | undefined {
    const row = shown.rows.get(name)
    if (row === undefined || row.entry === entry) return row
    this.#prune(actor, shown, name, row, now)
    return undefined
  }

  #checkPruned(actor: Actor, shown: Shown, now: number): void {
    for (const [name, row] of shown.rows) {
      if (actor.state?.entries.has(name) !== true) this.#prune(actor, shown, name, row, now)
    }
  }

  #prune(actor: Actor, shown: Shown, name: string, row: Row, now: number): void {
    if (!over.has(row.state)) {
      throw new Violation('M1', now, `${actor.name} forgot ${name} while it was ${row.state}`)
    }
    shown.rows.delete(name)
    shown.pruned.add(name)
    this.counters.prunes += 1
  }

  #checkView(actor: Actor, shown: Shown, now: number): void {
    if (actor.state === undefined) return
    for (const { name, status, incarnation } of members(actor.state)) {
      const before = shown.view.get(name)
      const revived = before !== undefined && over.has(before.state) && !over.has(status)
      if (revived && incarnation <= before.incarnation && !shown.pruned.has(name)) {
        const was = `${before.state} at ${before.incarnation}`
        throw new Violation('M1', now, `${actor.name} lists ${name} ${status} again; it was ${was}`)
      }
      if (!over.has(status)) shown.pruned.delete(name)
      shown.view.set(name, { state: status, incarnation })
    }
  }
}

/**
 * M3: nobody is failed who could have answered. A verdict is false when its subject and whoever
 * spoke it (the `from` of the dead message) both ran and both had more than half of the cluster
 * in reach, both ways, for the whole time of the suspicion: two majorities share a member,
 * through which the suspicion reaches its subject and the refutation comes back. A verdict of
 * somebody who was cut off or stopped for a part of that time is not false: it is what that
 * member could know. While more than a tenth of all packets is lost, false verdicts are possible
 * in principle; they are counted, and the campaign bounds their number.
 */
export class AccuracyChecker implements Watcher {
  readonly counters: Record<string, number> = {
    verdicts: 0,
    excusedByCrash: 0,
    excusedByCut: 0,
    falseUnderLoss: 0,
  }
  readonly #world: World
  readonly #suspectedAt = new Map<string, number>()
  readonly #spokenFrom = new Map<string, number>()

  constructor(world: World) {
    this.#world = world
  }

  transition(actor: Actor, input: Input, outputs: readonly Output[], now: number): void {
    for (const output of outputs) {
      if (output.kind !== 'event') continue
      if (output.event.kind === 'suspect') {
        const { name, incarnation } = output.event
        this.#suspectedAt.set(`${actor.name} ${name}@${incarnation}`, now)
      }
      if (output.event.kind === 'fail') this.#judge(actor, output.event.member, input, now)
    }
  }

  #judge(observer: Actor, failed: Member, input: Input, now: number): void {
    const { name, incarnation } = failed
    const world = this.#world
    const { actors } = world.cluster
    const subject = actors.find((actor) => actor.name === name)
    const told = accuser(input, name)
    const judgeName = told ?? observer.name
    const judge = actors.find((actor) => actor.name === judgeName)
    if (subject === undefined || judge === undefined) {
      throw new Violation('M3', now, `${observer.name} fails ${name} by ${judgeName}: nobody`)
    }
    this.#count('verdicts')
    const key = `${judgeName} ${name}@${incarnation}`
    const from = this.#suspicionBehind(key, told === undefined, now)
    if (!subject.up || subject.left) return this.#count('excusedByCrash')
    const since = Math.max(
      world.healthySince.get(subject) ?? Infinity,
      world.healthySince.get(judge) ?? Infinity,
    )
    if (since > from) return this.#count('excusedByCut')
    if (world.heavyLossUntil > from) {
      // Counted once, where it is spoken, not again wherever it is heard.
      if (told === undefined) this.#count('falseUnderLoss')
      return
    }
    const text = `${observer.name} fails ${name} by ${judgeName}, suspected since ${from.toFixed(1)}`
    throw new Violation('M3', now, `${text}; both in reach since ${since.toFixed(1)}`)
  }

  /**
   * When the suspicion began that the judge's verdict ended. A verdict may arrive, even at its
   * judge, long after the same member is suspected anew, so that is noted when it is spoken.
   */
  #suspicionBehind(key: string, spokenNow: boolean, now: number): number {
    const suspectedAt = this.#suspectedAt.get(key) ?? now
    if (spokenNow) this.#spokenFrom.set(key, suspectedAt)
    return this.#spokenFrom.get(key) ?? suspectedAt
  }

  #count(kind: string): void {
    this.counters[kind] = (this.counters[kind] ?? 0) + 1
  }
}

/** Who said dead, where the verdict came by packet. */
function accuser(input: Input, name: string): string | undefined {
  if (input.kind !== 'packet') return undefined
  for (const message of decodePacket(input.bytes, nodeDigests).messages) {
    if (message.kind === 'dead' && message.node === name) return message.from
  }
  return undefined
}
