/**
 * Keeps a member's memory in its snapshot file: recalls it before the start, records what happens,
 * and says whom to look for.
 */
import type { CancelTimer, Clock, MemberEvent } from '@kith/interface'
import { systemClock } from '@kith/interface/node'
import {
  createMemory,
  recalledProgress,
  recordExpired,
  recordIncarnation,
  recordLeave,
  recordMember,
  recordTimes,
  rememberedMembers,
} from '../core/memory.ts'
import type { Memory, Remembered } from '../core/memory.ts'
import type { Progress } from '../core/index.ts'
import { profiles } from '../options.ts'
import type { GossipTimings } from '../options.ts'
import { openSnapshotFile, readSnapshotFile } from './snapshot-file.ts'
import type { SnapshotFile } from './snapshot-file.ts'
import type { CountOf } from './counters.ts'

/** How often the clocks are looked at, as Serf does. */
const lookMs = 500
const expireMs = 60_000
/** Bound on the last writes, in real time, because disks know no other. */
const closeMsMax = 1000

/** What changes without an event. */
export type Standing = Pick<Progress, 'clock' | 'incarnation'>

export interface Recorder {
  readonly restored: Progress
  /** Everybody remembered but this member, those last seen alive first. */
  remembered(): readonly Remembered[]
  /** Begins to record; `now` tells how far the core has come. */
  begin(now: () => Standing): void
  member(event: MemberEvent): void
  /** An event or query of this time was shown to somebody. */
  delivered(clock: 'eventClock' | 'queryClock', time: bigint): void
  /** On the disk when it resolves: this member leaves and shall not come back by itself. */
  leave(): Promise<void>
  /** Resolves within a bound. */
  close(): Promise<void>
}

export interface RecorderOptions {
  readonly path: string
  readonly name: string
  readonly rejoinAfterLeave: boolean
  readonly timings: GossipTimings
  readonly clock: Clock
  readonly count: CountOf
  readonly failed: (cause: unknown) => void
}

/** Rejects with `ERR_GOSSIP_SNAPSHOT` where there is no file to be had. */
export async function openRecorder(options: RecorderOptions): Promise<Recorder> {
  const { path, rejoinAfterLeave, timings, clock, count } = options
  const memory = createMemory({ membersMax: timings.membersMax, rejoinAfterLeave })
  await readSnapshotFile(path, memory, clock.wallNow())
  if (memory.unreadable > 0) count('snapshotLinesUnreadable', memory.unreadable)
  recordExpired(memory, clock.wallNow(), timings.reconnectTimeoutMs)
  const file = await openSnapshotFile({ path, memory, clock, count, failed: options.failed })
  return new FileRecorder(options, memory, file)
}

/**
 * Whom a member with this snapshot file would look for when it starts; nobody where there is no
 * file. Changes nothing. Rejects with `ERR_GOSSIP_SNAPSHOT` where the file is no snapshot.
 */
export async function snapshotMembers(
  path: string,
  options: { readonly name: string; readonly rejoinAfterLeave?: boolean },
): Promise<readonly Remembered[]> {
  const { name, rejoinAfterLeave = false } = options
  const memory = createMemory({ membersMax: profiles.lan.membersMax, rejoinAfterLeave })
  const wallMs = systemClock.wallNow()
  await readSnapshotFile(path, memory, wallMs)
  recordExpired(memory, wallMs, profiles.lan.reconnectTimeoutMs)
  return rememberedMembers(memory, name)
}

class FileRecorder implements Recorder {
  readonly #options: RecorderOptions
  readonly #memory: Memory
  readonly #file: SnapshotFile
  readonly restored: Progress
  #now: (() => Standing) | undefined
  #delivered: Pick<Progress, 'eventClock' | 'queryClock'>
  #cancel: CancelTimer = () => {}
  #expireAt: number

  constructor(options: RecorderOptions, memory: Memory, file: SnapshotFile) {
    this.#options = options
    this.#memory = memory
    this.#file = file
    this.restored = recalledProgress(memory)
    this.#delivered = this.restored
    this.#expireAt = options.clock.now() + expireMs
  }

  remembered(): readonly Remembered[] {
    return rememberedMembers(this.#memory, this.#options.name)
  }

  begin(now: () => Standing): void {
    this.#now = now
    this.#look()
  }

  /** A clock moves with every message; what it came to is written now and then. */
  #look(): void {
    this.#recordNow()
    const { clock, timings } = this.#options
    if (clock.now() >= this.#expireAt) {
      this.#expireAt = clock.now() + expireMs
      const { reconnectTimeoutMs } = timings
      this.#file.append(recordExpired(this.#memory, clock.wallNow(), reconnectTimeoutMs))
    }
    this.#cancel = clock.after(lookMs, () => this.#look())
  }

  #recordNow(): void {
    const now = this.#now?.()
    if (now === undefined) return
    this.#file.append(recordIncarnation(this.#memory, now.incarnation))
    const times = { ...this.#delivered, clock: now.clock }
    this.#file.append(recordTimes(this.#memory, times))
  }

  member(event: MemberEvent): void {
    this.#file.append(recordMember(this.#memory, event, this.#options.clock.wallNow()))
  }

  delivered(clock: 'eventClock' | 'queryClock', time: bigint): void {
    if (time > this.#delivered[clock]) this.#delivered = { ...this.#delivered, [clock]: time }
  }

  async leave(): Promise<void> {
    this.#file.append(recordLeave(this.#memory))
    await bounded(this.#file.flush(true))
  }

  async close(): Promise<void> {
    this.#cancel()
    this.#recordNow()
    await bounded(this.#file.close())
  }
}

async function bounded(work: Promise<void>): Promise<void> {
  let cancel: CancelTimer = () => {}
  const late = new Promise<void>(
    (resolve) => void (cancel = systemClock.after(closeMsMax, resolve)),
  )
  await Promise.race([work, late])
  cancel()
}
