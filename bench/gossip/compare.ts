/**
 * Ours and the real `serf` beside each other: the same cluster of each kind at the same time, each
 * in a network namespace of its own, watched by the same observer, which only reads their lines.
 * What happens to one kind happens to the other in the same seconds.
 *
 * Prints one line of JSON a figure, both values and their ratio, and exits with 1 where a bound of
 * ours is missed. Needs root (namespaces) and `serf`. `--quick` takes ten minutes instead of
 * some hours; `--size=50`, `--profile=lan` and `--part=kills` (each as often as wanted) narrow it.
 * `--kills=60` makes medians steadier: when a dead member is first probed is left to chance.
 */
import { execFileSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import type { Profile } from '@kith/gossip'
import { endAll, kinds } from './support/agents.ts'
import type { Kind } from './support/agents.ts'
import { Cluster } from './support/cluster.ts'
import { flood } from './support/flood.ts'
import type { Flooded } from './support/flood.ts'
import { removeSpaces } from './support/network.ts'
import { heals } from './support/partition.ts'
import { idle, joinPatienceMs, joins, kills, stopSome } from './support/scenarios.ts'
import type { Idle, Stopped } from './support/scenarios.ts'

const parts = ['idle', 'joins', 'kills', 'stops', 'heals', 'fast', 'flood'] as const
type Part = (typeof parts)[number]

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    size: { type: 'string', multiple: true },
    profile: { type: 'string', multiple: true },
    part: { type: 'string', multiple: true },
    kills: { type: 'string' },
  },
})
const { quick } = flags
const sizes = (flags.size ?? (quick ? ['10'] : ['10', '50', '100'])).map(Number)
const profiles = (flags.profile ?? ['lan', 'local']) as readonly Profile[]
const wanted = new Set((flags.part ?? parts) as readonly Part[])
const wantsClusters = ['idle', 'joins', 'kills', 'stops'].some((part) => wanted.has(part as Part))
const counts = quick
  ? { joins: 5, kills: 3, heals: 4, idleMs: 20_000, stopsMs: [4000, 8000] }
  : { joins: 100, kills: 20, heals: 20, idleMs: 60_000, stopsMs: [4000, 8000, 16_000] }
const killCount = flags.kills === undefined ? counts.kills : Number(flags.kills)
/**
 * Above so many members ours share processes, ten to each: two cores carry no more. A few live
 * alone even then, and are the ones that are killed and stopped.
 */
const processesMax = 50
const aloneAmongShared = 20

interface Both<Value> {
  readonly kith: Value
  readonly serf: Value
}

let held = true

/** Prints one figure; `bound` is the most that ours may have. */
function report(figure: string, of: Both<number>, more: Record<string, unknown> = {}): void {
  const bound = more['bound'] as number | undefined
  const met = bound === undefined || of.kith <= bound
  held &&= met
  const round = (value: number): number => Math.round(value * 1000) / 1000
  const ratio = round(of.kith / of.serf)
  const rounded = { kith: round(of.kith), serf: round(of.serf), ratio }
  const verdict = bound === undefined ? {} : { bound: round(bound), met }
  console.log(JSON.stringify({ figure, ...rounded, ...more, ...verdict }))
}

async function both<Value>(make: (kind: Kind) => Promise<Value>): Promise<Both<Value>> {
  const [kith, serf] = await Promise.all(kinds.map(make))
  return { kith, serf } as Both<Value>
}

function map<From, To>(of: Both<From>, change: (value: From) => To): Both<To> {
  return { kith: change(of.kith), serf: change(of.serf) }
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

const median = (values: readonly number[]): number => quantile(values, 0.5)
const seconds = (ms: number): number => ms / 1000
const most = (values: readonly number[]): number => Math.max(...values)

async function measure(size: number, profile: Profile): Promise<void> {
  const where = { size, profile }
  const perProcess = { kith: size > processesMax ? 10 : 1, serf: 1 }
  const alone = size > processesMax ? aloneAmongShared : 0
  const clusters = map({ kith: 'kith', serf: 'serf' } as const, (kind) => {
    return new Cluster({ kind, size, profile, perProcess: perProcess[kind], alone })
  })
  const settled = await both((kind) => clusters[kind].start())
  report(
    'settled-after-last-start-s',
    map(settled, (ms) => seconds(ms ?? Number.POSITIVE_INFINITY)),
    {
      ...where,
      kithMembersPerProcess: perProcess.kith,
      ...(alone > 0 && { kithMembersAlone: alone }),
    },
  )
  if (settled.kith === undefined) held = false
  if (wanted.has('idle'))
    reportIdle(await both((kind) => idle(clusters[kind], counts.idleMs)), where)
  if (wanted.has('joins')) {
    const took = await both((kind) => joins(clusters[kind], counts.joins))
    const middle = map(took, (list) => seconds(median(list)))
    report('join-known-to-all-median-s', middle, { ...where, joins: counts.joins })
    const bound = Math.max(1, 3 * middle.serf)
    const known = map(took, (list) => list.filter(Number.isFinite))
    report(
      'join-known-to-all-max-s',
      map(known, (list) => seconds(most(list))),
      { ...where, bound },
    )
    const missed = map(known, (list) => counts.joins - list.length)
    const withinS = seconds(joinPatienceMs)
    report('joins-not-known-to-all', missed, { ...where, withinS, bound: 0 })
  }
  if (wanted.has('kills')) {
    const seen = await both((kind) => kills(clusters[kind], killCount))
    const first = map(seen, (list) => seconds(median(list.map((one) => one.first))))
    report('first-failed-median-s', first, { ...where, kills: killCount, bound: first.serf + 0.2 })
    const spread = map(seen, (list) => seconds(median(list.map((one) => one.last - one.first))))
    report('failed-spread-median-s', spread, { ...where, bound: spread.serf + 0.2 })
    report(
      'failed-not-told',
      map(seen, (list) => list.flatMap(({ missing }) => missing).length),
      {
        ...where,
        bound: 0,
      },
    )
  }
  if (wanted.has('stops')) {
    for (const forMs of counts.stopsMs) {
      const saw = await both((kind) => stopSome(clusters[kind], forMs))
      reportStops(saw, { ...where, stoppedMs: forMs })
    }
  }
  await endAll()
}

function reportIdle(used: Both<Idle>, where: Record<string, unknown>): void {
  const of = (pick: (one: Idle) => number): Both<number> => map(used, pick)
  const cpu = of((one) => one.cpuPerMinute)
  report('idle-cpu-s-per-minute', cpu, { ...where, bound: 2 * cpu.serf })
  const datagrams = of((one) => one.datagramsPerSecond)
  report('idle-datagrams-per-s', datagrams, { ...where, bound: 1.05 * datagrams.serf })
  report(
    'idle-bytes-per-s',
    of((one) => one.bytesPerSecond),
    where,
  )
  report(
    'resident-mib',
    of((one) => one.residentMiB),
    where,
  )
  report(
    'proportional-mib',
    of((one) => one.proportionalMiB),
    where,
  )
}

function reportStops(saw: Both<Stopped>, where: Record<string, unknown>): void {
  const of = (pick: (one: Stopped) => number): Both<number> => map(saw, pick)
  report(
    'stopped-false-failures',
    of((one) => one.falseFailures),
    { ...where, bound: 0 },
  )
  report(
    'stopped-false-at-healthy',
    of((one) => one.falseAtHealthy),
    { ...where, bound: 0 },
  )
  report(
    'stopped-declared',
    of((one) => one.declared),
    where,
  )
  report(
    'stopped-heal-s',
    of((one) => seconds(one.healMs)),
    where,
  )
}

/** Three of ten are cut off; of small clusters several of each kind heal at the same time. */
async function measureHeals(size: number, profile: Profile): Promise<void> {
  const side = quick || size > 10 ? 1 : 2
  const each = { profile, size, cutOff: Math.round(0.3 * size), heals: counts.heals / side }
  const seen = await both(async (kind) => {
    const nets = Array.from({ length: side }, (_, index) => 10 * kinds.indexOf(kind) + index + 1)
    return (await Promise.all(nets.map((net) => heals({ ...each, kind, net })))).flat()
  })
  const where = { size, cutOff: each.cutOff, profile, heals: counts.heals }
  const took = map(seen, (list) => list.map((one) => one.healMs))
  report(
    'heal-median-s',
    map(took, (list) => seconds(median(list))),
    where,
  )
  report(
    'heal-max-s',
    map(took, (list) => seconds(most(list))),
    { ...where, bound: 5 },
  )
  // What a side never noticed need not heal: such cuts make the two rows above look better.
  const cutsUnnoticed = map(seen, (list) => list.filter((one) => one.unnoticed > 0).length)
  report('cuts-not-noticed-by-all', cutsUnnoticed, where)
  await endAll()
  // Those of the next size have the same names.
  removeSpaces()
}

/** Ours alone, since Serf has no such profile: detection within 3 s, and nobody accused wrongly. */
async function measureFast(size: number): Promise<void> {
  const profile = 'fast'
  const cluster = new Cluster({ kind: 'kith', size, profile, perProcess: 1 })
  await cluster.start()
  const seen = await kills(cluster, killCount)
  const none = { serf: Number.NaN, kith: 0 }
  const first = seconds(median(seen.map((one) => one.first)))
  report('first-failed-median-s', { ...none, kith: first }, { size, profile, bound: 3 })
  for (const forMs of counts.stopsMs) {
    const saw = await stopSome(cluster, forMs)
    const where = { size, profile, stoppedMs: forMs, bound: 0 }
    report('stopped-false-at-healthy', { ...none, kith: saw.falseAtHealthy }, where)
    report('stopped-false-failures', { ...none, kith: saw.falseFailures }, where)
  }
  await endAll()
}

/**
 * Packets that mean nothing, and what they may cost. The goal is 5 % of a processor, which no
 * program on Node.js keeps: a socket that does nothing with what it reads takes more. So what is
 * bounded is ours, beyond that socket.
 */
const flooded = { perSecond: 50_000, shareGoal: 0.05, ownShareMax: 0.1, answersMs: 100 }

/** One after another: a flood is a processor of whoever sends it. */
async function measureFlood(): Promise<void> {
  const lastsMs = quick ? 15_000 : 60_000
  const run = async (target: 'kith' | 'serf' | 'socket'): Promise<Flooded> => {
    const found = await flood(target, flooded.perSecond, lastsMs)
    await endAll()
    return found
  }
  const found = { kith: await run('kith'), serf: await run('serf') }
  const socket = await run('socket')
  const of = (pick: (one: Flooded) => number): Both<number> => map(found, pick)
  const packets = of((one) => one.perSecond)
  report('flood-packets-per-s', packets, { socketAlone: Math.round(socket.perSecond) })
  const share = of((one) => one.share)
  const socketAlone = Math.round(socket.share * 1000) / 1000
  const { shareGoal: goal, ownShareMax } = flooded
  report('flood-share-of-a-core', share, { socketAlone, goal, bound: socketAlone + ownShareMax })
  const answers = of((one) => quantile(one.answersMs, 0.99))
  const pings = found.kith.answersMs.length
  report('flood-ping-p99-ms', answers, { pings, bound: flooded.answersMs })
}

function refusal(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root, for network namespaces'
  try {
    execFileSync('serf', ['version'])
  } catch {
    return 'needs the real serf: apt-get install serf'
  }
  return undefined
}

const missing = refusal()
if (missing === undefined) {
  try {
    for (const profile of profiles) {
      for (const size of sizes) if (wantsClusters) await measure(size, profile)
      for (const size of wanted.has('heals') ? sizes : []) {
        if (size <= processesMax) await measureHeals(size, profile)
      }
    }
    if (wanted.has('fast')) await measureFast(Math.min(50, ...sizes.slice(-1)))
    if (wanted.has('flood')) await measureFlood()
  } finally {
    await endAll()
    removeSpaces()
  }
  if (!held) process.exitCode = 1
} else {
  console.error(`bench/gossip ${missing}`)
  process.exitCode = 2
}
