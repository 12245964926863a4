/** What callers say of events and queries, checked all at once before anything happens. */
import { showValue } from '@kith/interface'
import type { OptionProblem } from '@kith/interface'
import { questionRefusal } from '../core/index.ts'
import type { Question, State } from '../core/index.ts'
import { GossipError, optionsError } from '../errors.ts'
import type { EventsOptions, QueryOptions } from './talk-types.ts'

const timeoutMsMax = 3_600_000
const bufferMaxMax = 1_048_576

/** Like all of these, throws `ERR_GOSSIP_OPTIONS` that names everything that is wrong. */
export function checkEvent(name: unknown, payload: unknown, coalesce: unknown): void {
  const flag = typeof coalesce === 'boolean' ? [] : [problem('coalesce', coalesce, 'true or false')]
  check([...bodyProblems(name, payload), ...flag])
}

export function checkStream({ bufferMax = 1 }: EventsOptions): void {
  check(numberProblems('bufferMax', bufferMax, 1, bufferMaxMax))
}

/** What the core is to ask; throws also what the core would refuse it for. */
export function questionOf(
  state: State,
  name: string,
  payload: Uint8Array,
  options: QueryOptions,
  internal = false,
): Question {
  const { members, tags, ack = false, relayFactor = 0, timeoutMs, responsesMax = 1 } = options
  check([
    ...bodyProblems(name, payload),
    ...(members === undefined ? [] : namesProblems(members)),
    ...(tags === undefined ? [] : tagsProblems(tags)),
    ...(typeof ack === 'boolean' ? [] : [problem('ack', ack, 'true or false')]),
    ...numberProblems('relayFactor', relayFactor, 0, 255),
    ...numberProblems('timeoutMs', timeoutMs ?? 1, 1, timeoutMsMax),
    ...numberProblems('responsesMax', responsesMax, 1, bufferMaxMax),
  ])
  const question = { name, payload, members, tags, ack, relayFactor, timeoutMs, internal }
  const refused = questionRefusal(state, question)
  if (refused !== undefined) throw new GossipError(refused.code, refused.message)
  return question
}

function check(problems: readonly OptionProblem[]): void {
  const error = optionsError(problems)
  if (error !== undefined) throw error
}

function bodyProblems(name: unknown, payload: unknown): OptionProblem[] {
  const problems: OptionProblem[] = []
  if (!isText(name)) problems.push(problem('name', name, 'a text'))
  if (!(payload instanceof Uint8Array)) problems.push(problem('payload', payload, 'bytes'))
  return problems
}

function namesProblems(members: unknown): OptionProblem[] {
  if (Array.isArray(members) && members.every(isText)) return []
  return [problem('members', members, 'a list of names')]
}

function tagsProblems(tags: unknown): OptionProblem[] {
  const fits =
    typeof tags === 'object' &&
    tags !== null &&
    !Array.isArray(tags) &&
    Object.entries(tags).every(([key, value]) => isText(key) && isText(value))
  return fits ? [] : [problem('tags', tags, 'an object of expressions by tag')]
}

function numberProblems(
  field: string,
  value: unknown,
  least: number,
  most: number,
): OptionProblem[] {
  const fits = Number.isInteger(value) && (value as number) >= least && (value as number) <= most
  return fits ? [] : [problem(field, value, `an integer from ${least} to ${most}`)]
}

/** Half of a surrogate pair has no UTF-8. */
function isText(value: unknown): value is string {
  return typeof value === 'string' && !/\p{Cs}/u.test(value)
}

function problem(field: string, value: unknown, want: string): OptionProblem {
  return { field, got: showValue(value), want }
}
