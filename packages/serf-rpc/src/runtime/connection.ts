/** One connection to an agent, from the first byte to the end: requests, streams, failures. */
import { connect, isIP, type Socket } from 'node:net'
import { type Address, formatAddress } from '@kith/interface'
import { tlsContext, tlsFailure } from '@kith/interface/node'
import {
  createSession,
  type SessionFailure,
  type SessionInput,
  type SessionOutput,
  type SessionState,
  stepSession,
} from '../core/session.ts'
import { refusalCode } from '../core/refusal.ts'
import { RpcError } from '../errors.ts'
import type { ResolvedClientOptions } from '../options.ts'
import type { Command, Request, ResponseBody, StreamedRecord } from '../wire/message.ts'
import { keyReport } from './shapes.ts'

/** Where the records of one stream go. */
export interface Sink {
  record(record: StreamedRecord): void
  /** No further record comes: the query's time is over, or the connection is, for this cause. */
  ended(cause?: Error): void
}

export interface AskOptions {
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

interface Asked {
  readonly command: Command
  settle(cause: Error | undefined, body?: ResponseBody): void
}

/** How long the far end may take to see our end before the connection is cut. */
const lingerMs = 500

export function addressName(target: Address | string): string {
  return typeof target === 'string' ? target : formatAddress(target)
}

function openSocket({ target, tls }: ResolvedClientOptions): Socket {
  if (typeof target === 'string') return connect({ path: target, noDelay: true, keepAlive: true })
  if (tls === undefined) return connect({ ...target, noDelay: true, keepAlive: true })
  const { serverName, ...shown } = typeof tls === 'function' ? tls() : tls
  const name = serverName ?? (isIP(target.host) === 0 ? target.host : undefined)
  const servername = name === undefined ? {} : { servername: name }
  const { connect: connectTls } = process.getBuiltinModule('node:tls')
  const socket = connectTls({ ...target, ...tlsContext(shown), ...servername })
  return socket.setNoDelay(true).setKeepAlive(true)
}

/** Resolves once handshake and key were accepted. */
export async function openConnection(
  options: ResolvedClientOptions,
  signal: AbortSignal,
): Promise<RpcConnection> {
  signal.throwIfAborted()
  const connection = new RpcConnection(options)
  const abort = (): void => connection.destroy(signal.reason as Error)
  signal.addEventListener('abort', abort, { once: true })
  try {
    await connection.ready()
    return connection
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

export class RpcConnection {
  readonly #options: ResolvedClientOptions
  readonly #name: string
  readonly #socket: Socket
  readonly #session: SessionState
  readonly #asked = new Map<number, Asked>()
  readonly #sinks = new Map<number, Sink>()
  readonly #opened: Promise<void>
  #open: { resolve(): void; reject(cause: Error): void } | undefined
  #nextId = 1
  #held = false
  #over: Error | undefined

  constructor(options: ResolvedClientOptions) {
    this.#options = options
    this.#name = addressName(options.target)
    const { authKey, responseBytesMax, connectTimeoutMs } = options
    this.#session = createSession({ authKey, responseBytesMax })
    this.#opened = new Promise((resolve, reject) => {
      this.#open = { resolve, reject }
    })
    this.#socket = openSocket(options)
    const late = setTimeout(() => {
      this.destroy(this.#notConnected(`it did not answer within ${connectTimeoutMs} ms`))
    }, connectTimeoutMs)
    this.#opened.then(
      () => clearTimeout(late),
      () => clearTimeout(late),
    )
    const connected = options.tls === undefined ? 'connect' : 'secureConnect'
    this.#socket.on(connected, () => this.#run({ kind: 'connected' }))
    this.#socket.on('data', (chunk: Buffer) => this.#received(chunk))
    this.#socket.on('error', (cause: NodeJS.ErrnoException) => this.#broke(cause))
    this.#socket.on('close', () => this.#broke(undefined))
  }

  /** True where nothing can be asked any more. */
  get over(): boolean {
    return this.#over !== undefined
  }

  ready(): Promise<void> {
    return this.#opened
  }

  ask(request: Request, options: AskOptions): Promise<ResponseBody | undefined> {
    const { timeoutMs, signal } = options
    if (this.#over !== undefined) return Promise.reject(this.#over)
    if (signal?.aborted) return Promise.reject(signal.reason as Error)
    if (this.#session.pending.size >= this.#options.requestsMax) {
      const text = `${this.#options.requestsMax} commands wait for ${this.#name} already`
      return Promise.reject(new RpcError('ERR_RPC_BUSY', text, this.#details(request.command)))
    }
    const id = this.#takeId()
    return new Promise((resolve, reject) => {
      const settle = (cause: Error | undefined, body?: ResponseBody): void => {
        this.#asked.delete(id)
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        this.#pace()
        if (cause === undefined) resolve(body)
        else reject(cause)
      }
      const abort = (): void => settle(signal?.reason as Error)
      const timer = setTimeout(() => settle(this.#timedOut(request.command, timeoutMs)), timeoutMs)
      signal?.addEventListener('abort', abort, { once: true })
      this.#asked.set(id, { command: request.command, settle })
      this.#run({ kind: 'ask', id, request })
      this.#pace()
    })
  }

  /** Asks for a stream; its records go to the sink until this connection ends. */
  async stream(request: Request, sink: Sink, options: AskOptions): Promise<void> {
    // The answer and the records have one id, the next one.
    const id = this.#nextId
    this.#sinks.set(id, sink)
    try {
      await this.ask(request, options)
    } catch (cause) {
      this.#sinks.delete(id)
      throw cause
    }
  }

  /** Stops taking records off the wire; what is asked meanwhile is still answered. */
  hold(held: boolean): void {
    this.#held = held
    this.#pace()
  }

  /** Ends in order: the agent sees our end and hangs up. What still waits is told the cause. */
  end(cause: Error): void {
    if (this.#over !== undefined) return
    this.#finish(cause)
    this.#socket.resume()
    this.#socket.end()
    const cut = setTimeout(() => this.#socket.destroy(), lingerMs)
    this.#socket.once('close', () => clearTimeout(cut))
  }

  destroy(cause: Error): void {
    this.#finish(cause)
    this.#socket.destroy()
  }

  #takeId(): number {
    const id = this.#nextId
    this.#nextId += 1
    return id
  }

  #pace(): void {
    if (this.#over !== undefined) return
    if (this.#held && this.#asked.size === 0) this.#socket.pause()
    else this.#socket.resume()
  }

  #received(chunk: Buffer): void {
    if (this.#over !== undefined) return
    const bytes = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    this.#run({ kind: 'bytes', bytes })
  }

  #run(input: SessionInput): void {
    for (const output of stepSession(this.#session, input)) this.#execute(output)
  }

  #execute(output: SessionOutput): void {
    switch (output.kind) {
      case 'send':
        return void this.#socket.write(output.bytes)
      case 'ready':
        this.#open?.resolve()
        this.#open = undefined
        return
      case 'answer':
        return this.#answered(output.id, output.error, output.body)
      case 'record':
        return this.#recorded(output.id, output.record)
      case 'fail':
        return this.destroy(this.#failed(output.failure))
    }
  }

  #answered(id: number, error: string, body: ResponseBody | undefined): void {
    const asked = this.#asked.get(id)
    // Nobody waits any more for what timed out.
    if (asked === undefined) return
    if (error === '') return asked.settle(undefined, body)
    const { command } = asked
    const report = body?.kind === 'keys' ? { report: keyReport(body.report) } : {}
    const details = { ...this.#details(command).details, agentError: error, ...report }
    asked.settle(new RpcError(refusalCode(command, error), error, { details }))
  }

  #recorded(id: number, record: StreamedRecord): void {
    const sink = this.#sinks.get(id)
    if (record.command === 'query' && record.record.kind === 'done') {
      this.#sinks.delete(id)
      sink?.ended()
    } else sink?.record(record)
  }

  #broke(cause: NodeJS.ErrnoException | undefined): void {
    if (this.#open === undefined) return this.destroy(this.#lost(cause))
    const { tls } = this.#options
    const hungUp = 'it hung up before it answered'
    const why = tlsFailure(cause) ?? (cause === undefined ? hungUp : (cause.code ?? cause.message))
    const plain = tls !== undefined && cause?.code === 'ECONNRESET' ? '; it may speak no TLS' : ''
    this.destroy(this.#notConnected(`${why}${plain}`, cause))
  }

  #finish(cause: Error): void {
    if (this.#over !== undefined) return
    this.#over = cause
    this.#open?.reject(cause)
    this.#open = undefined
    for (const { settle } of [...this.#asked.values()]) settle(cause)
    for (const sink of this.#sinks.values()) sink.ended(cause)
    this.#sinks.clear()
  }

  #details(command?: Command): { details: { address: string; command?: Command } } {
    return { details: { address: this.#name, ...(command === undefined ? {} : { command }) } }
  }

  #notConnected(why: string, cause?: Error): RpcError {
    const text = `no agent of Serf answers at ${this.#name}: ${why}`
    return new RpcError('ERR_RPC_CONNECT', text, { cause, ...this.#details() })
  }

  #lost(cause: Error | undefined): RpcError {
    const text = `the connection to ${this.#name} was lost`
    const details = { address: this.#name, maybeDone: true }
    return new RpcError('ERR_RPC_CONNECTION_LOST', text, { cause, details })
  }

  #timedOut(command: Command, timeoutMs: number): RpcError {
    const text = `${this.#name} did not answer ${command} within ${timeoutMs} ms`
    const details = { address: this.#name, command, maybeDone: true }
    return new RpcError('ERR_RPC_TIMEOUT', text, { details })
  }

  #failed(failure: SessionFailure): RpcError {
    const address = this.#name
    if (failure.kind === 'protocol') {
      const text = `${address} does not speak Serf's RPC: ${failure.text}`
      return new RpcError('ERR_RPC_PROTOCOL', text, { details: { address } })
    }
    const { kind: command, error } = failure
    const details = { address, command, agentError: error }
    return new RpcError(refusalCode(command, error), error, { details })
  }
}
