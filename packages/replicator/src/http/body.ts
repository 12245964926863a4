/** Bodies that count their own bytes: past the limit they end in an error, not in memory. */
import { ReplicatorError } from '../errors.ts'

/**
 * The whole body in one buffer. `expected` is a length that was announced: it only sizes the first
 * buffer, and only up to the limit; the bytes themselves are what is counted.
 */
export async function readBody(
  body: AsyncIterable<Uint8Array>,
  bytesMax: number,
  expected?: number,
): Promise<Uint8Array> {
  if (expected !== undefined && expected > bytesMax) throw tooLarge(bytesMax)
  // Not zeroed and of no pool: every byte that is returned was written here.
  let buffer: Uint8Array = Buffer.allocUnsafeSlow(expected ?? 0)
  let length = 0
  for await (const chunk of body) {
    if (length + chunk.length > bytesMax) throw tooLarge(bytesMax)
    if (length + chunk.length > buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(bytesMax, (length + chunk.length) * 2))
      grown.set(buffer.subarray(0, length))
      buffer = grown
    }
    buffer.set(chunk, length)
    length += chunk.length
  }
  return buffer.subarray(0, length)
}

function tooLarge(bytesMax: number): ReplicatorError {
  return new ReplicatorError('ERR_REPLICATOR_TOO_LARGE', `the body has more than ${bytesMax} bytes`)
}

/** A content-length as a number, where it is one. */
export function announcedLength(value: unknown): number | undefined {
  return typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : undefined
}
