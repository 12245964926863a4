/** The fault schedules of replication: random faults, then calm, then everybody must agree. */
import { createHash } from 'node:crypto'
import { createVirtualClock } from '@kith/sim'
import type { Report, Scenario, Scenarios } from '@kith/sim'
import { settle } from './calm.ts'
import { Cluster } from './cluster.ts'
import type { ClusterOptions, Mutant, Seat } from './cluster.ts'
import type { SimDisk } from './disk.ts'
import type { Schedule } from './schedule.ts'

const shortSteps = 120
const longSteps = 400

export async function runSchedule(
  schedule: Schedule,
  seed: number,
  note: (line: string) => void,
  mutant: Mutant = {},
): Promise<Report> {
  const clock = createVirtualClock()
  const names = 'abcdef'.slice(0, sizeOf(schedule, seed)).split('')
  const options: ClusterOptions = {
    seed,
    names,
    clock,
    topology: schedule.topology,
    gate: schedule.rollBack === 'gated' ? 'wait' : 'open',
    hourMs: schedule.hourMs ?? 1_000,
    mutant,
    note,
    ...(schedule.retention === undefined ? {} : { tuning: { gapPolicy: 'skip' } }),
  }
  const cluster = new Cluster(options)
  const driver = new Driver(cluster, schedule)
  try {
    for (const name of names) await cluster.start(name)
    for (let step = 0; step < (schedule.steps ?? shortSteps); step += 1) {
      await driver.step()
      await clock.run({ until: clock.now() + cluster.random.between(1, 60) })
      if (cluster.failure !== undefined) throw cluster.failure
    }
    driver.heal()
    await settle(cluster, schedule)
    return report(cluster)
  } finally {
    await cluster.stop()
  }
}

function sizeOf({ sizes: [min, max] }: Schedule, seed: number): number {
  return min + (seed % (max - min + 1))
}

class Driver {
  readonly #cluster: Cluster
  readonly #schedule: Schedule
  #heals: (() => void)[] = []

  constructor(cluster: Cluster, schedule: Schedule) {
    this.#cluster = cluster
    this.#schedule = schedule
  }

  async step(): Promise<void> {
    const { random, seats } = this.#cluster
    const name = random.pick([...seats.keys()])
    const seat = this.#cluster.seat(name)
    const choice = random.float()
    if (choice < 0.55) this.#cluster.append(name, 1 + random.below(4))
    else if (choice < 0.6) this.#cluster.crash(name)
    else if (choice < 0.64) this.#cluster.crashInCommit(name)
    else if (choice < 0.76) await this.#startOne(name)
    else if (choice < 0.82) this.#partition()
    else if (choice < 0.87) this.heal()
    else if (choice < 0.91) this.#pause(name)
    else if (choice < 0.95) this.#rumour(name)
    else if (seat.life !== undefined) seat.images.push(seat.disk.image())
    await this.#rare(name)
  }

  /** What only some schedules have. */
  async #rare(name: string): Promise<void> {
    const { random } = this.#cluster
    const {
      bootstrap,
      replace,
      retire,
      rollBack,
      rollBackChance = 0.03,
      retention,
    } = this.#schedule
    if (bootstrap === true && random.chance(0.02)) this.#cluster.bootstrap(name)
    if (replace === true && random.chance(0.02)) this.#cluster.replace(name)
    if (rollBack !== undefined && random.chance(rollBackChance)) await this.#rollBack(name)
    if (rollBack !== undefined && random.chance(0.04)) {
      this.#cluster.stopOrderly(name).catch(() => this.#cluster.count('stopsCutOff'))
    }
    if (retention !== undefined && random.chance(0.12)) this.#retain(name)
    if (retire === true && random.chance(0.15)) this.#cluster.retire(name)
  }

  /** Now and then it writes on at once, before anybody could say what it lost. */
  async #rollBack(name: string): Promise<void> {
    const { random } = this.#cluster
    this.#cluster.rollBack(name)
    if (!random.chance(0.5)) return
    await this.#cluster.start(name)
    this.#cluster.append(name, 1 + random.below(4))
  }

  async #startOne(name: string): Promise<void> {
    const { random, seats } = this.#cluster
    const down = [...seats.values()].filter((seat) => seat.life === undefined)
    const chosen = down.length === 0 ? name : random.pick(down).name
    this.#cluster.count('restarts', down.length === 0 ? 0 : 1)
    this.#cluster.network.resume(this.#cluster.seat(chosen).address)
    await this.#cluster.start(chosen)
  }

  /** One direction or both between two random groups. */
  #partition(): void {
    const { random, seats, network } = this.#cluster
    const places = random.shuffle([...seats.values()].map((seat) => seat.address))
    const cut = 1 + random.below(places.length - 1)
    const [left, right] = [places.slice(0, cut), places.slice(cut)]
    this.#heals.push(network.block(left, right))
    if (random.chance(0.6)) this.#heals.push(network.block(right, left))
    this.#cluster.count('partitions')
  }

  heal(): void {
    for (const heal of this.#heals) heal()
    this.#heals = []
  }

  #pause(name: string): void {
    const { network, random } = this.#cluster
    const { address, life } = this.#cluster.seat(name)
    if (life === undefined) return
    network.pause(address)
    this.#cluster.count('pauses')
    network.clock.after(random.between(10, 400), () => network.resume(address))
  }

  /** Membership repeats itself, is late and is wrong; none of it may touch contents (REP-18). */
  #rumour(name: string): void {
    const { random } = this.#cluster
    const about = random.pick(this.#cluster.neighbours(name))
    this.#cluster.tell(name, about, random.pick(['alive', 'failed', 'left', 'alive'] as const))
    this.#cluster.count('rumours')
  }

  /** The log drops its oldest batches itself. */
  #retain(name: string): void {
    const { random, seats } = this.#cluster
    const { life, disk } = this.#cluster.seat(name)
    if (life === undefined) return
    const { records } = life.log.status()
    const wanted = random.below(records + 1)
    const { retention } = this.#schedule
    if (retention === 'guarded') {
      this.#cluster.retain(name, { recordsMax: records - wanted, minReplicas: random.below(3) })
      return
    }
    const others = [...seats.values()].filter((seat) => seat.name !== name)
    const allowed = retention === 'safe' ? heldByAll(disk, others) : records
    const recordsMax = records - Math.min(wanted, allowed)
    this.#cluster.retain(name, { recordsMax, minReplicas: 0 })
  }
}

/** How many of the oldest records every other disk has, or is past. */
function heldByAll(disk: SimDisk, others: readonly Seat[]): number {
  let records = 0
  for (const { origin, first, count } of disk.flushed.batches) {
    if (others.some((other) => nextOf(other.disk.flushed, origin) < first + count)) break
    records += count
  }
  return records
}

function nextOf(
  rows: { readonly origins: Map<string, { readonly next: number }> },
  origin: string,
): number {
  return rows.origins.get(origin)?.next ?? 1
}

function report(cluster: Cluster): Report {
  const hash = createHash('sha256')
  for (const [name, disk] of cluster.disks()) {
    hash.update(name)
    for (const batch of disk.rows.batches) hash.update(batch.bytes)
  }
  hash.update(JSON.stringify(cluster.counters))
  return { digest: hash.digest('hex'), counters: cluster.counters }
}

export const schedules: Readonly<Record<string, Schedule>> = {
  'replication-mesh': { topology: 'mesh', sizes: [3, 6] },
  'replication-line': { topology: 'line', sizes: [3, 6] },
  'replication-replacement': { topology: 'mesh', sizes: [3, 6], replace: true },
  'replication-bootstrap': { topology: 'mesh', sizes: [3, 6], replace: true, bootstrap: true },
  'replication-safe-retention': {
    topology: 'mesh',
    sizes: [3, 6],
    replace: true,
    retention: 'safe',
  },
  'replication-unsafe-retention': { topology: 'mesh', sizes: [3, 6], retention: 'unsafe' },
  'replication-retirement': {
    topology: 'mesh',
    sizes: [3, 6],
    replace: true,
    retention: 'safe',
    rollBack: 'gated',
    retire: true,
  },
  'replication-unsafe-retirement': {
    topology: 'mesh',
    sizes: [3, 6],
    replace: true,
    retention: 'unsafe',
    rollBack: 'gated',
    retire: true,
  },
  'replication-everything-line': {
    topology: 'line',
    sizes: [3, 6],
    replace: true,
    bootstrap: true,
    retention: 'unsafe',
    rollBack: 'blind',
    retire: true,
  },
  'replication-guarded-retention': {
    topology: 'mesh',
    sizes: [3, 6],
    replace: true,
    bootstrap: true,
    retention: 'guarded',
  },
  'replication-roll-back-gated': { topology: 'mesh', sizes: [3, 6], rollBack: 'gated' },
  'replication-roll-back-blind': { topology: 'mesh', sizes: [3, 6], rollBack: 'blind' },
  // A second roll-back within the hour, which keeps a log waiting until the calm.
  'replication-roll-back-twice': {
    topology: 'mesh',
    sizes: [3, 3],
    rollBack: 'gated',
    rollBackChance: 0.1,
    hourMs: 20_000,
  },
}

/** Half of what the others cost, on average. */
const threeMembers = [3, 3] as const

/** Each schedule, the same with three members, and the same for longer. */
export const scenarios: Scenarios = Object.fromEntries(
  Object.entries(schedules).flatMap(([name, schedule]): [string, Scenario][] => [
    [name, scenarioOf(schedule)],
    [`${name}-small`, scenarioOf({ ...schedule, sizes: threeMembers })],
    [`${name}-long`, scenarioOf({ ...schedule, steps: longSteps })],
  ]),
)

function scenarioOf(schedule: Schedule): Scenario {
  return (seed, context) => runSchedule(schedule, seed, (line) => context.note(line))
}
