/** Event handlers as an agent's options have them. */
import { type OptionProblem, showValue } from '@kith/interface'

export interface EventHandler {
  /**
   * The events that it is for, separated by commas: `member-join`, `member-leave`, `member-failed`,
   * `member-update`, `member-reap`, `user`, `user:NAME`, `query`, `query:NAME`, `*` for all of them.
   * Default `*`.
   */
  readonly on?: string
  /** The program and its arguments, 1 to 64 texts of at most 2,048 characters; without a shell. */
  readonly command: readonly string[]
  /** It is ended after so long. 100 to 600,000 ms. Default 30,000; for a query at most its time. */
  readonly timeoutMs?: number
}

export interface ResolvedEventHandler extends Required<EventHandler> {
  /** Whether it is for an event, `name` being that of a user event or a query. */
  wants(event: string, name: string): boolean
}

const handlersMax = 64
const argumentsMax = 64
const argumentMax = 2_048
const filterPattern =
  /^(?:\*|member-(?:join|leave|failed|update|reap)|(?:user|query)(?::[^,]{1,512})?)$/
const known = new Set(['on', 'command', 'timeoutMs'])

/** Without those that are wrong, which are added to `problems`. */
export function readEventHandlers(
  given: readonly EventHandler[],
  problems: OptionProblem[],
): readonly ResolvedEventHandler[] {
  if (given.length > handlersMax) {
    const want = `a list of at most ${handlersMax} handlers`
    problems.push({ field: 'eventHandlers', got: `${given.length} of them`, want })
    return []
  }
  return given.flatMap((one: unknown, at) => readHandler(one, `eventHandlers[${at}]`, problems))
}

function readHandler(
  one: unknown,
  field: string,
  problems: OptionProblem[],
): ResolvedEventHandler[] {
  const found: OptionProblem[] = []
  const refuse = (name: string, got: unknown, want: string): void =>
    void found.push({ field: `${field}${name}`, got: showValue(got), want })
  if (typeof one !== 'object' || one === null || Array.isArray(one)) {
    refuse('', one, '{ on?, command, timeoutMs? }')
    problems.push(...found)
    return []
  }
  const { on = '*', command, timeoutMs = 30_000 } = one as EventHandler
  for (const name of Object.keys(one).filter((key) => !known.has(key))) {
    refuse(`.${name}`, 'something', 'absent (the name is not known here)')
  }
  const filters = typeof on === 'string' ? on.split(',') : ['']
  if (!filters.every((filter) => filterPattern.test(filter))) {
    const events = 'member-join, member-leave, member-failed, member-update, member-reap'
    refuse('.on', on, `*, or of ${events}, user, user:NAME, query, query:NAME`)
  }
  if (!isCommand(command)) {
    refuse('.command', command, `a list of 1 to ${argumentsMax} texts: the program, its arguments`)
  }
  if (!Number.isInteger(timeoutMs) || timeoutMs < 100 || timeoutMs > 600_000) {
    refuse('.timeoutMs', timeoutMs, 'an integer from 100 to 600000')
  }
  problems.push(...found)
  if (found.length > 0) return []
  const wants = (event: string, name: string): boolean =>
    filters.some((filter) => filter === '*' || filter === event || filter === `${event}:${name}`)
  return [{ on, command: [...command], timeoutMs, wants }]
}

function isCommand(command: unknown): command is readonly string[] {
  if (!Array.isArray(command) || command.length < 1 || command.length > argumentsMax) return false
  return command.every(
    (text: unknown, at) =>
      typeof text === 'string' &&
      text.length <= argumentMax &&
      !text.includes('\0') &&
      (at > 0 || text !== ''),
  )
}
