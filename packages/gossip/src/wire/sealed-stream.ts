/**
 * One direction of one stream of a cluster with a label or a key: the label of who opened it, then
 * one frame, and in the frame the message. Holds no more of a frame than arrived, and decodes
 * nothing of it before its tag was found right.
 */
import { releaseBytes } from '@kith/interface'
import type { Envelope } from './envelope.ts'
import { frameBytesMax, frameHeaderBytes, openFrame } from './envelope.ts'
import { labelBytesNeeded, stripLabel } from './label.ts'
import { messageType } from './memberlist.ts'
import type { DecodeProblemKind } from './problem.ts'
import { ByteQueue } from './queue.ts'
import { createStreamDecoder, defaultStreamLimits } from './stream.ts'
import type { StreamDecoder, StreamLimits, StreamStep } from './stream.ts'

/** What the far side is told before the stream is closed; real members read it, and log it. */
const replies: Partial<Readonly<Record<DecodeProblemKind, string>>> = {
  plaintextRefused: 'encryption is configured but remote state is not encrypted',
  keyUnknown: 'no installed keys could decrypt the message',
  keyTrialsExceeded: 'no installed keys could decrypt the message',
  encryptionVersion: 'unsupported encryption version',
  encryptionTruncated: 'payload is too small to decrypt',
  streamTooLarge: 'remote state is larger than the limit',
}
/** The plaintext of a frame is handed on in pieces: the decoder copies what it must keep. */
const pieceBytes = 65_536

/** `side` is who sends what is read here: only an opener's messages begin with the label. */
export function createSealedDecoder(
  envelope: Envelope,
  side: 'opener' | 'answerer',
  limits: StreamLimits = defaultStreamLimits,
): StreamDecoder {
  return new SealedDecoder(envelope, side, limits)
}

class SealedDecoder implements StreamDecoder {
  readonly #envelope: Envelope
  readonly #inner: StreamDecoder
  readonly #queue = new ByteQueue()
  /** `passing` once what follows is for the inner decoder as it is. */
  #stage: 'label' | 'type' | 'frame' | 'passing' = 'label'
  #needed = 1
  #empty = true
  #plaintextTaken = false
  #outcome: StreamStep | undefined

  constructor(envelope: Envelope, side: 'opener' | 'answerer', limits: StreamLimits) {
    this.#envelope = envelope
    this.#inner = createStreamDecoder(limits)
    if (side === 'answerer') this.#stage = 'type'
  }

  get heldBytes(): number {
    return this.#queue.heldBytes + this.#inner.heldBytes
  }

  push(bytes: Uint8Array): StreamStep {
    if (this.#outcome !== undefined) return this.#outcome
    if (bytes.length > 0) this.#empty = false
    const step = this.#stage === 'passing' ? this.#inner.push(bytes) : this.#advance(bytes)
    if (step.kind !== 'more') this.#outcome = this.#remarked(step)
    return this.#outcome ?? step
  }

  end(): StreamStep {
    const early: StreamStep = { kind: 'failed', problem: { kind: 'streamTruncated' } }
    const ended = this.#stage === 'passing' ? this.#inner.end() : early
    this.#outcome ??= this.#empty ? { kind: 'failed', problem: { kind: 'streamEmpty' } } : ended
    return this.#outcome
  }

  close(): void {
    this.#queue.release()
    this.#inner.close()
  }

  #advance(bytes: Uint8Array): StreamStep {
    this.#queue.push(bytes, this.#needed)
    while (this.#queue.length >= this.#needed) {
      const step = this.#next()
      if (step !== undefined) return step
    }
    return { kind: 'more' }
  }

  /** One layer; undefined to go on with the next one, or to wait for more. */
  #next(): StreamStep | undefined {
    switch (this.#stage) {
      case 'label':
        return this.#readLabel()
      case 'type':
        return this.#readType()
      case 'frame':
        return this.#readFrame()
      case 'passing':
        return this.#inner.push(this.#queue.take(this.#queue.length))
    }
  }

  #readLabel(): StreamStep | undefined {
    const view = this.#queue.view()
    const needed = view.length < 2 ? 2 : labelBytesNeeded(view)
    if (view[0] === messageType.label && view.length < needed) {
      this.#needed = needed
      return undefined
    }
    const rest = stripLabel(this.#envelope.label, view)
    if (typeof rest === 'string') return failed(rest)
    this.#queue.consume(view.length - rest.length)
    this.#stage = 'type'
    this.#needed = 1
    return undefined
  }

  #readType(): StreamStep | undefined {
    const encrypted = this.#queue.view()[0] === messageType.encrypt
    const { keys, verifyIncoming } = this.#envelope
    const open = keys().length === 0
    if (open || !encrypted) {
      if (!open && verifyIncoming) return failed('plaintextRefused')
      this.#plaintextTaken = !open
      this.#stage = 'passing'
      return undefined
    }
    this.#stage = 'frame'
    this.#needed = frameHeaderBytes
    return undefined
  }

  #readFrame(): StreamStep | undefined {
    const view = this.#queue.view()
    const length = new DataView(view.buffer, view.byteOffset).getUint32(1)
    if (length > frameBytesMax) return failed('streamTooLarge')
    this.#needed = frameHeaderBytes + length
    if (view.length < this.#needed) return undefined
    const header = view.slice(0, frameHeaderBytes)
    const payload = view.subarray(frameHeaderBytes, this.#needed)
    const plain = openFrame(this.#envelope, header, payload)
    if (typeof plain === 'string') return failed(plain)
    // The ciphertext goes before its plaintext is decoded, so that never both and rows are held.
    this.#queue.release()
    return this.#readPlain(plain)
  }

  #readPlain(plain: Uint8Array): StreamStep {
    let step: StreamStep = { kind: 'more' }
    for (let at = 0; at < plain.length && step.kind === 'more'; at += pieceBytes) {
      step = this.#inner.push(plain.subarray(at, at + pieceBytes))
    }
    releaseBytes(plain)
    return step.kind === 'more' ? this.#inner.end() : step
  }

  #remarked(step: StreamStep): StreamStep {
    if (step.kind !== 'message' || !this.#plaintextTaken) return step
    return { ...step, problems: [...step.problems, { kind: 'plaintextTaken' }] }
  }
}

function failed(kind: DecodeProblemKind): StreamStep {
  const reply = replies[kind]
  return { kind: 'failed', problem: { kind }, ...(reply === undefined ? {} : { reply }) }
}
