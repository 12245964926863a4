/** The last lines of a log and those to come, in the form that Serf's monitor shows. */
import type { Clock, Logger } from '@kith/interface'
import { systemClock } from '@kith/interface/node'
import type { SerfLogSource } from '../ports.ts'
import type { SerfLogLevel, SerfLogLine } from '../words.ts'

export interface LogTapOptions {
  /** Everything goes there as well. */
  readonly logger: Logger
  /** Lines that are kept for those who ask later. Default 512, as Serf. */
  readonly linesMax?: number
  readonly clock?: Clock
}

export interface LogTap {
  /** Give this one to whoever logs. */
  readonly logger: Logger
  readonly source: SerfLogSource
}

interface Said {
  readonly level: SerfLogLevel
  readonly wallMs: number
  readonly fields: object
  readonly message: string | undefined
}

/** Listens to a logger. Lines are put into words only where somebody reads them. */
export function createLogTap({
  logger,
  linesMax = 512,
  clock = systemClock,
}: LogTapOptions): LogTap {
  const said: Said[] = []
  let oldest = 0
  const listeners = new Set<(line: SerfLogLine) => void>()

  function say(level: SerfLogLevel, fields: object, message: string | undefined): void {
    const entry = { level, wallMs: clock.wallNow(), fields, message }
    // A ring: the oldest line makes room.
    if (said.length < linesMax) said.push(entry)
    else {
      said[oldest] = entry
      oldest = (oldest + 1) % linesMax
    }
    if (listeners.size === 0) return
    const line = lineOf(entry)
    for (const listener of [...listeners]) listener(line)
  }
  return {
    logger: {
      debug(fields, message) {
        logger.debug(fields, message)
        say('DEBUG', fields, message)
      },
      info(fields, message) {
        logger.info(fields, message)
        say('INFO', fields, message)
      },
      warn(fields, message) {
        logger.warn(fields, message)
        say('WARN', fields, message)
      },
      error(fields, message) {
        logger.error(fields, message)
        say('ERR', fields, message)
      },
    },
    source: {
      history: () => [...said.slice(oldest), ...said.slice(0, oldest)].map(lineOf),
      subscribe(listener) {
        const entry = (line: SerfLogLine): void => listener(line)
        listeners.add(entry)
        return () => void listeners.delete(entry)
      },
    },
  }
}

const lineLengthMax = 2_000

function lineOf({ level, wallMs, fields, message }: Said): SerfLogLine {
  const when = new Date(wallMs)
  const two = (part: number): string => String(part).padStart(2, '0')
  const date = [when.getFullYear(), two(when.getMonth() + 1), two(when.getDate())].join('/')
  const time = [when.getHours(), when.getMinutes(), when.getSeconds()].map(two).join(':')
  const text = `${date} ${time} [${level}] kith: ${message ?? ''}${fieldText(fields)}`
  return { level, text: text.replaceAll(/[\r\n]+/g, ' ').slice(0, lineLengthMax) }
}

function fieldText(fields: object): string {
  return Object.entries(fields)
    .map(([name, value]: [string, unknown]) => ` ${name}=${valueText(value)}`)
    .join('')
}

function valueText(value: unknown): string {
  if (typeof value === 'string') return value
  if (value instanceof Error) return value.message
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    return typeof value
  }
}
