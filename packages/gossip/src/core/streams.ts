/** Whole messages that came over streams: those opened to us, and answers to ours. */
import { encodeStream } from '../wire/codec.ts'
import type { StreamMessage } from '../wire/message.ts'
import { answerStreamed } from './answers.ts'
import type { Input } from './input.ts'
import { handleUser } from './packet.ts'
import { streamProbeEnded } from './probe.ts'
import { answerPushPull, exchangeFailed, exchangeReplied } from './push-pull.ts'
import { count, emit } from './state.ts'
import type { State } from './state.ts'

export function handleStream(state: State, id: number, message: StreamMessage): void {
  if (message.kind === 'pushPull') return answerPushPull(state, id, message)
  let bytes: Uint8Array | undefined
  if (message.kind === 'ping') {
    const { sequenceNumber, node } = message
    // Somebody else's ping gets no answer, not even an error.
    if (node !== '' && node !== state.name) count(state, 'pingForOther')
    else bytes = encodeStream({ kind: 'ack', sequenceNumber, payload: new Uint8Array(0) })
  } else if (message.kind === 'user') handleUser(state, message)
  else count(state, 'streamUnexpected')
  emit(state, { kind: 'respond', id, bytes })
}

export function handleReply(state: State, id: number, message: StreamMessage): void {
  const request = state.requests.get(id)
  if (request === undefined) return count(state, 'replyUnknown')
  state.requests.delete(id)
  if (request.kind === 'pushPull') return exchangeReplied(state, request, message)
  if (request.kind === 'answer') return answerStreamed(state, request)
  const { sequenceNumber } = request
  const acked = message.kind === 'ack' && message.sequenceNumber === sequenceNumber
  streamProbeEnded(state, sequenceNumber, acked ? undefined : `answered with ${message.kind}`)
}

/** All that an answer over a stream wants is to be written. */
export function handleRequestSent(state: State, id: number): void {
  const request = state.requests.get(id)
  if (request?.kind !== 'answer') return count(state, 'replyUnknown')
  state.requests.delete(id)
  answerStreamed(state, request)
}

export function handleRequestFailed(
  state: State,
  { id, reason, problem }: Input & { readonly kind: 'requestFailed' },
): void {
  const request = state.requests.get(id)
  if (request === undefined) return count(state, 'replyUnknown')
  state.requests.delete(id)
  if (request.kind === 'pushPull') return exchangeFailed(state, request, reason, problem)
  if (request.kind === 'answer') return answerStreamed(state, request, reason)
  streamProbeEnded(state, request.sequenceNumber, reason)
}
