/**
 * Failure detection: one member at a time is pinged, then through helpers and over a stream, and
 * suspected when all of it stayed silent: memberlist-behaviour section 7.
 */
import type { Address } from '@kith/interface'
import {
  broadcastCost,
  encodeMessage,
  encodeStream,
  piggybackBudget,
  unpackBytes,
} from '../wire/codec.ts'
import type { AckMessage, PingMessage } from '../wire/message.ts'
import { untold } from './announce.ts'
import { applyAwareness } from './awareness.ts'
import { sendBare, sendWithNews } from './broadcasts.ts'
import { cancel, schedule } from './deadlines.ts'
import { uses } from './detector.ts'
import { noteNack, probeReport, streamFailure } from './evidence.ts'
import { findingOver, noteFinding } from './findings.ts'
import { scaledProbeIntervalMs, scaledProbeTimeoutMs, stalledSince } from './health.ts'
import type { Input } from './input.ts'
import { measured } from './locating.ts'
import { hasRoom } from './sending.ts'
import { pickEntries, shuffle } from './selection.ts'
import { count, emit, emitEvent, takeId } from './state.ts'
import type { Entry, Probe, State } from './state.ts'
import { handleSuspect } from './suspect.ts'

/** `dueAt` keeps the ticks on their grid; after a long sleep the grid starts anew. */
export function probeTick(state: State, dueAt: number): void {
  const { probeIntervalMs } = state.timings
  const onGrid = dueAt + probeIntervalMs
  if (state.probe === undefined) startNextProbe(state)
  else state.tickWaits = true
  // Scheduled after the probe's own timers: a probe that ends with the tick ends before it.
  const at = onGrid > state.now ? onGrid : state.now + probeIntervalMs
  schedule(state.deadlines, at, { kind: 'probeTick' })
}

function startNextProbe(state: State): void {
  if (!hasRoom(state)) return count(state, 'probesPutOff')
  const entry = nextTarget(state)
  if (entry !== undefined) startProbe(state, entry)
}

/** Walks the ring; at its end forgets the long dead and left, shuffles, and starts over. */
function nextTarget(state: State): Entry | undefined {
  for (let checked = 0; checked < state.ring.length;) {
    if (state.probeIndex >= state.ring.length) {
      resetRing(state)
      state.probeIndex = 0
      checked += 1
      continue
    }
    const entry = state.ring[state.probeIndex]
    state.probeIndex += 1
    checked += 1
    if (entry === undefined || entry.name === state.name) continue
    if (entry.state === 'alive' || entry.state === 'suspect') return entry
  }
  return undefined
}

function resetRing(state: State): void {
  const oldest = state.now - state.timings.gossipToTheDeadMs
  let kept = 0
  for (const entry of state.ring) {
    const over = entry.state === 'dead' || entry.state === 'left'
    if (over && entry.stateChangedAt < oldest && entry.name !== state.name) {
      state.entries.delete(entry.name)
      count(state, 'entriesForgotten')
    } else {
      state.ring[kept] = entry
      kept += 1
    }
  }
  state.ring.length = kept
  shuffle(state, state.ring)
}

function startProbe(state: State, entry: Entry): void {
  state.sequenceNumber = (state.sequenceNumber + 1) >>> 0
  const { sequenceNumber, now } = state
  const timers = [
    schedule(state.deadlines, now + scaledProbeTimeoutMs(state), { kind: 'probeTimeout' }),
    schedule(state.deadlines, now + scaledProbeIntervalMs(state), { kind: 'probeEnd' }),
  ]
  const ping = pingFor(state, entry.name, sequenceNumber)
  const accused = entry.state !== 'alive' && uses(state, 'buddy')
  const bare = accused ? accusingParts(state, entry, ping) : []
  const beside = untold(state, entry).filter((part) => fitsBeside(state, bare, part))
  state.probe = {
    sequenceNumber,
    entry,
    incarnation: entry.incarnation,
    startedAt: now,
    phase: 'direct',
    refused: false,
    askedAt: now,
    helpers: [],
    nacksExpected: 0,
    nacks: 0,
    streamRequest: undefined,
    stream: 'unused',
    streamAgain: false,
    streamFailed: undefined,
    timers,
    told: beside.length > 0 ? state.incarnation : 0,
  }
  count(state, 'probes')
  if (accused) return sendBare(state, entry.address, [...bare, ...beside], entry)
  sendWithNews(state, entry.address, ping, beside)
}

/** The Buddy System: a suspect hears from each who probes it that it is one. */
function accusingParts(state: State, entry: Entry, ping: PingMessage): readonly Uint8Array[] {
  const { incarnation, name: node } = entry
  const suspect = { kind: 'suspect', incarnation, node, from: state.name } as const
  return [encodeMessage(ping), encodeMessage(suspect)]
}

/** Whether a packet of these parts, and nothing more, has room for this one too. */
function fitsBeside(state: State, parts: readonly Uint8Array[], more: Uint8Array): boolean {
  const used = parts.reduce((bytes, part) => bytes + broadcastCost(part.length), 0)
  return broadcastCost(more.length) <= piggybackBudget(used, state.packetOverheadBytes)
}

/**
 * Shortly before a suspicion ends, its subject is told once more, straight: a refutation that
 * missed us, as one in thousands does, comes back beside the ack of the ping. The verdict does not
 * wait for it. memberlist does not ask, and now and then declares dead who answered everybody else.
 */
export function askLastWord(state: State, entry: Entry): void {
  if (entry.state !== 'suspect' || state.entries.get(entry.name) !== entry) return
  if (!hasRoom(state)) return count(state, 'lastWordsShed')
  state.sequenceNumber = (state.sequenceNumber + 1) >>> 0
  const { name: node, incarnation } = entry
  const suspect = { kind: 'suspect', incarnation, node, from: state.name } as const
  // The accusation goes first, so that the ack can carry the answer to it.
  const parts = [encodeMessage(suspect), encodeMessage(pingFor(state, node, state.sequenceNumber))]
  sendBare(state, entry.address, parts, entry)
  count(state, 'lastWords')
}

export function pingFor(state: State, node: string, sequenceNumber: number): PingMessage {
  return {
    kind: 'ping',
    sequenceNumber,
    node,
    sourceAddress: state.addressBytes,
    sourcePort: state.address.port,
    sourceNode: state.name,
  }
}

/** The direct ping stayed silent, or came back refused: ask helpers, and try a stream. */
export function probeTimeout(state: State): void {
  const probe = state.probe
  if (probe === undefined || probe.phase !== 'direct') return
  probe.phase = 'indirect'
  probe.askedAt = state.now
  const { entry, sequenceNumber } = probe
  const helpers = pickEntries(state, state.timings.indirectProbesMax, (other) => {
    return other.name !== state.name && other !== entry && other.state === 'alive'
  })
  for (const helper of helpers) {
    if (!hasRoom(state)) break
    const nack = helper.versions[1] >= 4 && uses(state, 'awareness')
    if (nack) probe.nacksExpected += 1
    probe.helpers.push({ name: helper.name, address: helper.address, nacked: false })
    sendWithNews(state, helper.address, {
      kind: 'indirectPing',
      sequenceNumber,
      target: unpackBytes(entry.addressPacked),
      port: entry.address.port,
      node: entry.name,
      nack,
      sourceAddress: state.addressBytes,
      sourcePort: state.address.port,
      sourceNode: state.name,
    })
  }
  count(state, 'indirectProbes')
  if (state.timings.streamProbe && entry.versions[1] >= 3) pingByStream(state, probe)
}

function pingByStream(state: State, probe: Probe): void {
  const id = takeId(state)
  probe.streamRequest = id
  probe.stream = 'pending'
  state.requests.set(id, { kind: 'probe', sequenceNumber: probe.sequenceNumber })
  emit(state, {
    kind: 'request',
    id,
    to: probe.entry.address,
    bytes: encodeStream(pingFor(state, probe.entry.name, probe.sequenceNumber)),
    expectReply: true,
    deadline: probe.timers[1]?.at ?? state.now,
  })
}

/** A refused datagram to the target of the probe ends the waiting, not the probe. */
export function probeSendFailed(state: State, input: Input & { kind: 'sendFailed' }): void {
  const { probe } = state
  const target = probe?.entry.address
  if (target?.host !== input.to.host || target.port !== input.to.port) return
  if (probe?.phase === 'direct') probe.refused = true
  probeTimeout(state)
}

/** Any ack by packet, direct or relayed, early or late, as long as the probe runs. */
export function probeAcked(state: State, message: AckMessage): boolean {
  const probe = state.probe
  if (probe?.sequenceNumber !== message.sequenceNumber) return false
  findingOver(state, probe.entry.name, 'packetsBlocked')
  if (probe.phase === 'direct') answeredDirectly(state, probe, message)
  endProbe(state, -1)
  return true
}

/**
 * Acks of a later phase may have come through a helper, and prove nothing about the way to the
 * member: neither how long it is, nor that our packet arrived.
 */
function answeredDirectly(state: State, probe: Probe, message: AckMessage): void {
  const rtt = state.now - probe.startedAt
  // Later ones, which a member in doubt still waits for, tell of the load and not of the network.
  if (rtt < state.timings.probeTimeoutMs) {
    measured(state, probe.entry.name, rtt, message.payload)
  }
  if (probe.told > 0) probe.entry.heard = probe.told
}

export function probeNacked(state: State, sequenceNumber: number, from: Address): boolean {
  const probe = state.probe
  if (probe?.sequenceNumber !== sequenceNumber || probe.nacks >= probe.nacksExpected) return false
  probe.nacks += 1
  noteNack(probe, from)
  return true
}

/**
 * How the ping over a stream went: with `failure`, the reason why not. A success counts only once
 * the packets had all their time. A failure counts for nothing where this member stood still
 * meanwhile: it is asked anew then, once.
 */
export function streamProbeEnded(state: State, sequenceNumber: number, failure?: string): void {
  const probe = state.probe
  if (probe?.sequenceNumber !== sequenceNumber) return
  if (failure !== undefined && !probe.streamAgain && stalledSince(state, probe.askedAt)) {
    probe.streamAgain = true
    return pingByStream(state, probe)
  }
  probe.stream = failure === undefined ? 'acked' : 'failed'
  if (failure !== undefined) probe.streamFailed = streamFailure(state.now, failure)
}

export function probeEnd(state: State): void {
  const probe = state.probe
  if (probe === undefined) return
  const { entry, incarnation, nacks, nacksExpected, stream } = probe
  if (stream === 'acked') {
    emitEvent(state, { kind: 'packetsBlocked', name: entry.name })
    noteFinding(state, entry.name, { kind: 'packetsBlocked', address: entry.address })
    return endProbe(state, -1)
  }
  count(state, 'probesFailed')
  endProbe(state, nacksExpected > 0 ? nacksExpected - nacks : 1)
  const node = entry.name
  const why = { via: 'probe', probe: probeReport(state, probe) } as const
  handleSuspect(state, { kind: 'suspect', incarnation, node, from: state.name }, why)
}

function endProbe(state: State, awarenessDelta: number): void {
  for (const timer of state.probe?.timers ?? []) cancel(state.deadlines, timer)
  state.probe = undefined
  applyAwareness(state, awarenessDelta)
  if (!state.tickWaits) return
  state.tickWaits = false
  startNextProbe(state)
}
