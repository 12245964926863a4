/**
 * `npm run sim -- lifeguard`: what each part of Lifeguard is worth, as the paper asks it, over a
 * grid of how many members are blocked, for how long, and how long they are not in between.
 */
import { detectors } from '../gossip/lifeguard.ts'
import type { Blocking, Cell, Column, Found } from '../gossip/lifeguard.ts'
import { readEvidence, writeEvidence } from './evidence.ts'
import { codeVersion, Journal } from './journal.ts'
import { runJobs } from './pool.ts'
import type { Job } from './pool.ts'

export interface LifeguardOptions {
  readonly grid: 'quick' | 'full'
  readonly blocking: Blocking
  /** Only the cells with so many blocked members: a part of hours, whose evidence can be summed. */
  readonly blocked?: readonly number[] | undefined
  readonly workers?: number | undefined
  readonly minutes?: number | undefined
  readonly journal?: string | undefined
  readonly evidence?: string | undefined
}

interface Grid {
  readonly blocked: readonly number[]
  readonly blockedMs: readonly number[]
  readonly openMs: readonly number[]
}

interface ShareMax {
  readonly column: Column
  readonly all: number
  readonly healthy: number
}

/** The paper's, and a few of its cells in which plain SWIM errs. */
const grids: Readonly<Record<LifeguardOptions['grid'], Grid>> = {
  full: {
    blocked: [1, 4, 8, 12, 16, 20, 24, 28, 32],
    blockedMs: [128, 512, 2048, 8192, 16_384, 32_768],
    openMs: [1, 4, 16, 64, 256, 1024, 4096, 16_384],
  },
  quick: { blocked: [8, 32], blockedMs: [8192, 16_384], openMs: [4, 16] },
}

const columns = Object.keys(detectors) as readonly Column[]
/** What the paper found of its three parts. */
const partsShareMax = 0.025
/**
 * Of what plain SWIM errs: all failures, and those that healthy members report. Where processes
 * stand still the three parts alone are told and not judged: a member that stood still carries out
 * what ran out meanwhile before it reads what would have prevented it (ADR 31). Where messages are
 * held up, as the paper's were, the three parts are what the paper says they are.
 */
const shareMax: Readonly<Record<Blocking, readonly ShareMax[]>> = {
  processes: [{ column: 'Kith', all: 0.005, healthy: 0.002 }],
  messages: [
    { column: 'Lifeguard', all: partsShareMax, healthy: partsShareMax },
    { column: 'Kith', all: partsShareMax, healthy: partsShareMax },
  ],
}
const falseMin = 1000
/** Before the line of an evidence file that `sumParts` reads. */
const partMark = 'part: '

/** All cells of a grid in one column after another; the seed names the cell. */
function cellsOf(grid: LifeguardOptions['grid'], blocking: Blocking): readonly Cell[] {
  const { blocked, blockedMs, openMs } = grids[grid]
  const cells: Cell[] = []
  let seed = 0
  for (const stopped of blocked) {
    for (const lastsMs of blockedMs) {
      for (const pauseMs of openMs) {
        seed += 1
        for (const column of columns) {
          const times = { blockedMs: lastsMs, openMs: pauseMs }
          cells.push({ blocking, blocked: stopped, ...times, column, seed })
        }
      }
    }
  }
  return cells
}

function keyOf({ blocking, blocked, blockedMs, openMs, column, seed }: Cell): string {
  const only = blocking === 'messages' ? ' messages' : ''
  return `${blocked}/${blockedMs}/${openMs} ${column} ${seed}${only}`
}

type Sums = Record<keyof Found, number>

/** What the evidence of a part holds besides its table, in one line. */
interface Part {
  readonly code: string
  /** Not in files of before there was a choice, which are of `processes`. */
  readonly blocking?: Blocking
  readonly blocked: readonly number[]
  readonly seconds: number
  readonly sums: Readonly<Record<string, Sums>>
}

function sumOf(list: readonly Found[]): Sums {
  const sums = { falseAll: 0, falseHealthy: 0, failures: 0, packets: 0, bytes: 0 }
  for (const found of list) {
    for (const name of Object.keys(sums) as (keyof Found)[]) sums[name] += found[name]
  }
  return sums
}

/** True where the whole grid was run and what ships kept within its share. */
export async function lifeguard(
  options: LifeguardOptions,
  print: (line: string) => void,
): Promise<boolean> {
  const cells = cellsOf(options.grid, options.blocking).filter(
    ({ blocked }) => options.blocked?.includes(blocked) ?? true,
  )
  if (cells.length === 0) throw new Error('--blocked names no cell of this grid')
  const journal = new Journal<Found>(options.journal)
  const endsAt = performance.now() + (options.minutes ?? Infinity) * 60_000
  const module = new URL('../gossip/lifeguard.ts', import.meta.url).href
  const jobs = cells
    .filter((cell) => !journal.results.has(keyOf(cell)))
    .map((cell): Job => ({ key: keyOf(cell), module, run: 'runCell', argument: cell }))
  const enough = (): boolean => performance.now() > endsAt
  const { workers } = options
  const pool = workers === undefined ? { enough } : { enough, workers }
  await runJobs<Found>(jobs, ({ key }, found, seconds) => journal.add(key, seconds, found), pool)
  const left = cells.filter((cell) => !journal.results.has(keyOf(cell))).length
  print(`${cells.length - left} of ${cells.length} runs done, ${journal.seconds.toFixed(0)} s`)
  return left === 0 && report(options, cells, journal, print)
}

function report(
  options: LifeguardOptions,
  cells: readonly Cell[],
  journal: Journal<Found>,
  print: (line: string) => void,
): boolean {
  const sums = new Map(
    columns.map((column) => {
      const own = cells.filter((cell) => cell.column === column)
      return [column, sumOf(own.flatMap((cell) => journal.results.get(keyOf(cell)) ?? []))]
    }),
  )
  const { grid, blocking, blocked } = options
  const body = [...table(sums), ...remarksOf(sums, blocking)]
  for (const line of body) print(line)
  const problems = problemsOf(sums, blocking, blocked !== undefined)
  for (const problem of problems) print(`missed: ${problem}`)
  if (options.evidence !== undefined) {
    const part: Part = {
      code: codeVersion(),
      blocking,
      blocked: [...new Set(cells.map((cell) => cell.blocked))],
      seconds: journal.seconds,
      sums: Object.fromEntries(sums),
    }
    const only = blocked === undefined ? '' : ` --blocked ${blocked.join(',')}`
    const file = writeEvidence({
      name: options.evidence,
      command: `npm run sim -- lifeguard --grid ${grid} --blocking ${blocking}${only}`,
      result: verdict(cells.length, problems),
      seconds: journal.seconds,
      body: [...headline(cells.length, blocking), ...body, '', partMark + JSON.stringify(part)],
    })
    print(`written to ${file}`)
  }
  return problems.length === 0
}

/** The evidence of all parts of the full grid as that of the whole; throws where one is missing. */
export function sumParts(names: readonly string[], print: (line: string) => void): boolean {
  const parts = names.map((name): Part => {
    const line = readEvidence(name).find((text) => text.startsWith(partMark))
    if (line === undefined) throw new Error(`${name} is no part of the grid`)
    return JSON.parse(line.slice(partMark.length)) as Part
  })
  const covered = parts.flatMap(({ blocked }) => blocked).toSorted((a, b) => a - b)
  if (covered.join() !== grids.full.blocked.join()) {
    throw new Error(`the parts have ${covered.join()}, the grid has ${grids.full.blocked.join()}`)
  }
  if (new Set(parts.map(({ code }) => code)).size > 1) throw new Error('parts of different code')
  const [blocking = 'processes', ...others] = new Set(
    parts.map((part) => part.blocking ?? 'processes'),
  )
  if (others.length > 0) throw new Error('parts of different kinds of blocking')
  const sums = new Map(
    columns.map((column) => [column, sumOf(parts.flatMap((part) => part.sums[column] ?? []))]),
  )
  const body = [...table(sums), ...remarksOf(sums, blocking)]
  const problems = problemsOf(sums, blocking, false)
  for (const line of [...body, ...problems]) print(line)
  const count = cellsOf('full', blocking).length
  const file = writeEvidence({
    name: blocking === 'processes' ? 'lifeguard-full' : `lifeguard-${blocking}-full`,
    command: `npm run sim -- lifeguard --sum ${names.join(',')}`,
    result: verdict(count, problems),
    seconds: parts.reduce((sum, { seconds }) => sum + seconds, 0),
    body: [...headline(count, blocking), ...body],
  })
  print(`written to ${file}`)
  return problems.length === 0
}

/** Where the three parts alone stay above what the paper found, and are not judged by that. */
function remarksOf(sums: ReadonlyMap<Column, Sums>, blocking: Blocking): readonly string[] {
  if (shareMax[blocking].some(({ column }) => column === 'Lifeguard')) return []
  const plain = sums.get('plain SWIM') ?? sumOf([])
  const { falseAll = 0 } = sums.get('Lifeguard') ?? {}
  if (falseAll <= partsShareMax * plain.falseAll) return []
  const most = `${partsShareMax * 100} %`
  return [
    '',
    `Lifeguard's three parts alone stay above ${most} of plain SWIM (ADR 31), which is no bound.`,
  ]
}

function verdict(runs: number, problems: readonly string[]): string {
  return problems.length === 0 ? `${runs / columns.length} cells, held` : problems.join('; ')
}

const headlines: Readonly<Record<Blocking, string>> = {
  processes: 'Blocked members stand still as a whole, as by SIGSTOP.',
  messages:
    'Of blocked members only what they send and receive is held up; their timers and all that they decide go on.',
}

function headline(runs: number, blocking: Blocking): readonly string[] {
  const cells = runs / columns.length
  const size = `N = 128, profile lan, 120 s of blocking and 60 s after it, ${cells} cells.`
  return [`${size} ${headlines[blocking]}`, '']
}

function table(sums: ReadonlyMap<Column, Sums>): readonly string[] {
  const plain = sums.get('plain SWIM') ?? sumOf([])
  const share = (count: number, whole: number): string =>
    whole === 0 ? '-' : `${((count / whole) * 100).toFixed(2)} %`
  const rows = [...sums].map(([column, sum]) => {
    const all = `${sum.falseAll} | ${share(sum.falseAll, plain.falseAll)}`
    const healthy = `${sum.falseHealthy} | ${share(sum.falseHealthy, plain.falseHealthy)}`
    const traffic = `${sum.packets} | ${(sum.bytes / 2 ** 20).toFixed(0)} MiB`
    return `| ${column} | ${all} | ${healthy} | ${sum.failures} | ${traffic} |`
  })
  return [
    'FP: failures of members that were never blocked, over all members. FP-: those of them at members that were never blocked either. Lifeguard is the three parts together; Kith is that and what is ours (ADR 6, ADR 18), as shipped.',
    '',
    '| detector | FP | of plain | FP- | of plain | failures of the blocked | packets | bytes |',
    '|---|---|---|---|---|---|---|---|',
    ...rows,
  ]
}

/** A part need not have enough errors of plain SWIM, and with few a share of them says nothing. */
function problemsOf(
  sums: ReadonlyMap<Column, Sums>,
  blocking: Blocking,
  part: boolean,
): readonly string[] {
  const plain = sums.get('plain SWIM') ?? sumOf([])
  const problems: string[] = []
  if (plain.falseAll < falseMin) {
    if (part) return problems
    problems.push(`plain SWIM errs ${plain.falseAll} times, not ${falseMin}: it proves little`)
  }
  for (const { column, all, healthy } of shareMax[blocking]) {
    const { falseAll = 0, falseHealthy = 0 } = sums.get(column) ?? {}
    if (falseAll > all * plain.falseAll) problems.push(`FP of ${column}`)
    if (falseHealthy > healthy * plain.falseHealthy) problems.push(`FP- of ${column}`)
  }
  return problems
}
