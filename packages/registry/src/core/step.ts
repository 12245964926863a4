/**
 * The registry without a world: inputs go in, outputs come out, time is told. The same state and
 * inputs give the same outputs; outputs are to be carried out in their order.
 */
import {
  checkDue,
  checked,
  checkTimedOut,
  criticalTooLong,
  deregister,
  openChecks,
  setCheck,
} from './checks.ts'
import {
  answerFetch,
  fetched,
  fetchFailed,
  localState,
  receiveBroadcast,
  receiveState,
} from './exchange.ts'
import { fetchWanted } from './fetching.ts'
import { memberGone, memberIs } from './members.ts'
import { announce, announceParts, drain, flush, maintain, place } from './own.ts'
import { confirm, dropReplica } from './replicas.ts'
import type { Input, Output, State } from './types.ts'

export function step(state: State, input: Input, now: number): readonly Output[] {
  handle(state, input, now)
  for (const service of [...state.changed].sort()) state.outputs.push({ kind: 'changed', service })
  state.changed.clear()
  const outputs = state.outputs
  state.outputs = []
  return outputs
}

/** When the runtime must next pass a `deadline` input; undefined means never. */
export function nextDeadline(state: State): number | undefined {
  return state.deadlines.next()
}

function handle(state: State, input: Input, now: number): void {
  switch (input.kind) {
    case 'start':
      start(state, now)
      break
    case 'deadline':
      // Each key is taken once: what it sets anew for this very moment waits for the next input.
      for (const key of dueKeys(state, now)) runDeadline(state, key, now)
      break
    case 'register':
      place(state, input.plan, openChecks(state, input.plan, now), now)
      break
    case 'deregister':
      deregister(state, input.id, 'asked', now)
      break
    case 'drain':
      drain(state, now)
      break
    case 'maintain':
      maintain(state, input.id, input.reason, now)
      break
    case 'setCheck':
      setCheck(state, input.id, input.result, now)
      break
    case 'checked':
      checked(state, input.id, input.run, input.result, now)
      break
    case 'member':
      memberIs(state, input.name, input.status, input.kith, now)
      break
    case 'memberGone':
      memberGone(state, input.name)
      break
    case 'broadcast':
      receiveBroadcast(state, input.from, input.bytes, now)
      break
    case 'state':
      receiveState(state, input.from, input.bytes, now)
      break
    case 'stateWanted':
      state.outputs.push({ kind: 'localState', bytes: localState(state) })
      break
    case 'fetchRequest':
      answerFetch(state, input.bytes, now)
      break
    case 'fetched':
      fetched(state, input.id, input.bytes, now)
      break
    case 'fetchFailed':
      fetchFailed(state, input.id, now)
      break
  }
}

/**
 * The epoch is said even where there is nothing else to say: an earlier life may have left
 * something.
 */
function start(state: State, now: number): void {
  if (state.started) return
  state.started = true
  state.outputs.push({ kind: 'epoch', epoch: state.own.replica.epoch })
  flush(state, now, true)
  announce(state, now)
}

function dueKeys(state: State, now: number): string[] {
  const keys: string[] = []
  for (let key = state.deadlines.take(now); key !== undefined; key = state.deadlines.take(now)) {
    keys.push(key)
  }
  return keys
}

function runDeadline(state: State, key: string, now: number): void {
  const colon = key.indexOf(':')
  const kind = colon < 0 ? key : key.slice(0, colon)
  const name = colon < 0 ? '' : key.slice(colon + 1)
  if (kind === 'flush') flush(state, now)
  else if (kind === 'announce') announce(state, now)
  else if (kind === 'announceParts') announceParts(state, now)
  else if (kind === 'want') fetchWanted(state, name, now)
  else if (kind === 'confirm') confirm(state, name)
  else if (kind === 'stranger') dropReplica(state, name)
  else if (kind === 'check') checkDue(state, name, now)
  else if (kind === 'timeout') checkTimedOut(state, name, now)
  else if (kind === 'critical') criticalTooLong(state, name, now)
}
