/**
 * Members whose machines get another address while they run, as after a new lease: quiet, while
 * packets are lost, and while the cluster is cut in two. Everybody has them at the new address
 * within a bound, and nobody is failed, or in doubt whose a name is, who was in reach.
 */
import { members, resolveOptions } from '@kith/gossip/core'
import type { GossipTimings, Input, Output } from '@kith/gossip/core'
import type { Address, Unsubscribe } from '@kith/interface'
import { createSimRandom } from '@kith/sim'
import type { Report, ScenarioContext, Scenarios, SimRandom } from '@kith/sim'
import { agreementBoundMs, disagreements, spreadMs } from './agreement.ts'
import { RowChecker, Violation } from './checkers.ts'
import { Cluster } from './cluster.ts'
import type { Actor, Step, Watcher } from './cluster.ts'
import { World } from './world.ts'

export interface MovePlan {
  /** A share of all packets is lost. */
  readonly loss?: number
  /** The cluster is cut in two while a member moves, for so many seconds. */
  readonly cutS?: readonly [number, number]
  /** A mutant of the core. */
  readonly step?: Step
  /** Hears how long each move took to be known, in milliseconds from its announcement. */
  readonly tell?: (ms: number) => void
}

const sizes = [3, 3, 4, 4, 5, 5, 6, 7, 8, 10, 12, 24]
const movesEach = 2
/** The runtime looks at its interfaces this often: for so long a member does not know. */
const unknowingMsMax = 1000
/** Between two moves: probes of the former address, and suspicions, would have ended. */
const restMs = 20_000
/** A partition heals within this (GOS-152). */
const healMsMax = 5000

/**
 * Nobody is failed by a member that had it in reach, nobody leaves, joins are returns, and no name
 * is in doubt. What the other side of a cut said may be heard on both once that has healed.
 */
class MoveChecker implements Watcher {
  readonly counters: Record<string, number> = {
    updates: 0,
    failsAcross: 0,
    returns: 0,
    suspects: 0,
  }
  /** Whether the first has the second out of reach, or had until a moment ago. */
  apart: (observer: string, subject: string) => boolean = () => false
  formed = false
  readonly #failed = new Set<string>()

  transition(actor: Actor, _input: Input, outputs: readonly Output[], now: number): void {
    if (!this.formed) return
    for (const output of outputs) {
      if (output.kind !== 'event') continue
      const { event } = output
      const { kind } = event
      if (kind === 'update') this.#count('updates')
      if (kind === 'suspect') this.#count('suspects')
      if (kind === 'conflict' || kind === 'conflictLost' || kind === 'nameHeld') {
        throw new Violation('doubt', now, `${actor.name} is told ${kind} of ${event.name}`)
      }
      if (kind !== 'fail' && kind !== 'leave' && kind !== 'join') continue
      const { name } = event.member
      const pair = `${actor.name} ${name}`
      if (kind === 'join' && this.#failed.delete(pair)) this.#count('returns')
      else if (kind === 'fail' && this.apart(event.failure.by, name)) {
        this.#failed.add(pair)
        this.#count('failsAcross')
      } else throw new Violation('gone', now, `${actor.name} is told ${kind} of ${name}`)
    }
  }

  #count(kind: string): void {
    this.counters[kind] = (this.counters[kind] ?? 0) + 1
  }
}

/** One run: a cluster forms, and members move one after the other, some more than once. */
export function runMoves(plan: MovePlan, seed: number, context: ScenarioContext): Report {
  const random = createSimRandom(seed, 'moving')
  const size = random.pick(sizes.filter((count) => plan.cutS === undefined || count >= 4))
  const timings = resolveOptions('lan')
  const checker = new MoveChecker()
  const watchers: Watcher[] = [checker]
  const { step } = plan
  const cluster = new Cluster({
    seed,
    members: size,
    timings,
    watchers,
    ...(step === undefined ? {} : { step }),
  })
  const world = new World(cluster)
  const rows = new RowChecker(cluster.actors)
  watchers.push(rows)
  form(world, timings)
  checker.formed = true
  cluster.network.setFaults({ loss: plan.loss ?? 0 })
  for (let move = 0; move < movesEach; move += 1) {
    const actor = random.pick(cluster.actors)
    const to = { host: `10.1.${move}.${random.below(200)}`, port: 7946 }
    context.note(`${cluster.clock.now().toFixed(1)} ${actor.name} moves to ${to.host}`)
    const heal = cut(plan, world, checker, random, [actor, to])
    cluster.move(actor, to)
    cluster.clock.advanceBy(random.float() * unknowingMsMax)
    cluster.command(actor, { kind: 'setAdvertise', id: 90 + move, address: to })
    const ms = plan.cutS === undefined ? 0 : random.between(plan.cutS[0], plan.cutS[1]) * 1000
    cluster.clock.advanceBy(ms)
    heal()
    plan.tell?.(followed(world, actor, boundMs(plan, timings, size)))
    cluster.clock.advanceBy(restMs)
    checker.apart = () => false
    const [problem] = disagreements(world)
    if (problem !== undefined) throw new Violation('M5', cluster.clock.now(), problem)
  }
  const { lost } = cluster.network.stats
  return {
    digest: cluster.network.traceDigest(),
    counters: { ...checker.counters, ...rows.counters, moves: movesEach, members: size, lost },
  }
}

function boundMs({ loss = 0, cutS }: MovePlan, timings: GossipTimings, size: number): number {
  const news = spreadMs(timings, size)
  // What gossip misses goes beside the mover's next ping to that member, and is repeated once more.
  const pings = loss > 0 ? 2 * (2 * size - 1) * timings.probeIntervalMs : 0
  return news + pings + (cutS === undefined ? 0 : healMsMax)
}

function form(world: World, timings: GossipTimings): void {
  const { cluster } = world
  const { actors, clock } = cluster
  for (const actor of actors) world.start(actor, actors.slice(0, 1))
  const until = clock.now() + agreementBoundMs(timings, actors.length)
  while (disagreements(world).length > 0) {
    if (clock.now() > until) throw new Violation('M5', clock.now(), 'the cluster does not form')
    clock.advanceBy(500)
  }
  clock.advanceBy(5000)
}

/** Milliseconds until all others have it where it is. */
function followed(world: World, moved: Actor, within: number): number {
  const { clock, actors } = world.cluster
  const since = clock.now()
  for (;;) {
    const behind = actors.find(({ state }) => {
      const row = state && members(state).find(({ name }) => name === moved.name)
      return row?.status !== 'alive' || row.address.host !== moved.address.host
    })
    if (behind === undefined) return clock.now() - since
    if (clock.now() - since > within) {
      const text = `${behind.name} does not have ${moved.name} at ${moved.address.host}`
      throw new Violation('followed', clock.now(), text)
    }
    clock.advanceBy(50)
  }
}

/** Cuts the cluster in two where the plan says so, the new address included. */
function cut(
  { cutS }: MovePlan,
  { cluster }: World,
  checker: MoveChecker,
  random: SimRandom,
  [moving, to]: readonly [Actor, Address],
): Unsubscribe {
  if (cutS === undefined) return () => {}
  const { actors } = cluster
  const half = 1 + random.below(actors.length - 1)
  const inFirst = new Set(actors.filter((_, index) => index < half).map(({ name }) => name))
  const addresses = (first: boolean): readonly Address[] =>
    actors
      .filter(({ name }) => inFirst.has(name) === first)
      .flatMap((actor) => (actor === moving ? [actor.address, to] : [actor.address]))
  checker.apart = (observer, subject) => inFirst.has(observer) !== inFirst.has(subject)
  return cluster.network.partition([addresses(true), addresses(false)])
}

/** By name, as the campaigns. */
export const movePlans = {
  'gossip-move': {},
  'gossip-move-loss': { loss: 0.05 },
  'gossip-move-cut': { cutS: [1, 60] },
} as const satisfies Readonly<Record<string, MovePlan>>

export const scenarios: Scenarios = Object.fromEntries(
  Object.entries(movePlans).map(([name, plan]) => [
    name,
    (seed, context) => runMoves(plan, seed, context),
  ]),
)
