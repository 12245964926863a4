/** `kith services --watch`: the services of a cluster as they change. */
import type { ServiceInstance } from '@kith/interface'
import { CliError } from '../errors.ts'
import { createHttpCaller } from '../http.ts'
import { addressOf, paintStatus, reasonOf, type ServiceAnswer, serviceText } from '../instances.ts'
import { type Io, painter, printable, write } from '../io.ts'
import { clearScreen, drawPicture } from '../picture.ts'
import type { QueryFlags } from '../query.ts'

export interface WatchFlags extends QueryFlags {
  readonly checks?: true
}

/** Terminals are drawn again so often at most; whatever came since is one picture. */
const PICTURE_MS = 100

/** Until Ctrl-C; fails with `ERR_CLI_UNREACHABLE` where the agent stops before. */
export async function watchServices(io: Io, flags: WatchFlags, only?: string): Promise<void> {
  const stop = new AbortController()
  const unsubscribe = io.onSignal(() => stop.abort())
  try {
    await follow(io, flags, only, stop.signal)
  } catch (cause) {
    if (!stop.signal.aborted) throw cause
  } finally {
    unsubscribe()
  }
}

async function follow(
  io: Io,
  flags: WatchFlags,
  only: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  await using caller = createHttpCaller(flags, io)
  const path = only === undefined ? '/v1/services' : `/v1/services/${encodeURIComponent(only)}`
  const query = { follow: true, ...(only === undefined ? {} : { passing: false }) }
  const view = viewOf(io, flags)
  try {
    for await (const line of caller.lines(path, { query, signal })) {
      if (line !== '') await view.take(line)
    }
  } finally {
    view.close()
  }
  if (signal.aborted) return
  throw new CliError('ERR_CLI_UNREACHABLE', `the agent at ${flags.httpAddr} stopped`)
}

interface View {
  /** One line of the agent's answer. */
  take(line: string): void | Promise<void>
  close(): void
}

function viewOf(io: Io, flags: WatchFlags): View {
  if (flags.format === 'json') {
    return { take: (line) => write(io.stdout, `${line}\n`), close() {} }
  }
  return io.stdout.isTTY === true ? pictures(io, flags) : changes(io)
}

/** On a terminal: all of it, drawn again where it changed. */
function pictures(io: Io, flags: WatchFlags): View {
  const held = new Map<string, ServiceAnswer>()
  const paint = painter(io)
  let timer: NodeJS.Timeout | undefined
  const draw = (): void => {
    timer = undefined
    const services = [...held.values()].toSorted((a, b) => (a.service < b.service ? -1 : 1))
    const text = services.map((each) => serviceText(each, paint, flags.checks === true)).join('')
    const head = `${flags.httpAddr}  ${new Date().toISOString()}  (Ctrl-C ends)\n\n`
    drawPicture(io, `${head}${text || 'no services\n'}`)
  }
  clearScreen(io)
  draw()
  return {
    take(line) {
      const answer = parseAnswer(line)
      if (answer.instances.length === 0) held.delete(answer.service)
      else held.set(answer.service, answer)
      timer ??= setTimeout(draw, PICTURE_MS)
    },
    close() {
      if (timer === undefined) return
      clearTimeout(timer)
      draw()
    },
  }
}

/** Elsewhere: a line for each instance that came, changed or went. */
function changes(io: Io): View {
  const held = new Map<string, Map<string, ServiceInstance>>()
  const paint = painter(io)
  return {
    async take(line) {
      const { service, instances } = parseAnswer(line)
      const before = held.get(service) ?? new Map<string, ServiceInstance>()
      const after = new Map(instances.map((one) => [`${one.member}/${one.id}`, one]))
      if (after.size === 0) held.delete(service)
      else held.set(service, after)
      const time = new Date().toISOString()
      const say = (one: ServiceInstance, state: string): Promise<void> => {
        const words = [time, service, one.id, one.member].map(printable)
        return write(io.stdout, `${[...words, addressOf(one), state].join('  ')}\n`)
      }
      for (const [key, one] of after) {
        if (isSame(before.get(key), one)) continue
        const state = paintStatus(paint, one.status, printable(one.status))
        const why = reasonOf(one.checks)
        await say(one, why === '' ? state : `${state}  ${why}`)
      }
      for (const [key, one] of before) if (!after.has(key)) await say(one, 'gone')
    },
    close() {},
  }
}

function isSame(a: ServiceInstance | undefined, b: ServiceInstance): boolean {
  return a !== undefined && JSON.stringify(a) === JSON.stringify(b)
}

function parseAnswer(line: string): ServiceAnswer {
  try {
    const answer = JSON.parse(line) as ServiceAnswer
    if (typeof answer.service === 'string' && Array.isArray(answer.instances)) return answer
  } catch {
    // Said below.
  }
  throw new CliError('ERR_CLI_ANSWER', 'the agent sent a line that tells of no service')
}
