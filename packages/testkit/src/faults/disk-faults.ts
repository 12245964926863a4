/** What happens to disks, to real ones: no power, no room, no writing, no medium. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ConformanceFailure, expectEqual, expectThat } from '../expect.ts'
import type { Bench } from './bench.ts'
import { inParallel, tally } from './bench.ts'
import { fullDisk, powerDisk, readOnlyDisk } from './disk.ts'
import type { Disk, PowerDisk } from './disk.ts'
import { wholeDirectory } from './judge.ts'
import { runChild } from './run-child.ts'
import type { ChildEnd, ChildPlan } from './run-child.ts'
import { hasStrace, hitsIn } from './strace.ts'

const valueBytesMax = 2_000
const disksAtOnce = [1, 2]

function planOf(bench: Bench, directory: string, held: number, steps: number): ChildPlan {
  const { seed } = bench
  return { directory, seed, valueBytesMax, atLeast: held, atMost: held, steps: held + steps }
}

/** Codes of the commits and openings that failed. */
function failures(end: ChildEnd): readonly string[] {
  return end.entries.flatMap((entry) => (entry.kind === 'failed' ? [entry.code] : []))
}

const powerCuts = 200
/** Fewer steps in a life whose flushes do nothing: it goes on to its end. */
const stepsOfBlind = 100
const cutsOfDirectory = 20

/**
 * The machine dies at a random moment, again and again under the same store. In every second life
 * flushes fail before that, without having flushed: what a store made of those is seen only now.
 */
export async function powerCutsAtRandom(bench: Bench): Promise<void> {
  const history = bench.history(valueBytesMax)
  const found = { cuts: 0, acknowledged: 0, failed: 0, lost: 0 }
  await inParallel(disksAtOnce, async () => {
    using disk = powerDisk(bench.folder())
    let held = 0
    let directory = ''
    for (let cut = 0; cut < powerCuts / disksAtOnce.length; cut += 1) {
      if (cut % cutsOfDirectory === 0) {
        directory = join(disk.folder, `store-${cut}`)
        held = 0
      }
      const plan = planOf(bench, directory, held, 400)
      const end = await lifeWithCut(bench, disk, plan, { cut, flushes: failingFlushes(bench, cut) })
      disk.restart()
      found.cuts += 1
      found.acknowledged += end.bounds.atLeast - held
      found.failed += failures(end).length
      const now = wholeDirectory(bench.open, directory, history, end.bounds)
      if (now < end.bounds.atMost - 1) found.lost += 1
      held = now
    }
  })
  expectThat(found.lost > 0, 'a power cut lost something that was not flushed')
  bench.report(
    `power cuts: ${found.cuts}, ${found.acknowledged} steps acknowledged by a flush, none lost; ` +
      `${found.failed} failures before or after; ${found.lost} cuts lost steps without a flush`,
  )
}

const flushCalls = 'fsync,fdatasync'

/** What happens to flushes before a power cut, in strace's words; undefined: nothing. */
type Flushes = readonly string[] | undefined

/** In every second life some fail. */
function failingFlushes({ random }: Bench, cut: number): Flushes {
  const when = `${8 + random.below(20)}+${6 + random.below(9)}`
  if (cut % 2 === 0 || !hasStrace()) return undefined
  return ['-o', '/dev/null', '-e', `inject=${flushCalls}:error=EIO:when=${when}`]
}

async function lifeWithCut(
  bench: Bench,
  disk: PowerDisk,
  plan: ChildPlan,
  { cut, flushes }: { readonly cut: number; readonly flushes: Flushes },
): Promise<ChildEnd> {
  const { random } = bench
  const strace = ['-f', '-q', '--seccomp-bpf', '-e', `trace=${flushCalls}`, ...(flushes ?? [])]
  return await runChild(bench.subject, plan, {
    ...(flushes === undefined ? {} : { strace }),
    async until({ committed, exited }) {
      await committed(random.below(40))
      if (cut % 3 === 1) disk.writeSome(random)
      const counts = disk.cutPower()
      // It ends by itself: killed would be strace, and not what runs under it.
      if (flushes !== undefined) await exited
      return counts
    },
  })
}

const blindCutsMax = 20

/**
 * What the rig is worth: the same store with flushes that say they are done and do nothing has to
 * be found out. A store that flushes by other calls than these cannot be made so, and is let off.
 */
export async function powerCutsSeeLoss(bench: Bench): Promise<void> {
  const history = bench.history(valueBytesMax)
  using disk = powerDisk(bench.folder())
  const trace = join(bench.folder(), 'trace')
  const flushes = ['-o', trace, '-e', `inject=${flushCalls}:retval=0`]
  for (let cut = 0; cut < blindCutsMax; cut += 1) {
    const directory = join(disk.folder, `store-${cut}`)
    const plan = planOf(bench, directory, 0, stepsOfBlind)
    const { bounds } = await lifeWithCut(bench, disk, plan, { cut, flushes })
    const hits = hitsIn(readFileSync(trace, 'utf8'))
    disk.restart()
    if (hits === 0) return bench.report('power cuts: it flushes by calls that cannot be taken away')
    const lost = whatIsLost(() => wholeDirectory(bench.open, directory, history, bounds))
    if (lost === undefined) continue
    const cuts = `${cut + 1} power ${cut === 0 ? 'cut' : 'cuts'}`
    return bench.report(`power cuts: with flushes that do nothing ${cuts} found it out: ${lost}`)
  }
  throw new ConformanceFailure(
    `${blindCutsMax} power cuts lost nothing of a store whose flushes did nothing`,
  )
}

function whatIsLost(judge: () => number): string | undefined {
  try {
    judge()
    return undefined
  } catch (cause) {
    if (cause instanceof ConformanceFailure) return cause.message
    throw cause
  }
}

const fullDisks = 60

/** A disk that is full at some point, and has room again. */
export async function fullDisksAtRandom(bench: Bench): Promise<void> {
  const history = bench.history(valueBytesMax)
  const met: string[] = []
  await inParallel(Array.from({ length: fullDisks }), async () => {
    using disk = fullDisk(bench.folder(), bench.random.below(800_000))
    const directory = join(disk.folder, 'store')
    const plan = { ...planOf(bench, directory, 0, 30), filler: disk.filler }
    const end = await runChild(bench.subject, plan)
    met.push(...failures(end))
    expectEqual(end.entries.at(-1)?.kind, 'closed', 'with room again it goes on to its end')
    wholeDirectory(bench.open, directory, history, end.bounds)
  })
  expectThat(met.includes('ERR_LOG_STORE_FULL'), 'a commit was refused for want of space')
  bench.report(`full disks: ${fullDisks}, met: ${tally(met)}`)
}

const readOnlyDisks = 30

export async function readOnlyAtRandom(bench: Bench): Promise<void> {
  const met: string[] = []
  await inParallel(Array.from({ length: readOnlyDisks }), async () => {
    using disk = readOnlyDisk(bench.folder())
    met.push(...(await failAndRestart(bench, disk, () => disk.becomeReadOnly())))
  })
  expectThat(met.length > 0, 'a commit failed')
  bench.report(`disks turned read-only: ${readOnlyDisks}, met: ${tally(met)}`)
}

/** A life into which the disk fails, and a look at what is there when it works again. */
async function failAndRestart(
  bench: Bench,
  disk: Disk,
  fail: () => bigint | void,
): Promise<readonly string[]> {
  const history = bench.history(valueBytesMax)
  const directory = join(disk.folder, 'store')
  const end = await runChild(bench.subject, planOf(bench, directory, 0, 400), {
    until: async ({ committed, exited }) => {
      await committed(bench.random.below(30))
      const counts = fail()
      await exited
      return counts
    },
  })
  disk.restart()
  wholeDirectory(bench.open, directory, history, end.bounds)
  return failures(end)
}
