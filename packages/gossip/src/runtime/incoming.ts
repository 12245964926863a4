/**
 * Streams that others open to us: one message each, one answer, then the end. Bounded in number, in
 * time and in the bytes that all of them hold together.
 */
import { releaseBytes } from '@kith/interface'
import type { Address, ByteStream, Clock } from '@kith/interface'
import type { AnyStreamMessage, Envelope } from '../wire/codec.ts'
import { createSealedDecoder, encodeStream, labelBytesMax, sealStream } from '../wire/codec.ts'
import { finish, readMessage, withDeadline } from './exchange.ts'
import type { CountOf } from './counters.ts'

/** memberlist's own bound on exchanges at one time. */
const streamsMax = 127
/** Unfinished messages of all streams together. */
const heldBytesMax = 8_912_896
/** Answers that wait for their readers. One alone may be larger: as large as our own state. */
const answerBytesMax = 8_388_608
/** Somebody who connects and says nothing has this part of the time for a whole exchange. */
const firstByteFraction = 4
const firstByteMsMin = 1000
/** What a label takes at most. */
const headBytesMax = 2 + labelBytesMax

export interface IncomingOptions {
  readonly clock: Clock
  readonly envelope: Envelope
  readonly streamTimeoutMs: number
  readonly signal: AbortSignal
  readonly count: CountOf
  /** A stream could not be used, and why; `head` is what its first piece began with. */
  readonly refused: (from: Address, problem: string, head: Uint8Array) => void
  /** The bytes to answer with; undefined ends the stream without a word. */
  readonly answer: (
    message: AnyStreamMessage,
    from: Address,
  ) => Promise<Uint8Array | undefined> | Uint8Array | undefined
}

export interface Incoming {
  take(stream: ByteStream): void
  readonly open: number
  readonly heldBytes: number
}

export function createIncoming(options: IncomingOptions): Incoming {
  return new IncomingStreams(options)
}

class IncomingStreams implements Incoming {
  readonly #options: IncomingOptions
  #open = 0
  #heldBytes = 0
  #answerBytes = 0

  constructor(options: IncomingOptions) {
    this.#options = options
  }

  get open(): number {
    return this.#open
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  take(stream: ByteStream): void {
    const { count } = this.#options
    if (this.#open >= streamsMax) {
      count('streamsRefused')
      stream.destroy()
      return
    }
    count('streamsIn')
    this.#open += 1
    void this.#serve(stream)
      // Broken, late or cut off by the far side: its own business, and counted.
      .catch(() => count('streamsBroken'))
      .finally(() => {
        this.#open -= 1
        stream.destroy()
      })
  }

  async #serve(stream: ByteStream): Promise<void> {
    const { clock, envelope, streamTimeoutMs, signal } = this.#options
    const deadline = clock.now() + streamTimeoutMs
    await withDeadline(stream, { clock, deadline, signal }, async () => {
      const bytes = await this.#answer(stream)
      // An end and not a reset: who sent a message without an answer wants to know that it came.
      if (bytes === undefined) return stream.end()
      await this.#write(stream, sealStream(envelope, bytes, 'answerer'))
      await finish(stream)
    })
  }

  async #write(stream: ByteStream, bytes: Uint8Array): Promise<void> {
    const { length } = bytes
    if (this.#answerBytes > 0 && this.#answerBytes + length > answerBytesMax) {
      this.#options.count('answerBytesFull')
      releaseBytes(bytes)
      return stream.destroy()
    }
    this.#answerBytes += length
    try {
      await stream.write(bytes)
      // A write that failed may have the system still reading from it.
      releaseBytes(bytes)
    } finally {
      this.#answerBytes -= length
    }
  }

  async #answer(stream: ByteStream): Promise<Uint8Array | undefined> {
    const { answer, count, envelope, refused } = this.#options
    const decoder = createSealedDecoder(envelope, 'opener')
    const patient = this.#impatient(stream)
    const step = await readMessage(patient, decoder, (change) => {
      this.#heldBytes += change
      if (this.#heldBytes <= heldBytesMax) return
      count('streamBytesFull')
      stream.destroy()
    })
    if (step.kind === 'message') {
      for (const { kind, count: times } of step.problems) count(`stream.${kind}`, times)
      return answer(step.message, stream.remote)
    }
    if (step.kind !== 'failed') return undefined
    count(`stream.${step.problem.kind}`)
    refused(stream.remote, step.problem.kind, patient.head())
    return step.reply === undefined ? undefined : encodeStream({ kind: 'error', text: step.reply })
  }

  /** Reads from the stream and destroys it where its first byte takes too long. */
  #impatient(stream: ByteStream): Pick<ByteStream, 'read'> & { head(): Uint8Array } {
    const { clock, streamTimeoutMs, count } = this.#options
    const patience = Math.max(firstByteMsMin, streamTimeoutMs / firstByteFraction)
    const cancel = clock.after(patience, () => {
      count('streamsSilent')
      stream.destroy()
    })
    let head: Uint8Array | undefined
    return {
      async read() {
        const bytes = await stream.read().finally(cancel)
        // A copy: the bytes are given back once they were decoded.
        head ??= bytes?.slice(0, headBytesMax)
        return bytes
      },
      head: () => head ?? new Uint8Array(0),
    }
  }
}
