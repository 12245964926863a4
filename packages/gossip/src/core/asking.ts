/** Own queries: checked, sent to everybody, and taken up here like anybody's. */
import { encodeSerf, filterFor, isPattern } from '../wire/codec.ts'
import type { QueryFilter, QueryMessage } from '../wire/message.ts'
import { broadcastSerf } from './broadcasts.ts'
import { stamp } from './clocks.ts'
import { isAck } from './collecting.ts'
import { schedule } from './deadlines.ts'
import { internalPrefix, pingQuery } from './internal-queries.ts'
import { extensionPrefix, firstSight, queryTimeoutNs, takeUp } from './queries.ts'
import { count, emit } from './state.ts'
import type { State, Task } from './state.ts'
import type { Question, QueryPurpose, Refusal, RunningQuery } from './talk.ts'

/** Names that answer are at most this many times as many as members are known at the start. */
const answersFactor = 2
const answersMin = 64
const nanosecondsPerMs = 1_000_000
const idMax = 0x7fff_ffff

/** A query for its user; `done` when it is on its way, then its answers, then `answersEnd`. */
export function ask(state: State, id: number, question: Question): void {
  const refused = questionRefusal(state, question)
  emit(state, { kind: 'done', id, ...(refused === undefined ? {} : { refused }) })
  if (refused === undefined) begin(state, question, { kind: 'command', id })
}

/** Why a query of a user cannot be sent; undefined where it can. */
export function questionRefusal(state: State, question: Question): Refusal | undefined {
  const { name, payload } = question
  const ping = name === pingQuery && payload.length === 0
  const ours = ping || question.internal === true
  if (!ours && (name.startsWith(internalPrefix) || name.startsWith(extensionPrefix))) {
    const message = `queries cannot begin with ${internalPrefix} or ${extensionPrefix}`
    return { code: 'ERR_GOSSIP_QUERY_NAME', message }
  }
  for (const [tag, expression] of Object.entries(question.tags ?? {})) {
    if (isPattern(expression)) continue
    const message = `the expression for the tag ${tag} is not understood: ${expression}`
    return { code: 'ERR_GOSSIP_QUERY_FILTER', message: message.slice(0, 200) }
  }
  return sizeRefusal(state, question) ?? roomRefusal(state)
}

function sizeRefusal(state: State, question: Question): Refusal | undefined {
  const limit = state.timings.queryBytesMax
  if (encodeSerf(messageOf(state, question, idMax)).length <= limit) return undefined
  const message = `query exceeds limit of ${limit} bytes`
  return { code: 'ERR_GOSSIP_QUERY_TOO_LARGE', message }
}

function roomRefusal(state: State): Refusal | undefined {
  if (state.phase !== 'active') {
    return { code: 'ERR_GOSSIP_LEFT', message: 'this member has left the cluster' }
  }
  const { running } = state.talk
  const full = running.size >= state.timings.queriesRunningMax || running.has(state.queryClock.time)
  if (!full && state.queries.size < state.queries.depthMax) return undefined
  const what = full ? `${running.size} queries of this member run` : 'queries wait to be sent'
  return { code: 'ERR_GOSSIP_OVERLOADED', message: `${what} already` }
}

/** Sends what was checked before, or what is the core's own. */
export function begin(state: State, question: Question, purpose: QueryPurpose): void {
  const message = messageOf(state, question, state.random.uint32() >>> 1)
  const { lamportTime, id: queryId } = message
  if (state.talk.running.has(lamportTime)) return count(state, 'queryClockEnded')
  stamp(state.queryClock)
  firstSight(state, message)
  const lastsMs = Number(message.timeoutNs) / nanosecondsPerMs
  const timer = schedule(state.deadlines, state.now + lastsMs, { kind: 'queryEnd', lamportTime })
  const expected = meantFor(state, message.filters)
  // About our own name everybody answers but ourselves.
  if (purpose.kind === 'conflict') expected.delete(state.name)
  const running: RunningQuery<Task> = {
    purpose,
    queryId,
    lamportTime,
    timer,
    ackIsAnswer: question.name === pingQuery,
    acks: new Set(),
    responses: new Set(),
    missingAcks: new Set(question.ack ? expected : []),
    missingResponses: new Set(expected),
    answersMax: Math.max(answersMin, answersFactor * state.members.size),
    duplicates: 0,
  }
  state.talk.running.set(lamportTime, running)
  broadcastSerf(state, state.queries, encodeSerf(message))
  takeUp(state, message)
}

function messageOf(state: State, question: Question, id: number): QueryMessage {
  const { name, payload, timeoutMs } = question
  const timeoutNs =
    timeoutMs === undefined
      ? queryTimeoutNs(state)
      : BigInt(Math.ceil(timeoutMs)) * BigInt(nanosecondsPerMs)
  return {
    kind: 'query',
    lamportTime: state.queryClock.time,
    id,
    address: state.addressBytes,
    port: state.address.port,
    sourceNode: state.name,
    filters: filtersOf(question),
    flags: question.ack ? isAck : 0,
    relayFactor: question.relayFactor,
    timeoutNs,
    name,
    payload,
  }
}

function filtersOf({ members, tags = {} }: Question): readonly QueryFilter[] {
  const filters: QueryFilter[] = []
  if (members !== undefined) filters.push({ kind: 'names', names: members })
  for (const [tag, expression] of Object.entries(tags)) {
    filters.push({ kind: 'tag', tag, expression })
  }
  return filters
}

/** Living members that the query is for, as far as this member knows them. */
function meantFor(state: State, filters: readonly QueryFilter[]): Set<string> {
  const names = new Set<string>()
  const fit = filterFor(filters)
  for (const [name, { snapshot }] of state.members) {
    if (snapshot.status === 'alive' && fit(name, snapshot.tags) === 'match') names.add(name)
  }
  return names
}
