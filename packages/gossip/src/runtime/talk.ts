/** What callers say in a call, checked all at once before anything happens. */
import { showValue } from '@kith/interface'
import type { OptionProblem } from '@kith/interface'
import { questionRefusal, tagsProblem } from '../core/index.ts'
import type { Question, State } from '../core/index.ts'
import { GossipError, optionsError } from '../errors.ts'
import type { FetchOptions } from './fetching.ts'
import { seedProblems } from './options.ts'
import type { EmitOptions, EventsOptions, QueryOptions } from './talk-types.ts'
import type { JoinOptions } from './types.ts'

const timeoutMsMax = 3_600_000
const bufferMaxMax = 1_048_576

/** Like all of these, throws `ERR_GOSSIP_OPTIONS` that names everything that is wrong. */
export function checkEvent(name: unknown, payload: unknown, options: EmitOptions): void {
  check([
    ...unknownProblems(options, ['coalesce']),
    ...bodyProblems(name, payload),
    ...flagProblems('coalesce', options.coalesce),
  ])
}

export function checkStream(options: EventsOptions): void {
  const { bufferMax = 1, signal } = options
  check([
    ...unknownProblems(options, ['signal', 'bufferMax']),
    ...signalProblems(signal),
    ...numberProblems('bufferMax', bufferMax, 1, bufferMaxMax),
  ])
}

export function checkJoin(addresses: readonly string[], options: JoinOptions): void {
  check([
    ...unknownProblems(options, ['ignoreOld']),
    ...seedProblems(addresses),
    ...flagProblems('ignoreOld', options.ignoreOld),
  ])
}

export function checkFetch(options: FetchOptions): void {
  const { timeoutMs = 1, signal } = options
  check([
    ...unknownProblems(options, ['timeoutMs', 'signal']),
    ...numberProblems('timeoutMs', timeoutMs, 1, timeoutMsMax),
    ...signalProblems(signal),
  ])
}

export function checkForceLeave(name: unknown, options: { readonly prune?: boolean }): void {
  check([
    ...unknownProblems(options, ['prune']),
    ...(isText(name) ? [] : [problem('name', name, 'a text')]),
    ...flagProblems('prune', options.prune),
  ])
}

const queryOptions: readonly (keyof QueryOptions)[] = [
  'members',
  'tags',
  'ack',
  'relayFactor',
  'timeoutMs',
  'signal',
  'responsesMax',
]

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
    ...unknownProblems(options, queryOptions),
    ...bodyProblems(name, payload),
    ...(members === undefined ? [] : namesProblems(members)),
    ...(tags === undefined ? [] : tagsProblems(tags)),
    ...flagProblems('ack', ack),
    ...numberProblems('relayFactor', relayFactor, 0, 255),
    ...numberProblems('timeoutMs', timeoutMs ?? 1, 1, timeoutMsMax),
    ...numberProblems('responsesMax', responsesMax, 1, bufferMaxMax),
    ...signalProblems(options.signal),
  ])
  const question = { name, payload, members, tags, ack, relayFactor, timeoutMs, internal }
  const refused = questionRefusal(state, question)
  if (refused !== undefined) throw new GossipError(refused.code, refused.message)
  return question
}

/** Tags of a member, not the filters of a query. */
export function checkTags(tags: unknown): void {
  const problem = tagsProblem(tags)
  check(problem === undefined ? [] : [problem])
}

function check(problems: readonly OptionProblem[]): void {
  const error = optionsError(problems)
  if (error !== undefined) throw error
}

/** A word that is misspelt changes nothing, and nobody would notice. */
function unknownProblems(options: object, known: readonly string[]): OptionProblem[] {
  return Object.keys(options)
    .filter((field) => !known.includes(field))
    .map((field) => ({ field, got: 'a value', want: 'left out: it is not an option' }))
}

function flagProblems(field: string, value: unknown): OptionProblem[] {
  const fits = value === undefined || typeof value === 'boolean'
  return fits ? [] : [problem(field, value, 'true or false')]
}

function signalProblems(signal: unknown): OptionProblem[] {
  const fits = signal === undefined || signal instanceof AbortSignal
  return fits ? [] : [problem('signal', signal, 'an AbortSignal')]
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
