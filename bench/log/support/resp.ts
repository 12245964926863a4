/** Redis' protocol, as far as a log needs it: commands go out as bytes, replies come as values. */
import type { Socket } from 'node:net'

/** Bulk strings come as bytes, which belong to the reply. */
export type Reply = string | number | Buffer | null | readonly Reply[]

const carriageReturn = 0x0d

/** Takes bytes in whatever pieces they come, and gives each whole reply once. */
export class ReplyReader {
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0
  /** Arrays whose elements are still to come, the outermost first. */
  readonly #open: { left: number; readonly items: Reply[] }[] = []

  push(chunk: Buffer): readonly Reply[] {
    const rest = this.#bytes.subarray(this.#at)
    this.#bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    this.#at = 0
    const replies: Reply[] = []
    for (let element = this.#element(); element !== undefined; element = this.#element()) {
      const whole = this.#place(element.reply)
      if (whole !== undefined) replies.push(whole)
    }
    return replies
  }

  /** The next element where all of its bytes are there; an array is opened, not returned. */
  #element(): { readonly reply: Reply } | undefined {
    for (;;) {
      const end = this.#bytes.indexOf(carriageReturn, this.#at)
      if (end === -1 || end + 2 > this.#bytes.length) return undefined
      const kind = this.#bytes[this.#at]
      const line = this.#bytes.toString('latin1', this.#at + 1, end)
      const after = end + 2
      if (kind === 0x2d) throw new Error(`redis says: ${line}`)
      if (kind === 0x24 && line !== '-1') {
        const length = Number(line)
        if (this.#bytes.length < after + length + 2) return undefined
        this.#at = after + length + 2
        return { reply: this.#bytes.subarray(after, after + length) }
      }
      this.#at = after
      if (kind === 0x2b) return { reply: line }
      if (kind === 0x3a) return { reply: Number(line) }
      if (line === '-1') return { reply: null }
      if (line === '0') return { reply: [] }
      this.#open.push({ left: Number(line), items: [] })
    }
  }

  /** Puts an element where it belongs; returns what became whole by it on the outside. */
  #place(element: Reply): Reply | undefined {
    let reply = element
    for (let array = this.#open.at(-1); array !== undefined; array = this.#open.at(-1)) {
      array.items.push(reply)
      array.left -= 1
      if (array.left > 0) return undefined
      this.#open.pop()
      reply = array.items
    }
    return reply
  }
}

/** One connection; whoever sends waits for as many replies as it sent commands. */
export class RedisCaller {
  readonly #socket: Socket
  readonly #replies: Reply[] = []
  #waiting:
    | { count: number; resolve(replies: Reply[]): void; reject(cause: Error): void }
    | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    const reader = new ReplyReader()
    socket.on('data', (chunk) => {
      try {
        this.#replies.push(...reader.push(chunk))
      } catch (cause) {
        this.#waiting?.reject(cause as Error)
      }
      this.#settle()
    })
    socket.on('error', (cause) => this.#waiting?.reject(cause))
  }

  send(bytes: Uint8Array, count: number): Promise<Reply[]> {
    return new Promise((resolve, reject) => {
      this.#waiting = { count, resolve, reject }
      this.#socket.write(bytes)
    })
  }

  #settle(): void {
    const waiting = this.#waiting
    if (waiting === undefined || this.#replies.length < waiting.count) return
    this.#waiting = undefined
    waiting.resolve(this.#replies.splice(0, waiting.count))
  }
}

/** The bytes of one command. */
export function encodeCommand(...words: readonly (string | Uint8Array)[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from(`*${words.length}\r\n`)]
  for (const word of words) {
    const bytes = typeof word === 'string' ? Buffer.from(word) : word
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'))
  }
  return Buffer.concat(parts)
}
