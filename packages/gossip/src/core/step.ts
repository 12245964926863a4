/**
 * The one door of the core. Same options, same seed and same inputs give the same outputs, in an
 * order that the runtime keeps.
 */
import { askedEnded, respondToQuery } from './answers.ts'
import { ask } from './asking.ts'
import { flushHeld } from './coalesce.ts'
import { cancelQuery, queryTimeEnded } from './collecting.ts'
import { forceLeave, leave, leaveEnded, setAdvertise } from './commands.ts'
import { setTags, start, waitEnded } from './commands.ts'
import { voteOnName } from './conflict-vote.ts'
import { earliest, takeDue } from './deadlines.ts'
import { disputeTick } from './dispute.ts'
import { suspicionEnded } from './dead.ts'
import { anyListener, gossipTick } from './gossip.ts'
import { stoodStill } from './health.ts'
import { helperTimeout } from './helper.ts'
import type { Command, Input, Output } from './input.ts'
import { pruneEnded } from './intents.ts'
import { createJob, finishJoin, takeAddresses } from './join.ts'
import { mergeTick } from './merge.ts'
import { handlePacket } from './packet.ts'
import { askLastWord, probeEnd, probeSendFailed, probeTick, probeTimeout } from './probe.ts'
import { collected, exchangeWith, pushPullTick, startExchange } from './push-pull.ts'
import { broadcastExtension } from './queries.ts'
import { takeFinished } from './queue.ts'
import { reapTick } from './reap.ts'
import { reconnectTick } from './reconnect.ts'
import { refuteLate } from './refute.ts'
import { lostTick } from './regain.ts'
import { serfsToTell } from './serf-moves.ts'
import { count } from './state.ts'
import type { State, Task } from './state.ts'
import { handleReply, handleRequestFailed, handleRequestSent, handleStream } from './streams.ts'
import { emitUserEvent } from './user-events.ts'

/** `now` is monotonic milliseconds and never goes back. */
export function step(state: State, input: Input, now: number): readonly Output[] {
  state.now = Math.max(state.now, now)
  state.outputs = []
  handle(state, input)
  settle(state)
  return state.outputs
}

/** When the runtime must next pass a `deadline`; undefined means never. */
export function nextDeadline(state: State): number | undefined {
  return earliest(state.deadlines)?.at
}

function handle(state: State, input: Input): void {
  switch (input.kind) {
    case 'packet':
      doubtOwnClock(state)
      return handlePacket(state, input.from, input.bytes)
    case 'deadline':
      return runDue(state)
    case 'late':
      return stoodStill(state, state.now - input.lateMs)
    case 'sendFailed':
      count(state, 'sendsFailed')
      return probeSendFailed(state, input)
    case 'streamMessage':
      return handleStream(state, input.id, input.message)
    case 'reply':
      return handleReply(state, input.id, input.message)
    case 'requestFailed':
      return handleRequestFailed(state, input)
    case 'requestSent':
      return handleRequestSent(state, input.id)
    case 'collected':
      return collected(state, input.id, input.states)
    case 'command':
      return command(state, input.command)
  }
}

function command(state: State, asked: Command): void {
  switch (asked.kind) {
    case 'start':
      return start(state, asked.ignoreOld)
    case 'join':
      state.joinsToContinue.add(createJob(state, asked.id, asked.addresses, asked.ignoreOld))
      return
    case 'leave':
      return leave(state, asked.id)
    case 'forceLeave':
      return forceLeave(state, asked.id, asked.name, asked.prune)
    case 'setTags':
      return setTags(state, asked.id, asked.tags)
    case 'setAdvertise':
      return setAdvertise(state, asked.id, asked.address)
    case 'broadcast':
      return broadcastExtension(state, asked.name, asked.bytes)
    case 'extend':
      state.extensions.add(asked.name)
      return
    case 'retract':
      state.extensions.delete(asked.name)
      return
    case 'emit':
      return emitUserEvent(state, asked.id, asked)
    case 'query':
      return ask(state, asked.id, asked.question)
    case 'cancelQuery':
      return cancelQuery(state, asked.id)
    case 'respond':
      return respondToQuery(state, asked.id, asked.queryId, asked.payload)
  }
}

function runDue(state: State): void {
  doubtOwnClock(state)
  for (;;) {
    const timer = takeDue(state.deadlines, state.now)
    if (timer === undefined) return
    runTask(state, timer.task, timer.at)
  }
}

/**
 * A deadline that comes late says that this member did not run, also where its runtime tells
 * nothing of it: the process was stopped, or its event loop blocked.
 */
function doubtOwnClock(state: State): void {
  const due = earliest(state.deadlines)?.at ?? state.now
  stoodStill(state, Math.max(due, state.health.givenAt))
}

function runTask(state: State, task: Task, dueAt: number): void {
  switch (task.kind) {
    case 'probeTick':
      return probeTick(state, dueAt)
    case 'probeTimeout':
      return probeTimeout(state)
    case 'probeEnd':
      return probeEnd(state)
    case 'helperTimeout':
      return helperTimeout(state, task.sequenceNumber)
    case 'suspicion':
      return suspicionEnded(state, task.entry)
    case 'lastWord':
      return askLastWord(state, task.entry)
    case 'gossipTick':
      return gossipTick(state)
    case 'pushPullTick':
      return pushPullTick(state)
    case 'mergeTick':
      return mergeTick(state)
    case 'reapTick':
      return reapTick(state)
    case 'reconnectTick':
      return reconnectTick(state)
    case 'lostTick':
      return lostTick(state)
    case 'refute':
      return refuteLate(state)
    case 'waitEnd':
      return waitEnded(state, task.ticket)
    case 'leaveEnd':
      return leaveEnded(state)
    case 'prune':
      return pruneEnded(state, task.name)
    case 'coalesceEnd':
      return flushHeld(state)
    case 'askedEnd':
      return askedEnded(state, task.id)
    case 'queryEnd':
      return queryTimeEnded(state, task.lamportTime)
    case 'dispute':
      return disputeTick(state)
    case 'tellSerfs':
      return exchangeWith(state, serfsToTell(state))
  }
}

/** What this step set going: broadcasts that left their queue, joins that go on or are done. */
function settle(state: State): void {
  voteOnName(state)
  for (const queue of [state.broadcasts, state.intents, state.queries, state.events]) {
    for (const ticket of takeFinished(queue)) waitEnded(state, ticket)
  }
  if (state.waits.size > 0 && !anyListener(state)) {
    // The last one to hear of it has left: nothing is sent any more.
    for (const ticket of [...state.waits.keys()]) waitEnded(state, ticket)
  }
  for (const job of state.joinsToContinue) {
    state.joinsToContinue.delete(job)
    for (const address of takeAddresses(job)) startExchange(state, address, job)
    const over = job.running === 0 && job.waiting.length === 0
    if (over && !state.joinsToContinue.has(job)) finishJoin(state, job)
  }
}
