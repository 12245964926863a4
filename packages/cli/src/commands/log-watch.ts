/** `kith log status --watch`: a catch-up as it goes on. */
import { setTimeout as sleep } from 'node:timers/promises'
import { CliError } from '../errors.ts'
import { createHttpCaller } from '../http.ts'
import { type Io, printable, table, write } from '../io.ts'
import { clearScreen, drawPicture } from '../picture.ts'
import {
  type OriginProgress,
  type Progress,
  ProgressMeter,
  type StatusAnswer,
} from '../progress.ts'
import type { QueryFlags } from '../query.ts'

export interface WatchFlags extends QueryFlags {
  /** Milliseconds between two looks. */
  readonly interval: number
}

/**
 * Where nothing changes, a line at least so often: a pipe tells only who writes to it that its
 * reader went.
 */
const quietMs = 10_000

/** Until Ctrl-C or the end of the output; fails with `ERR_CLI_UNREACHABLE` where the agent stops. */
export async function watchStatus(io: Io, flags: WatchFlags): Promise<void> {
  const stop = new AbortController()
  const end = (): void => stop.abort()
  const unsubscribe = io.onSignal(end)
  io.stdout.once('close', end)
  try {
    await look(io, flags, stop.signal)
  } catch (cause) {
    if (!stop.signal.aborted && (cause as { code?: unknown }).code !== 'EPIPE') throw cause
  } finally {
    io.stdout.off('close', end)
    unsubscribe()
  }
}

async function look(io: Io, flags: WatchFlags, signal: AbortSignal): Promise<void> {
  await using caller = createHttpCaller(flags, io)
  // What is asked for is not waited for any more.
  signal.addEventListener('abort', () => void caller[Symbol.asyncDispose](), { once: true })
  const meter = new ProgressMeter()
  const show = viewOf(io, flags)
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- one look after the other
    const answer = await caller.json<StatusAnswer>('/v1/log/status')
    if (!Array.isArray(answer.origins)) {
      throw new CliError('ERR_CLI_ANSWER', `${flags.httpAddr} answered with something else`)
    }
    const nowMs = performance.now()
    // oxlint-disable-next-line no-await-in-loop -- a slow reader slows the looks
    await show(meter.take(answer, nowMs), nowMs)
    // oxlint-disable-next-line no-await-in-loop
    await sleep(flags.interval, undefined, { signal })
  }
}

type View = (progress: Progress, nowMs: number) => void | Promise<void>

function viewOf(io: Io, flags: WatchFlags): View {
  if (flags.format === 'json') {
    return (progress) => write(io.stdout, `${JSON.stringify(progress)}\n`)
  }
  return io.stdout.isTTY === true ? pictures(io, flags) : changes(io)
}

function pictures(io: Io, { httpAddr }: WatchFlags): View {
  clearScreen(io)
  return (progress) => {
    const { time, logId, durable, records, bytes, origins } = progress
    const kind = durable ? 'on disk' : 'in memory only'
    const held = `log ${printable(logId)}, ${kind}: ${records} records, ${bytesText(bytes)}`
    const head = ['MEMBER', 'ORIGIN', 'NEXT', 'LAG', 'RECORDS/S', 'LEFT', 'STATUS']
    const rows = origins.map((one) => [
      `${printable(one.member)}${one.own ? ' (own)' : ''}`,
      shortOf(one),
      String(one.next),
      String(one.lag),
      one.recordsPerSecond === null ? '-' : rateText(one.recordsPerSecond),
      one.secondsLeft ? timeText(one.secondsLeft) : '-',
      printable(one.status),
    ])
    const top = `${httpAddr}  ${time}  (Ctrl-C ends)\n\n${held}\n${wholeText(progress)}\n`
    drawPicture(io, `${top}\n${table([head, ...rows])}`)
  }
}

/** Elsewhere: a line for each origin whose lag or status changed, and now and then one of all. */
function changes(io: Io): View {
  let before = new Map<string, string>()
  let saidAtMs = -Infinity
  return async (progress, nowMs) => {
    const after = new Map<string, string>()
    let text = ''
    const say = (...words: readonly string[]): void => {
      text += `${[progress.time, ...words].join('  ')}\n`
    }
    for (const one of progress.origins) {
      const { origin, member, lag, status } = one
      const standing = `${lag} ${status}`
      after.set(origin, standing)
      if (before.get(origin) === standing) continue
      say(printable(member), shortOf(one), originText(one), printable(status))
    }
    for (const origin of before.keys()) {
      if (!after.has(origin)) say('-', printable(origin.slice(0, 12)), 'not shown any more')
    }
    before = after
    if (text === '' && nowMs - saidAtMs >= quietMs) say('all', wholeText(progress))
    if (text === '') return
    saidAtMs = nowMs
    await write(io.stdout, text)
  }
}

function shortOf({ origin }: OriginProgress): string {
  return printable(origin.slice(0, 12))
}

function originText({ own, lag, recordsPerSecond, secondsLeft }: OriginProgress): string {
  if (own) return 'own'
  if (lag === 'unknown') return 'lag unknown'
  if (lag === 0) return 'level'
  return [`behind ${lag} records`, ...paceTexts(recordsPerSecond, null, secondsLeft)].join(', ')
}

/** The log as a whole: level, behind, or not known. */
function wholeText(progress: Progress): string {
  const { lag, unknownOrigins, lagBytesEstimate } = progress
  const { recordsPerSecond, bytesPerSecondEstimate, secondsLeft } = progress
  if (lag === 'unknown') return `lag unknown, of ${unknownOrigins} origins`
  if (lag === 0) return 'level with all that is known'
  const bytes = lagBytesEstimate === null ? '' : ` (about ${bytesText(lagBytesEstimate)})`
  const least = unknownOrigins === 0 ? '' : `, and unknown of ${unknownOrigins} origins`
  const paces = paceTexts(recordsPerSecond, bytesPerSecondEstimate, secondsLeft)
  return [`behind ${lag} records${bytes}${least}`, ...paces].join(', ')
}

function paceTexts(
  recordsPerSecond: number | null,
  bytesPerSecond: number | null,
  secondsLeft: number | null,
): readonly string[] {
  if (recordsPerSecond === null) return []
  const bytes = bytesPerSecond === null ? '' : ` (about ${bytesText(bytesPerSecond)}/s)`
  const left = secondsLeft === null ? 'not catching up' : `${timeText(secondsLeft)} left`
  return [`${rateText(recordsPerSecond)} records/s${bytes}`, left]
}

/** What is slow to a tenth. */
function rateText(perSecond: number): string {
  return String(perSecond < 10 ? perSecond : Math.round(perSecond))
}

function bytesText(bytes: number): string {
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  if (bytes < 1024) return `${bytes} bytes`
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), units.length)
  return `${(bytes / 1024 ** power).toFixed(1)} ${units[power - 1] ?? ''}`
}

/** As `1h05m`, `2m09s`, `12s`. */
function timeText(seconds: number): string {
  const whole = Math.max(1, Math.round(seconds))
  const two = (value: number): string => String(value).padStart(2, '0')
  if (whole < 60) return `${whole}s`
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`
  return `${Math.floor(whole / 3600)}h${two(Math.floor((whole % 3600) / 60))}m`
}
