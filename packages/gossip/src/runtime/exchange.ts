/**
 * One message over one stream, each way, with a time by which it is over whatever the far end does.
 */
import { isKithError, releaseBytes } from '@kith/interface'
import type {
  Address,
  ByteStream,
  Clock,
  StreamTransport,
  TransportErrorDetails,
} from '@kith/interface'
import { createSealedDecoder, sealStream } from '../wire/codec.ts'
import type { Envelope, StreamDecoder, StreamStep } from '../wire/codec.ts'

/** Runs `work` and destroys the stream when `deadline` comes first or `signal` aborts. */
export async function withDeadline<Result>(
  stream: ByteStream,
  options: { readonly clock: Clock; readonly deadline: number; readonly signal: AbortSignal },
  work: () => Promise<Result>,
): Promise<Result> {
  const { clock, deadline, signal } = options
  const abort = (): void => stream.destroy()
  let late = false
  const cancel = clock.after(Math.max(0, deadline - clock.now()), () => {
    late = true
    stream.destroy()
  })
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  try {
    return await work()
  } catch (cause) {
    if (late) throw new Error('no answer in time', { cause })
    throw cause
  } finally {
    cancel()
    signal.removeEventListener('abort', abort)
  }
}

/**
 * Reads until one message is whole or cannot become so. `held` hears of each change in bytes held.
 */
export async function readMessage(
  stream: Pick<ByteStream, 'read'>,
  decoder: StreamDecoder,
  held: (change: number) => void = () => {},
): Promise<StreamStep> {
  let heldBefore = 0
  const account = (): void => {
    held(decoder.heldBytes - heldBefore)
    heldBefore = decoder.heldBytes
  }
  try {
    for (;;) {
      const bytes = await stream.read()
      const step = bytes === undefined ? decoder.end() : decoder.push(bytes)
      // The decoder copied what it needs: nothing of a stream is left to the collector.
      if (bytes !== undefined) releaseBytes(bytes)
      if (step.kind !== 'more') return step
      account()
    }
  } finally {
    decoder.close()
    held(-heldBefore)
  }
}

export interface AskOptions {
  readonly streams: StreamTransport
  readonly clock: Clock
  readonly envelope: Envelope
  readonly deadline: number
  readonly signal: AbortSignal
}

/** Connects, writes, and reads the answer. Rejects with an error whose message says why. */
export async function ask(
  to: Address,
  bytes: Uint8Array,
  options: AskOptions,
): Promise<StreamStep> {
  const sealed = sealStream(options.envelope, bytes, 'opener')
  const decoder = createSealedDecoder(options.envelope, 'answerer')
  try {
    return await withStream(to, options, (stream) => converse(stream, sealed, decoder))
  } catch (cause) {
    if (cause instanceof Unanswered) return decoder.end()
    throw cause
  }
}

/** The far side closed before its first byte, which is how members refuse without a word. */
class Unanswered extends Error {}

async function converse(
  stream: ByteStream,
  bytes: Uint8Array,
  decoder: StreamDecoder,
): Promise<StreamStep> {
  let answered = false
  const read = async (): Promise<Uint8Array | undefined> => {
    const part = await stream.read()
    answered ||= part !== undefined
    return part
  }
  try {
    await stream.write(bytes)
    return await readMessage({ read }, decoder)
  } catch (cause) {
    // What we wrote and nobody read makes the end of a stream a reset.
    const reset = isKithError(cause) && (cause.details as TransportErrorDetails).reason === 'reset'
    if (answered || !reset) throw cause
    throw new Unanswered('closed without an answer', { cause })
  }
}

/** Connects, writes, and waits until the far side has had the chance to read it all. */
export async function tell(to: Address, bytes: Uint8Array, options: AskOptions): Promise<void> {
  await withStream(to, options, async (stream) => {
    await stream.write(sealStream(options.envelope, bytes, 'opener'))
    await finish(stream)
  })
}

async function withStream<Result>(
  to: Address,
  options: AskOptions,
  work: (stream: ByteStream) => Promise<Result>,
): Promise<Result> {
  const { streams, clock, deadline, signal } = options
  const timeoutMs = Math.max(1, Math.ceil(deadline - clock.now()))
  const stream = await streams.connect(to, { timeoutMs, signal })
  try {
    return await withDeadline(stream, options, () => work(stream))
  } finally {
    stream.destroy()
  }
}

/** Sends the end and reads until the far side ended too, so that nothing written is cut off. */
export async function finish(stream: ByteStream): Promise<void> {
  await stream.end()
  while ((await stream.read()) !== undefined);
}

/** The reason of a failure in one line for humans. */
export function reasonOf(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).slice(0, 300)
}
