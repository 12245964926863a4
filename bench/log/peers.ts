/**
 * Logs of ours beside what else keeps records for a Node.js process: Redis streams and JetStream in
 * their own processes, hypercore, lmdb and plain rows in SQLite in this one; and R, the least that
 * any durable log must do. All in one run on one file system, slice after slice in turn, each round
 * in another order; what is told are ratios round by round, with their quartiles. A commit is sent
 * when the one before was acknowledged. What that acknowledgement means differs, and is told with
 * the figures: what is weaker than ours flatters whoever gives it.
 *
 * Prints one line of JSON a figure and exits with 1 where a bound is missed: at 1 KiB x 100 a
 * commit the sqlite store at least 5 times Redis, 6 times a JetStream that flushes each record, 3.5
 * times hypercore and 1.0 times lmdb, the segment store twice the first three; the segment store on
 * the caller's thread at least 0.85 R in each cell, and R in the geometric mean of all; reading in
 * order at least 1,500,000 records of 1 KiB a second; at most 1.15 bytes on the disk for one of
 * payload.
 * `--long` takes five times the rounds. A server that is not installed is named and left out.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { MissingError } from './support/contender.ts'
import type { Contender, OpenContender } from './support/contender.ts'
import { openHypercore } from './support/hypercore.ts'
import { openJetStream } from './support/jetstream.ts'
import { openLmdb } from './support/lmdb.ts'
import { watchLoad } from './support/load.ts'
import { openOurs } from './support/ours.ts'
import { openRaw } from './support/raw.ts'
import { openRedis } from './support/redis.ts'
import { endOnSignals, inPlace } from './support/place.ts'
import { print, tellConditions, tellSpread, tellValue } from './support/report.ts'
import type { Bound } from './support/report.ts'
import { appendRates, readRates, readsForProcessor } from './support/slices.ts'
import type { Rates } from './support/slices.ts'
import { allocatedBytes } from './support/space.ts'
import { openSqliteRows } from './support/sqlite-rows.ts'
import { geometricMean, ratios, spread } from './support/statistics.ts'

const long = process.argv.includes('--long')
const rounds = Number(process.env['KITH_BENCH_ROUNDS'] ?? (long ? 60 : 12))
const sliceMs = Number(process.env['KITH_BENCH_SLICE_MS'] ?? 250)
/** Cells are measured whose name has this in it. */
const wanted = process.env['KITH_BENCH_CELL'] ?? ''
const readPlan = { rounds, sliceMs: sliceMs / 2 }

interface Cell {
  readonly name: string
  readonly recordBytes: number
  readonly perCommit: number
  /** The one with targets: it is read back, and its space is looked at. */
  readonly judged: boolean
}

const cells: readonly Cell[] = [
  { name: '1 KiB x 100', recordBytes: 1024, perCommit: 100, judged: true },
  { name: '1 KiB x 1', recordBytes: 1024, perCommit: 1, judged: false },
  { name: '100 B x 100', recordBytes: 100, perCommit: 100, judged: false },
]

const ours = ['sqlite inline', 'sqlite worker', 'segment inline', 'segment worker']
const readsMin = 1_500_000
const spaceMax = 1.15
/** Whose space is looked at, and how large they are then; what there is of the others is told. */
const spaceJudged = ['sqlite inline', 'segment inline']
const spacePayload = Number(process.env['KITH_BENCH_SPACE_MIB'] ?? 1_024) * 2 ** 20

/** What a store of ours shall be of a peer, at 1 KiB x 100: of each way to use that peer. */
const targets: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  sqlite: { redis: 5, 'jetstream synced': 6, hypercore: 3.5, lmdb: 1 },
  segment: { redis: 10, 'jetstream synced': 12, hypercore: 7 },
}

/** Which log is judged by R, in each cell and over all. */
const judgedByRaw = { name: 'segment inline', least: 0.85, meanLeast: 1 }

const everyone: Readonly<Record<string, OpenContender>> = {
  raw: async (directory) => openRaw(directory),
  'sqlite-inline': (directory) => openOurs(directory, 'sqlite', 'inline'),
  'sqlite-worker': (directory) => openOurs(directory, 'sqlite', 'worker'),
  'segment-inline': (directory) => openOurs(directory, 'segment', 'inline'),
  'segment-worker': (directory) => openOurs(directory, 'segment', 'worker'),
  'sqlite-rows': async (directory) => openSqliteRows(directory),
  'lmdb-inline': (directory) => openLmdb(directory, 'inline'),
  'lmdb-worker': (directory) => openLmdb(directory, 'worker'),
  hypercore: openHypercore,
  'redis-pipeline': (directory) => openRedis(directory, false),
  'redis-transaction': (directory) => openRedis(directory, true),
  jetstream: (directory) => openJetStream(directory, false),
  'jetstream-synced': (directory) => openJetStream(directory, true),
}

/** All that this machine has; who is missing was told with the first cell. */
async function openAll(place: string, tellMissing: boolean): Promise<readonly Contender[]> {
  const contenders: Contender[] = []
  for (const [name, open] of Object.entries(everyone)) {
    const directory = join(place, name)
    mkdirSync(directory)
    try {
      contenders.push(await open(directory))
    } catch (cause) {
      if (!(cause instanceof MissingError)) throw cause
      if (tellMissing) print({ figure: 'SKIPPED', contender: name, reason: cause.message })
    }
  }
  return contenders
}

function boundOf(name: string, peer: string, cell: Cell): Bound {
  if (isRaw(peer)) return name === judgedByRaw.name ? { least: judgedByRaw.least } : {}
  const store = targets[name.split(' ', 1)[0] ?? '']
  const least = store?.[peer] ?? store?.[peer.split(' ', 1)[0] ?? '']
  return !cell.judged || least === undefined ? {} : { least }
}

function isRaw(peer: string): boolean {
  return peer.startsWith('raw')
}

function tellRates(title: string, rates: Rates, least?: number): void {
  for (const [{ name }, values] of rates) {
    const bound = least !== undefined && ours.includes(name) ? { least } : {}
    tellSpread(`${title}: ${name}`, values, 'records/s', bound)
  }
}

/** Returns the ratios to R of ours, for the mean over all cells. */
function tellRatios(cell: Cell, rates: Rates): ReadonlyMap<string, number> {
  const toRaw = new Map<string, number>()
  for (const [{ name }, values] of rates) {
    if (!ours.includes(name)) continue
    for (const [peer, theirs] of rates) {
      if (ours.includes(peer.name)) continue
      const pairs = ratios(values, theirs)
      const figure = `${cell.name}, append: ${name} / ${peer.name}`
      tellSpread(figure, pairs, 'ratio', boundOf(name, peer.name, cell))
      if (isRaw(peer.name)) toRaw.set(name, spread(pairs).median)
    }
  }
  return toRaw
}

async function measure(cell: Cell, place: string): Promise<ReadonlyMap<string, number>> {
  const contenders = await openAll(place, cell.judged)
  const pids = contenders.flatMap(({ pid }) => pid ?? [])
  const written = new Map<Contender, number>()
  let stopped = false
  try {
    if (cell.judged) {
      for (const { name, version, guarantee } of contenders) {
        print({ contender: name, version, ...guarantee })
      }
    }
    const values = Array.from({ length: cell.perCommit }, () =>
      crypto.getRandomValues(Buffer.alloc(cell.recordBytes)),
    )
    const counted = contenders.map((contender) => {
      const counting: Contender = {
        ...contender,
        append: (group) => {
          const bytes = group.length * cell.recordBytes
          written.set(counting, (written.get(counting) ?? 0) + bytes)
          return contender.append(group)
        },
      }
      return counting
    })
    const otherLoad = watchLoad(pids)
    const rates = await appendRates(counted, values, { rounds, sliceMs })
    tellRates(`${cell.name}, append`, rates)
    const toRaw = tellRatios(cell, rates)
    if (cell.judged) await tellReads(cell, counted)
    tellValue(`${cell.name}: used by others`, otherLoad(), 'share of all processors')
    if (cell.judged) {
      for (const contender of counted) await fillUp(contender, values, written.get(contender) ?? 0)
    }
    for (const contender of contenders) await contender.stop()
    stopped = true
    if (cell.judged) tellSpace(written)
    return toRaw
  } finally {
    if (!stopped) await Promise.allSettled(contenders.map(async (contender) => contender.stop()))
  }
}

async function tellReads(cell: Cell, contenders: readonly Contender[]): Promise<void> {
  const reads = await readRates(contenders, cell.recordBytes, readPlan)
  tellRates(`${cell.name}, read in order`, reads, readsMin)
  for (const contender of contenders.filter(({ name }) => ours.includes(name))) {
    const figure = `${cell.name}, read in order: ${contender.name}, of a processor`
    const rate = await readsForProcessor(contender, 2 * sliceMs)
    tellValue(figure, rate, 'records for a second of processor time')
  }
}

/** A file that is filled ahead is much of a small log, and nothing of a large one. */
async function fillUp(
  contender: Contender,
  values: readonly Uint8Array[],
  written: number,
): Promise<void> {
  const payload = values.reduce((sum, value) => sum + value.length, 0)
  if (!spaceJudged.includes(contender.name)) return
  for (let bytes = written; bytes < spacePayload; bytes += payload) await contender.append(values)
}

/** After everything was closed, because what a write-ahead log holds is not lasting. */
function tellSpace(written: ReadonlyMap<Contender, number>): void {
  for (const [{ name, directory }, bytes] of written) {
    const judged = spaceJudged.includes(name)
    // The other writers of ours store the same.
    if (ours.includes(name) && !judged) continue
    const bound = judged ? { most: spaceMax } : {}
    const more = { payloadMiB: Math.round(bytes / 2 ** 20) }
    const unit = 'bytes a byte of payload'
    tellValue(`1 KiB, space: ${name}`, allocatedBytes(directory) / bytes, unit, bound, more)
  }
}

endOnSignals()
tellConditions()
print({ figure: 'slices', rounds, sliceMs })
const toRaw: ReadonlyMap<string, number>[] = []
for (const cell of cells.filter(({ name }) => name.includes(wanted))) {
  toRaw.push(await inPlace((place) => measure(cell, place)))
}
for (const name of ours) {
  const medians = toRaw.map((cell) => cell.get(name) ?? Number.NaN)
  const mean = geometricMean(medians)
  const bound = name === judgedByRaw.name ? { least: judgedByRaw.meanLeast } : {}
  tellValue(`all cells, append: ${name} / raw file (R)`, mean, 'geometric mean', bound)
}
