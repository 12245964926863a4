/**
 * Members that all pull from one another, each a process with a SQLite log on the disk. How long
 * after its append a record can be read on another member, durable on both, is measured for two of
 * them, and for five, which share the processors of this machine. Of five besides:
 *
 * - how many bytes come for each byte that is stored, at several rates, and at the highest also
 *   how many go over all sockets, with everything that HTTP and the protocol add;
 * - what a member costs while nothing happens;
 * - how long after a partition of three and two the two have 100,000 records of 1 KiB.
 *
 * Beside it what a write of the disk costs, which a latency has two of. Prints one line of JSON a
 * figure and exits with 1 where a bound is missed.
 */
import { fdatasyncSync, mkdtempSync, openSync, closeSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { watchLoad } from '../log/support/load.ts'
import { tellConditions, tellSpread, tellValue } from '../log/support/report.ts'
import { quantile } from '../log/support/statistics.ts'
import type { Figures } from './support/member.ts'
import { Mesh } from './support/mesh.ts'

const size = 5
const recordBytes = 1024
const heals = 5
/** Of all members together: the last is about what two processors do. */
const ratesPerSecond = [1_000, 10_000, 20_000]
const place = process.env['KITH_BENCH_DIR'] ?? tmpdir()
const bounds = {
  latencyP50Ms: 2,
  latencyP99Ms: 10,
  amplification: 1.03,
  idleShare: 0.005,
  healMs: 2000,
}

/** Milliseconds of one write of a record with `fdatasync`, the median. */
function flushMs(): number {
  const directory = mkdtempSync(join(place, 'kith-bench-flush-'))
  const file = openSync(join(directory, 'file'), 'w')
  const bytes = Buffer.alloc(recordBytes, 'x')
  const took = Array.from({ length: 300 }, () => {
    const at = performance.now()
    writeSync(file, bytes)
    fdatasyncSync(file)
    return performance.now() - at
  })
  closeSync(file)
  rmSync(directory, { recursive: true })
  return quantile(took, 0.5)
}

async function latency(mesh: Mesh): Promise<number> {
  const [count, gapMs] = [500, 20]
  const append = { recordBytes, perAppend: 1, gapMs }
  // What a program does for the first time is not what is measured.
  await mesh.members[0]?.tell({ kind: 'append', appends: { ...append, count } })
  await mesh.until(count)
  await pause(1000)
  await mesh.figures()
  await mesh.members[0]?.tell({ kind: 'append', appends: { ...append, count } })
  await mesh.until(2 * count)
  // The reader may be told of the last record a moment after the log has it.
  await pause(200)
  const took = (await mesh.figures()).at(-1)?.latenciesMs ?? []
  if (took.length !== count) throw new Error(`${took.length} of ${count} records were read`)
  const members = mesh.members.length
  const flush = Math.round(flushMs() * 1000) / 1000
  const each = { members, records: count, everyMs: gapMs, flushMs: flush }
  const name = 'append on one, readable on another'
  const bound = (most: number) => (members === 2 ? { most } : {})
  tellValue(`${name}: p50`, quantile(took, 0.5), 'ms', bound(bounds.latencyP50Ms), each)
  tellValue(`${name}: p99`, quantile(took, 0.99), 'ms', bound(bounds.latencyP99Ms), each)
  return 2 * count
}

const total = (list: readonly Figures[], pick: (one: Figures) => number): number =>
  list.reduce((sum, one) => sum + pick(one), 0)

/** All members append; `total` is what is held before. Returns what is held afterwards. */
async function amplification(mesh: Mesh, held: number, perSecond: number): Promise<number> {
  const seconds = 10
  const each = (perSecond * seconds) / size
  const perAppend = Math.max(1, perSecond / size / 100)
  const gapMs = (1000 * perAppend * size) / perSecond
  const before = await mesh.figures()
  const appends = { count: each, recordBytes, perAppend, gapMs }
  await Promise.all(mesh.members.map((one) => one.tell({ kind: 'append', appends })))
  const after = held + each * size
  await mesh.until(after)
  const now = await mesh.figures()
  const grown = (pick: (one: Figures) => number): number => total(now, pick) - total(before, pick)
  const stored = grown((one) => one.storedBytes)
  const more = { recordsPerSecond: perSecond }
  const bound = { most: bounds.amplification }
  const received = grown((one) => one.receivedBytes) / stored
  tellValue('bytes of batches received for each that was stored', received, 'ratio', bound, more)
  // What an answer has besides its batches is the same however many they are.
  const whole = perSecond === ratesPerSecond.at(-1) ? bound : {}
  const wire = grown((one) => one.wireBytes) / stored
  tellValue('bytes of all sockets for each byte that was stored', wire, 'ratio', whole, more)
  return after
}

async function idle(mesh: Mesh): Promise<void> {
  const [calmMs, forMs] = [10_000, 60_000]
  await pause(calmMs)
  const before = await mesh.figures()
  const at = performance.now()
  await pause(forMs)
  const now = await mesh.figures()
  const seconds = (performance.now() - at) / 1000
  const perMember = (pick: (one: Figures) => number): number =>
    (total(now, pick) - total(before, pick)) / seconds / size
  const more = {
    bytesPerSecondAndLink: Math.round(perMember((one) => one.wireBytes) / (size - 1)),
    pullsPerSecond: Math.round(perMember((one) => one.pulls) * 100) / 100,
  }
  const share = perMember((one) => one.cpuSeconds)
  tellValue('idle: share of a processor, a member', share, 's/s', { most: bounds.idleShare }, more)
}

const missing = 100_000

/** Milliseconds from the first word of membership until all have all. */
async function heal(mesh: Mesh, held: number): Promise<number> {
  const [three, two] = [mesh.members.slice(0, 3), mesh.members.slice(3)]
  await mesh.tie('fail', three, two)
  await mesh.tie('fail', two, three)
  const appends = { count: missing, recordBytes, perAppend: 500, gapMs: 0 }
  await three[0]?.tell({ kind: 'append', appends })
  const after = held + missing
  await Promise.all(three.map((member) => member.until(after)))
  const lacking = (await Promise.all(two.map((one) => one.figures()))).map(({ records }) => records)
  if (lacking.some((records) => records !== held)) throw new Error('the partition let records pass')
  const said = await Promise.all([mesh.tie('join', two, three), mesh.tie('join', three, two)])
  const whole = await mesh.until(after)
  return whole - Math.min(...said)
}

tellConditions()
{
  await using pair = await Mesh.start(2, place)
  await latency(pair)
}
{
  await using mesh = await Mesh.start(size, place)
  const othersSince = watchLoad(mesh.members.map(({ pid }) => pid))
  let held = await latency(mesh)
  for (const perSecond of ratesPerSecond) held = await amplification(mesh, held, perSecond)
  await idle(mesh)
  const took: number[] = []
  for (; took.length < heals; held += missing) took.push(await heal(mesh, held))
  const name = `partition of three and two healed, ${missing} records missing`
  tellSpread(name, took, 'ms', { most: bounds.healMs })
  tellValue('used by others', othersSince(), 'share of all processors')
}
