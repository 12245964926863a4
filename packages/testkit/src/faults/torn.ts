/**
 * A tail that was torn: of what one commit wrote into a file only the first bytes are there, and
 * behind them is what was there before.
 */
import { ConformanceFailure, expectThat } from '../expect.ts'
import type { Bench } from './bench.ts'
import { tally } from './bench.ts'
import type { History } from './history.ts'
import { putImage, takeImage } from './image.ts'
import type { Image } from './image.ts'
import { judgeDirectory } from './judge.ts'
import type { Bounds, Finding } from './judge.ts'

/** The files before and after one commit, which was the step `steps`. */
interface Commit {
  readonly before: Image
  readonly after: Image
  readonly steps: number
}

interface Cut {
  readonly commit: Commit
  readonly file: string
  /** So many bytes of the file are as after the commit. */
  readonly at: number
}

/** Cuts of one commit in the long form: all of them, unless a store writes much at a time. */
const cutsMax = 5_000
const shortCuts = 20

export function tornTails(bench: Bench): void {
  const history = bench.history(200)
  const commits = recordCommits(bench, history, bench.full ? [1, 3, 8] : [1, 8])
  const outcomes: string[] = []
  const directory = bench.folder()
  for (const commit of commits) {
    const cuts = cutsOf(commit)
    expectThat(cuts.length > 0, `step ${commit.steps} wrote nothing into any file`)
    const count = bench.full ? cutsMax : shortCuts / commits.length
    for (const cut of spread(cuts, count)) {
      outcomes.push(tryCut(bench, directory, history, cut))
    }
    bench.report(`torn tails: step ${commit.steps} wrote ${cuts.length} bytes`)
  }
  bench.report(`torn tails: ${outcomes.length} cuts, ${tally(outcomes)}`)
}

/** So many of them, evenly; all where there are no more. */
function spread(cuts: readonly Cut[], count: number): readonly Cut[] {
  if (cuts.length <= count) return cuts
  const step = cuts.length / count
  return Array.from({ length: count }, (_, index) => cuts[Math.floor(index * step)] as Cut)
}

/** Copies of the files of an open store: as a process leaves them that is killed there. */
function recordCommits(
  bench: Bench,
  history: History,
  wanted: readonly number[],
): readonly Commit[] {
  const directory = bench.folder()
  const store = bench.open(directory)
  store.open()
  const commits: Commit[] = []
  try {
    for (let index = 0; index <= Math.max(...wanted); index += 1) {
      const keep = wanted.includes(index)
      const before = keep ? takeImage(directory) : undefined
      store.commit(history.step(index).changes, true)
      if (before === undefined) continue
      commits.push({ before, after: takeImage(directory), steps: index })
    }
  } finally {
    store.close()
  }
  return commits
}

function changedFiles({ before, after }: Commit): readonly string[] {
  const names = new Set([...before.keys(), ...after.keys()])
  return [...names].filter((name) => {
    const [old, now] = [before.get(name), after.get(name)]
    return old === undefined || now === undefined || !old.equals(now)
  })
}

/** Everywhere where another byte of the file is another content. */
function cutsOf(commit: Commit): readonly Cut[] {
  const cuts: Cut[] = []
  for (const file of changedFiles(commit)) {
    const old = commit.before.get(file) ?? Buffer.alloc(0)
    const now = commit.after.get(file)
    if (now === undefined) continue
    for (let at = 0; at < now.length; at += 1) {
      if (at >= old.length || old[at] !== now[at]) cuts.push({ commit, file, at })
    }
  }
  return cuts
}

function torn({ commit, file, at }: Cut): Buffer {
  const old = commit.before.get(file) ?? Buffer.alloc(0)
  const now = commit.after.get(file) ?? Buffer.alloc(0)
  return Buffer.concat([now.subarray(0, at), old.subarray(at)])
}

/** More files than this are not tried in every combination. */
const othersMax = 6

/** Which of the others are as they were before, as bits: few at a time first. */
function choices(others: number): readonly number[] {
  const bits = (choice: number): number => choice.toString(2).replaceAll('0', '').length
  const all = Array.from({ length: 2 ** Math.min(others, othersMax) }, (_, choice) => choice)
  return all.sort((a, b) => bits(a) - bits(b))
}

/**
 * In which order a store writes its files only the store knows. So the torn file is put among the
 * others as they were before and after, in every combination. Each must hold a prefix or say that
 * it is damaged, and one of them, the one that can happen, must hold a prefix.
 */
function tryCut(bench: Bench, directory: string, history: History, cut: Cut): string {
  const { commit, file, at } = cut
  const others = changedFiles(commit).filter((name) => name !== file)
  const bounds = { atLeast: commit.steps, atMost: commit.steps + 1 }
  const what = `${file} cut at byte ${at} of step ${commit.steps}`
  const said: string[] = []
  for (const choice of choices(others.length)) {
    const image = new Map(commit.after)
    others.forEach((name, index) => {
      if ((choice & (1 << index)) === 0) return
      const old = commit.before.get(name)
      if (old === undefined) image.delete(name)
      else image.set(name, old)
    })
    image.set(file, torn(cut))
    putImage(directory, image)
    const found = finding(bench, directory, history, bounds, what)
    if (found.kind === 'prefix') {
      return found.steps > commit.steps ? 'with the commit' : 'without the commit'
    }
    said.push(found.why)
  }
  throw new ConformanceFailure(`${what}: no order of writing leaves it whole: ${said.join('; ')}`)
}

function finding(
  bench: Bench,
  directory: string,
  history: History,
  bounds: Bounds,
  what: string,
): Finding {
  try {
    return judgeDirectory(bench.open, directory, history, bounds)
  } catch (cause) {
    if (!(cause instanceof ConformanceFailure)) throw cause
    throw new ConformanceFailure(`${what}: ${cause.message}`, { cause })
  }
}
