/** The calm after the faults: everybody runs and is reached, and must come to agree. */
import type { Disks } from './at-rest.ts'
import {
  checkAcknowledged,
  checkAgreement,
  checkCompleteness,
  contents,
  disagreement,
} from './at-rest.ts'
import type { Cluster } from './cluster.ts'
import type { Schedule } from './schedule.ts'
import { Violation } from './violations.ts'

/** Diameter + 1 pull rounds, and the longest back-off, stall and patience before them. */
const calmMs = 30_000
/** After what a log that may not take another origin yet is asked again. */
const askedAgainMs = 60_000
/** Every pull has its full wait once more, and what it brings is stored. */
const lastPullMs = 1_500
/** In a third of the seeds one member is dead at first, in another all are talked about at last. */
const turns = 3

/** Faults end, everybody runs; what must hold at rest is checked. */
export async function settle(cluster: Cluster, schedule: Schedule): Promise<void> {
  const { network, random, seats } = cluster
  network.healAll()
  for (const seat of seats.values()) network.resume(seat.address)
  if (random.seed % turns === 0) await relay(cluster)
  await startAll(cluster)
  await agree(cluster)
  checkRest(cluster, schedule)
  if (random.seed % turns === 1) await rumours(cluster)
}

/**
 * All agree, and do so still when the last pulls brought what they bring. A power cut that was
 * armed may fall due with that: whoever dies of it is started again, and all agree once more.
 */
async function agree(cluster: Cluster): Promise<void> {
  const seats = [...cluster.seats.values()]
  // Each has one armed at most.
  for (let left = seats.length; left >= 0; left -= 1) {
    await quiet(cluster, (difference, waitedMs) => {
      const text = `no agreement ${waitedMs} ms after the faults ended: ${difference.message}`
      return new Violation(difference.violation, text)
    })
    // Whatever is wrong may need the last vectors to meet.
    await run(cluster, lastPullMs)
    if (seats.every(({ life }) => life !== undefined)) return
    cluster.count('cutInCalm')
  }
  throw new Error('power was cut in the calm more often than it was armed')
}

/**
 * One member stays dead, at the end of a line: what it wrote the others have of each other
 * (REP-17).
 */
async function relay(cluster: Cluster): Promise<void> {
  const { random, topology } = cluster
  const names = [...cluster.seats.keys()]
  const ends = [names[0] ?? '', names.at(-1) ?? '']
  const dead = random.pick(topology === 'line' ? ends : names)
  cluster.crash(dead)
  cluster.note(`${dead} stays dead`)
  await startAll(cluster, dead)
  await quiet(
    cluster,
    ({ message }, waitedMs) => {
      const text = `no agreement ${waitedMs} ms after ${dead} died: ${message}`
      return new Violation('not relayed', text)
    },
    dead,
  )
  cluster.count('relays')
}

/** Everybody but `dead` is started and told of everybody it knows. */
async function startAll(cluster: Cluster, dead?: string): Promise<void> {
  for (const name of cluster.seats.keys()) if (name !== dead) await cluster.start(name)
  for (const name of cluster.seats.keys()) {
    for (const other of cluster.neighbours(name)) {
      cluster.tell(name, other, other === dead ? 'failed' : 'alive')
    }
  }
}

async function run(cluster: Cluster, ms: number): Promise<void> {
  const { clock } = cluster.network
  await clock.run({ until: clock.now() + ms })
  if (cluster.failure !== undefined) throw cluster.failure
}

/** Until all agree but for `dead`, or time is up. */
async function quiet(
  cluster: Cluster,
  late: (difference: Violation, waitedMs: number) => Violation,
  dead?: string,
): Promise<void> {
  const disks = new Map([...cluster.disks()].filter(([name]) => name !== dead))
  const { clock } = cluster.network
  const began = clock.now()
  let until = began + calmMs
  // Armed power cuts may still fall due: whoever dies in the calm is started again.
  while (clock.now() < until) {
    await run(cluster, 250)
    // Who is started for the calm may be refused an origin in it (REP-9). One such wait is
    // allowed for, not one after the other.
    if (clock.now() <= began + calmMs) {
      until = Math.max(began, cluster.rotateRefusedAt + askedAgainMs + 1_000) + calmMs
    }
    const down = [...disks.keys()].filter((name) => cluster.seat(name).life === undefined)
    for (const name of down) await cluster.start(name)
    if (down.length === 0 && disagreement(disks, cluster.topology) === undefined) break
  }
  const waitedMs = Math.round(clock.now() - began)
  cluster.count('settleMs', waitedMs)
  if (waitedMs > askedAgainMs) cluster.count('waitedForOrigin')
  const difference = disagreement(disks, cluster.topology)
  if (difference !== undefined) throw late(difference, waitedMs)
}

function checkRest(cluster: Cluster, { replace, rollBack, retention }: Schedule): void {
  const disks = cluster.disks()
  const { topology } = cluster
  cluster.mutant.atRest?.(disks)
  const difference = disagreement(disks, topology)
  if (difference !== undefined) throw difference
  checkAgreement(disks, topology)
  checkCompleteness(disks, topology)
  const lossless = replace !== true && rollBack === undefined && retention === undefined
  if (lossless) checkAcknowledged(disks, cluster.acknowledged)
  if (rollBack === undefined) checkForks(cluster)
  cluster.owed.check(disks)
  cluster.count('excused', cluster.owed.excused)
  for (const [name, disk] of disks) cluster.checkers.reopened(disk, name)
}

/** What power took was shown to nobody, so that nobody's history has two ends (REP-7). */
function checkForks(cluster: Cluster): void {
  for (const kind of ['fork', 'quarantine', 'rotate'] as const) {
    const times = cluster.counters[kind] ?? 0
    if (times === 0) continue
    const text = `${kind} happened ${times} times, and no disk was rolled back`
    throw new Violation('fork without a roll-back', text)
  }
}

/**
 * All is at rest, so that whatever membership says, and then takes back, changes nothing that
 * anybody holds (REP-18).
 */
async function rumours(cluster: Cluster): Promise<void> {
  const { random, seats } = cluster
  const names = [...seats.keys()]
  const before = held(cluster.disks())
  for (let told = 0; told < 4 * names.length; told += 1) {
    const name = random.pick(names)
    const about = random.pick(cluster.neighbours(name))
    cluster.tell(name, about, random.pick(['alive', 'failed', 'left'] as const))
    if (random.chance(0.5)) await run(cluster, random.between(1, 20))
  }
  await startAll(cluster)
  await run(cluster, lastPullMs)
  cluster.count('rumoursAtRest')
  const after = held(cluster.disks())
  for (const [name, text] of before) {
    if (after.get(name) === text) continue
    throw new Violation('changed by rumours', `${name} held ${text}, now ${after.get(name)}`)
  }
}

function held(disks: Disks): ReadonlyMap<string, string> {
  return new Map([...disks].map(([name, disk]) => [name, contents(disk)]))
}
