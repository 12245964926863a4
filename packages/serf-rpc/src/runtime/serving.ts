/** One caller of the server: its socket, its machine, its calls of the host. */
import type { Socket } from 'node:net'
import type { CancelTimer, Clock, Logger } from '@kith/interface'
import { nextDeadline, step } from '../core/connection.ts'
import type { ConnectionInput, ConnectionOutput, HostAnswer, HostCall } from '../core/input.ts'
import {
  type ConnectionOptions,
  type ConnectionState,
  createConnection,
  isStranger,
  wantsBytes,
  wantsEvents,
  wantsLines,
} from '../core/state.ts'
import type { SerfRpcHost } from '../ports.ts'
import { askHost, errorText, hostQuery } from './host.ts'
import type { OpenQueries } from './open-queries.ts'

export interface ServingContext {
  readonly host: SerfRpcHost
  readonly connection: ConnectionOptions
  readonly clock: Clock
  readonly logger: Logger
  readonly openQueries: OpenQueries
  count(what: string): void
  closed(serving: Serving): void
}

/** How long a caller may take to see our end before the connection is cut. */
const lingerMs = 1_000

export class Serving {
  /** Resolves once the connection is gone. */
  readonly closed: Promise<void>
  readonly #context: ServingContext
  readonly #socket: Socket
  readonly #state: ConnectionState
  readonly #over = new AbortController()
  #stopTimer: CancelTimer = () => {}
  #running = false
  readonly #inputs: ConnectionInput[] = []

  constructor(socket: Socket, context: ServingContext) {
    this.#socket = socket
    this.#context = context
    this.#state = createConnection(context.connection, context.clock.now())
    socket.on('end', () => this.run({ kind: 'ended' }))
    socket.on('error', () => {})
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#closed()
        resolve()
      })
    })
    socket.on('data', (chunk: Buffer) => {
      const bytes = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)
      this.run({ kind: 'bytes', bytes })
    })
    this.#arm()
  }

  get stranger(): boolean {
    return isStranger(this.#state)
  }
  get wantsEvents(): boolean {
    return wantsEvents(this.#state)
  }
  get wantsLines(): boolean {
    return wantsLines(this.#state)
  }

  run(input: ConnectionInput): void {
    this.#inputs.push(input)
    // A host that answers within the call answers behind what is being done.
    if (this.#running) return
    this.#running = true
    for (let next = this.#inputs.shift(); next; next = this.#inputs.shift()) {
      for (const output of step(this.#state, next, this.#context.clock.now())) {
        this.#execute(output)
      }
    }
    this.#running = false
    // At the end the rest is read away, so that the end of the other side is seen.
    if (this.#over.signal.aborted) return
    if (wantsBytes(this.#state)) this.#socket.resume()
    else this.#socket.pause()
    this.#arm()
  }

  /** Sends what is on its way, then ends; cut where the caller does not follow. */
  end(): void {
    this.run({ kind: 'close' })
  }

  #end(): void {
    this.#over.abort()
    this.#socket.end()
    this.#socket.resume()
    this.#stopTimer()
    this.#stopTimer = this.#context.clock.after(lingerMs, () => this.#socket.destroy())
  }

  #arm(): void {
    this.#stopTimer()
    const deadline = nextDeadline(this.#state)
    if (deadline === undefined) return
    const { clock } = this.#context
    const delayMs = deadline - clock.now()
    this.#stopTimer = clock.after(delayMs, () => this.run({ kind: 'deadline' }))
  }

  #execute(output: ConnectionOutput): void {
    switch (output.kind) {
      case 'send':
        return this.#send(output.bytes)
      case 'call':
        return void this.#call(output.call)
      case 'end':
        if (output.why !== undefined) this.#context.count(output.why)
        return this.#end()
      case 'shutdown':
        return this.#shutdownAfterAnswer()
      case 'count':
        return this.#context.count(output.what)
      case 'warn':
        return this.#context.logger.warn({ from: this.#socket.remoteAddress }, output.text)
    }
  }

  #send(bytes: Uint8Array): void {
    this.#socket.write(bytes, (cause) => {
      if (cause === undefined || cause === null) this.run({ kind: 'sent', bytes: bytes.length })
    })
  }

  /** The process may end with it, so that the answer must be out, or nobody there to read it. */
  #shutdownAfterAnswer(): void {
    const { host } = this.#context
    let told = false
    const shutdown = (): void => {
      if (!told) host.shutdown()
      told = true
    }
    this.#socket.once('finish', shutdown)
    this.#socket.once('close', shutdown)
  }

  async #call(call: HostCall): Promise<void> {
    if (call.kind === 'query') return await this.#query(call)
    if (call.kind === 'logs') {
      // In one turn, so that no line falls between those kept and those to come.
      const history = this.#context.host.logs.history()
      return this.run({ kind: 'answer', answer: { error: '', history } })
    }
    this.run({ kind: 'answer', answer: await this.#answer(call) })
  }

  async #answer(call: Exclude<HostCall, { kind: 'query' | 'logs' }>): Promise<HostAnswer> {
    const { host, openQueries } = this.#context
    if (call.kind !== 'respond') return await askHost(host, call)
    try {
      await openQueries.respond(call.handle, call.payload)
      return { error: '' }
    } catch (cause) {
      return { error: errorText(cause) }
    }
  }

  async #query({ query, sequence }: Extract<HostCall, { kind: 'query' }>): Promise<void> {
    const { host, logger } = this.#context
    const { signal } = this.#over
    let answers: Awaited<ReturnType<SerfRpcHost['query']>>
    try {
      answers = await host.query(hostQuery(query), signal)
    } catch (cause) {
      return this.run({ kind: 'answer', answer: { error: errorText(cause) } })
    }
    this.run({ kind: 'answer', answer: { error: '' } })
    const { clock, connection } = this.#context
    const endsAt = clock.now() + hostQuery(query).timeoutMs
    let quietAt = 0
    try {
      for await (const { kind, from, payload } of answers) {
        quietAt = clock.now() + connection.limits.doneDelayMs
        const record = { kind, from, payload: payload.length === 0 ? undefined : payload }
        this.run({ kind: 'record', sequence, record })
      }
    } catch (cause) {
      if (!signal.aborted) logger.warn({ cause, query: query.name }, 'a query ended early')
    }
    await this.#until(query.timeoutNs > 0n ? Math.min(endsAt, quietAt) : quietAt)
    this.run({ kind: 'record', sequence, record: { kind: 'done', from: '', payload: undefined } })
  }

  /** Or until nobody is there to wait for. */
  #until(time: number): Promise<void> {
    const { clock } = this.#context
    const { signal } = this.#over
    const waitMs = time - clock.now()
    if (waitMs <= 0 || signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const stopTimer = clock.after(waitMs, resolve)
      const stop = (): void => {
        stopTimer()
        resolve()
      }
      signal.addEventListener('abort', stop, { once: true })
    })
  }

  #closed(): void {
    this.#stopTimer()
    this.#over.abort()
    this.#context.closed(this)
  }
}
