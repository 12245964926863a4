/** What is done to a cluster, the same to both kinds. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Agent } from './agents.ts'
import type { Cluster } from './cluster.ts'
import { trafficOf, usageOf } from './network.ts'
import type { Spread } from './observer.ts'

/** Bound on whatever should come and may not. */
const patienceMs = 90_000
/** A join that is not known to all by then was missed: some of Serf's take a minute. */
export const joinPatienceMs = 15_000
/** A good-bye that somebody has not heard by then keeps nobody waiting. */
const leavePatienceMs = 10_000
/** News of the start is told for a while. */
const calmMs = 30_000
/**
 * From a start to the next kill. A process of ours costs half a second of a processor to start, in
 * which others of this machine are late, doubt themselves, and probe more slowly for two intervals.
 */
const afterStartMs = 3000

const pairsAbout = (
  observers: readonly string[],
  about: string,
): readonly (readonly [string, string])[] => observers.map((by) => [by, about] as const)

/**
 * Members join one after another; each leaves again when all know it. Milliseconds from the first
 * sight of it by anybody, or of anybody by it, until all know it and it knows all; Infinity where
 * that took longer than `joinPatienceMs`.
 */
export async function joins(cluster: Cluster, count: number): Promise<readonly number[]> {
  const took: number[] = []
  const { observer, names } = cluster
  for (let index = 0; index < count; index += 1) {
    const placed = cluster.place()
    const pairs = [
      ...pairsAbout(names, placed.name),
      ...names.map((about) => [placed.name, about] as const),
    ]
    const known = observer.watch('joined', pairs, joinPatienceMs, 'first')
    const agent = cluster.begin([placed])
    const { last, missing } = await known
    took.push(missing.length > 0 ? Number.POSITIVE_INFINITY : last)
    // Who has not heard of it says no good-bye to it.
    const friends = names.filter((name) => !missing.includes(`${name} ${placed.name}`))
    const left = observer.watch('left', pairsAbout(friends, placed.name), leavePatienceMs)
    agent.signal('SIGINT')
    await Promise.all([left, agent.ended])
  }
  return took
}

/**
 * Which process is killed next: one with a single member where there are any, since a kill that
 * takes ten at once is another fault. Never the seed, which those that start again ask.
 */
function victimOf(agents: readonly Agent[], index: number): number {
  const places = [...agents.keys()].slice(1)
  const alone = places.filter((at) => agents[at]?.names.length === 1)
  const from = alone.length > 0 ? alone : places
  return from[index % from.length] ?? 0
}

/** Members that are killed and started again, one after another: how the rest saw them fail. */
export async function kills(cluster: Cluster, count: number): Promise<readonly Spread[]> {
  const { observer, agents } = cluster
  const seen: Spread[] = []
  for (let index = 0; index < count; index += 1) {
    const at = victimOf(agents, index)
    const agent = agents[at]
    const [about] = agent?.names ?? []
    if (agent === undefined || about === undefined) throw new RangeError('nobody to kill')
    const others = cluster.names.filter((name) => !agent.names.includes(name))
    const failed = observer.watch('failed', pairsAbout(others, about), patienceMs)
    agent.signal('SIGKILL')
    seen.push(await failed)
    await agent.ended
    const back = observer.watch('joined', pairsAbout(others, about), patienceMs)
    agents[at] = cluster.beginAgain(agent)
    await back
    await observer.untilAgreed(cluster.names, patienceMs)
    await pause(afterStartMs)
  }
  return seen
}

export interface Stopped {
  /** Failures reported of members that were never stopped: by anybody, and by one like them. */
  readonly falseFailures: number
  readonly falseAtHealthy: number
  /** Failures reported of those that were stopped. */
  readonly declared: number
  /** Milliseconds from their continuation until all know all again; Infinity: they never did. */
  readonly healMs: number
}

/** The last processes that hold a tenth of the members, at least one. */
function tenthOf({ agents, names }: Cluster): readonly Agent[] {
  const chosen: Agent[] = []
  let members = 0
  for (const agent of agents.toReversed()) {
    if (members >= Math.max(1, Math.round(names.length / 10))) break
    chosen.push(agent)
    members += agent.names.length
  }
  return chosen
}

/** A tenth of the members is stopped for a while, then goes on. */
export async function stopSome(cluster: Cluster, forMs: number): Promise<Stopped> {
  const { observer } = cluster
  const chosen = tenthOf(cluster)
  const sick = new Set(chosen.flatMap(({ names }) => names))
  let [falseFailures, falseAtHealthy, declared] = [0, 0, 0]
  const end = observer.listen(({ what, by, about }) => {
    if (what !== 'failed') return
    if (sick.has(about)) declared += 1
    else falseFailures += 1
    if (!sick.has(about) && !sick.has(by)) falseAtHealthy += 1
  })
  for (const agent of chosen) agent.signal('SIGSTOP')
  await pause(forMs)
  for (const agent of chosen) agent.signal('SIGCONT')
  // What was decided while they slept is told first.
  await pause(1000)
  const healed = await observer.untilAgreed(cluster.names, patienceMs)
  end()
  const healMs = healed === undefined ? Number.POSITIVE_INFINITY : healed + 1000
  return { falseFailures, falseAtHealthy, declared, healMs }
}

export interface Idle {
  /** Seconds of processor a member used in a minute. */
  readonly cpuPerMinute: number
  readonly datagramsPerSecond: number
  readonly bytesPerSecond: number
  /** Of a process, the mean. */
  readonly residentMiB: number
  readonly proportionalMiB: number
}

/** What a member costs while nothing happens. */
export async function idle(cluster: Cluster, forMs: number): Promise<Idle> {
  const { agents, names, space } = cluster
  await pause(calmMs)
  const used = (list: readonly Agent[]): number =>
    list.reduce((sum, { pid }) => sum + usageOf(pid).cpuSeconds, 0)
  const before = { cpu: used(agents), traffic: trafficOf(space), at: performance.now() }
  await pause(forMs)
  const [cpu, traffic] = [used(agents), trafficOf(space)]
  const seconds = (performance.now() - before.at) / 1000
  const rate = (value: number): number => value / seconds / names.length
  const memory = agents.map(({ pid }) => usageOf(pid))
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length
  return {
    cpuPerMinute: rate(cpu - before.cpu) * 60,
    datagramsPerSecond: rate(traffic.datagrams - before.traffic.datagrams),
    bytesPerSecond: rate(traffic.bytes - before.traffic.bytes),
    residentMiB: mean(memory.map(({ residentMiB }) => residentMiB)),
    proportionalMiB: mean(memory.map(({ proportionalMiB }) => proportionalMiB)),
  }
}
