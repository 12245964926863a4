/** Liveness, asked in a calm cluster: M4, every crash is failed everywhere, and M5, all agree. */
import { members } from '@kith/gossip/core'
import type { GossipTimings } from '@kith/gossip/core'
import type { Actor } from './cluster.ts'
import type { World } from './world.ts'

/** How often a member of so many exchanges its state with somebody. */
export function exchangeEveryMs(timings: GossipTimings, count: number): number {
  const growth = count <= 32 ? 1 : Math.ceil(Math.log2(count) - 5) + 1
  return growth * timings.pushPullIntervalMs
}

/**
 * Milliseconds from the last fault within which all live members must agree. Each part is a bound
 * of the protocol, not a guess:
 * - every member probes every other once in 2N - 1 probe intervals, slowed by up to
 *   `awarenessFactorMax` while it doubts itself, which each good probe takes back by one;
 * - the longest suspicion runs its whole time, if nobody confirms it;
 * - a cut-off side tries one failed member each reconnect interval; a wrong pick costs another one;
 * - news that outlived its transmissions travels by push/pull alone: each member starts one an
 *   interval, so the informed at least double, and a last uninformed one asks an informed one.
 */
export function agreementBoundMs(timings: GossipTimings, count: number): number {
  const { probeIntervalMs, awarenessFactorMax, suspicionFactor, suspicionMaxFactor } = timings
  const doubt = (probeIntervalMs * awarenessFactorMax * (awarenessFactorMax + 1)) / 2
  const probing = (2 * count - 1) * probeIntervalMs + doubt
  const scale = Math.max(1, Math.log10(count))
  const suspicion = suspicionMaxFactor * suspicionFactor * scale * probeIntervalMs
  const reconnects = 3 * timings.reconnectIntervalMs
  const doublings = Math.ceil(Math.log2(count)) + 4
  const exchanges = doublings * exchangeEveryMs(timings, count)
  return probing + suspicion + reconnects + exchanges + timings.streamTimeoutMs
}

/**
 * M4 bound: the worst order of probe rings, then the longest suspicion, then the rounds of gossip
 * that carry the verdict. (The common case is far below: the first of N - 1 probers comes by after
 * 1.6 intervals on average, and confirmations end the suspicion early.)
 */
export function detectionBoundMs(timings: GossipTimings, count: number): number {
  const { probeIntervalMs, suspicionFactor, suspicionMaxFactor } = timings
  const scale = Math.max(1, Math.log10(count))
  const suspicion = suspicionMaxFactor * suspicionFactor * scale * probeIntervalMs
  return (2 * count - 1) * probeIntervalMs + suspicion + spreadMs(timings, count)
}

/** For a message that is gossiped to reach all. */
export function spreadMs(
  { gossipIntervalMs, retransmitFactor }: GossipTimings,
  count: number,
): number {
  return (4 + 4 * Math.ceil(Math.log10(count + 1)) * retransmitFactor) * gossipIntervalMs
}

/** Which live members do not show which of these as failed or left; one line each. */
export function undetected(world: World, ...subjects: readonly Actor[]): readonly string[] {
  const missing: string[] = []
  for (const subject of subjects) {
    for (const observer of world.cluster.live()) {
      if (observer.state === undefined) continue
      const row = members(observer.state).find(({ name }) => name === subject.name)
      const gone = row === undefined || row.status === 'failed' || row.status === 'left'
      if (!gone) missing.push(`M4: ${observer.name} shows crashed ${subject.name} ${row.status}`)
    }
  }
  return missing
}

const texts = new WeakMap<Readonly<Record<string, string>>, string>()

/** Tags as text, written once for each object: members and rows keep theirs until they change. */
function textOf(tags: Readonly<Record<string, string>>): string {
  const known = texts.get(tags)
  if (known !== undefined) return known
  const { 'kith.v': mark, ...own } = tags
  const text = `${mark ?? '1'} ${JSON.stringify(own)}`
  texts.set(tags, text)
  return text
}

/** Enough to tell what is wrong. */
const problemsMax = 5

/** In what live members differ from the truth or from each other; empty when they agree. */
export function disagreements(world: World): readonly string[] {
  const live = world.cluster.live()
  const problems: string[] = [...undetected(world, ...world.crashedAt.keys())]
  const gone = new Map<string, string>()
  for (const observer of live) {
    if (problems.length >= problemsMax) break
    if (observer.state === undefined) continue
    const view = new Map(members(observer.state).map((row) => [row.name, row]))
    for (const subject of live) {
      const row = view.get(subject.name)
      view.delete(subject.name)
      const self = subject.state?.entries.get(subject.name)
      const same =
        row?.status === 'alive' &&
        row.incarnation === self?.incarnation &&
        row.address.host === subject.address.host &&
        row.address.port === subject.address.port &&
        row.tags['kith.v'] === '1' &&
        textOf(row.tags) === textOf(subject.tags)
      if (same) continue
      const want = `alive at ${self?.incarnation} with ${textOf(subject.tags)}`
      const got = row === undefined ? 'nothing' : `${row.status} at ${row.incarnation}`
      problems.push(`M5: ${observer.name} shows ${subject.name} ${got}, not ${want}`)
    }
    for (const row of view.values()) problems.push(...goneProblem(world, observer.name, row, gone))
  }
  return problems
}

/** Who crashed is failed, who left is left, and each is the same to everybody. */
function goneProblem(
  world: World,
  observer: string,
  row: { readonly name: string; readonly status: string },
  seen: Map<string, string>,
): readonly string[] {
  const { name, status } = row
  const actor = world.cluster.actors.find((other) => other.name === name)
  const first = seen.get(name) ?? status
  seen.set(name, first)
  if (status !== first) return [`M5: ${observer} shows ${name} ${status}, another ${first}`]
  if (status === 'left' && world.leavers.has(name)) return []
  // It left, came back, and crashed, maybe before anybody heard that it was back.
  const eitherIsTrue =
    actor !== undefined && world.leftBefore.has(actor) && world.crashedAt.has(actor)
  if (status === 'failed' ? !world.leavers.has(name) : eitherIsTrue) return []
  return [`M5: ${observer} shows ${name} ${status}`]
}
