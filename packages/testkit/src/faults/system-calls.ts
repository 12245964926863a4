/** A process that ends at a system call of its store, and system calls that fail. */
import { rmSync } from 'node:fs'
import { ConformanceFailure, expectThat } from '../expect.ts'
import type { Bench } from './bench.ts'
import { inParallel, sample, tally } from './bench.ts'
import { wholeDirectory } from './judge.ts'
import type { Bounds } from './judge.ts'
import type { ChildEnd, ChildPlan } from './run-child.ts'
import { callsOf, runInjected } from './strace.ts'
import type { Injection, StoreCall } from './strace.ts'

const valueBytesMax = 500
const steps = 12

function planOf(bench: Bench, directory: string, bounds: Bounds): ChildPlan {
  return { directory, seed: bench.seed, valueBytesMax, ...bounds, steps: bounds.atMost + steps }
}

const nothing: Bounds = { atLeast: 0, atMost: 0 }

function allCalls(bench: Bench): Promise<readonly StoreCall[]> {
  bench.shared.calls ??= callsOf(bench.subject, planOf(bench, bench.folder(), nothing))
  return bench.shared.calls
}

type Kinds = readonly StoreCall['kind'][]

/** So many calls of each kind. */
function chosen(
  bench: Bench,
  calls: readonly StoreCall[],
  kinds: Kinds,
  ofEach: number,
): readonly StoreCall[] {
  return kinds.flatMap((kind) => {
    const ofKind = calls.filter((call) => call.kind === kind)
    return sample(ofKind, ofEach, bench.random)
  })
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
  await inParallel(chosen(bench, calls, kinds, ofEach), async ({ name, nth }) => {
    const directory = bench.folder()
    const lives = bench.full ? [nth, 1 + bench.random.below(nth + 5)] : [nth]
    let bounds = nothing
    for (const when of lives) {
      const injection: Injection = { call: name, what: 'signal=KILL', when: String(when) }
      const plan = planOf(bench, directory, bounds)
      const end = await named(injection, () => runInjected(bench.subject, plan, injection))
      outcomes.push(end.signal === 'SIGKILL' ? 'killed' : 'not met')
      bounds = end.bounds
    }
    await named({ call: name, what: 'signal=KILL', when: lives.join(', ') }, () =>
      wholeDirectory(bench.open, directory, history, bounds),
    )
    rmSync(directory, { recursive: true })
  })
  expectThat(outcomes.includes('killed'), 'a process was killed at a system call')
  const able = calls.filter(({ kind }) => kinds.includes(kind))
  const names = tally(able.map(({ name }) => name))
  bench.report(`kill -9 at system calls: ${tally(outcomes)}; calls of one life: ${names}`)
}

/** Says with a failure what was done. */
async function named<Result>(
  { call, what, when }: Injection,
  run: () => Promise<Result> | Result,
): Promise<Result> {
  try {
    return await run()
  } catch (cause) {
    if (!(cause instanceof ConformanceFailure)) throw cause
    throw new ConformanceFailure(`${what} at ${call} ${when}: ${cause.message}`, { cause })
  }
}

/** Calls of a kind that are made to fail in the long form, each in several ways. */
const failingMax = 80

/** Each failing call once, again and again, and from some call on for good. */
function injections(bench: Bench, calls: readonly StoreCall[]): readonly Injection[] {
  const kinds: Kinds = bench.full ? ['write', 'sync', 'change', 'read'] : ['write', 'sync', 'read']
  return chosen(bench, calls, kinds, bench.full ? failingMax : 1).flatMap(
    ({ name, nth, kind }): Injection[] => {
      // Only what takes space is refused for want of it.
      const errors = kind === 'sync' || kind === 'read' ? ['EIO'] : ['ENOSPC', 'EIO']
      const whens = bench.full
        ? [`${nth}`, `${nth}+${5 + (nth % 7)}`, ...(nth % 4 === 0 ? [`${nth}+`] : [])]
        : [`${nth}+9`]
      const wanted = bench.full ? errors : errors.slice(0, 1)
      return wanted.flatMap((error) =>
        whens.map((when): Injection => ({ call: name, what: `error=${error}`, when })),
      )
    },
  )
}

/** What a life met: by the code of each failed commit or opening. */
function failuresOf({ entries }: ChildEnd): readonly string[] {
  return entries.flatMap((entry) => {
    if (entry.kind !== 'failed') return []
    return [entry.code.startsWith('untyped') ? 'others' : entry.code]
  })
}

export async function failingCalls(bench: Bench): Promise<void> {
  const history = bench.history(valueBytesMax)
  const calls = await allCalls(bench)
  // Nothing that only takes away, which no disk refuses for want of space.
  const able = calls.filter(({ name }) => !/unlink|rename/.test(name))
  const all = injections(bench, able)
  const met: string[] = []
  const ends: string[] = []
  await inParallel(all, async (injection) => {
    const directory = bench.folder()
    await named(injection, async () => {
      const end = await runInjected(bench.subject, planOf(bench, directory, nothing), injection)
      const failures = failuresOf(end)
      const mistaken = failures.includes('ERR_LOG_CORRUPT')
      expectThat(!mistaken, 'what the system refused was not taken for damage')
      met.push(...failures)
      ends.push(end.entries.at(-1)?.kind === 'closed' ? 'to their end' : 'given up')
      wholeDirectory(bench.open, directory, history, end.bounds)
    })
    rmSync(directory, { recursive: true })
  })
  expectThat(met.length > 0, 'a failing system call was noticed')
  bench.report(`failing system calls: ${all.length} lives (${tally(ends)}), met: ${tally(met)}`)
}
