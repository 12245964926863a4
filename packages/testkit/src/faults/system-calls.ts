/** A process that ends at a system call of its store, and system calls that fail. */
import { rmSync } from 'node:fs'
import { ConformanceFailure, expectThat } from '../expect.ts'
import type { Bench } from './bench.ts'
import { inParallel, sample, tally } from './bench.ts'
import { wholeDirectory } from './judge.ts'
import type { Bounds } from './judge.ts'
import type { ChildEnd, ChildPlan } from './run-child.ts'
import { callsOf, runInjected } from './strace.ts'
import type { InjectedEnd, Injection, StoreCall } from './strace.ts'

const valueBytesMax = 500
const steps = 12

function planOf({ seed }: Pick<Bench, 'seed'>, directory: string, bounds: Bounds): ChildPlan {
  return { directory, seed, valueBytesMax, ...bounds, steps: bounds.atMost + steps }
}

const nothing: Bounds = { atLeast: 0, atMost: 0 }

function allCalls(bench: Bench): Promise<readonly StoreCall[]> {
  bench.shared.calls ??= callsOf(bench.subject, planOf(bench, bench.folder(), nothing))
  return bench.shared.calls
}

type Kinds = readonly StoreCall['kind'][]

/** So many calls of each kind, and as many that threads beside make first. */
function chosen(
  bench: Bench,
  calls: readonly StoreCall[],
  kinds: Kinds,
  ofEach: number,
): readonly StoreCall[] {
  return kinds.flatMap((kind) =>
    [false, true].flatMap((beside) => {
      const ofKind = calls.filter((call) => call.kind === kind && call.beside === beside)
      return sample(ofKind, ofEach, bench.random)
    }),
  )
}

/** The process ends before each of its calls, and once more somewhere in its recovery. */
export async function killsAtCalls(bench: Bench): Promise<void> {
  const history = bench.history(valueBytesMax)
  const calls = await allCalls(bench)
  expectThat(calls.length > 0, 'the store makes system calls on files in its directory')
  const outcomes: string[] = []
  // Killed before a read it leaves what it leaves before the next call that changes something.
  const kinds: Kinds = bench.full ? ['write', 'sync', 'change'] : ['write', 'sync']
  const ofEach = bench.full ? calls.length : 1
  const able = distinct(calls.filter(({ kind }) => kinds.includes(kind)))
  await inParallel(chosen(bench, able, kinds, ofEach), async ({ name, file, nth }) => {
    const directory = bench.folder()
    const lives = bench.full ? [nth, 1 + bench.random.below(nth + 5)] : [nth]
    let bounds = nothing
    for (const when of lives) {
      const what = 'signal=KILL'
      const injection: Injection = { call: name, file, what, when: String(when) }
      const plan = planOf(bench, directory, bounds)
      const end = await named(injection, () => runInjected(bench.subject, plan, injection))
      const killed = end.endedBeside ? 'killed in a thread beside' : 'killed'
      outcomes.push(end.signal === 'SIGKILL' ? killed : 'not met')
      bounds = end.bounds
    }
    await named({ call: name, file, what: 'signal=KILL', when: lives.join(', ') }, () =>
      wholeDirectory(bench.open, directory, history, bounds),
    )
    rmSync(directory, { recursive: true })
  })
  expectThat(
    outcomes.some((outcome) => outcome !== 'not met'),
    'a process was killed at a system call',
  )
  const names = tally(able.map(({ name }) => name))
  bench.report(`kill -9 at system calls: ${tally(outcomes)}; calls of one life: ${names}`)
}

/** Where several threads make a call, a fault meets that which makes it first. */
function distinct(calls: readonly StoreCall[]): readonly StoreCall[] {
  const byPlace = new Map<string, StoreCall>()
  for (const call of calls) {
    const place = `${call.name} ${call.file} ${call.nth}`
    if (!byPlace.has(place)) byPlace.set(place, call)
  }
  return [...byPlace.values()]
}

/** Says with a failure what was done. */
async function named<Result>(
  { call, file, what, when }: Injection,
  run: () => Promise<Result> | Result,
): Promise<Result> {
  try {
    return await run()
  } catch (cause) {
    if (!(cause instanceof ConformanceFailure)) throw cause
    throw new ConformanceFailure(`${what} at ${call} ${when} of '${file}': ${cause.message}`, {
      cause,
    })
  }
}

/** Calls of a kind that are made to fail in the long form, each in several ways. */
const failingMax = 80
/** Lives of the long form in which a write or a flush must have failed. */
const failingLives = 500
/** The long form makes at most so many more, for a store that makes few calls. */
const moreLivesMax = 1_500

/** A life in which a call of this kind fails. */
interface Failing {
  readonly kind: StoreCall['kind']
  readonly injection: Injection
  readonly seed: number
}

/** Only what takes space is refused for want of it. */
function errorsOf({ kind }: StoreCall): readonly string[] {
  return kind === 'sync' || kind === 'read' ? ['EIO'] : ['ENOSPC', 'EIO']
}

/** Each failing call once, again and again, and from some call on for good. */
function failuresOfCalls(bench: Bench, calls: readonly StoreCall[]): readonly Failing[] {
  const kinds: Kinds = bench.full ? ['write', 'sync', 'change', 'read'] : ['write', 'sync', 'read']
  return chosen(bench, calls, kinds, bench.full ? failingMax : 1).flatMap((one): Failing[] => {
    const { name: call, file, nth, kind } = one
    const whens = bench.full
      ? [`${nth}`, `${nth}+${5 + (nth % 7)}`, ...(nth % 4 === 0 ? [`${nth}+`] : [])]
      : [`${nth}+9`]
    const wanted = bench.full ? errorsOf(one) : errorsOf(one).slice(0, 1)
    return wanted.flatMap((error) =>
      whens.map((when): Failing => {
        const injection: Injection = { call, file, what: `error=${error}`, when }
        return { kind, injection, seed: bench.seed }
      }),
    )
  })
}

/** Another history, one of its writes or flushes at random, and again and again from there. */
function failureAtRandom(bench: Bench, calls: readonly StoreCall[], life: number): Failing {
  const { random, seed } = bench
  const able = calls.filter(({ kind }) => kind === 'write' || kind === 'sync')
  const [one] = sample(able, 1, random)
  if (one === undefined) throw new Error('the store writes and flushes nothing')
  const errors = errorsOf(one)
  const error = errors[random.below(errors.length)] ?? 'EIO'
  const when = `${one.nth}+${2 + random.below(12)}`
  const injection: Injection = { call: one.name, file: one.file, what: `error=${error}`, when }
  return { kind: one.kind, injection, seed: seed * moreLivesMax + life }
}

/** What lives met: by the code of each failed commit or opening. */
function failuresOf({ entries }: ChildEnd): readonly string[] {
  return entries.flatMap((entry) => {
    if (entry.kind !== 'failed') return []
    return [entry.code.startsWith('untyped') ? 'others' : entry.code]
  })
}

/** What came of all of them. */
class Failures {
  readonly met: string[] = []
  private lives = 0
  private beside = 0
  /** Calls that failed, and lives in which any did, by kind of the call. */
  private readonly calls: StoreCall['kind'][] = []
  private readonly struck: StoreCall['kind'][] = []
  private readonly ends: string[] = []

  add(kind: StoreCall['kind'], end: InjectedEnd): void {
    const failures = failuresOf(end)
    const mistaken = failures.includes('ERR_LOG_CORRUPT')
    expectThat(!mistaken, 'what the system refused was not taken for damage')
    this.lives += 1
    this.met.push(...failures)
    this.calls.push(...Array<StoreCall['kind']>(end.hits).fill(kind))
    this.beside += end.hitsBeside
    if (end.hits === 0) return
    this.struck.push(kind)
    this.ends.push(end.entries.at(-1)?.kind === 'closed' ? 'to their end' : 'given up')
  }

  /** Lives in which a write or a flush failed. */
  get storing(): number {
    return this.struck.filter((kind) => kind === 'write' || kind === 'sync').length
  }

  toString(): string {
    const { lives, struck, storing, beside } = this
    const ofThreads = beside > 0 ? `, ${beside} of them in threads beside` : ''
    return (
      `failing system calls: ${lives} lives, ${struck.length} in which one failed ` +
      `(${tally(this.ends)}), ${storing} of them at a write or a flush; calls that failed: ` +
      `${tally(this.calls)}${ofThreads}; met: ${tally(this.met)}`
    )
  }
}

export async function failingCalls(bench: Bench): Promise<void> {
  const calls = await allCalls(bench)
  // Nothing that only takes away, which no disk refuses for want of space.
  const able = distinct(calls.filter(({ name }) => !/unlink|rename/.test(name)))
  const found = new Failures()
  const live = async ({ kind, injection, seed }: Failing): Promise<void> => {
    const directory = bench.folder()
    await named(injection, async () => {
      const plan = planOf({ seed }, directory, nothing)
      const end = await runInjected(bench.subject, plan, injection)
      found.add(kind, end)
      wholeDirectory(bench.open, directory, bench.history(valueBytesMax, seed), end.bounds)
    })
    rmSync(directory, { recursive: true })
  }
  await inParallel(failuresOfCalls(bench, able), live)
  if (bench.full) {
    const more = Array.from({ length: moreLivesMax }, (_, life) => life)
    await inParallel(more, async (life) => {
      if (found.storing < failingLives) await live(failureAtRandom(bench, able, life))
    })
    const enough = `a write or a flush failed in ${failingLives} lives, not in ${found.storing}`
    expectThat(found.storing >= failingLives, enough)
  }
  expectThat(found.met.length > 0, 'a failing system call was noticed')
  bench.report(String(found))
}
