/**
 * What the owner of this member asks of it. Commands that wait for a broadcast are bounded in time.
 */
import { sameAddress } from '@kith/interface'
import type { Address } from '@kith/interface'
import { sameBytes } from '../wire/codec.ts'
import { encodeText } from '../wire/text.ts'
import { handleAlive } from './alive.ts'
import { broadcastIntent } from './broadcasts.ts'
import { advance, stamp } from './clocks.ts'
import { cancel, schedule } from './deadlines.ts'
import { handleDead } from './dead.ts'
import { formerAfter } from './former.ts'
import { handleLeaveIntent } from './intents.ts'
import { beginLineage } from './lineage.ts'
import { tellSerfsSoon } from './serf-moves.ts'
import { anyOtherAlive, count, emit, ownAddressBytes, ownVersions, takeId } from './state.ts'
import type { State, Wait } from './state.ts'
import { encodeOwnTags, givenTags } from './tags.ts'

/** Announces this member to itself and sets every schedule going, each with its own stagger. */
export function start(state: State, ignoreOld = false): void {
  if (state.started) return
  state.started = true
  const { timings, random, now } = state
  const within = (intervalMs: number): number => now + random.float() * intervalMs
  const phases = [
    within(timings.probeIntervalMs),
    within(timings.pushPullIntervalMs),
    within(timings.reapIntervalMs),
    within(timings.reconnectIntervalMs),
    within(timings.gossipIntervalMs),
  ] as const
  schedule(state.deadlines, phases[0], { kind: 'probeTick' })
  schedule(state.deadlines, phases[1], { kind: 'pushPullTick' })
  schedule(state.deadlines, phases[2], { kind: 'reapTick' })
  schedule(state.deadlines, phases[3], { kind: 'reconnectTick' })
  state.gossipPhaseMs = phases[4]
  const life = encodeText(`${state.name} ${phases.join(' ')}`)
  beginLineage(state.talk.lineage, now, ignoreOld, state.digests.sha256(life))
  announceAlive(state)
}

/** The ticket comes back when the announcement left the queue. */
function announceAlive(state: State): number {
  const ticket = takeId(state)
  state.incarnation += 1
  const { name: node, incarnation, addressBytes: address, meta } = state
  const { port } = state.address
  const alive = { kind: 'alive', incarnation, node, address, port, meta } as const
  handleAlive(state, { ...alive, versions: ownVersions }, ticket)
  return ticket
}

/** Done once everyone had a chance to hear of it, or nobody is there to hear. */
export function setTags(
  state: State,
  commandId: number,
  tags: Readonly<Record<string, string>>,
): void {
  const meta = encodeOwnTags(tags, state.moved.former)
  if (state.phase !== 'active' || sameBytes(meta, state.meta))
    return emit(state, { kind: 'done', id: commandId })
  state.meta = meta
  waitOrGoOn(state, announceAlive(state), { after: 'done', commandId })
}

/** Others take it over as they take new tags, because the tags say where this member was. */
export function setAdvertise(state: State, commandId: number, address: Address): void {
  if (state.phase !== 'active' || sameAddress(address, state.address))
    return emit(state, { kind: 'done', id: commandId })
  count(state, 'moves')
  const former = formerAfter(state.moved.former, state.address, address)
  state.moved = { former, incarnation: state.incarnation }
  state.meta = encodeOwnTags(givenTags(state.meta), former)
  state.address = address
  state.addressBytes = ownAddressBytes(address)
  tellSerfsSoon(state)
  waitOrGoOn(state, announceAlive(state), { after: 'done', commandId })
}

/** Serf's leave intent first, then memberlist's good-bye, then a while of still being there. */
export function leave(state: State, commandId: number): void {
  if (state.phase === 'left' || !state.started) return emit(state, { kind: 'done', id: commandId })
  state.leaveIds.push(commandId)
  if (state.phase === 'leaving') return
  state.phase = 'leaving'
  const ticket = leaveIntent(state, state.name, false)
  waitOrGoOn(state, ticket, { after: 'leaveSwim', commandId: 0 })
}

/**
 * Two real Serfs that exchange states raise the time of a left member by one, each time, and take
 * no leave from before it. This many exchanges that we have not heard of are outrun.
 */
const exchangesOutrun = 64n

/** Said by another member in the name of one that failed. */
export function forceLeave(state: State, commandId: number, name: string, prune: boolean): void {
  const row = state.members.get(name)
  if (row !== undefined) advance(state.clock, row.statusTime + exchangesOutrun)
  const ticket = leaveIntent(state, name, prune)
  waitOrGoOn(state, ticket, { after: 'done', commandId })
}

function leaveIntent(state: State, node: string, prune: boolean): number {
  const lamportTime = stamp(state.clock)
  const message = { kind: 'leaveIntent', lamportTime, node, prune } as const
  handleLeaveIntent(state, message)
  const ticket = takeId(state)
  broadcastIntent(state, message, ticket)
  return ticket
}

type Then = Pick<Wait, 'after' | 'commandId'>

function waitOrGoOn(state: State, ticket: number, then: Then): void {
  if (!anyOtherAlive(state)) return goOn(state, then)
  const at = state.now + state.timings.broadcastTimeoutMs
  const timer = schedule(state.deadlines, at, { kind: 'waitEnd', ticket })
  state.waits.set(ticket, { ...then, timer })
}

/** A broadcast of ours left its queue, or its time is over. */
export function waitEnded(state: State, ticket: number): void {
  const wait = state.waits.get(ticket)
  if (wait === undefined) return
  state.waits.delete(ticket)
  cancel(state.deadlines, wait.timer)
  goOn(state, wait)
}

function goOn(state: State, then: Then): void {
  if (then.after === 'done') return emit(state, { kind: 'done', id: then.commandId })
  if (then.after === 'leaveSwim') return leaveSwim(state)
  const lasts = anyOtherAlive(state) ? state.timings.leavePropagateDelayMs : 0
  schedule(state.deadlines, state.now + lasts, { kind: 'leaveEnd' })
}

/** Others may have declared us dead in between; then there is nothing left to say. */
function leaveSwim(state: State): void {
  const then = { after: 'leavePropagate', commandId: 0 } as const
  const entry = state.entries.get(state.name)
  if (entry === undefined || entry.state === 'dead') return goOn(state, then)
  const ticket = takeId(state)
  const { name: node, incarnation } = entry
  handleDead(state, { kind: 'dead', incarnation, node, from: node }, ticket)
  waitOrGoOn(state, ticket, then)
}

export function leaveEnded(state: State): void {
  state.phase = 'left'
  for (const id of state.leaveIds.splice(0)) emit(state, { kind: 'done', id })
}
