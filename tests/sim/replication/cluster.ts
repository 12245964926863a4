/**
 * Real logs and real replicators over virtual time: every message passes the real codec and handler
 * as bytes over a faulty network, every commit goes to a disk that can lose power.
 */
import { setImmediate as turn } from 'node:timers/promises'
import type {
  Address,
  AppendResult,
  Clock,
  Durability,
  HelloMessage,
  Member,
  MemberStatus,
  OriginState,
  ReplicaLog,
  ReplicationSource,
} from '@kith/interface'
import { toHex } from '@kith/interface'
import { createLog } from '@kith/log'
import type { Log, RetentionPolicy } from '@kith/log'
import { createReplicator } from '@kith/replicator'
import type { Replicator, ReplicatorTuning } from '@kith/replicator'
import { createReplicationHandler } from '@kith/replicator/http'
import { createSimRandom, SimNetwork } from '@kith/sim'
import type { SimHost, SimRandom, VirtualClock } from '@kith/sim'
import type { Topology } from './at-rest.ts'
import { body, callingSource, operations } from './calls.ts'
import { Checkers } from './checkers.ts'
import { SimDisk } from './disk.ts'
import type { DiskMutant, Rows } from './disk.ts'
import { Owed } from './owed.ts'

/** For how long an append waits for others. */
const ackMs = 1_000
/** A little more than what is answered as `os` may wait for its flush. */
const unflushedMs = 6

/** Parts that a test of a checker replaces by wrong ones. */
export interface Mutant {
  readonly disk?: DiskMutant
  /** Stands between the replicator and its log. */
  readonly log?: (log: Log) => ReplicaLog
  /** Hears what membership tells a member. */
  readonly told?: (log: Log, about: Member) => void
  /** Spoils what is stored when everything has come to rest. */
  readonly atRest?: (disks: ReadonlyMap<string, SimDisk>) => void
  /** What retention is asked for instead. */
  readonly retention?: (policy: RetentionPolicy) => RetentionPolicy
  /** Stands between the network and the source that serves. */
  readonly source?: (source: ReplicationSource, disk: SimDisk) => ReplicationSource
}

export interface ClusterOptions {
  readonly seed: number
  readonly names: readonly string[]
  readonly clock: VirtualClock
  /** `line`: each member knows only its neighbours. */
  readonly topology: Topology
  readonly gate: 'open' | 'wait'
  /** What an hour of wall time takes: rotations are allowed once an hour. */
  readonly hourMs: number
  readonly tuning?: Partial<ReplicatorTuning>
  readonly mutant?: Mutant
  readonly note?: (line: string) => void
}

/** One run of one member's process. */
interface Life {
  readonly host: SimHost
  readonly log: Log
  readonly replicator: Replicator
}

export interface Seat {
  readonly name: string
  readonly address: Address
  readonly random: SimRandom
  disk: SimDisk
  life: Life | undefined
  images: Rows[]
}

export class Cluster {
  readonly network: SimNetwork
  readonly random: SimRandom
  readonly checkers: Checkers = new Checkers()
  readonly owed: Owed = new Owed()
  readonly seats: Map<string, Seat> = new Map()
  readonly acknowledged: Map<string, string> = new Map()
  readonly counters: Record<string, number> = {}
  /** The first thing that went wrong anywhere; thrown by the driver at its next step. */
  failure: unknown
  /** When a log last refused to take another origin so soon. */
  rotateRefusedAt = -Infinity
  readonly #options: ClusterOptions
  /** What the retention under way waits for. */
  readonly #guards = new Map<SimDisk, number>()
  #lives = 0
  #appends = 0

  constructor(options: ClusterOptions) {
    this.#options = options
    const { seed, clock } = options
    this.random = createSimRandom(seed, 'replication')
    this.network = new SimNetwork({ seed, clock, faults: { latencyMs: 1, jitterMs: 4 } })
    for (const [index, name] of options.names.entries()) {
      this.seats.set(name, {
        name,
        address: { host: `10.0.0.${index + 1}`, port: 7947 },
        random: this.random.fork(name),
        disk: this.#newDisk(),
        life: undefined,
        images: [],
      })
    }
  }

  get mutant(): Mutant {
    return this.#options.mutant ?? {}
  }

  get topology(): Topology {
    return this.#options.topology
  }

  get now(): number {
    return this.#options.clock.now()
  }

  count(name: string, by = 1): void {
    this.counters[name] = (this.counters[name] ?? 0) + by
  }

  note(line: string): void {
    this.#options.note?.(`${this.now.toFixed(1)} ${line}`)
  }

  seat(name: string): Seat {
    const seat = this.seats.get(name)
    if (seat === undefined) throw new Error(`no seat ${name}`)
    return seat
  }

  disks(): ReadonlyMap<string, SimDisk> {
    return new Map([...this.seats].map(([name, { disk }]) => [name, disk]))
  }

  #newDisk(): SimDisk {
    return new SimDisk(this.#options.mutant?.disk)
  }

  /** Whom a member knows. */
  neighbours(name: string): readonly string[] {
    const { names, topology } = this.#options
    const at = names.indexOf(name)
    return names.filter((other, index) => {
      return other !== name && (topology === 'mesh' || Math.abs(index - at) === 1)
    })
  }

  async start(name: string): Promise<void> {
    const seat = this.seat(name)
    if (seat.life !== undefined) return
    this.#lives += 1
    const { disk, address } = seat
    const { gate, tuning, mutant } = this.#options
    const random = this.random.fork(`${name}/${this.#lives}`)
    this.checkers.reopened(disk, name)
    // A violation would only poison that log: it is kept for the driver as well.
    disk.onCommit = (changes) => {
      this.guard(() => this.checkers.committed(disk, name, changes, this.now))
    }
    disk.onFlush = (changes) => {
      this.owed.flushed(disk, changes.batches ?? [])
      if (changes.dropBelow === undefined) return
      const guard = this.#guards.get(disk) ?? 0
      this.observe(() => this.owed.dropped(disk, name, guard))
    }
    const clock = fastWall(this.network.clockAt(address), this.#options.hourMs)
    const log = createLog({ store: disk.factory, member: name, clock, random, gate, gateMs: 2_000 })
    await log.start()
    if (log.status().gate === 'damaged') throw new Error(`${name} calls its log damaged`)
    const replicator = createReplicator({
      log: mutant?.log?.(log) ?? log,
      member: name,
      expectMembers: gate === 'wait',
      source: (member) => this.#source(seat, member),
      clock,
      random,
      tuning: { pullWaitMs: 1_000, backoffMaxMs: 1_000, gapPatienceMs: 4_000, ...tuning },
    })
    const handler = createReplicationHandler({ source: this.#served(seat, replicator) })
    const host = this.network.attach(address, {
      request: (_, bytes, reply) => {
        const operation = operations[bytes[0] ?? 0] ?? 'hello'
        // A signal each: what a crash cut off would hold all of its member to a shared one.
        const { signal } = new AbortController()
        void handler.handle(operation, body(bytes.subarray(1)), signal).then((answer) => {
          const out = new Uint8Array(answer.body.length + 1)
          out[0] = answer.status === 200 ? 1 : 0
          out.set(answer.body, 1)
          reply.send(out)
        })
      },
    })
    seat.life = { host, log, replicator }
    this.#countEvents(name, replicator)
    log.on('revive', ({ origin }) => {
      this.count('revivals')
      this.note(`${name} has more of ${origin}`)
    })
    await replicator.start()
    for (const other of this.neighbours(name)) this.tell(name, other, 'alive')
    for (const other of this.neighbours(name)) this.tell(other, name, 'alive')
    this.note(`${name} starts as ${log.logId.slice(0, 6)} writing ${log.origin.slice(0, 6)}`)
  }

  #countEvents(name: string, replicator: Replicator): void {
    const kinds = ['fork', 'quarantine', 'rotate', 'rotateRefused', 'gap', 'corrupt'] as const
    for (const kind of kinds) {
      replicator.on(kind, (detail) => {
        this.count(kind)
        if (kind === 'rotateRefused') this.rotateRefusedAt = this.now
        this.note(`${name} ${kind} ${JSON.stringify(detail)}`)
      })
    }
    replicator.on('memberConnected', () => this.count('connected'))
    replicator.on('memberDisconnected', () => this.count('disconnected'))
  }

  /** A source that asks over the simulated network. */
  #source(seat: Seat, member: Member): ReplicationSource | undefined {
    const life = seat.life
    const to = this.seats.get(member.name)
    if (life === undefined || to === undefined) return undefined
    return callingSource(life.host, to.address, {
      sent: (ends) => {
        // A process that ended may still talk to itself.
        if (seat.life !== life) return
        this.guard(() => this.checkers.announced(seat.disk, seat.name, ends))
      },
      shown: (hello) => this.#shown(seat, hello),
    })
  }

  #shown(seat: Seat, hello: HelloMessage): void {
    for (const state of hello.vector) {
      if (state.status === 'quarantined') continue
      this.checkers.shown(seat.disk, state.origin, state.next, this.now)
    }
  }

  #served(seat: Seat, replicator: Replicator): ReplicationSource {
    const { local } = replicator
    const { disk } = seat
    const source = this.mutant.source?.(local, disk) ?? local
    const announced = (vector: readonly OriginState[]): void => {
      if (seat.life?.replicator !== replicator) return
      const ends = vector.map(({ origin, next }) => [origin, next] as const)
      this.guard(() => this.checkers.announced(disk, seat.name, ends))
    }
    return {
      hello: async (message, signal) => {
        const answer = await source.hello(message, signal)
        announced(answer.vector)
        return answer
      },
      pull: async (request, signal) => {
        const response = await source.pull(request, signal)
        this.count('served', response.batches.length)
        announced(response.vector)
        this.guard(() => this.checkers.served(disk, seat.name, response.batches))
        return response
      },
      chainAt: (origin, sequences, signal) => source.chainAt(origin, sequences, signal),
      fetch: (origin, first, signal) => source.fetch(origin, first, signal),
      close: () => source.close(),
    }
  }

  /**
   * Remembers the first violation: thrown inside a process under test it would only be caught
   * there.
   */
  guard(check: () => void): void {
    try {
      check()
    } catch (cause) {
      this.failure ??= cause
      throw cause
    }
  }

  /** As `guard`, where nobody is there to catch. */
  observe(check: () => void): void {
    try {
      check()
    } catch (cause) {
      this.failure ??= cause
    }
  }

  /** What membership tells one member of another. */
  tell(to: string, about: string, status: MemberStatus): void {
    const { address } = this.seat(about)
    const member: Member = { name: about, address, tags: {}, status, incarnation: 1 }
    const kind = status === 'alive' ? 'join' : status === 'failed' ? 'fail' : 'leave'
    const { life } = this.seat(to)
    if (life === undefined) return
    life.replicator.memberChanged({ kind, member })
    this.mutant.told?.(life.log, member)
  }

  append(name: string, records: number): void {
    const seat = this.seat(name)
    const { life, disk } = seat
    if (life === undefined) return
    const values = Array.from({ length: records }, () => {
      this.#appends += 1
      return `<<${name}.${this.#appends}>>`
    })
    for (const value of values) this.checkers.appending(value)
    const encoder = new TextEncoder()
    const replicas = this.random.chance(0.3) ? 1 + this.random.below(2) : 0
    const durability = this.random.chance(0.35) ? 'os' : 'disk'
    life.log
      .append(
        values.map((value) => ({ value: encoder.encode(value) })),
        { durability, replicas, timeoutMs: ackMs },
      )
      .then(
        (result) => this.#appended(seat, disk, values, durability, result.replicas),
        () => this.count('refusedAppends'),
      )
    // What is answered before its flush is what a power cut can take.
    if (durability === 'disk' || !this.random.chance(0.08)) return
    this.network.clock.after(this.random.between(0, unflushedMs), () => {
      if (seat.life === life) this.crash(name)
    })
  }

  #appended(
    { name }: Seat,
    disk: SimDisk,
    values: readonly string[],
    durability: Durability,
    replicas: AppendResult['replicas'],
  ): void {
    this.count('appends')
    if (durability === 'os') this.count('appendsUnflushed')
    const acked = replicas?.timedOut === false
    if (replicas !== undefined) this.count(acked ? 'acks' : 'acksTimedOut')
    for (const value of values) {
      if (durability === 'disk' || acked) this.acknowledged.set(value, name)
      this.observe(() => {
        if (durability === 'disk') this.owed.stored(disk, name, value)
        if (acked) this.owed.acknowledged(disk, name, value, replicas.needed)
      })
    }
  }

  /** The process and its power end now. */
  crash(name: string): void {
    const seat = this.seat(name)
    const { life } = seat
    if (life === undefined) return
    const buffered = life.replicator.status().members.some((member) => member.bufferedBytes > 0)
    if (buffered) this.count('crashMidApply')
    seat.life = undefined
    this.network.crash(seat.address)
    const { disk } = seat
    const lost = disk.cutPower(this.random).flatMap(({ batches = [] }) => batches)
    this.count('lostCommits', lost.length)
    this.observe(() => this.checkers.lost(disk, name, lost))
    this.count('crashes')
    this.note(`${name} crashes`)
  }

  /** Stops as a process does that is asked to; its disk then says so. */
  async stopOrderly(name: string): Promise<void> {
    const seat = this.seat(name)
    const { life } = seat
    if (life === undefined) return
    await life.replicator.stop()
    await life.log.stop()
    if (seat.life !== life) return
    seat.life = undefined
    this.network.crash(seat.address)
    seat.images.push(seat.disk.image())
    this.count('stops')
    this.note(`${name} stops`)
  }

  /** The next commit, whoever causes it, ends in a power cut. */
  crashInCommit(name: string): void {
    const seat = this.seat(name)
    const { life } = seat
    if (life === undefined) return
    const cut = this.random.chance(0.5) ? 'before' : 'after'
    seat.disk.arm(cut, () => {
      this.count('crashInCommit')
      if (seat.life === life) this.crash(name)
    })
  }

  replace(name: string): void {
    this.crash(name)
    const seat = this.seat(name)
    this.checkers.forgotten(seat.disk)
    this.owed.lost(seat.disk, [])
    seat.disk = this.#newDisk()
    seat.images = []
    this.count('replacements')
    this.note(`${name} gets a new disk`)
  }

  /** A new disk with the copy of another member's, as `restoreLog` leaves it. */
  bootstrap(name: string): void {
    const { random } = this
    const others = [...this.seats.values()].filter(({ name: other, disk }) => {
      return other !== name && disk.flushed.meta !== undefined
    })
    if (others.length === 0) return
    const { disk: from, name: source } = random.pick(others)
    this.replace(name)
    const seat = this.seat(name)
    const id = (): string => toHex(Uint8Array.from({ length: 16 }, () => random.below(256)))
    const { wallNow } = fastWall(this.#options.clock, this.#options.hourMs)
    seat.disk.bootstrap(from.image(), { logId: id(), origin: id() }, wallNow())
    this.owed.flushed(seat.disk, seat.disk.flushed.batches)
    this.count('bootstraps')
    this.note(`${name} gets a copy of ${source}`)
  }

  rollBack(name: string): void {
    const seat = this.seat(name)
    const image = seat.images.length === 0 ? undefined : this.random.pick(seat.images)
    if (image === undefined) return
    this.crash(name)
    seat.disk.restore(image)
    this.owed.lost(seat.disk, seat.disk.flushed.batches)
    this.count('rollBacks')
    this.note(`${name} is rolled back`)
  }

  /** The log drops its oldest batches, as far as so many others acknowledged them. */
  retain(
    name: string,
    policy: { readonly recordsMax: number; readonly minReplicas: number },
  ): void {
    const { life, disk } = this.seat(name)
    if (life === undefined) return
    const { recordsMax, minReplicas } = policy
    this.#guards.set(disk, minReplicas)
    this.note(`${name} keeps ${recordsMax} records, and what fewer than ${minReplicas} others had`)
    life.log.retain(this.mutant.retention?.(policy) ?? policy).then(
      ({ batches, heldBy }) => {
        this.count('retained')
        this.count('dropped', batches)
        this.count('retentionHeld', heldBy === 'replicas' ? 1 : 0)
      },
      () => this.count('retentionCutOff'),
    )
  }

  /** Some origin of another log, by an operator who asks, or who is wrong and cannot be told so. */
  retire(name: string): void {
    const { disk, life } = this.seat(name)
    const others = [...disk.rows.origins.keys()].filter((origin) => origin !== life?.log.origin)
    if (life === undefined || others.length === 0) return
    const origin = this.random.pick(others)
    const next = disk.rows.origins.get(origin)?.next ?? 1
    const asked = this.random.chance(0.7)
    const done = asked ? life.replicator.retire(origin) : life.log.retire(origin, next, 'a mistake')
    done.then(
      () => this.count(asked ? 'retirements' : 'wrongRetirements'),
      () => this.count('refusedRetirements'),
    )
    this.note(`${name} is told to retire ${origin}`)
  }

  async stop(): Promise<void> {
    for (const name of this.seats.keys()) this.crash(name)
    await turn()
  }
}

/** An hour of wall time passes in `hourMs`. */
function fastWall(clock: Clock, hourMs: number): Clock {
  const times = 3_600_000 / hourMs
  return { ...clock, wallNow: () => clock.wallNow() + Math.floor(clock.now() * times) }
}
