/**
 * What Serf was measured to do badly, in miniature: joins that somebody hears of a minute later,
 * partitions that heal by luck, and load that keeps itself up. Each trial measures; tests and
 * `npm run sim` judge.
 */
import { resolveOptions } from '@kith/gossip/core'
import type { GossipTimings, Input, Output, Profile } from '@kith/gossip/core'
import { Cluster } from './cluster.ts'
import type { Actor, Step, Watcher } from './cluster.ts'
import { serfCosts } from './machine.ts'

export interface TrialOptions {
  readonly seed: number
  readonly profile: Profile
  /** Members before anything happens. */
  readonly members: number
  readonly loss?: number
  /** A mutant of the core. */
  readonly step?: Step
}

const lookEveryMs = 20
/** So rare that it helps nobody within a trial. */
const neverMs = 86_400_000

function createCluster(
  options: TrialOptions,
  more: { readonly extra?: number; readonly overrides?: Partial<GossipTimings> } = {},
): Cluster {
  const { seed, profile, members, loss = 0, step } = options
  const cluster = new Cluster({
    seed,
    members: members + (more.extra ?? 0),
    timings: resolveOptions(profile, more.overrides),
    ...(step === undefined ? {} : { step }),
  })
  cluster.network.setFaults({ latencyMs: 0.2, jitterMs: 1, loss })
  return cluster
}

/** Starts the members over a while, each joining one that is there already. */
function startAll(cluster: Cluster, actors: readonly Actor[], withinMs: number): void {
  const { clock, random } = cluster
  for (const [index, actor] of actors.entries()) {
    const seed = actors[random.below(Math.max(1, index))]
    clock.post(clock.now() + (index * withinMs) / actors.length, () => {
      cluster.start(actor)
      cluster.join(actor, seed === undefined || seed === actor ? [] : [seed])
    })
  }
}

function knows(observer: Actor, subject: Actor): boolean {
  return observer.state?.members.get(subject.name)?.snapshot.status === 'alive'
}

function allKnow(cluster: Cluster): boolean {
  const live = cluster.live()
  return live.every((observer) => live.every((subject) => knows(observer, subject)))
}

/** Milliseconds until it holds; Infinity where it does not within `limitMs`. */
function waitUntil(cluster: Cluster, limitMs: number, holds: () => boolean): number {
  const { clock } = cluster
  const from = clock.now()
  while (!holds()) {
    if (clock.now() - from >= limitMs) return Infinity
    clock.advanceBy(lookEveryMs)
  }
  return clock.now() - from
}

/**
 * Members join a settled cluster one after another; milliseconds until each is known to all, with
 * no push/pull but the one of the join itself.
 */
export function joinTimes(options: TrialOptions, joins: number): readonly number[] {
  const overrides = { pushPullIntervalMs: neverMs }
  const cluster = createCluster(options, { extra: joins, overrides })
  const settled = cluster.actors.slice(0, options.members)
  startAll(cluster, settled, 3000)
  cluster.clock.advanceTo(15_000)
  return cluster.actors.slice(options.members).map((newcomer) => {
    const live = cluster.live()
    cluster.start(newcomer)
    cluster.join(newcomer, [cluster.random.pick(live)])
    const took = waitUntil(cluster, 20_000, () => live.every((other) => knows(other, newcomer)))
    cluster.clock.advanceBy(2000)
    return took
  })
}

export interface Healing {
  /** Milliseconds from the healing of the network until all members know all. */
  readonly tookMs: number
  /** Rows that were failed when the network healed. */
  readonly lost: number
}

/** `cutOff` members are apart from the others for a while; then the network is whole again. */
export function healing(options: TrialOptions, cutOff: number, cutMs: number): Healing {
  const cluster = createCluster(options)
  const { actors, clock, network, random } = cluster
  startAll(cluster, actors, 3000)
  clock.advanceTo(8000)
  const sides = [actors.slice(0, -cutOff), actors.slice(-cutOff)]
  const heal = network.partition(sides.map((side) => side.map(({ address }) => address)))
  clock.advanceBy(cutMs * random.between(0.9, 1.1))
  heal()
  const lost = actors.reduce((sum, { state }) => sum + (state?.failed.size ?? 0), 0)
  return { tookMs: waitUntil(cluster, 120_000, () => allKnow(cluster)), lost }
}

/** How many packets each member sent, and the most that one sent within a probe interval. */
export class SendWatcher implements Watcher {
  total = 0
  worst = 0
  readonly #windowMs: number
  readonly #sent = new Map<Actor, number[]>()

  constructor(windowMs: number) {
    this.#windowMs = windowMs
  }

  transition(actor: Actor, _input: Input, outputs: readonly Output[], now: number): void {
    for (const output of outputs) {
      if (output.kind !== 'send') continue
      const sent = this.#sent.get(actor) ?? []
      if (sent.length === 0) this.#sent.set(actor, sent)
      sent.push(now)
      while (sent[0] !== undefined && now - sent[0] >= this.#windowMs) sent.shift()
      this.worst = Math.max(this.worst, sent.length)
      this.total += 1
    }
  }
}

/** Counts verdicts about members that ran all the time, whoever spoke them. */
class VerdictWatcher implements Watcher {
  falseFailures = 0
  readonly #stopped: ReadonlySet<Actor>

  constructor(stopped: ReadonlySet<Actor>) {
    this.#stopped = stopped
  }

  transition(_actor: Actor, _input: Input, outputs: readonly Output[]): void {
    for (const output of outputs) {
      if (output.kind !== 'event' || output.event.kind !== 'fail') continue
      const { name } = output.event.member
      if (![...this.#stopped].some((actor) => actor.name === name)) this.falseFailures += 1
    }
  }
}

export interface StormOptions extends TrialOptions {
  readonly withinMs: number
  /** Of one processor, for all members together. */
  readonly processors: number
  /** What starting a process costs, milliseconds of a processor. */
  readonly startMs: number
  /** Members that stand still at the end of the start, and for how long. */
  readonly stopped?: number
  readonly stoppedMs?: number
}

export interface Storm {
  /** From the last start, or the end of the stop, until all know all. */
  readonly convergedMs: number
  readonly falseFailures: number
  /** Packets a member and second, from ten seconds after that, over ten seconds. */
  readonly packetsAfter: number
  /** The most that one member sent within one probe interval. */
  readonly packetsWorst: number
  readonly overflowed: number
}

/** All members start at once on a machine that is too small for it, and some stand still. */
export function storm(options: StormOptions): Storm {
  const { seed, profile, members, step, withinMs, processors, startMs } = options
  const timings = resolveOptions(profile)
  const stopped = new Set<Actor>()
  const sends = new SendWatcher(timings.probeIntervalMs)
  const verdicts = new VerdictWatcher(stopped)
  const cluster = new Cluster({
    seed,
    members,
    timings,
    watchers: [sends, verdicts],
    machine: { processors, costs: serfCosts },
    ...(step === undefined ? {} : { step }),
  })
  const { clock, actors, machine } = cluster
  cluster.network.setFaults({ latencyMs: 0.1, jitterMs: 0.2 })
  for (const [index, actor] of actors.entries()) {
    clock.post((index * withinMs) / members, () => {
      machine?.submit(actor.name, startMs, 'own', () => {
        const up = cluster.live()
        cluster.start(actor)
        cluster.join(actor, up.length === 0 ? [] : [cluster.random.pick(up)])
      })
    })
  }
  clock.advanceTo(withinMs)
  const whole = (): boolean => cluster.live().length === members && allKnow(cluster)
  const { stopped: standStill = 0, stoppedMs = 0 } = options
  if (standStill > 0) {
    waitUntil(cluster, 60_000, whole)
    for (const actor of actors.slice(-standStill)) {
      stopped.add(actor)
      cluster.pause(actor)
    }
    clock.advanceBy(stoppedMs)
    for (const actor of stopped) cluster.resume(actor)
  }
  const convergedMs = waitUntil(cluster, 120_000, whole)
  clock.advanceBy(10_000)
  const before = sends.total
  clock.advanceBy(10_000)
  return {
    convergedMs,
    falseFailures: verdicts.falseFailures,
    packetsAfter: (sends.total - before) / members / 10,
    packetsWorst: sends.worst,
    overflowed: machine?.overflowed ?? 0,
  }
}
