/** The protocol of NATS, as far as a log needs it. */
import type { Socket } from 'node:net'

export interface Message {
  readonly subject: string
  readonly headers: string
  /** Belongs to whoever is told. */
  readonly payload: Buffer
}

const lineEnd = '\r\n'

/** Takes bytes in whatever pieces they come; tells of messages, and of the other lines. */
export class NatsReader {
  #bytes: Buffer = Buffer.alloc(0)
  readonly #onMessage: (message: Message) => void
  readonly #onLine: (line: string) => void

  constructor(onMessage: (message: Message) => void, onLine: (line: string) => void) {
    this.#onMessage = onMessage
    this.#onLine = onLine
  }

  push(chunk: Buffer): void {
    const bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    let at = 0
    for (;;) {
      const end = bytes.indexOf(lineEnd, at)
      if (end === -1) break
      const words = bytes.toString('latin1', at, end).split(' ')
      const body = end + lineEnd.length
      if (words[0] !== 'MSG' && words[0] !== 'HMSG') {
        this.#onLine(words.join(' '))
        at = body
        continue
      }
      const length = Number(words.at(-1))
      if (bytes.length < body + length + lineEnd.length) break
      const split = words[0] === 'HMSG' ? Number(words.at(-2)) : 0
      this.#onMessage({
        subject: words[1] ?? '',
        headers: bytes.toString('latin1', body, body + split),
        payload: bytes.subarray(body + split, body + length),
      })
      at = body + length + lineEnd.length
    }
    this.#bytes = bytes.subarray(at)
  }
}

/** One connection with one inbox, in which every answer arrives. */
export class NatsCaller {
  readonly inbox = 'inbox'
  readonly #socket: Socket
  /** Told of each message of the inbox. */
  onMessage: (message: Message) => void = () => {}
  #fail: (cause: Error) => void = () => {}

  constructor(socket: Socket) {
    this.#socket = socket
    const reader = new NatsReader(
      (message) => this.onMessage(message),
      (line) => {
        if (line === 'PING') socket.write('PONG\r\n')
        else if (line.startsWith('-ERR')) this.#fail(new Error(`nats says: ${line}`))
      },
    )
    socket.on('data', (chunk) => reader.push(chunk))
    socket.on('error', (cause) => this.#fail(cause))
    socket.write(
      'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n',
    )
    socket.write(`SUB ${this.inbox} 1\r\n`)
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  /** Settles as `run` says, and fails where the connection or the server does. */
  settle<Result>(run: (resolve: (result: Result) => void) => void): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#fail = reject
      run(resolve)
    })
  }

  /** Asks the interface of JetStream for something; an error it answers is thrown. */
  async ask(subject: string, request: object): Promise<void> {
    const message = await this.settle<Message>((resolve) => {
      this.onMessage = resolve
      this.write(encodePublish(subject, this.inbox, Buffer.from(JSON.stringify(request))))
    })
    const answer = JSON.parse(message.payload.toString() || '{}') as { error?: object }
    if (answer.error !== undefined) throw new Error(`${subject}: ${message.payload.toString()}`)
  }
}

export function encodePublish(subject: string, reply: string, payload: Uint8Array): Buffer {
  const head = Buffer.from(`PUB ${subject} ${reply} ${payload.length}\r\n`)
  return Buffer.concat([head, payload, Buffer.from(lineEnd)])
}
