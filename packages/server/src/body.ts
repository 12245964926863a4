/** Reading bodies within bounds: each counts its own bytes, and all together have a budget. */
import type { IncomingMessage } from 'node:http'
import { invariant, releaseBytes } from '@kith/interface'
import { ServerError } from './errors.ts'

/**
 * Bytes that all bodies of a server may take together. A body reserves its most before the first
 * byte is read, so that two halves never wait for each other; waiters go in order of arrival.
 */
export interface BodyBudget {
  /** Resolves when the bytes are reserved; rejects with the signal's reason. */
  reserve(bytes: number, signal: AbortSignal): Promise<Reservation>
  readonly reservedBytes: number
}

export interface Reservation {
  /** Gives back what turned out not to be needed. */
  shrink(bytes: number): void
  /** Gives everything back. Idempotent. */
  release(): void
}

interface Waiter {
  readonly bytes: number
  readonly grant: () => void
}

export function createBodyBudget(bytesMax: number): BodyBudget {
  const waiters: Waiter[] = []
  let reserved = 0

  function grantNext(): void {
    for (let next = waiters[0]; next && reserved + next.bytes <= bytesMax; next = waiters[0]) {
      waiters.shift()
      next.grant()
    }
  }
  function reservation(bytes: number): Reservation {
    let held = bytes
    reserved += bytes
    const shrink = (to: number): void => {
      if (to >= held) return
      reserved -= held - to
      held = to
      grantNext()
    }
    return { shrink, release: () => shrink(0) }
  }
  return {
    get reservedBytes() {
      return reserved
    },
    reserve(bytes, signal) {
      if (waiters.length === 0 && reserved + bytes <= bytesMax) {
        return Promise.resolve(reservation(bytes))
      }
      return new Promise((resolve, reject) => {
        const abort = (): void => {
          waiters.splice(waiters.indexOf(waiter), 1)
          reject(signal.reason as Error)
          grantNext()
        }
        const waiter: Waiter = {
          bytes,
          grant: () => {
            signal.removeEventListener('abort', abort)
            resolve(reservation(bytes))
          },
        }
        if (signal.aborted) {
          reject(signal.reason as Error)
          return
        }
        signal.addEventListener('abort', abort, { once: true })
        waiters.push(waiter)
      })
    },
  }
}

/** The announced length; undefined for a body that is sent in chunks. */
export function contentLength(request: IncomingMessage): number | undefined {
  const text = request.headers['content-length']
  if (text === undefined) return request.headers['transfer-encoding'] === undefined ? 0 : undefined
  return Number(text)
}

/**
 * The memory for what is kept of one body: as large as its reservation, touched only as far as it
 * is used, and given back at once. Left to the collector it would stay long after the answer.
 */
export interface BodyMemory {
  /** Appends a text as UTF-8, or the bytes that it is the base64 of, and says how many they are. */
  write(text: string, encoding: 'utf8' | 'base64'): number
  append(bytes: Uint8Array): void
  /** What was written from `start` on; of length 0 after `free`. */
  view(start: number, length: number): Buffer
  /** Idempotent. */
  free(): void
}

export function createBodyMemory(bytesMax: number): BodyMemory {
  const whole = Buffer.allocUnsafeSlow(bytesMax)
  let used = 0
  const grow = (length: number): number => {
    invariant(used + length <= bytesMax, 'what is kept of a body fits its reservation')
    used += length
    return used - length
  }
  return {
    write(text, encoding) {
      const length = Buffer.byteLength(text, encoding)
      return whole.write(text, grow(length), length, encoding)
    },
    append: (bytes) => whole.set(bytes, grow(bytes.length)),
    view: (start, length) => whole.subarray(start, start + length),
    free: () => releaseBytes(whole),
  }
}

/**
 * The whole body, at most `bytesMax`. An announced length over the limit is refused before a byte
 * is read. What is refused is not kept; the rest of it is dropped as it comes.
 */
export async function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  refuseLongBody(request, bytesMax)
  const memory = createBodyMemory(contentLength(request) ?? bytesMax)
  return await joined(boundedBody(request, bytesMax), memory)
}

/** The parts as one, never held twice. */
export async function joined(body: AsyncIterable<Uint8Array>, memory: BodyMemory): Promise<Buffer> {
  let length = 0
  for await (const part of body) {
    memory.append(part)
    length += part.length
  }
  return memory.view(0, length)
}

/** Refuses an announced length over the limit before a byte is read. */
export function refuseLongBody(request: IncomingMessage, bytesMax: number): void {
  if ((contentLength(request) ?? 0) > bytesMax) throw bodyTooLarge(bytesMax)
}

/** The body as it arrives; throws once it passes `bytesMax` or breaks off. */
export async function* boundedBody(
  request: IncomingMessage,
  bytesMax: number,
): AsyncGenerator<Uint8Array> {
  let bytes = 0
  try {
    // Destroying the request would take the connection with it, and the answer too.
    for await (const part of request.iterator({ destroyOnReturn: false })) {
      bytes += (part as Buffer).length
      if (bytes > bytesMax) throw bodyTooLarge(bytesMax)
      yield part as Buffer
    }
  } catch (cause) {
    if (cause instanceof ServerError) throw cause
    throw new ServerError('ERR_SERVER_BODY_INCOMPLETE', 'the connection broke inside the body', {
      cause,
    })
  }
}

function bodyTooLarge(bytesMax: number): ServerError {
  return new ServerError('ERR_SERVER_BODY_TOO_LARGE', `a body may have at most ${bytesMax} bytes`)
}
