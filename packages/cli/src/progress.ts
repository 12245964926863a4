/** How far an agent's log is behind, how fast it copies and how long that takes, from answers. */
import type { OriginState } from '@kith/interface'

/** What `GET /v1/log/status` answers. */
export interface StatusAnswer {
  readonly logId: string
  readonly durable: boolean
  readonly records: number
  readonly bytes: number
  readonly floor: number
  readonly next: number
  readonly origins: readonly (OriginState & { readonly lag: number | 'unknown' })[]
}

/** Null where it is not known: at first, and the time while the lag does not shrink. */
export interface Pace {
  /** Records that came in a second, over the last answers. */
  readonly recordsPerSecond: number | null
  /** Until the lag is 0, at the pace at which it shrinks now; 0 where there is none. */
  readonly secondsLeft: number | null
}

export interface OriginProgress extends Pace {
  readonly origin: string
  readonly member: string
  readonly own: boolean
  readonly next: number
  readonly lag: number | 'unknown'
  readonly status: string
}

/** The paces of the log as a whole are those of what it copies: its own records are not counted. */
export interface Progress extends Pace {
  readonly time: string
  readonly logId: string
  readonly durable: boolean
  readonly records: number
  readonly bytes: number
  /** Of all origins together, at least so many where not all are known; never a false 0. */
  readonly lag: number | 'unknown'
  readonly unknownOrigins: number
  /** By the mean size of the records held; null where none is, or the lag is not known. */
  readonly lagBytesEstimate: number | null
  readonly bytesPerSecondEstimate: number | null
  readonly origins: readonly OriginProgress[]
}

/** Paces are means over so long: two answers alone jump. */
const windowMs = 10_000
/** Samples are kept no closer than this, so that a short interval does not keep more of them. */
const sampleEveryMs = windowMs / 10

/** Takes one answer after the other, with the monotonic time at which it came. */
export class ProgressMeter {
  #logId = ''
  #whole = new Track()
  #tracks = new Map<string, Track>()

  take(answer: StatusAnswer, atMs: number): Progress {
    const { logId, durable, records, bytes } = answer
    // An agent that was started again without a disk begins again, and so do its numbers.
    if (logId !== this.#logId) {
      this.#logId = logId
      this.#whole = new Track()
      this.#tracks.clear()
    }
    const origins = this.#takeOrigins(answer, atMs)
    const { lag, unknownOrigins } = lagOf(answer)
    // What becomes known is no record that came, and what is not known any more is none the less.
    const { secondsLeft } = this.#whole.take({ atMs, next: 0, lag, unknownOrigins })
    const copied = origins.filter(({ own, recordsPerSecond }) => !own && recordsPerSecond !== null)
    const sum = copied.reduce((total, one) => total + (one.recordsPerSecond ?? 0), 0)
    const recordsPerSecond = copied.length > 0 ? rounded(sum) : null
    const bytesOf = (count: number | null): number | null =>
      count === null || records === 0 ? null : Math.round((count * bytes) / records)
    return {
      time: new Date().toISOString(),
      ...{ logId, durable, records, bytes, lag, unknownOrigins },
      lagBytesEstimate: lag === 'unknown' ? null : bytesOf(lag),
      recordsPerSecond,
      bytesPerSecondEstimate: bytesOf(recordsPerSecond),
      secondsLeft,
      origins,
    }
  }

  #takeOrigins({ origins }: StatusAnswer, atMs: number): OriginProgress[] {
    const tracks = new Map<string, Track>()
    const taken = origins.map(({ origin, member, own, next, lag, status }) => {
      const track = this.#tracks.get(origin) ?? new Track()
      tracks.set(origin, track)
      const pace = track.take({ atMs, next, lag, unknownOrigins: 0 })
      return { origin, member, own, next, lag, status, ...pace }
    })
    this.#tracks = tracks
    return taken
  }
}

interface Sample {
  readonly atMs: number
  readonly next: number
  readonly lag: number | 'unknown'
  readonly unknownOrigins: number
}

/** One count as it was over the window. */
class Track {
  #samples: Sample[] = []

  take(now: Sample): Pace {
    const samples = this.#samples
    const newest = samples.at(-1)
    if (newest === undefined || now.atMs - newest.atMs >= sampleEveryMs) samples.push(now)
    // One at least as old as the window stays, so that all of the window is looked at.
    while (samples[1] && now.atMs - samples[1].atMs >= windowMs) samples.shift()
    return { recordsPerSecond: rate(samples[0], now), secondsLeft: timeLeft(samples, now) }
  }
}

function rate(before: Sample | undefined, now: Sample): number | null {
  if (before === undefined || now.atMs <= before.atMs) return null
  return rounded(Math.max(0, now.next - before.next) / ((now.atMs - before.atMs) / 1000))
}

function timeLeft(samples: readonly Sample[], now: Sample): number | null {
  if (now.lag === 'unknown') return null
  if (now.lag === 0) return now.unknownOrigins === 0 ? 0 : null
  const before = samples.find(
    ({ lag, unknownOrigins }) => lag !== 'unknown' && unknownOrigins === now.unknownOrigins,
  )
  if (before === undefined || before.lag === 'unknown' || before.lag <= now.lag) return null
  const perSecond = (before.lag - now.lag) / ((now.atMs - before.atMs) / 1000)
  return rounded(now.lag / perSecond)
}

/** Of all that is copied. */
function lagOf({ origins }: StatusAnswer): Pick<Progress, 'lag' | 'unknownOrigins'> {
  let sum = 0
  let unknownOrigins = 0
  for (const { own, lag } of origins) {
    if (own) continue
    if (lag === 'unknown') unknownOrigins += 1
    else sum += lag
  }
  return { lag: sum === 0 && unknownOrigins > 0 ? 'unknown' : sum, unknownOrigins }
}

/** To a tenth. */
function rounded(value: number): number {
  return Math.round(value * 10) / 10
}
