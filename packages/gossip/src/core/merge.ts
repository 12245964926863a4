/**
 * Taking in what an exchange brought, after checking that everyone in it could live together. A
 * state of many members is taken in over several steps: the check looks at all of it first, so that
 * it is still all or nothing, and then each step merges some rows, and the last one the rest.
 */
import { releaseBytes } from '@kith/interface'
import type { PushPullMessage, PushPullRow, Rows, SwimState, Versions } from '../wire/message.ts'
import { handleAlive } from './alive.ts'
import { handleDead } from './dead.ts'
import { schedule } from './deadlines.ts'
import { joinEnded } from './join.ts'
import { mergeUserState } from './serf-state.ts'
import { count, emitEvent } from './state.ts'
import type { Merge, MergeTerms, State } from './state.ts'
import { handleSuspect } from './suspect.ts'
import { rowsVetoed } from './veto.ts'

/** What a step merges, unless the policy says fewer; a row of somebody new costs some 6 us. */
const rowsEachStepDefault = 200
/** Between two steps of one merge, milliseconds: whatever else waits has its turn. */
const mergePauseMs = 1
/** States that wait to be merged, each of some megabytes at most. */
const mergesMax = 4

/**
 * Takes in a state: at once where it is small, else over the next steps. It is freed when that is
 * done. `asked` says which exchange of ours, if it is one, is over then.
 */
export function merge(
  state: State,
  message: PushPullMessage,
  terms: MergeTerms,
  asked: Merge['asked'],
): void {
  const { rows } = message
  const reason = rowsProblem(state, rows)
  if (reason !== undefined) {
    count(state, 'mergesRefused')
    emitEvent(state, { kind: 'mergeRefused', reason })
    return ended(state, { message, asked }, reason)
  }
  const started = { message, terms, asked, rows: rows[Symbol.iterator](), rowsLeft: rows.length }
  const all = rows.length <= rowsEachStep(state)
  mergeSome(state, started, rowsEachStep(state))
  if (all) return finish(state, started)
  if (state.merges.length === 0) scheduleMerge(state)
  state.merges.push(started)
  // Rather a long step than a state that is lost, or more memory.
  if (state.merges.length > mergesMax) finishOldest(state)
}

/** The next part of the oldest merge. */
export function mergeTick(state: State): void {
  const [oldest] = state.merges
  if (oldest === undefined) return
  // Serf's part of it takes as long as many rows: it has a step of its own.
  if (oldest.rowsLeft === 0) finishOldest(state)
  else mergeSome(state, oldest, rowsEachStep(state))
  if (state.merges.length > 0) scheduleMerge(state)
}

function rowsEachStep({ policy }: State): number {
  return policy.mergeRowsEachStep ?? rowsEachStepDefault
}

function scheduleMerge(state: State): void {
  schedule(state.deadlines, state.now + mergePauseMs, { kind: 'mergeTick' })
}

function finishOldest(state: State): void {
  const oldest = state.merges.shift()
  if (oldest === undefined) return
  mergeSome(state, oldest, oldest.rowsLeft)
  finish(state, oldest)
}

function finish(state: State, done: Merge): void {
  mergeUserState(state, done.message.userState, done.terms)
  ended(state, done, undefined)
}

function ended(
  state: State,
  { message, asked }: Pick<Merge, 'message' | 'asked'>,
  failure: string | undefined,
): void {
  freeMessage(message)
  if (asked === undefined) return
  if (failure !== undefined) count(state, 'pushPullsFailed')
  if (asked.job !== undefined) joinEnded(state, asked.job, asked.to, failure)
}

/** Everything of it that was kept is a copy. */
export function freeMessage({ rows, userState }: PushPullMessage): void {
  rows.release?.()
  releaseBytes(userState)
}

function mergeSome(state: State, some: Merge, most: number): void {
  for (let taken = 0; taken < most && some.rowsLeft > 0; taken += 1) {
    const next = some.rows.next()
    some.rowsLeft = next.done === true ? 0 : some.rowsLeft - 1
    if (next.done !== true) mergeRow(state, next.value)
  }
}

/** Why none of the rows may be merged; undefined where all of them may. */
function rowsProblem(state: State, rows: Rows): string | undefined {
  if (rows.length > state.timings.membersMax) return `${rows.length} rows are too many`
  return versionProblem(state, rows) ?? rowsVetoed(state, rows)
}

function mergeRow(state: State, row: PushPullRow): void {
  const { name: node, incarnation, versions } = row
  // The version check refused such rows already; this is for the compiler.
  if (versions === undefined) return count(state, 'versionsUnfit')
  if (row.state === 'alive') {
    const { address, port, meta } = row
    return handleAlive(state, { kind: 'alive', incarnation, node, address, port, meta, versions })
  }
  if (row.state === 'left') {
    return handleDead(state, { kind: 'dead', incarnation, node, from: node })
  }
  // A dead row is only a suspicion to us: its subject gets a chance to refute.
  const suspect = { kind: 'suspect', incarnation, node, from: state.name } as const
  handleSuspect(state, suspect, { via: 'exchange' })
}

interface Versioned {
  readonly name: string
  readonly state: SwimState
  readonly versions: Versions | undefined
}

/** What all living members understand of one protocol, and who speaks its ends. */
class VersionRange {
  low = 0
  high = 255
  least: { readonly name: string; readonly version: number } | undefined
  most: { readonly name: string; readonly version: number } | undefined
  readonly #protocol: string

  constructor(protocol: string) {
    this.#protocol = protocol
  }

  understood(min: number, max: number): void {
    this.low = Math.max(this.low, min)
    this.high = Math.min(this.high, max)
  }

  spoken(name: string, version: number): void {
    if (this.least === undefined || version < this.least.version) this.least = { name, version }
    if (this.most === undefined || version > this.most.version) this.most = { name, version }
  }

  problem(): string | undefined {
    const { low, high, least, most } = this
    for (const one of [least, most]) {
      if (one === undefined || (one.version >= low && one.version <= high)) continue
      const { name, version } = one
      return `${name} speaks ${this.#protocol} ${version}, not ${low} to ${high}`
    }
    return undefined
  }
}

/** Everyone's present version must lie in the range that all living members understand. */
function versionProblem(state: State, rows: Iterable<Versioned>): string | undefined {
  const protocol = new VersionRange('protocol')
  const delegate = new VersionRange('delegate protocol')
  for (const list of [rows, state.ring]) {
    for (const { name, state: swimState, versions } of list) {
      protocol.spoken(name, versions?.[2] ?? 0)
      delegate.spoken(name, versions?.[5] ?? 0)
      if (swimState !== 'alive' || versions === undefined) continue
      protocol.understood(versions[0], versions[1])
      delegate.understood(versions[3], versions[4])
    }
  }
  return protocol.problem() ?? delegate.problem()
}
