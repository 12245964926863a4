/** Streams, in the clear and sealed with a right key, in pieces of any size. */
import { crc32 } from 'node:zlib'
import type { Random } from '@kith/interface'
import { sealStream } from '../../../packages/gossip/src/wire/envelope.ts'
import { wrapCompress } from '../../../packages/gossip/src/wire/packet.ts'
import { createSealedDecoder } from '../../../packages/gossip/src/wire/sealed-stream.ts'
import { openState } from '../../../packages/gossip/src/wire/state-reader.ts'
import { encodeState } from '../../../packages/gossip/src/wire/state.ts'
import {
  createStreamDecoder,
  defaultStreamLimits,
  encodeStream,
} from '../../../packages/gossip/src/wire/stream.ts'
import type {
  AnyStreamMessage,
  StreamDecoder,
  StreamStep,
} from '../../../packages/gossip/src/wire/stream.ts'
import { msgpackMutator } from '../mutate-msgpack.ts'
import { ascii, holds, inPieces, sameBytes, sizeOfBomb } from '../target.ts'
import type { FuzzTarget, Mutator } from '../target.ts'
import { captured, envelopeWith, gossipWords, row } from './gossip-support.ts'
import { checkTags } from './packet.ts'

const envelope = envelopeWith('fuzz')
/** Version, nonce and tag. */
const sealBytes = 29
const { stateBytesMax, rowsMax } = defaultStreamLimits

function seeds(): readonly Uint8Array[] {
  const state = encodeState({
    lamportTime: 7n,
    eventLamportTime: 3n,
    queryLamportTime: 2n,
    statusTimes: new Map([['a', 4n]]),
    leftMembers: ['b'],
    events: [undefined, { lamportTime: 2n, events: [{ name: 'deploy', payload: ascii('x') }] }],
    extensions: new Map([['registry', ascii('state')]]),
  })
  const left = { ...row, name: 'b', state: 'left' as const }
  const messages: readonly AnyStreamMessage[] = [
    { kind: 'pushPull', join: true, rows: [row, left], userState: state },
    { kind: 'pushPull', join: false, rows: [], userState: new Uint8Array(0) },
    { kind: 'user', message: undefined, bytes: ascii('\u0003x') },
    { kind: 'fetch', extension: 'registry', from: 'a', node: 'b', request: ascii('q') },
    { kind: 'fetchReply', refused: false, text: '', body: ascii('answer') },
    { kind: 'error', text: 'no' },
  ]
  return [
    ...captured(/tcp.*\.hex$/),
    ...messages.map((message) => encodeStream(message)),
    ...messages.map((message) => encodeStream(message, { compress: true, dialect: 'new' })),
  ]
}

const compressed: Mutator = (bytes) => wrapCompress(bytes)

const bomb: Mutator = (bytes, random) => {
  const plain = new Uint8Array(sizeOfBomb(random, 2_000_000))
  const part = bytes.length === 0 ? ascii('x') : bytes
  for (let at = 0; at < plain.length; at += part.length) {
    plain.set(part.subarray(0, plain.length - at), at)
  }
  return wrapCompress(plain)
}

/** What came out, as a text that is the same for the same outcome. */
function said(step: StreamStep): string {
  if (step.kind === 'failed') return `${step.problem.kind} ${step.reply ?? ''}`
  if (step.kind === 'more') return 'more'
  const written = encodeStream(step.message)
  return `${step.message.kind} ${written.length} ${crc32(written)}`
}

function read(decoder: StreamDecoder, bytes: Uint8Array, random: Random): StreamStep {
  let step: StreamStep = { kind: 'more' }
  inPieces(random, bytes, (piece) => {
    if (step.kind !== 'more') return
    step = decoder.push(piece)
    holds(decoder.heldBytes <= stateBytesMax + 2 * bytes.length, 'it holds more than it may')
  })
  return step.kind === 'more' ? decoder.end() : step
}

function checkPieces(bytes: Uint8Array, step: StreamStep, random: Random): void {
  const pieces = read(createStreamDecoder(), bytes, random)
  if (step.kind === 'failed' && pieces.kind === 'failed') {
    // What cannot become whole any more may also be called cut off, where the end comes first.
    const cut = pieces.problem.kind === 'streamTruncated'
    holds(cut || said(pieces) === said(step), `${said(step)}, in pieces ${said(pieces)}`)
  } else holds(said(pieces) === said(step), `${said(step)}, in pieces ${said(pieces)}`)
}

function checkState(bytes: Uint8Array): void {
  const state = openState(bytes.slice())
  if (state === undefined) return
  const { lamportTime, eventLamportTime, queryLamportTime, leftMembers } = state
  const statusTimes = new Map<string, bigint>()
  const extensions = new Map<string, Uint8Array>()
  const events: { lamportTime: bigint; events: { name: string; payload: Uint8Array }[] }[] = []
  state.eachTime((name, time) => statusTimes.set(name, time))
  state.eachExtension((name, body) => extensions.set(name, body))
  state.eachSlot((slot) => {
    const inner: { name: string; payload: Uint8Array }[] = []
    slot?.eachEvent((name, payload) => inner.push({ name, payload }))
    if (slot !== undefined) events.push({ lamportTime: slot.lamportTime, events: inner })
  })
  const clocks = { lamportTime, eventLamportTime, queryLamportTime }
  const written = encodeState({ ...clocks, statusTimes, leftMembers, events, extensions })
  holds(openState(written) !== undefined, 'a user state is not read back')
}

function checkMessage(message: AnyStreamMessage): void {
  const written = encodeStream(message)
  const decoder = createStreamDecoder()
  const step = decoder.push(written)
  holds(step.kind === 'message', `a ${message.kind} is not read back`)
  holds(sameBytes(encodeStream(step.message), written), `a ${message.kind} changes`)
  if (message.kind !== 'pushPull') return
  holds(message.rows.length <= rowsMax, 'too many rows')
  let left = 16
  for (const { meta } of message.rows) {
    if (left-- > 0) checkTags(meta)
  }
  checkState(message.userState)
}

function checkSealed(bytes: Uint8Array, plainly: StreamStep, random: Random): void {
  const sealed = sealStream(envelope, bytes, 'opener')
  const step = read(createSealedDecoder(envelope, 'opener'), sealed, random)
  const failed = step.kind === 'failed' && plainly.kind === 'failed'
  holds(
    failed || said(step) === said(plainly),
    `sealed it is ${said(step)}, plainly ${said(plainly)}`,
  )
  const damaged = sealed.slice()
  const at = random.below(damaged.length)
  damaged[at] = (damaged[at] ?? 0) ^ (1 << random.below(8))
  const broken = read(createSealedDecoder(envelope, 'opener'), damaged, random)
  const frameAt = sealed.length - bytes.length - sealBytes
  // The version byte is memberlist's weak place; see the packets.
  holds(broken.kind === 'failed' || at === frameAt, 'a damaged stream opens')
  const stranger = read(createSealedDecoder(envelope, 'opener'), bytes, random)
  holds(stranger.kind === 'failed', 'a stream opens without a key')
}

export const stream: FuzzTarget = {
  bytesMax: 16_384,
  seeds,
  words: gossipWords,
  mutators: [...Array.from({ length: 22 }, () => msgpackMutator([1])), compressed, bomb],
  ends: ['pushPull', 'user', 'fetch', 'streamTruncated', 'messageMalformed', 'headerOutOfRange'],
  check(bytes, random) {
    const whole = createStreamDecoder()
    const first = whole.push(bytes.slice())
    const step = first.kind === 'more' ? whole.end() : first
    if (random.below(3) === 0) checkPieces(bytes, step, random)
    if (random.below(16) === 0) checkSealed(bytes, step, random)
    if (step.kind !== 'message') return step.kind === 'failed' ? step.problem.kind : 'more'
    if (random.below(3) === 0) checkMessage(step.message)
    return step.message.kind
  },
}
