/**
 * Finding failed members again within seconds. Serf tries one of them every 30 s at random; here
 * each is asked about once an interval by some of those who miss it, ever less often the longer it
 * is gone. Whoever answers hears that it was given up, refutes, and the two exchange their states.
 */
import type { AckMessage, PingMessage } from '../wire/message.ts'
import { encodeMessage } from '../wire/codec.ts'
import { sendBare } from './broadcasts.ts'
import { createJob, takeAddresses } from './join.ts'
import { nextAskAt, wakeLost } from './lost.ts'
import { hasSpareRoom } from './sending.ts'
import { pingFor } from './probe.ts'
import { startExchange } from './push-pull.ts'
import { count } from './state.ts'
import type { MemberRow, State } from './state.ts'

/** Questions that may still be answered. */
const questionsMax = 16
/** Rows looked at for one that is due; those asked last are at the end. */
const looksMax = 8
/** Members asked out of turn in one go. */
const outOfTurnMax = 4

export function lostTick(state: State): void {
  state.lostTimer = undefined
  if (state.phase === 'active' && hasSpareRoom(state)) askSome(state)
  wakeLost(state)
}

/** First those of whom somebody says that they live, then the one whose turn it is. */
function askSome(state: State): void {
  if (state.askFirst.size === 0) return askNext(state)
  let asked = 0
  for (const name of state.askFirst) {
    if (asked >= outOfTurnMax || !hasSpareRoom(state)) return
    state.askFirst.delete(name)
    const row = state.members.get(name)
    if (row?.snapshot.status !== 'failed') continue
    ask(state, row)
    asked += 1
  }
}

function askNext(state: State): void {
  let looked = 0
  for (const name of state.failed) {
    looked += 1
    if (looked > looksMax) return
    const row = state.members.get(name)
    if (row === undefined || row.askAt > state.now) continue
    state.failed.delete(name)
    state.failed.add(name)
    return ask(state, row)
  }
}

/** A ping, and where memberlist's entry is still there, what it says: it asks for a refutation. */
function ask(state: State, row: MemberRow): void {
  const { name, address } = row.snapshot
  row.askedAt = state.now
  row.askAt = nextAskAt(state, row)
  state.sequenceNumber = (state.sequenceNumber + 1) >>> 0
  const { sequenceNumber, lostProbes } = state
  lostProbes.set(sequenceNumber, name)
  for (const oldest of lostProbes.keys()) {
    if (lostProbes.size <= questionsMax) break
    lostProbes.delete(oldest)
  }
  count(state, 'lostProbes')
  // The accusation goes first, so that the ack can carry the answer to it.
  const ping = encodeMessage(pingFor(state, name, sequenceNumber))
  sendBare(state, address, [...accusation(state, name), ping], state.entries.get(name))
}

/**
 * What we hold against a member, for itself to hear; nothing where it lives, left or is unknown.
 */
export function accusation(state: State, name: string): readonly Uint8Array[] {
  const entry = state.entries.get(name)
  if (entry?.state !== 'dead' && entry?.state !== 'suspect') return []
  const { incarnation } = entry
  return [encodeMessage({ kind: 'suspect', incarnation, node: name, from: state.name })]
}

/** True where the ack was of a member that was lost. */
export function lostAcked(state: State, message: AckMessage): boolean {
  const name = state.lostProbes.get(message.sequenceNumber)
  if (name === undefined) return false
  state.lostProbes.delete(message.sequenceNumber)
  count(state, 'lostAnswered')
  met(state, name)
  return true
}

/** A member pinged us that may be lost to us; anybody can claim to be it, so little follows. */
export function pingedBy(state: State, message: PingMessage): void {
  const row = state.members.get(message.sourceNode)
  if (row?.snapshot.status === 'failed') met(state, message.sourceNode)
}

/**
 * Somebody lost is there. It may come with a whole side of a partition, whom an exchange of states
 * brings back at once, and one an interval is enough for that.
 */
function met(state: State, name: string): void {
  const row = state.members.get(name)
  if (row?.snapshot.status !== 'failed' || state.phase !== 'active') return
  if (state.now < state.meetsAgainAt) return
  state.meetsAgainAt = state.now + state.timings.probeIntervalMs
  count(state, 'lostExchanges')
  const job = createJob(state, undefined, [row.snapshot.address])
  for (const address of takeAddresses(job)) startExchange(state, address, job)
}
