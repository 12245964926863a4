/**
 * Large clusters of the real core in one process: how fast virtual time goes, what a known member
 * and a step cost, and whether a crash is known to all within the bound of the protocol.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { resolveOptions, step } from '@kith/gossip/core'
import type { GossipTimings, Input, Output, State } from '@kith/gossip/core'
import { detectionBoundMs, exchangeEveryMs, spreadMs } from './agreement.ts'
import { Cluster, decodeStream } from './cluster.ts'
import type { Actor, Watcher } from './cluster.ts'

/** What news of so many starts at once did not reach, the second exchange of states does. */
const exchangesToForm = 2

/** All members started within some seconds, each knowing one that is there, until all know all. */
function form(members: number, watch?: (cluster: Cluster) => Watcher): Cluster {
  const watchers: Watcher[] = []
  const cluster = new Cluster({ seed: 1, members, timings: resolveOptions('lan'), watchers })
  if (watch !== undefined) watchers.push(watch(cluster))
  const { clock, network, actors, random } = cluster
  network.setFaults({ latencyMs: 0.2, jitterMs: 1 })
  const withinMs = Math.max(3000, members * 10)
  for (const [index, actor] of actors.entries()) {
    const seed = actors[random.below(Math.max(1, index))]
    clock.post((index * withinMs) / members, () => {
      cluster.start(actor)
      cluster.join(actor, seed === undefined || seed === actor ? [] : [seed])
    })
  }
  clock.advanceTo(withinMs)
  const formsMs = exchangesToForm * exchangeEveryMs(cluster.timings, members)
  while (!actors.every(({ state }) => state?.aliveCount === members)) {
    if (clock.now() > withinMs + formsMs) throw new Error('the cluster does not form')
    clock.advanceBy(200)
  }
  return cluster
}

/** Virtual time for each millisecond of a processor, in a cluster at rest. */
export function speedStudy(members: number): number {
  const cluster = form(members)
  cluster.clock.advanceBy(20_000)
  const lastsMs = 120_000
  const before = process.cpuUsage()
  cluster.clock.advanceBy(lastsMs)
  const { user, system } = process.cpuUsage(before)
  return lastsMs / ((user + system) / 1000)
}

/** When each member was failed, by whom. */
class FailTimes implements Watcher {
  readonly #at = new Map<string, number[]>()

  transition(_actor: Actor, _input: Input, outputs: readonly Output[], now: number): void {
    for (const output of outputs) {
      if (output.kind !== 'event' || output.event.kind !== 'fail') continue
      const { name } = output.event.member
      const times = this.#at.get(name) ?? []
      if (times.length === 0) this.#at.set(name, times)
      times.push(now)
    }
  }

  of(name: string): readonly number[] {
    return this.#at.get(name) ?? []
  }

  get total(): number {
    return [...this.#at.values()].reduce((sum, times) => sum + times.length, 0)
  }
}

/** Virtual milliseconds from a crash until the first and the last member failed it. */
export interface Detection {
  readonly firstMs: number
  readonly allMs: number
}

export interface CrashStudy {
  /** Virtual milliseconds until all knew all. */
  readonly formedMs: number
  /** One crash after the other, a member each. */
  readonly detections: readonly Detection[]
  readonly likelyMs: number
  /** Failures of anybody else. */
  readonly falseFailures: number
}

/** By then somebody probed the victim, but for one crash in 160,000: each interval one does. */
const intervalsUnprobed = 12

/**
 * By when all know of a crash: probed by somebody, confirmed by others meanwhile, so that the
 * suspicion takes its least time, and told on. The bound of the protocol itself, by which one who
 * hears nothing from anybody has probed all others, is half an hour for 1,000 members.
 */
function likelyMs(timings: GossipTimings, members: number): number {
  const { probeIntervalMs, probeTimeoutMs, suspicionFactor } = timings
  const suspicion = suspicionFactor * Math.max(1, Math.log10(members)) * probeIntervalMs
  const probed = intervalsUnprobed * probeIntervalMs + probeTimeoutMs
  return probed + suspicion + spreadMs(timings, members)
}

export function crashStudy(members: number, crashes: number): CrashStudy {
  const failures = new FailTimes()
  const cluster = form(members, () => failures)
  const { clock, actors, timings } = cluster
  const formedMs = clock.now()
  const victims = cluster.random.shuffle(actors).slice(0, crashes)
  const detections = victims.map((victim, before): Detection => {
    clock.advanceBy(5000)
    const since = clock.now()
    cluster.crash(victim, 'swallow')
    const others = members - before - 1
    const within = detectionBoundMs(timings, members)
    while (failures.of(victim.name).length < others && clock.now() - since <= within) {
      clock.advanceBy(100)
    }
    const times = failures.of(victim.name)
    const allMs = times.length < others ? Infinity : Math.max(...times) - since
    return { firstMs: Math.min(...times) - since, allMs }
  })
  const failed = victims.reduce((sum, { name }) => sum + failures.of(name).length, 0)
  const falseFailures = failures.total - failed
  return { formedMs, detections, likelyMs: likelyMs(timings, members), falseFailures }
}

/**
 * Heap of one core, and what it put beside that, for each further member that it knows: what a core
 * of many has more than one of few, once everybody has probed everybody and knows where they are.
 */
export function memoryStudy(few: number, many: number): number {
  return (bytesOfCore(many) - bytesOfCore(few)) / (many - few)
}

/** What becomes free when a cluster goes: code that V8 compiled meanwhile stays, and is no part. */
function bytesOfCore(members: number): number {
  let cluster: Cluster | undefined = form(members)
  cluster.clock.advanceBy(2 * 1000 * members)
  for (const { state } of cluster.actors) {
    const rows = [...(state?.members.values() ?? [])]
    const placed = rows.filter(({ snapshot }) => snapshot.coordinate !== undefined).length
    if (placed < members) throw new Error(`only ${placed} of ${members} were probed`)
  }
  const held = heapBytes()
  cluster = undefined
  return (held - heapBytes()) / members
}

/** After everything that nobody needs is gone. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc')
  // Code that V8 throws away between two counts is no heap of a member.
  setFlagsFromString('--no-flush-bytecode')
  const collect = runInNewContext('gc') as () => void
  collect()
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** What one member is told, to be told again. */
type Told = { readonly now: number } & (
  | { readonly input: Input }
  | { readonly stream: Uint8Array; readonly kind: 'reply' | 'streamMessage'; readonly id: number }
)

class Recorder implements Watcher {
  readonly told: Told[] = []
  readonly #cluster: Cluster
  readonly #subject: Actor

  constructor(cluster: Cluster, subject: Actor) {
    this.#cluster = cluster
    this.#subject = subject
  }

  transition(actor: Actor, input: Input, _outputs: readonly Output[], now: number): void {
    if (actor !== this.#subject) return
    if (input.kind !== 'reply' && input.kind !== 'streamMessage') {
      this.told.push({ now, input })
      return
    }
    const stream = this.#cluster.bytesOf(input.message)
    if (stream !== undefined) this.told.push({ now, stream, kind: input.kind, id: input.id })
  }
}

/** The message is read once, and freed: each time it is decoded anew. */
function inputOf(told: Told): Input {
  if ('input' in told) return told.input
  const message = decodeStream(told.stream)
  if (message === undefined) throw new Error('what was read once cannot be read again')
  const { kind, id } = told
  const from = { host: '10.0.0.0', port: 1 }
  return kind === 'reply' ? { kind, id, message } : { kind, id, from, message }
}

export interface StepStudy {
  readonly count: number
  readonly longestMs: number
  /** The kind of input of that step. */
  readonly kind: string
  readonly medianUs: number
}

/**
 * With the median of each phase: as a cluster forms each packet is full of news, and the larger it
 * is, the greater the part of its steps that fall there.
 */
export interface PhasedStepStudy extends StepStudy {
  /** Microseconds, of the steps until all knew all. */
  readonly formingUs: number
  /** Microseconds, of the steps after that, a crash among them. */
  readonly formedUs: number
}

const repeats = 7
/** Where no bound is held against a step, and one telling takes minutes. */
const reachRepeats = 1

/**
 * What two members of the cluster are told while it forms, while one crashes and after it, told to
 * the same cores again and again: the first, whom others join, and the last, who learns of all of
 * them at once. A machine that others use takes time away at random, so the least that a step took
 * is what it takes.
 */
export function stepStudy(members: number): PhasedStepStudy {
  const recorders = new Map<Actor, Recorder>()
  const cluster = form(members, (formed) => {
    for (const subject of [formed.actors[0], formed.actors.at(-1)]) {
      if (subject !== undefined) recorders.set(subject, new Recorder(formed, subject))
    }
    const all = [...recorders.values()]
    return {
      transition(...told) {
        for (const recorder of all) recorder.transition(...told)
      },
    }
  })
  const victim = cluster.actors[1]
  if (victim === undefined) throw new Error('nobody')
  const formedAt = cluster.clock.now()
  cluster.clock.advanceBy(5000)
  cluster.crash(victim, 'swallow')
  cluster.clock.advanceBy(30_000)
  const steps = [...recorders].flatMap(([subject, { told }]) =>
    leastOf(() => cluster.createState(subject), told),
  )
  return {
    ...studyOf(steps),
    formingUs: studyOf(steps.filter(({ now }) => now <= formedAt)).medianUs,
    formedUs: studyOf(steps.filter(({ now }) => now > formedAt)).medianUs,
  }
}

function studyOf(steps: readonly TimedStep[]): StepStudy {
  const sorted = steps.toSorted((a, b) => b.ms - a.ms)
  const [longest] = sorted
  return {
    count: steps.length,
    longestMs: longest?.ms ?? 0,
    kind: longest?.kind ?? '',
    medianUs: (sorted[sorted.length >> 1]?.ms ?? 0) * 1000,
  }
}

interface TimedStep {
  /** Virtual, milliseconds. */
  readonly now: number
  readonly kind: string
  readonly ms: number
}

/** What each step took at least, told to a new core again and again. */
function leastOf(
  create: () => State,
  told: readonly Told[],
  turns = repeats,
): readonly TimedStep[] {
  const least = new Float64Array(told.length).fill(Infinity)
  for (let turn = 0; turn < turns; turn += 1) {
    const state = create()
    for (const [index, one] of told.entries()) {
      const input = inputOf(one)
      const before = performance.now()
      step(state, input, one.now)
      least[index] = Math.min(least[index] ?? Infinity, performance.now() - before)
    }
  }
  return told.map((one, index) => {
    const kind = 'input' in one ? one.input.kind : one.kind
    return { now: one.now, kind, ms: least[index] ?? 0 }
  })
}

export interface ReachStudy {
  /** Members that the newcomer shows alive, itself included. */
  readonly known: number
  /** Of the first member, which all others join, and of a newcomer, which learns of all at once. */
  readonly first: StepStudy
  readonly newcomer: StepStudy
}

/** Members that know everybody; all others join them. */
const knowing = 3
/** What all others know at most, or the heap of one process would not hold so many cores. */
const partlyKnown = 32

/**
 * A cluster that is too large for one process if everybody in it knew everybody: all members are
 * real cores and answer probes, some of them know all, and one comes last and learns of all.
 */
export function reachStudy(members: number): ReachStudy {
  const timings = resolveOptions('lan')
  const partly = { ...timings, membersMax: partlyKnown }
  const timingsOf = (index: number): GossipTimings =>
    index < knowing || index === members - 1 ? timings : partly
  const watchers: Watcher[] = []
  const cluster = new Cluster({ seed: 1, members, timings, timingsOf, watchers })
  const { clock, network, actors } = cluster
  network.setFaults({ latencyMs: 0.2, jitterMs: 1 })
  const [first, newcomer] = [actors[0], actors.at(-1)]
  if (first === undefined || newcomer === undefined) throw new Error('nobody')
  const recorders = [first, newcomer].map((subject) => new Recorder(cluster, subject))
  watchers.push(...recorders)
  const seeds = actors.slice(0, knowing)
  for (const [index, actor] of actors.entries()) {
    clock.post(index * startEveryMs, () => {
      cluster.start(actor)
      cluster.join(actor, seeds.slice(0, index))
    })
  }
  clock.advanceTo(members * startEveryMs + reachLastsMs)
  const [ofFirst, ofNewcomer] = recorders.map(({ told }, index) => {
    const create = (): State => cluster.createState(index === 0 ? first : newcomer)
    return studyOf(leastOf(create, told, reachRepeats))
  })
  if (ofFirst === undefined || ofNewcomer === undefined) throw new Error('nobody')
  return { known: newcomer.state?.aliveCount ?? 0, first: ofFirst, newcomer: ofNewcomer }
}

/** Virtual: between two starts, and after the last. */
const startEveryMs = 10
const reachLastsMs = 30_000
