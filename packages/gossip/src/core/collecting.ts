/** Own queries while they run: the acks and answers that come in, and how each query ends. */
import type { QueryResponseMessage } from '../wire/message.ts'
import { cancel } from './deadlines.ts'
import { countVote, voteEnded } from './name-conflict.ts'
import { count, emit } from './state.ts'
import type { State, Task } from './state.ts'
import type { QuerySummary, RunningQuery } from './talk.ts'

/** On a response: this is an ack. */
export const isAck = 1

/** An ack or an answer, from wherever it came. */
export function handleQueryResponse(state: State, message: QueryResponseMessage): void {
  const running = state.talk.running.get(message.lamportTime)
  if (running === undefined || running.queryId !== message.id) {
    return count(state, 'queryResponseUnasked')
  }
  const ack = (message.flags & isAck) !== 0
  const [seen, missing] = ack
    ? [running.acks, running.missingAcks]
    : [running.responses, running.missingResponses]
  if (seen.has(message.from)) {
    running.duplicates += 1
    return count(state, ack ? 'queryAcksRepeated' : 'queryResponsesRepeated')
  }
  if (seen.size >= running.answersMax) return count(state, 'queryAnswersFull')
  seen.add(message.from)
  missing.delete(message.from)
  pass(state, running, message, ack)
  if (running.ackIsAnswer && ack) running.missingResponses.delete(message.from)
  if (running.missingAcks.size + running.missingResponses.size === 0) {
    endQuery(state, running, 'complete')
  }
}

function pass(
  state: State,
  { purpose }: RunningQuery<Task>,
  { from, payload }: QueryResponseMessage,
  ack: boolean,
): void {
  if (purpose.kind === 'conflict') {
    if (!ack) countVote(state, purpose, from, payload)
    return
  }
  const { id } = purpose
  emit(state, { kind: 'answer', id, from, payload: ack ? undefined : payload })
}

/** Its time is over. */
export function queryTimeEnded(state: State, lamportTime: bigint): void {
  const running = state.talk.running.get(lamportTime)
  if (running !== undefined) endQuery(state, running, 'deadline')
}

/** Its owner does not want to hear more of it. */
export function cancelQuery(state: State, id: number): void {
  for (const running of state.talk.running.values()) {
    const { purpose } = running
    if (purpose.kind === 'command' && purpose.id === id) endQuery(state, running, 'cancelled')
  }
}

function endQuery(state: State, running: RunningQuery<Task>, ended: QuerySummary['ended']): void {
  const { purpose, lamportTime, acks, responses, missingResponses, duplicates } = running
  state.talk.running.delete(lamportTime)
  cancel(state.deadlines, running.timer)
  if (purpose.kind === 'conflict') return voteEnded(state, purpose)
  const summary: QuerySummary = Object.freeze({
    lamportTime,
    acks: [...acks],
    responses: [...responses],
    missing: [...missingResponses],
    duplicates,
    dropped: 0,
    ended,
  })
  emit(state, { kind: 'answersEnd', id: purpose.id, summary })
}
