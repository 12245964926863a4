/** Whether the disk under an agent's data is slow or full, and its log still takes records. */
import { statfs } from 'node:fs/promises'
import type { FindingBase } from '@kith/gossip'
import type { Log, LogStatus } from '@kith/log'
import { type AgentFinding, type Room, seenAgain, type Sighting } from './findings.ts'

type DiskKind = 'diskSlow' | 'diskNearlyFull' | 'diskFull' | 'logStopped'
export type DiskFinding = Extract<AgentFinding, { readonly kind: DiskKind }>

/** Less room than this part of the disk is little, */
export const roomFractionMin = 0.05
/** but never so many bytes: a twentieth of a large disk lasts for long. */
export const roomBytesMin: number = 2 * 1024 ** 3
/** Slow commits, as the log counts them, that are more than an accident. */
export const slowTimesMin = 3
/** Milliseconds after which one commit alone says that the disk is slow. */
export const stuckMsMin = 5_000
/** Milliseconds for which a refusal counts where there seems to be room, as with a quota. */
export const fullLastsMs = 60_000
/** Milliseconds between two looks at the room, so that `since` means something. */
const lookMs = 30_000
/** Milliseconds after which nobody waits for a look any more. */
const lookTimeoutMs = 1_000

export interface DiskOptions {
  readonly directory: string
  readonly log: Pick<Log, 'status'>
  readonly wallNow?: () => number
  /** Bytes of the file system; default as the system says. */
  readonly room?: (directory: string) => Promise<Room>
}

export class DiskFindings {
  readonly #options: Required<DiskOptions>
  readonly #seen = new Map<DiskKind, Sighting>()
  #timer: NodeJS.Timeout | undefined
  /** One look at a time: on a disk that hangs they would pile up. */
  #looking: Promise<Room | undefined> | undefined

  constructor(options: DiskOptions) {
    this.#options = { wallNow: Date.now, room: systemRoom, ...options }
  }

  start(): void {
    this.#timer = setInterval(() => void this.findings().catch(() => {}), lookMs)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Rejects where the log does not run. */
  async findings(): Promise<readonly DiskFinding[]> {
    const room = await this.#room()
    const status = this.#options.log.status()
    const now = this.#options.wallNow()
    const found = [
      this.#slow(status, now),
      this.#nearlyFull(room, now),
      this.#full(status, room, now),
      this.#stopped(status, now),
    ]
    return found.filter((each) => each !== undefined)
  }

  #room(): Promise<Room | undefined> {
    const { directory, room } = this.#options
    this.#looking ??= room(directory)
      .catch(() => undefined)
      .finally(() => (this.#looking = undefined))
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), lookTimeoutMs)
    })
    return Promise.race([this.#looking, late]).finally(() => clearTimeout(timer))
  }

  #slow({ disk }: LogStatus, now: number): DiskFinding | undefined {
    const { slow, waitingMs } = disk
    const longestMs = Math.max(slow?.longestMs ?? 0, waitingMs)
    if ((slow?.times ?? 0) < slowTimesMin && longestMs < stuckMsMin) return undefined
    const { directory } = this.#options
    const stuck = waitingMs >= stuckMsMin
    const began = stuck ? now - waitingMs : now
    const seen = {
      since: Math.min(slow?.since ?? now, began),
      lastAt: stuck ? now : (slow?.lastAt ?? now),
      times: (slow?.times ?? 0) + (stuck ? 1 : 0),
    }
    const text = stuck
      ? `the disk of ${directory} has been busy with one commit for ${seconds(waitingMs)}`
      : `the disk of ${directory} took ${seconds(longestMs)} for a commit, and a second or more for ${slow?.times ?? 0} of the last ones`
    return {
      ...{ kind: 'diskSlow', directory, longestMs, waitingMs },
      ...{ ...seen, text },
      advice:
        'look for what else keeps that disk busy, for a limit on it, or for a disk that fails; or move `data` to a quicker one',
    }
  }

  #nearlyFull(room: Room | undefined, now: number): DiskFinding | undefined {
    const seen = this.#sighting('diskNearlyFull', room !== undefined && isLittle(room), now)
    if (seen === undefined || room === undefined) return undefined
    const { directory } = this.#options
    return {
      ...{ kind: 'diskNearlyFull', directory, ...room, ...seen },
      text: `where ${directory} is, ${roomText(room)}; appends are refused once nothing is`,
      advice: roomAdvice,
    }
  }

  #full({ disk }: LogStatus, room: Room | undefined, now: number): DiskFinding | undefined {
    const { full } = disk
    if (full === undefined) return undefined
    // Nobody may have appended since there is room again.
    const little = room !== undefined && isLittle(room)
    if (!little && now - full.lastAt > fullLastsMs) return undefined
    const { directory } = this.#options
    const left = room === undefined ? '' : `; ${roomText(room)}`
    return {
      ...{ kind: 'diskFull', directory, ...room, ...full },
      text: `the log in ${directory} refuses what finds no room on the disk${left}`,
      advice: `${roomAdvice}; appends succeed again as soon as there is room`,
    }
  }

  #stopped({ gate }: LogStatus, now: number): DiskFinding | undefined {
    const stopped = gate === 'refused' || gate === 'damaged' || gate === 'poisoned'
    const seen = this.#sighting('logStopped', stopped, now)
    if (seen === undefined || !stopped) return undefined
    return { kind: 'logStopped', gate, ...seen, ...stoppedWords[gate] }
  }

  /** Undefined where it is not so now. */
  #sighting(kind: DiskKind, so: boolean, now: number): Sighting | undefined {
    if (!so) {
      this.#seen.delete(kind)
      return undefined
    }
    const seen = seenAgain(this.#seen.get(kind), now)
    this.#seen.set(kind, seen)
    return seen
  }
}

const roomAdvice =
  'make room there, or give the log a larger disk, or bounds on what it keeps (`retention`)'

const stoppedWords: Readonly<
  Record<'refused' | 'damaged' | 'poisoned', Pick<FindingBase, 'text' | 'advice'>>
> = {
  poisoned: {
    text: 'the log takes nothing more, because a write or flush of its files failed; what it holds is still served',
    advice:
      'look at the disk and at what the log of the agent says, then start the agent anew: everything acknowledged is read again',
  },
  damaged: {
    text: 'files of the log are damaged, and nothing that rests on them is written; what is whole is still served',
    advice:
      '`kith log verify` lists what is damaged; look at the disk, then restore a backup, or start with an empty `data` and have the records of the others copied again',
  },
  refused: {
    text: 'the log refuses appends: twice within an hour it found that its disk had gone back to an earlier state',
    advice:
      'find out what rolls that disk back (snapshots, a volume that is not kept); appends go on an hour after the first time',
  },
}

function isLittle({ availableBytes, totalBytes }: Room): boolean {
  return availableBytes < Math.min(roomBytesMin, totalBytes * roomFractionMin)
}

async function systemRoom(directory: string): Promise<Room> {
  const { bavail, blocks, bsize } = await statfs(directory)
  return { availableBytes: bavail * bsize, totalBytes: blocks * bsize }
}

function roomText({ availableBytes, totalBytes }: Room): string {
  return `${bytesText(availableBytes)} of ${bytesText(totalBytes)} are free`
}

function bytesText(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = bytes < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10))
  const scaled = bytes / 1024 ** power
  return `${scaled < 10 && power > 0 ? scaled.toFixed(1) : Math.round(scaled)} ${units[power]}`
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
