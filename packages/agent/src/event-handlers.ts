/**
 * Programs that an agent runs when something happens in its cluster, with the environment and the
 * input that Serf gives its event handlers. Each handler runs one program at a time, in the order
 * of the events; handlers do not wait for each other.
 */
import type { Gossip, ReceivedQuery, UserEvent } from '@kith/gossip'
import type { Logger, Member, MemberEventKind } from '@kith/interface'
import { runProgram } from '@kith/interface/node'
import type { ResolvedEventHandler } from './handler-options.ts'

export interface EventHandlersOptions {
  readonly handlers: readonly ResolvedEventHandler[]
  readonly gossip: Gossip
  readonly logger: Logger
}

/** Events that wait for a handler; further ones are dropped. */
const waitingMax = 1_024
/** Members that one run is told of: those that wait for a run are told to it together. */
const membersMax = 256
/** What is kept of the output, as Serf keeps it: the end. */
const outputBytesMax = 8_192

const memberEvents: Readonly<Record<MemberEventKind, string>> = {
  join: 'member-join',
  leave: 'member-leave',
  fail: 'member-failed',
  update: 'member-update',
  reap: 'member-reap',
}

type Happening =
  | { readonly kind: 'members'; readonly event: string; readonly members: Member[] }
  | { readonly kind: 'user'; readonly event: UserEvent }
  | { readonly kind: 'query'; readonly event: ReceivedQuery; readonly untilMs: number }

/** Of all handlers together; all only grow but `waiting`. */
export interface EventHandlersStats {
  /** Runs that ended well, those with a code that is not 0 or with none, and those out of time. */
  readonly succeeded: number
  readonly failed: number
  readonly timedOut: number
  /** Events dropped because too many waited, and queries whose time was over before a run. */
  readonly dropped: number
  readonly late: number
  readonly waiting: number
}

export interface EventHandlers {
  stats(): EventHandlersStats
  stop(): Promise<void>
}

/** Runs handlers until it is stopped. Who is a member already has joined as far as they know. */
export function startEventHandlers(options: EventHandlersOptions): EventHandlers {
  const { handlers, gossip } = options
  const stopping = new AbortController()
  const counts = { succeeded: 0, failed: 0, timedOut: 0, dropped: 0, late: 0 }
  const lines = handlers.map((handler) => new Line(handler, options, stopping.signal, counts))
  const happened = (happening: Happening): void => {
    for (const line of lines) line.add(happening)
  }
  const memberChanged = (kind: MemberEventKind, member: Member): void =>
    happened({ kind: 'members', event: memberEvents[kind], members: [member] })
  // Both in one turn, so that no change falls between what is and what comes.
  for (const member of gossip.members()) memberChanged('join', member)
  const unsubscribe = [
    gossip.subscribe({ memberChanged: ({ kind, member }) => memberChanged(kind, member) }),
    gossip.on('event', (event) => happened({ kind: 'user', event })),
    gossip.on('query', (event) => {
      happened({ kind: 'query', event, untilMs: performance.now() + event.timeoutMs })
    }),
  ]
  return {
    stats: () => ({ ...counts, waiting: lines.reduce((sum, { waiting }) => sum + waiting, 0) }),
    async stop() {
      for (const stop of unsubscribe) stop()
      stopping.abort()
      await Promise.all(lines.map((line) => line.ended))
    },
  }
}

type Counts = { -readonly [Name in Exclude<keyof EventHandlersStats, 'waiting'>]: number }

/** One handler, what waits for it, and the program that runs. */
class Line {
  readonly #handler: ResolvedEventHandler
  readonly #options: EventHandlersOptions
  readonly #stopping: AbortSignal
  readonly #counts: Counts
  #waiting: Happening[] = []
  #dropped = 0
  #running = false
  /** Resolves when nothing runs any more. */
  ended: Promise<void> = Promise.resolve()

  constructor(
    handler: ResolvedEventHandler,
    options: EventHandlersOptions,
    stopping: AbortSignal,
    counts: Counts,
  ) {
    this.#handler = handler
    this.#options = options
    this.#stopping = stopping
    this.#counts = counts
  }

  get waiting(): number {
    return this.#waiting.length
  }

  add(happening: Happening): void {
    if (!this.#handler.wants(eventOf(happening), nameOf(happening))) return
    if (this.#joined(happening)) return
    if (this.#waiting.length >= waitingMax) {
      if (this.#dropped === 0) this.#warn({}, 'it is behind; events are dropped')
      this.#dropped += 1
      this.#counts.dropped += 1
      return
    }
    const { kind } = happening
    // Its own list: further members are added to it.
    const own = kind === 'members' ? { ...happening, members: [...happening.members] } : happening
    this.#waiting.push(own)
    if (this.#running) return
    this.#running = true
    this.ended = this.#work()
  }

  /** Told together with others of whom the same is to be told next. */
  #joined(happening: Happening): boolean {
    const last = this.#waiting.at(-1)
    if (happening.kind !== 'members' || last?.kind !== 'members') return false
    if (last.event !== happening.event || last.members.length >= membersMax) return false
    last.members.push(...happening.members)
    return true
  }

  async #work(): Promise<void> {
    for (;;) {
      const next = this.#waiting.shift()
      if (next === undefined || this.#stopping.aborted) break
      // oxlint-disable-next-line no-await-in-loop -- one at a time is the point
      await this.#run(next).catch((cause: unknown) => {
        this.#counts.failed += 1
        this.#warn({ cause }, 'it did not run')
      })
    }
    if (this.#dropped > 0) this.#warn({ dropped: this.#dropped }, 'it has caught up')
    this.#dropped = 0
    this.#running = false
  }

  async #run(happening: Happening): Promise<void> {
    const { command, timeoutMs } = this.#handler
    const { gossip, logger } = this.#options
    const left = happening.kind === 'query' ? happening.untilMs - performance.now() : timeoutMs
    // Nobody hears the answer any more.
    if (left < 1) {
      this.#counts.late += 1
      return this.#warn({}, 'the time of a query was over before it ran')
    }
    const limitMs = Math.min(timeoutMs, left)
    const { code, killedBy, stopped, output } = await runProgram({
      command,
      environment: environmentOf(happening, gossip.self),
      input: inputOf(happening),
      outputBytesMax,
      keep: 'last',
      signal: AbortSignal.any([this.#stopping, AbortSignal.timeout(Math.ceil(limitMs))]),
    })
    const text = output.toString('utf8').trimEnd()
    if (stopped && this.#stopping.aborted) return
    if (stopped) {
      this.#counts.timedOut += 1
      return this.#warn({ limitMs, output: text }, 'it took too long and was ended')
    }
    if (code !== 0) {
      this.#counts.failed += 1
      return this.#warn({ code, killedBy, output: text }, 'it failed')
    }
    this.#counts.succeeded += 1
    const handler = command[0]
    logger.debug({ handler, event: eventOf(happening), output: text }, 'an event handler ran')
    if (happening.kind === 'query' && output.length > 0) await happening.event.respond(output)
  }

  #warn(fields: object, what: string): void {
    const { command, on } = this.#handler
    this.#options.logger.warn({ handler: command[0], on, ...fields }, `event handler: ${what}`)
  }
}

function eventOf(happening: Happening): string {
  return happening.kind === 'members' ? happening.event : happening.kind
}

function nameOf(happening: Happening): string {
  return happening.kind === 'members' ? '' : happening.event.name
}

function environmentOf(happening: Happening, self: Member): Record<string, string> {
  const environment: Record<string, string> = {
    SERF_EVENT: eventOf(happening),
    SERF_SELF_NAME: self.name,
    SERF_SELF_ROLE: self.tags['role'] ?? '',
  }
  for (const [tag, value] of Object.entries(self.tags)) {
    environment[`SERF_TAG_${tag.toUpperCase().replaceAll(/[^A-Z0-9_]/g, '_')}`] = value
  }
  if (happening.kind !== 'members') {
    const prefix = happening.kind === 'user' ? 'SERF_USER' : 'SERF_QUERY'
    environment[happening.kind === 'user' ? `${prefix}_EVENT` : `${prefix}_NAME`] =
      happening.event.name
    environment[`${prefix}_LTIME`] = String(happening.event.lamportTime)
  }
  // No variable can hold a zero byte, and others choose these names.
  const pairs = Object.entries(environment)
  return Object.fromEntries(pairs.map(([name, value]) => [name, value.replaceAll('\0', '')]))
}

function inputOf(happening: Happening): Uint8Array {
  if (happening.kind === 'members') return Buffer.from(happening.members.map(memberLine).join(''))
  const { payload } = happening.event
  if (payload.length === 0 || payload.at(-1) === 0x0a) return payload
  return Buffer.concat([payload, Buffer.from('\n')])
}

/** What separates fields and lines is escaped as Serf escapes it. */
function memberLine({ name, address, tags }: Member): string {
  const pairs = Object.entries(tags).map(([tag, value]) => `${tag}=${value}`)
  const fields = [name, address.host, tags['role'] ?? '', pairs.join(',')]
  return `${fields
    .map((field) => field.replaceAll('\t', String.raw`\t`).replaceAll('\n', String.raw`\n`))
    .join('\t')}\n`
}
