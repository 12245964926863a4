/**
 * One message over one stream, each way, with a time by which it is over whatever the far end does.
 */
import { formatAddress } from '@kith/interface'
import type { Address, ByteStream, Clock, StreamTransport } from '@kith/interface'
import { createStreamDecoder } from '../wire/codec.ts'
import type { StreamStep } from '../wire/codec.ts'

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
  held: (change: number) => void = () => {},
): Promise<StreamStep> {
  const decoder = createStreamDecoder()
  let heldBefore = 0
  const account = (): void => {
    held(decoder.heldBytes - heldBefore)
    heldBefore = decoder.heldBytes
  }
  try {
    for (;;) {
      const bytes = await stream.read()
      const step = bytes === undefined ? decoder.end() : decoder.push(bytes)
      if (step.kind !== 'more') return step
      account()
    }
  } finally {
    held(-heldBefore)
  }
}

export interface AskOptions {
  readonly streams: StreamTransport
  readonly clock: Clock
  readonly deadline: number
  readonly signal: AbortSignal
}

/** Connects, writes, and reads the answer. Rejects with an error whose message says why. */
export async function ask(
  to: Address,
  bytes: Uint8Array,
  options: AskOptions,
): Promise<StreamStep> {
  return withStream(to, options, async (stream) => {
    await stream.write(bytes)
    return readMessage(stream)
  })
}

/** Connects, writes, and waits until the far side has had the chance to read it all. */
export async function tell(to: Address, bytes: Uint8Array, options: AskOptions): Promise<void> {
  await withStream(to, options, async (stream) => {
    await stream.write(bytes)
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
export function reasonOf(to: Address, cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause)
  return `${formatAddress(to)}: ${message}`.slice(0, 300)
}
