/**
 * One machine whose processors all members share: whatever a member does costs time, and where
 * there is too little of it everybody waits, as processes do on a busy machine. Sockets hold only
 * so many packets meanwhile.
 */
import type { VirtualClock } from '@kith/sim'

/** Milliseconds of one processor. */
export interface Costs {
  /** Anything that wakes a process up. */
  readonly wakeMs: number
  /** On top of it, a full packet read; smaller ones cost their share. */
  readonly packetMs: number
  /** On top of it, a message over a stream. */
  readonly streamMs: number
  /** Each packet sent. */
  readonly sendMs: number
}

/**
 * What a Serf agent was seen to use at rest (0.17 s a minute for two packets each way a second), as
 * a round number.
 */
export const serfCosts: Costs = { wakeMs: 0.15, packetMs: 0.5, streamMs: 1, sendMs: 0.15 }

export interface MachineOptions {
  readonly clock: VirtualClock
  /** Processors, which may be a part of one. */
  readonly processors: number
  readonly costs: Costs
  /** Timers do not wait behind packets in the socket, as in an event loop. Default false. */
  readonly timersFirst?: boolean
}

/** `own`: what a process does of itself, as its timers; the others came over the network. */
export type WorkKind = 'own' | 'stream' | 'packet'

interface Work {
  readonly ms: number
  readonly kind: WorkKind
  readonly run: () => void
}

interface Process {
  readonly queue: Work[]
  packets: number
  ready: boolean
  /** It stands still: what it was doing and what comes waits. */
  stopped: boolean
  /** Only what it does of itself goes on; what came over the network waits. */
  held: boolean
}

/** What a process may do before another one has its turn. */
const sliceMs = 4
/** Packets in a socket of the usual size. */
const packetsHeldMax = 256

export class Machine {
  readonly costs: Costs
  /** Processor time used so far. */
  usedMs = 0
  /** Packets that found their socket full. */
  overflowed = 0
  readonly #clock: VirtualClock
  readonly #speed: number
  readonly #timersFirst: boolean
  readonly #processes = new Map<string, Process>()
  readonly #ready: Process[] = []
  #idle: number

  constructor({ clock, processors, costs, timersFirst = false }: MachineOptions) {
    this.costs = costs
    this.#timersFirst = timersFirst
    this.#clock = clock
    this.#idle = Math.ceil(processors)
    this.#speed = processors / this.#idle
  }

  /** Runs `run` in this process after `ms` of processor time, when its turn has come. */
  submit(name: string, ms: number, kind: WorkKind, run: () => void): void {
    const process = this.#process(name)
    const isPacket = kind === 'packet'
    if (isPacket && process.packets >= packetsHeldMax) {
      this.overflowed += 1
      return
    }
    if (isPacket) process.packets += 1
    const work = { ms, kind, run }
    if (this.#timersFirst && !isPacket) process.queue.unshift(work)
    else process.queue.push(work)
    this.#wake(process)
  }

  /** Ends every work of this process until `resume`; its socket goes on filling up. */
  pause(name: string): void {
    this.#process(name).stopped = true
  }

  resume(name: string): void {
    const process = this.#process(name)
    process.stopped = false
    this.#wake(process)
  }

  /** Leaves what came over the network where it is until `release`. */
  hold(name: string): void {
    this.#process(name).held = true
  }

  release(name: string): void {
    const process = this.#process(name)
    process.held = false
    this.#wake(process)
  }

  #wake(process: Process): void {
    if (process.ready || !hasWork(process)) return
    process.ready = true
    this.#ready.push(process)
    this.#dispatch()
  }

  #process(name: string): Process {
    const known = this.#processes.get(name)
    if (known !== undefined) return known
    const process = { queue: [], packets: 0, ready: false, stopped: false, held: false }
    this.#processes.set(name, process)
    return process
  }

  #dispatch(): void {
    while (this.#idle > 0) {
      const process = this.#ready.shift()
      if (process === undefined) return
      this.#idle -= 1
      this.#serve(process, sliceMs)
    }
  }

  #serve(process: Process, leftMs: number): void {
    const work = leftMs <= 0 ? undefined : nextWork(process)
    if (work === undefined) {
      process.ready = hasWork(process)
      if (process.ready) this.#ready.push(process)
      this.#idle += 1
      return this.#dispatch()
    }
    this.usedMs += work.ms
    this.#clock.post(this.#clock.now() + work.ms / this.#speed, () => {
      if (process.stopped) {
        // In the middle of it: it is done, from its start, when the process goes on.
        process.queue.unshift(work)
        return this.#serve(process, 0)
      }
      if (work.kind === 'packet') process.packets -= 1
      work.run()
      this.#serve(process, leftMs - work.ms)
    })
  }
}

function hasWork({ queue, stopped, held }: Process): boolean {
  return !stopped && (held ? queue.some(({ kind }) => kind === 'own') : queue.length > 0)
}

function nextWork({ queue, stopped, held }: Process): Work | undefined {
  if (stopped) return undefined
  if (!held) return queue.shift()
  const index = queue.findIndex(({ kind }) => kind === 'own')
  return index < 0 ? undefined : queue.splice(index, 1)[0]
}
