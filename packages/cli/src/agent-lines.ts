/**
 * What a running agent prints: one JSON object a line for programs, or lines for people. The words
 * of membership lines are Serf's, because what reads Serf's events should read ours.
 */
import type { Logger, MemberEvent, MemberEventKind } from '@kith/interface'
import type { LogFormat, LogLevel } from './settings.ts'
import { type Colour, type Io, painter, printable } from './io.ts'

const severities: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 }
const colours: Readonly<Record<LogLevel, Colour>> = {
  debug: 'dim',
  info: 'cyan',
  warn: 'yellow',
  error: 'red',
}
/** Lines that wait for the ready line; more than these are dropped, oldest first. */
const HELD_LINES_MAX = 1000

const eventNames: Readonly<Record<MemberEventKind, string>> = {
  join: 'member-join',
  leave: 'member-leave',
  fail: 'member-failed',
  update: 'member-update',
  reap: 'member-reap',
}

export interface Ready {
  readonly node: string
  readonly gossip: string
  readonly http: string
  readonly rpc: string | null
  /** Where Consul's API listens; absent where it does not run. */
  readonly consul?: string
  readonly pid: number
}

export interface AgentLines {
  readonly logger: Logger
  /** The first line; what was said before comes after it. */
  ready(ready: Ready): void
  member(event: MemberEvent): void
  /** Something that happened, for level info. */
  event(name: string, fields: Readonly<Record<string, unknown>>): void
  /** From now on: what is below is not printed. */
  setLevel(level: LogLevel): void
  /** Lets go of what is held, where no ready line will come. */
  release(): void
}

export function createAgentLines(io: Io, format: LogFormat, atFirst: LogLevel): AgentLines {
  let level = atFirst
  const paint = painter(io)
  const held: string[] = []
  let holding = format === 'json'

  function print(line: string): void {
    if (!holding) {
      io.stdout.write(`${line}\n`)
      return
    }
    held.push(line)
    if (held.length > HELD_LINES_MAX) held.shift()
  }
  function release(): void {
    holding = false
    for (const line of held.splice(0)) print(line)
  }
  function say(at: LogLevel, fields: object, message = ''): void {
    if (severities[at] < severities[level]) return
    const time = new Date().toISOString()
    if (format === 'json') return print(jsonLine({ time, level: at, message, ...plain(fields) }))
    const word = paint(colours[at], at.toUpperCase().padEnd(5))
    print(
      `${paint('dim', time.slice(11, 23))} ${word} ${message}${paint('dim', fieldText(fields))}`,
    )
  }
  return {
    logger: {
      debug: (fields, message) => say('debug', fields, message),
      info: (fields, message) => say('info', fields, message),
      warn: (fields, message) => say('warn', fields, message),
      error: (fields, message) => say('error', fields, message),
    },
    release,
    setLevel(next) {
      level = next
    },
    ready(ready) {
      holding = false
      if (format === 'json') print(jsonLine({ event: 'ready', ...ready }))
      else say('info', {}, readyText(ready))
      release()
    },
    member({ kind, member }) {
      // Gossip says it to people by itself.
      if (format === 'pretty') return
      const { name, address, status, tags } = member
      const event = eventNames[kind]
      const shaped = { name, addr: address.host, port: address.port, status, tags }
      print(jsonLine({ time: new Date().toISOString(), event, member: shaped }))
    },
    event(name, fields) {
      if (format === 'pretty' || severities.info < severities[level]) return
      print(jsonLine({ time: new Date().toISOString(), event: name, ...fields }))
    },
  }
}

function readyText({ node, gossip, http, rpc, consul }: Ready): string {
  const places = [`gossip ${gossip}`, `http ${http}`]
  if (rpc !== null) places.push(`rpc ${rpc}`)
  if (consul !== undefined) places.push(`consul ${consul}`)
  return `${node} is ready: ${places.join(', ')}`
}

function jsonLine(fields: object): string {
  try {
    return JSON.stringify(fields)
  } catch {
    return JSON.stringify({
      time: new Date().toISOString(),
      level: 'error',
      message: 'an unprintable line',
    })
  }
}

/** Errors as texts: JSON would show them as empty objects. */
function plain(fields: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]: [string, unknown]) => [
      key,
      value instanceof Error ? causeText(value) : value,
    ]),
  )
}

function causeText(cause: Error): string {
  const code = (cause as { code?: unknown }).code
  return typeof code === 'string' ? `${code}: ${cause.message}` : cause.message
}

function fieldText(fields: object): string {
  return Object.entries(plain(fields))
    .map(
      ([key, value]) =>
        ` ${key}=${typeof value === 'string' ? printable(value) : jsonLine({ value }).slice(9, -1)}`,
    )
    .join('')
}
