/**
 * What does the registry cost a cluster in which nothing happens? 1,000 whole members in one
 * process over a simulated network without faults, in virtual time: what they send is counted over
 * whole rounds of anti-entropy, with a registry and five services at each, and in a second cluster
 * of the same seed and age with gossip alone. The difference is the registry's. (Gossip alone still
 * carries what a member says of itself beside its first ping to each of the others. In both.)
 *
 * How many announcements fall into that time is chance: among a thousand each comes again after two
 * hours. So there are two figures, the one measured, and the one in the long run: what an
 * announcement cost, as often as the registries' own timers say that it comes, and the digests of
 * the exchanges. The larger one is judged.
 *
 * A thousand members that tell each other of each other do so for longer than anybody waits. They
 * are introduced instead (`World.introduce`), and with 60 members it is shown that this makes
 * little difference at rest: the same is measured in clusters that formed by telling. With 200 the
 * introduced cluster sent 15 % more, so that the figure is rather too high than too low.
 *
 * Prints one line of JSON a figure and exits with 1 where the registry adds more than 1,024 bytes a
 * member and second, or where it matters how a cluster formed. `KITH_BENCH_MEMBERS` makes it
 * smaller, `KITH_BENCH_ALIKE` is for the second part.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type Figure, tell } from './support/figures.ts'
import type { Rest, RestPlan } from './support/at-rest.ts'

const members = Number(process.env['KITH_BENCH_MEMBERS'] ?? 1_000)
const alikeMembers = Number(process.env['KITH_BENCH_ALIKE'] ?? 60)
const extraMax = 1_024
/** Of the registry's cost in the long run, between clusters that formed differently. */
const unlikeMax = 5
const unit = 'bytes a member and second'

/**
 * A thousand members hold five million instances and, as they meet, a million broadcasts: nearly
 * all that is allocated then stays, so that looking for garbage is worth it now and then only.
 * Their millions of small buffers, freed by another thread as is usual, would make each allocation
 * of a packet thirty times as dear.
 */
const execArgv = [
  '--max-old-space-size=14000',
  '--min-semi-space-size=64',
  '--max-semi-space-size=128',
  '--heap-growing-percent=50',
  '--external-memory-accounted-in-global-limit',
  '--no-concurrent-array-buffer-sweeping',
]

interface Cost {
  readonly whole: Rest
  readonly plain: Rest
  readonly added: number
  readonly digests: number
  /** Bytes of each member for one announcement of any. */
  readonly announcement: number
  /** Announcements of the window in the long run. */
  readonly due: number
  readonly addedInLongRun: number
}

/** A process of its own for each cluster, so that memory is given back. */
async function measure(plan: RestPlan): Promise<Rest> {
  const file = fileURLToPath(new URL('support/at-rest-process.ts', import.meta.url))
  const child = fork(file, { execArgv })
  child.send(plan)
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`a cluster of ${plan.members} ended with ${code ?? signal}`)
  })
  const [rest] = await Promise.race([once(child, 'message'), ended])
  ended.catch(() => {})
  return rest
}

async function costOf(count: number, how: RestPlan['how']): Promise<Cost> {
  const [whole, plain] = await Promise.all([
    measure({ members: count, registries: true, how }),
    measure({ members: count, registries: false, how }),
  ])
  if (whole.periodS === undefined) throw new Error(`nobody announced within ${whole.windowS} s`)
  const [packets, digests] = [whole.packets - plain.packets, whole.streams - plain.streams]
  const due = (count * whole.windowS) / whole.periodS
  return {
    whole,
    plain,
    added: packets + digests,
    digests,
    announcement: (packets * whole.windowS) / whole.announcements,
    due,
    addedInLongRun: digests + (packets * due) / whole.announcements,
  }
}

function figuresOf(cost: Cost): Figure[] {
  const { whole, plain } = cost
  return [
    { figure: 'measured over', value: whole.windowS, unit: 's (virtual)' },
    { figure: 'with the registry', value: whole.packets + whole.streams, unit },
    { figure: 'gossip alone', value: plain.packets + plain.streams, unit },
    { figure: 'the registry adds: measured', value: cost.added, unit },
    { figure: 'of it digests', value: cost.digests, unit },
    { figure: 'announcements meanwhile', value: whole.announcements, unit: 'messages' },
    { figure: 'announcements in the long run', value: cost.due, unit: 'messages' },
    { figure: 'a member announces every', value: whole.periodS ?? 0, unit: 's (virtual)' },
    { figure: 'one announcement', value: cost.announcement, unit: 'bytes a member' },
    { figure: 'the registry adds: in the long run', value: cost.addedInLongRun, unit },
    { figure: 'processor time', value: whole.cpuS + plain.cpuS, unit: 's' },
  ]
}

async function part(count: number, how: RestPlan['how']): Promise<Cost> {
  tell([{ figure: `members, ${how}`, value: count, unit: 'members' }])
  const cost = await costOf(count, how)
  tell(figuresOf(cost))
  return cost
}

const told = await part(alikeMembers, 'told')
const introduced = await part(alikeMembers, 'introduced')
const unlike = Math.abs(introduced.addedInLongRun / told.addedInLongRun - 1) * 100
tell([{ figure: 'told and introduced differ by', value: unlike, unit: '%', most: unlikeMax }])
const { added, addedInLongRun } = await part(members, 'introduced')
const judged = Math.max(added, addedInLongRun)
tell([{ figure: 'the registry adds: at most', value: judged, unit, most: extraMax }])
