/** `ByteStream` over one socket that is paused unless somebody reads. */
import type { Socket } from 'node:net'
import type { Address, ByteStream } from '@kith/interface'
import { reasonOf, stateError, streamError } from './errors.ts'
import type { TcpError } from './errors.ts'

interface Waiter<Value> {
  resolve(value: Value): void
  reject(cause: Error): void
}

/** Bytes of all streams of a transport. */
export interface StreamBytes {
  bytesIn: number
  bytesOut: number
}

export class TcpStream implements ByteStream {
  readonly remote: Address
  readonly #socket: Socket
  readonly #total: StreamBytes
  #reader: Waiter<Uint8Array | undefined> | undefined
  readonly #writers = new Set<Waiter<void>>()
  #endSent = false
  #endSeen = false
  #broken: TcpError | undefined

  /** Takes the socket over. It reads ahead at most the socket's high-water mark. */
  constructor(socket: Socket, remote: Address, idleTimeoutMs: number, total: StreamBytes) {
    this.#socket = socket
    this.#total = total
    this.remote = remote
    socket.on('readable', () => this.#wake())
    socket.on('end', () => {
      this.#endSeen = true
      this.#wake()
    })
    socket.on('error', (cause) => this.#break(streamError(reasonOf(cause), remote, cause)))
    socket.on('close', () => this.#break(streamError('reset', remote)))
    socket.on('timeout', () => {
      this.#break(streamError('timeout', remote))
      socket.destroy()
    })
    socket.setTimeout(idleTimeoutMs)
  }

  async read(): Promise<Uint8Array | undefined> {
    if (this.#reader !== undefined) throw stateError('misuse', 'one read at a time', this.remote)
    const bytes = this.#take()
    if (bytes !== undefined || this.#endSeen) return bytes
    if (this.#broken !== undefined) throw this.#broken
    return await new Promise((resolve, reject) => {
      this.#reader = { resolve, reject }
    })
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken
    if (this.#endSent) throw stateError('misuse', 'a write after the end', this.remote)
    if (bytes.length === 0) return
    this.#total.bytesOut += bytes.length
    // The callback comes when the system has the bytes, so a slow reader slows the writer.
    await this.#finished((done) => void this.#socket.write(bytes, done))
  }

  async end(): Promise<void> {
    if (this.#endSent || this.#broken !== undefined) return
    this.#endSent = true
    await this.#finished((done) => void this.#socket.end(done))
  }

  destroy(cause?: Error): void {
    this.#break(streamError('reset', this.remote, cause))
    this.#socket.destroy()
  }

  #finished(act: (done: (cause?: Error | null) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      // Kept, because a socket that is destroyed forgets some of its callbacks.
      const waiter: Waiter<void> = { resolve, reject }
      this.#writers.add(waiter)
      act((cause) => {
        this.#writers.delete(waiter)
        if (cause === undefined || cause === null) resolve()
        else reject(this.#broken ?? streamError(reasonOf(cause), this.remote, cause))
      })
    })
  }

  #take(): Uint8Array | undefined {
    const bytes = this.#socket.read() as Buffer | null
    if (bytes === null) return undefined
    this.#total.bytesIn += bytes.length
    // A plain Uint8Array: `slice` of a Buffer would not copy.
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  #wake(): void {
    // Reading without a reader would take bytes off the wire that nobody asked for.
    const reader = this.#reader
    if (reader === undefined) return
    const bytes = this.#take()
    if (bytes === undefined && !this.#endSeen) return
    this.#reader = undefined
    reader.resolve(bytes)
  }

  #break(cause: TcpError): void {
    if (this.#broken !== undefined) return
    this.#broken = cause
    const waiting = [...this.#writers]
    this.#writers.clear()
    for (const writer of waiting) writer.reject(cause)
    const reader = this.#reader
    this.#reader = undefined
    if (this.#endSeen) reader?.resolve(undefined)
    else reader?.reject(cause)
  }
}
