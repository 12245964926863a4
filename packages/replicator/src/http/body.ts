/** Bodies that count their own bytes: past the limit they end in an error, not in memory. */
import { setImmediate as turnOfLoop } from 'node:timers/promises'
import { ReplicatorError } from '../errors.ts'

export interface BodyMemory {
  /** Need not be zeroed: every byte that is returned was written here. */
  take(bytes: number): Uint8Array
  /** Of each piece of the body, once it was copied. */
  done(piece: Uint8Array): void
}

const plainMemory: BodyMemory = {
  take: (bytes) => Buffer.allocUnsafeSlow(bytes),
  done: () => {},
}

/**
 * Bytes that are taken in one turn of the event loop. A connection that has megabytes is read 2 MiB
 * at a time where nobody stops it, which takes milliseconds.
 */
const turnBytes = 512 * 1024

/**
 * The whole body in one buffer of its own. `expected` is a length that was announced: it sizes the
 * buffer, up to the limit, so that the body is never held twice; the bytes themselves are counted.
 */
export async function readBody(
  body: AsyncIterable<Uint8Array>,
  bytesMax: number,
  expected?: number,
  memory: BodyMemory = plainMemory,
): Promise<Uint8Array> {
  if (expected !== undefined && expected > bytesMax) throw tooLarge(bytesMax)
  const announced = memory.take(expected ?? 0)
  // Beyond what was announced nothing is known, and a buffer that doubles would hold it twice.
  const rest: Uint8Array[] = []
  let length = 0
  let turnEnds = turnBytes
  for await (const chunk of body) {
    if (length >= turnEnds) {
      await turnOfLoop()
      turnEnds = length + turnBytes
    }
    if (length + chunk.length > bytesMax) throw tooLarge(bytesMax)
    const fits = rest.length === 0 && length + chunk.length <= announced.length
    const { length: bytes } = chunk
    if (fits) {
      announced.set(chunk, length)
      memory.done(chunk)
    } else rest.push(chunk)
    length += bytes
  }
  if (rest.length === 0) return announced.subarray(0, length)
  return gather(announced, rest, length)
}

function gather(first: Uint8Array, rest: readonly Uint8Array[], length: number): Uint8Array {
  const whole = Buffer.allocUnsafeSlow(length)
  let at = length
  for (const chunk of rest.toReversed()) {
    at -= chunk.length
    whole.set(chunk, at)
  }
  whole.set(first.subarray(0, at), 0)
  return whole
}

function tooLarge(bytesMax: number): ReplicatorError {
  return new ReplicatorError('ERR_REPLICATOR_TOO_LARGE', `the body has more than ${bytesMax} bytes`)
}

/** A content-length as a number, where it is one. */
export function announcedLength(value: unknown): number | undefined {
  return typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : undefined
}
