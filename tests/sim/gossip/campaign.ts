/**
 * One run: a cluster of 3 to 64 forms, suffers, and is left in peace. Safety is checked on every
 * transition; in the calm after the faults it must agree within a bound, and then stay agreed.
 */
import { resolveOptions } from '@kith/gossip/core'
import type { Input, Output } from '@kith/gossip/core'
import { createSimRandom } from '@kith/sim'
import type { Report, ScenarioContext, SimRandom } from '@kith/sim'
import { agreementBoundMs, disagreements } from './agreement.ts'
import { BoundsChecker } from './bounds.ts'
import { AccuracyChecker, RowChecker, Violation } from './checkers.ts'
import { Cluster } from './cluster.ts'
import type { Actor, Step, Watcher } from './cluster.ts'
import { crashBoundMs, CrashTimer } from './crashes.ts'
import type { Fault } from './faults.ts'
import { createSeal } from './seal.ts'
import { TalkChecker, talking } from './talk.ts'
import { World } from './world.ts'

export interface Plan {
  readonly faults: readonly Fault[]
  /** How long the faults have, in seconds. */
  readonly lastsS: readonly [number, number]
  /** Largest cluster of this plan; default 64. */
  readonly membersMax?: number
  /** Crashes are the only faults: each is timed until all see it, however long the plan lasts. */
  readonly timesDetection?: boolean
  /** Packets go under a key, so that damage is noticed. */
  readonly sealed?: boolean
  /** Members emit events and ask queries meanwhile, and in the calm. */
  readonly talks?: boolean
  /** A mutant of the core. */
  readonly step?: Step
}

/** Small ones find most, and cost the square of their size; those of 32 and more are few. */
const sizes = [
  ...[3, 3, 3, 4, 4, 5, 5, 5, 6, 6, 7, 8, 8, 9, 10, 12],
  ...[3, 3, 3, 4, 4, 5, 5, 5, 6, 6, 7, 8, 8, 9, 10, 12],
  ...[14, 16, 20, 24, 32, 48, 64],
]
/** How long agreement must last once it is there. */
const staysMs = 5000
/** Reaps take a day, so in a run nothing is forgotten but SWIM's rows. */
const lookEveryMs = 1000

class EventCounter implements Watcher {
  readonly counters: Record<string, number> = {}
  readonly #note: (line: string) => void

  constructor(note: (line: string) => void) {
    this.#note = note
  }

  transition(actor: Actor, _input: Input, outputs: readonly Output[], now: number): void {
    for (const output of outputs) {
      if (output.kind !== 'event') continue
      const { event } = output
      const kind = `event ${event.kind}`
      this.counters[kind] = (this.counters[kind] ?? 0) + 1
      this.#note(`${now.toFixed(1).padStart(10)} ${actor.name} ${describe(output)}`)
    }
  }
}

function describe(output: Output & { kind: 'event' }): string {
  const { event } = output
  if (!('member' in event)) return JSON.stringify(event, inText)
  const { name, status, incarnation, tags } = event.member
  return `${event.kind} ${name} ${status} at ${incarnation} ${JSON.stringify(tags)}`
}

/** Lamport times and payloads have no JSON of their own. */
function inText(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  return value instanceof Uint8Array ? `${value.length} bytes` : value
}

export function runPlan(plan: Plan, seed: number, context: ScenarioContext): Report {
  const random = createSimRandom(seed, 'plan')
  const size = random.pick(sizes.filter((members) => members <= (plan.membersMax ?? 64)))
  const timings = resolveOptions(random.chance(0.3) ? 'local' : 'lan')
  const events = new EventCounter((line) => context.note(line))
  const watchers: Watcher[] = [events]
  const cluster = new Cluster({
    seed,
    members: size,
    timings,
    watchers,
    // Half of them take in what an exchange brings over many steps, as members of a large one do.
    policy: seed % 2 === 0 ? {} : { mergeRowsEachStep: 3 },
    ...(plan.step === undefined ? {} : { step: plan.step }),
    ...(plan.sealed === true ? { seal: createSeal(createSimRandom(seed, 'seal')) } : {}),
  })
  const world = new World(cluster)
  const accuracy = new AccuracyChecker(world)
  const rows = new RowChecker(cluster.actors)
  const talk = new TalkChecker(world, createSimRandom(seed, 'talk'))
  const bounds = new BoundsChecker(size, timings)
  watchers.push(accuracy, rows, talk, bounds)
  setUp(world, random)
  agree(world, agreementBoundMs(timings, size), 'formed')
  const lastsMs = random.between(plan.lastsS[0] * 1000, plan.lastsS[1] * 1000)
  for (const fault of plan.faults) fault(world, random, lastsMs)
  if (plan.talks === true) talking(talk)(world, random, lastsMs)
  const crashes = new CrashTimer(world, crashBoundMs(timings, size))
  suffer(world, lastsMs, plan.timesDetection === true ? crashes : undefined)
  const healedMs = agree(world, agreementBoundMs(timings, size), 'healed')
  if (plan.talks === true) talk.calm()
  return {
    digest: cluster.network.traceDigest(),
    counters: {
      ...cluster.network.stats,
      ...world.counters,
      ...rows.counters,
      ...accuracy.counters,
      ...(plan.timesDetection === true ? crashes.counters : {}),
      ...talk.counters,
      ...events.counters,
      transitions: cluster.transitions,
      joinsRetried: cluster.joinsRetried,
      packetsRefused: cluster.packetsRefused,
      members: size,
      [`clusters of ${size}`]: 1,
      healedMs,
    },
  }
}

function setUp(world: World, random: SimRandom): void {
  const { cluster } = world
  cluster.network.setFaults({
    latencyMs: random.between(0.2, 5),
    jitterMs: random.between(0, 5),
    straggler: random.chance(0.5) ? 0.005 : 0,
    duplicate: random.chance(0.5) ? 0.02 : 0,
    reorder: random.chance(0.5) ? 0.02 : 0,
  })
  const [first, second] = cluster.actors
  for (const [index, actor] of cluster.actors.entries()) {
    const seeds = index === 0 || first === undefined ? [] : [first, second ?? first]
    const delay = index === 0 ? 0 : random.between(0, 3000)
    cluster.clock.post(delay, () => world.start(actor, seeds))
  }
  cluster.clock.advanceTo(3000)
}

/** The faults run, and where crashes are timed, on until the last of them is seen by all. */
function suffer(world: World, lastsMs: number, crashes?: CrashTimer): void {
  const { clock } = world.cluster
  const end = clock.now() + lastsMs
  while (clock.now() < end || crashes?.waiting === true) {
    const next = clock.now() + lookEveryMs
    clock.advanceTo(clock.now() < end ? Math.min(end, next) : next)
    crashes?.look()
  }
  if (world.anyCut || world.loss > 0) throw new Error('the plan left a fault behind')
}

/**
 * Milliseconds of calm until everyone agreed for good, which must be within the bound: suspicions
 * and probes from before the calm may still undo an early agreement, so only one that stays counts.
 */
function agree(world: World, boundMs: number, word: string): number {
  const { clock } = world.cluster
  const calmSince = clock.now()
  let agreedAt: number | undefined
  for (;;) {
    const problems = disagreements(world)
    const now = clock.now()
    agreedAt = problems.length === 0 ? (agreedAt ?? now) : undefined
    if (agreedAt !== undefined && now - agreedAt >= staysMs) return agreedAt - calmSince
    if (now - calmSince > boundMs && agreedAt === undefined) {
      const checker = problems[0]?.startsWith('M4') === true ? 'M4' : 'M5'
      const text = `not ${word} after ${(now - calmSince).toFixed(0)} of ${boundMs.toFixed(0)} ms`
      throw new Violation(checker, now, `${text}: ${problems.join('; ')}`)
    }
    clock.advanceBy(lookEveryMs)
  }
}
