/**
 * Appends to one member without end. A request that was not answered is sent again with its
 * producer and number, to the same disk only; its answer counts once it is in the ledger.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { Violation } from './copy.ts'
import { append, Refusal } from './http.ts'
import type { Appended } from './http.ts'
import { valueOf } from './ledger.ts'
import type { Ledger, Level, Sent } from './ledger.ts'
import type { Member } from './member.ts'

export interface AppenderOptions {
  readonly member: Member
  readonly id: string
  readonly level: Level
  /** Between two requests, on average. */
  readonly paceMs: number
  readonly ledger: Ledger
  /** Writes what was acknowledged where no fault reaches it, before it counts. */
  readonly note: (line: string) => void
  readonly random: () => number
}

export interface AppenderCounts {
  requests: number
  retries: number
  /** Answered as stored before, so that a first attempt was stored and its answer lost. */
  duplicates: number
  /** Given up because the disk was lost under it. */
  unknown: number
  /** Not copied to another member within the time; counts at `disk`. */
  timedOut: number
  /** Refused because the origin was replaced within the hour. */
  rotationRefused: number
}

export const noAppends = (): AppenderCounts => ({
  requests: 0,
  retries: 0,
  duplicates: 0,
  unknown: 0,
  timedOut: 0,
  rotationRefused: 0,
})

const recordsMax = 3
const replicasMs = 2_000
const retryMsMin = 50
const retryMsMax = 500
/** After faults every member takes appends again within this time. */
const restMsMax = 60_000
const restPollMs = 20

export class Appender {
  readonly counts: AppenderCounts = noAppends()
  /** The member refuses to append until an hour is over. */
  stuck = false
  readonly #options: AppenderOptions
  readonly #end = new AbortController()
  #sequence = 0
  /** The last request that was acknowledged. */
  #finished = 0
  #resting: Promise<void> | undefined
  #wake: () => void = () => {}
  #idle: Promise<void> = Promise.resolve()
  readonly done: Promise<void>

  constructor(options: AppenderOptions) {
    this.#options = options
    this.done = this.#run()
    this.done.catch(() => {})
  }

  /**
   * Resolves once a request that began after the call is through, or the member refuses for good,
   * and nothing is under way. Nothing new begins until `goOn`.
   */
  async rest(): Promise<void> {
    const before = this.#sequence
    const giveUpAt = performance.now() + restMsMax
    while (this.#finished <= before && !this.stuck) {
      if (performance.now() > giveUpAt) {
        throw new Violation('idle', `${this.#options.id} appended nothing for ${restMsMax} ms`)
      }
      await Promise.race([delay(restPollMs), this.done])
    }
    this.#resting ??= new Promise((resolve) => {
      this.#wake = resolve
    })
    await Promise.race([this.#idle, this.done])
  }

  goOn(): void {
    this.#resting = undefined
    this.#wake()
  }

  async stop(): Promise<void> {
    this.#end.abort()
    this.goOn()
    await this.done
  }

  async #run(): Promise<void> {
    const { signal } = this.#end
    while (!signal.aborted) {
      if (this.#resting !== undefined) await this.#resting
      if (signal.aborted) return
      let free = (): void => {}
      this.#idle = new Promise((resolve) => {
        free = resolve
      })
      try {
        await this.#one(() => free())
      } finally {
        free()
      }
      await this.#pause(this.#options.paceMs * (0.3 + 1.4 * this.#options.random()))
    }
  }

  /** One request until it is answered, or its disk is gone. */
  async #one(parked: () => void): Promise<void> {
    const { member, id, level, ledger, random } = this.#options
    const { disk } = member
    this.#sequence += 1
    const sequence = this.#sequence
    this.counts.requests += 1
    const count = 1 + Math.floor(random() * recordsMax)
    const records = Array.from({ length: count }, (_, at) =>
      ledger.sending(`${id}/${sequence}/${at}`, disk),
    )
    const lines = records.map(({ key }) => `${JSON.stringify({ key, value: valueOf(key) })}\n`)
    const request = {
      body: lines.join(''),
      producer: id,
      sequence,
      replicasMs: level === 'replicas' ? replicasMs : 0,
    }
    for (let waitMs = retryMsMin; ; waitMs = Math.min(2 * waitMs, retryMsMax)) {
      try {
        this.#take(records, await append(member.place.http, request))
        this.stuck = false
        this.#finished = sequence
        return
      } catch (cause) {
        this.#mayRetry(cause, parked)
      }
      if (this.#end.signal.aborted) return
      if (this.stuck && this.#resting !== undefined) await this.#resting
      else await this.#pause(waitMs)
      // Nobody remembers on another disk whether this was stored: it is given up.
      if (member.disk !== disk || this.#end.signal.aborted) {
        this.counts.unknown += 1
        this.stuck = false
        return
      }
      this.counts.retries += 1
    }
  }

  /** Throws what no retry can mend. */
  #mayRetry(cause: unknown, parked: () => void): void {
    if (!(cause instanceof Refusal)) return
    if (cause.code === 'ERR_LOG_ROTATION_RATE') {
      if (!this.stuck) this.counts.rotationRefused += 1
      this.stuck = true
      parked()
    } else if (cause.status < 500 && cause.status !== 429) throw cause
  }

  #take(records: readonly Sent[], answer: Appended): void {
    const { level: asked, ledger, note, id } = this.#options
    const { origin, first, count, duplicate, replicas } = answer
    if (count !== records.length) {
      throw new Error(`${id} sent ${records.length} records, ${count} were acknowledged`)
    }
    if (duplicate === true) this.counts.duplicates += 1
    const copied = replicas !== undefined && !replicas.timedOut && replicas.acked >= 1
    if (asked === 'replicas' && !copied) this.counts.timedOut += 1
    const level = asked === 'replicas' && copied ? 'replicas' : 'disk'
    for (const [at, sent] of records.entries()) {
      note(JSON.stringify({ key: sent.key, level, origin, sequence: first + at, disk: sent.disk }))
      ledger.acknowledged(sent, level, origin, first + at)
    }
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#end.signal }).catch(() => {})
  }
}
