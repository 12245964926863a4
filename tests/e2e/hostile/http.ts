/** Raw HTTP/1.1, because a client library would not send what an attacker sends. */
import { connect } from 'node:net'
import type { Socket } from 'node:net'

export interface Answer {
  /** 0 where the connection ended without one. */
  readonly status: number
  readonly text: string
  /** Bytes of the request that were taken before the answer or the end. */
  readonly sentBytes: number
}

const answerBytesMax = 64 * 1024

/** Opens a connection; errors on it are the business of whoever looks. */
export async function openSocket(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port })
  socket.on('error', () => {})
  await new Promise<void>((resolve) => {
    socket.once('connect', resolve).once('close', () => resolve())
  })
  return socket
}

/** Writes the parts, as fast as they are taken, until an answer came or the connection ended. */
export async function exchange(
  port: number,
  parts: Iterable<string | Uint8Array>,
): Promise<Answer> {
  const socket = await openSocket(port)
  let text = ''
  let over = socket.closed
  const ended = new Promise<void>((resolve) => {
    const finish = (): void => {
      over = true
      resolve()
    }
    socket.once('close', finish)
    socket.on('data', (bytes: Buffer) => {
      if (text.length < answerBytesMax) text += bytes.toString('latin1')
      if (text.includes('\r\n\r\n')) finish()
    })
  })
  let sentBytes = 0
  for (const part of parts) {
    if (over) break
    sentBytes += part.length
    if (!socket.write(part)) {
      await Promise.race([new Promise<void>((next) => void socket.once('drain', next)), ended])
    }
  }
  await ended
  socket.destroy()
  return { status: Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0), text, sentBytes }
}

export function head(
  method: string,
  path: string,
  fields: Readonly<Record<string, string | number>> = {},
): string {
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${path} HTTP/1.1\r\nhost: target\r\n${lines.join('')}\r\n`
}

/** One whole request with a body. */
export function post(path: string, body: Uint8Array, type: string, method = 'POST'): Uint8Array[] {
  const fields = { 'content-type': type, 'content-length': body.length }
  return [Buffer.from(head(method, path, fields)), body]
}
