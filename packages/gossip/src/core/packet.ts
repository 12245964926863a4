/** One datagram, message by message. What cannot be used is counted, never thrown. */
import { releaseBytes } from '@kith/interface'
import type { Address } from '@kith/interface'
import { decodePacket } from '../wire/codec.ts'
import type { AckMessage, PacketMessage, UserMessage } from '../wire/message.ts'
import { handleAlive } from './alive.ts'
import { broadcastSerf, passIntentOn } from './broadcasts.ts'
import { handleDead } from './dead.ts'
import { claimantAcked } from './dispute.ts'
import { handleIndirectPing, handlePing, helperAcked } from './helper.ts'
import { handleJoinIntent, handleLeaveIntent } from './intents.ts'
import { probeAcked, probeNacked } from './probe.ts'
import { handleQueryResponse } from './collecting.ts'
import { handleQuery, handleRelay } from './queries.ts'
import { lostAcked } from './regain.ts'
import { count } from './state.ts'
import type { State } from './state.ts'
import { handleSuspect } from './suspect.ts'
import { handleUserEvent } from './user-events.ts'

export function handlePacket(state: State, from: Address, bytes: Uint8Array): void {
  count(state, 'packetsIn')
  const { messages, problems } = decodePacket(bytes, state.digests)
  for (const { kind } of problems) count(state, kind)
  for (const message of messages) handleMessage(state, from, message)
}

function handleMessage(state: State, from: Address, message: PacketMessage): void {
  switch (message.kind) {
    case 'ping':
      return handlePing(state, message, from)
    case 'indirectPing':
      return handleIndirectPing(state, message, from)
    case 'ack':
      return handleAck(state, message)
    case 'nack':
      if (!probeNacked(state, message.sequenceNumber, from)) count(state, 'nackUnknown')
      return
    case 'suspect':
      return handleSuspect(state, message)
    case 'alive':
      return handleAlive(state, message)
    case 'dead':
      return handleDead(state, message)
    case 'user':
      return handleUser(state, message)
  }
}

function handleAck(state: State, message: AckMessage): void {
  if (probeAcked(state, message) || helperAcked(state, message)) return
  if (lostAcked(state, message) || claimantAcked(state, message.sequenceNumber)) return
  count(state, 'ackUnknown')
}

/** Serf's messages; what is passed on goes in the bytes it came in. */
export function handleUser(state: State, user: UserMessage): void {
  const { message, bytes } = user
  switch (message?.kind) {
    case undefined:
      releaseBytes(bytes)
      return count(state, 'userMessageUnknown')
    case 'leaveIntent':
      if (handleLeaveIntent(state, message)) passIntentOn(state, message, bytes)
      return
    case 'joinIntent':
      if (handleJoinIntent(state, message)) passIntentOn(state, message, bytes)
      return
    case 'userEvent':
      if (handleUserEvent(state, message)) return broadcastSerf(state, state.events, bytes)
      releaseBytes(bytes)
      return releaseBytes(message.payload)
    case 'query':
      return handleQuery(state, message, bytes)
    case 'queryResponse':
      return handleQueryResponse(state, message)
    case 'relay':
      return handleRelay(state, message)
  }
}
