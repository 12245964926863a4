/** Probing for somebody else, and answering those who probe us. */
import { addressText, isPacked } from '../wire/codec.ts'
import type { AckMessage, IndirectPingMessage, PingMessage } from '../wire/message.ts'
import type { Address } from '@kith/interface'
import { untold } from './announce.ts'
import { sendWithNews } from './broadcasts.ts'
import { cancel, schedule } from './deadlines.ts'
import { uses } from './detector.ts'
import { isOwnPing } from './dispute.ts'
import { ownPayload } from './locating.ts'
import { hasRoom, hasSpareRoom } from './sending.ts'
import { pingFor } from './probe.ts'
import { accusation, pingedBy } from './regain.ts'
import { count } from './state.ts'
import type { State } from './state.ts'

/** A nack this early cannot race with the end of the asker's probe. */
const nackShare = 0.8
/** Pings of strangers that are answered in one probe interval. */
const strangerAcksMax = 4

export function handlePing(state: State, message: PingMessage, from: Address): void {
  if (message.node !== '' && message.node !== state.name) return count(state, 'pingForOther')
  const to = replyAddress(message.sourceAddress, message.sourcePort, from)
  const { sequenceNumber, sourceNode } = message
  if (isOwnPing(state, sourceNode, sequenceNumber, to)) return count(state, 'pingsOwn')
  const entry = state.entries.get(sourceNode)
  const known = entry?.address.host === to.host && entry.address.port === to.port
  const room = known && !justPaused(state) ? hasRoom(state) : hasSpareRoom(state)
  if (!room || (!known && !admitStranger(state))) return count(state, 'acksShed')
  // Whoever is pinged by somebody it gave up says so: only its subject can put that right.
  const accused = known && uses(state, 'own') ? accusation(state, sourceNode) : []
  const beside = known ? [...accused, ...untold(state, entry)] : []
  sendWithNews(state, to, { kind: 'ack', sequenceNumber, payload: ownPayload(state) }, beside)
  pingedBy(state, message)
}

/**
 * What lies in the socket after a pause are pings of the past, to which nobody waits for an ack.
 */
function justPaused(state: State): boolean {
  return state.now - state.health.pausedAt < state.timings.probeIntervalMs
}

/** Pings of members that we do not know yet are few; many of them come from somebody else. */
function admitStranger(state: State): boolean {
  const { strangers, now } = state
  if (now - strangers.since >= state.timings.probeIntervalMs) {
    strangers.since = now
    strangers.answered = 0
  }
  strangers.answered += 1
  return strangers.answered <= strangerAcksMax
}

/** Only members we know are probed: anything else would make us a reflector for strangers. */
export function handleIndirectPing(
  state: State,
  message: IndirectPingMessage,
  from: Address,
): void {
  const entry = state.entries.get(message.node)
  const port = message.port === 0 ? state.address.port : message.port
  const known = entry !== undefined && isPacked(entry.addressPacked, message.target)
  if (!known || entry.address.port !== port) return count(state, 'indirectPingUnknown')
  if (state.helperProbes.size >= state.timings.helperProbesMax) {
    return count(state, 'helperProbesFull')
  }
  // A ping, and later an ack or a nack.
  if (!hasRoom(state, 2)) return count(state, 'helpShed')
  state.sequenceNumber = (state.sequenceNumber + 1) >>> 0
  const { sequenceNumber } = state
  const lasts = state.timings.probeTimeoutMs * (message.nack ? nackShare : 1)
  state.helperProbes.set(sequenceNumber, {
    origin: replyAddress(message.sourceAddress, message.sourcePort, from),
    originSequenceNumber: message.sequenceNumber,
    nack: message.nack,
    timer: schedule(state.deadlines, state.now + lasts, { kind: 'helperTimeout', sequenceNumber }),
  })
  sendWithNews(state, entry.address, pingFor(state, entry.name, sequenceNumber))
}

/** True where the ack was for a probe made for somebody else; it is passed on without payload. */
export function helperAcked(state: State, message: AckMessage): boolean {
  const helping = state.helperProbes.get(message.sequenceNumber)
  if (helping === undefined) return false
  state.helperProbes.delete(message.sequenceNumber)
  cancel(state.deadlines, helping.timer)
  if (!hasRoom(state)) {
    count(state, 'acksShed')
    return true
  }
  sendWithNews(state, helping.origin, {
    kind: 'ack',
    sequenceNumber: helping.originSequenceNumber,
    payload: new Uint8Array(0),
  })
  return true
}

/** First the nack, where one is owed; then, with the whole time over, the end. */
export function helperTimeout(state: State, sequenceNumber: number): void {
  const helping = state.helperProbes.get(sequenceNumber)
  if (helping === undefined) return
  if (!helping.nack) {
    state.helperProbes.delete(sequenceNumber)
    return
  }
  helping.nack = false
  const at = state.now + state.timings.probeTimeoutMs * (1 - nackShare)
  helping.timer = schedule(state.deadlines, at, { kind: 'helperTimeout', sequenceNumber })
  if (!hasRoom(state)) return count(state, 'acksShed')
  const { origin, originSequenceNumber } = helping
  sendWithNews(state, origin, { kind: 'nack', sequenceNumber: originSequenceNumber })
}

/** What the asker says of itself, where it says all of it; otherwise where the packet came from. */
function replyAddress(bytes: Uint8Array, port: number, from: Address): Address {
  const host = addressText(bytes)
  return host === undefined || port === 0 ? from : { host, port }
}
