/** Answers that go on: written as fast as the reader takes them, and no faster. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'

/** How long a body that was refused may still come. */
const LINGER_MS = 2_000

export interface StreamOptions {
  /** A reader that takes nothing for this long is closed. */
  readonly writeTimeoutMs: number
  /** Aborts when the reader went away; the writing ends then. */
  readonly signal: AbortSignal
}

/** A signal that aborts once the connection under this answer is gone, or when `others` do. */
export function goneSignal(response: ServerResponse, ...others: AbortSignal[]): AbortSignal {
  const gone = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) gone.abort(new Error('the reader went away'))
  })
  return AbortSignal.any([gone.signal, ...others])
}

/**
 * Sends the head at once, then each chunk, then the end. A source that throws midway leaves a
 * broken answer, which is how the reader learns of it.
 */
export async function sendStream(
  response: ServerResponse,
  head: { readonly status: number; readonly headers: Readonly<Record<string, string>> },
  chunks: AsyncIterable<Uint8Array | string>,
  options: StreamOptions,
): Promise<void> {
  response.writeHead(head.status, head.headers)
  // A reader that follows an idle log must not wait for its headers.
  response.flushHeaders()
  response.socket?.setKeepAlive(true, 30_000)
  try {
    for await (const chunk of chunks) {
      if (response.destroyed) return
      if (!response.write(chunk)) await drained(response, options)
    }
    response.end()
  } catch (cause) {
    const stopped = options.signal.aborted
    // A stop ends the answer properly; anything else breaks it off.
    if (stopped && !response.destroyed) response.end()
    else response.destroy()
    if (!stopped) throw cause
  }
}

/** Resolves when there is room again; rejects when the reader is gone or takes nothing for long. */
function drained(response: ServerResponse, options: StreamOptions): Promise<void> {
  const { signal, writeTimeoutMs } = options
  return new Promise((resolve, reject) => {
    const finish = (cause?: Error): void => {
      clearTimeout(timer)
      response.off('drain', drain)
      signal.removeEventListener('abort', abort)
      if (cause) reject(cause)
      else resolve()
    }
    const drain = (): void => finish()
    const abort = (): void => finish(signal.reason as Error)
    const timer = setTimeout(() => {
      finish(new Error(`the reader took nothing for ${writeTimeoutMs} ms`))
    }, writeTimeoutMs)
    timer.unref()
    response.on('drain', drain)
    signal.addEventListener('abort', abort)
    if (signal.aborted) abort()
  })
}

/**
 * Answers a request whose body is still coming. The answer goes out whole at once, but ends only
 * with the body, or after a while: a connection that is closed with bytes unread is reset, and a
 * reset can take the answer with it.
 */
export function answerBeforeBody(
  request: IncomingMessage,
  reply: FastifyReply,
  body: Uint8Array,
): void {
  const response = reply.hijack().raw
  const lengths = { 'content-length': body.length, connection: 'close' }
  const headers = { ...reply.getHeaders(), ...lengths }
  response.writeHead(reply.statusCode, headers as OutgoingHttpHeaders)
  response.write(body)
  const finish = (): void => {
    clearTimeout(timer)
    response.end()
  }
  const timer = setTimeout(finish, LINGER_MS)
  timer.unref()
  request.once('end', finish).once('close', finish).resume()
}
