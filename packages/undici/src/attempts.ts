/**
 * One request and the instances it is tried at. The caller's handler sees one request: it starts
 * once, and what a failed try did before its answer began never reaches it.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Duplex } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ServiceInstance } from '@kith/interface'
import type { Dispatcher } from 'undici'
import { Body } from './body.ts'
import { UndiciError } from './errors.ts'
import type { ResolvedOptions } from './options.ts'
import { keyOf, type Pools } from './pools.ts'
import type { InstanceLease } from './ports.ts'

type Controller = Dispatcher.DispatchController
type Handler = Dispatcher.DispatchHandler

/** Methods that may run twice (RFC 9110, section 9.2.2). */
const idempotent: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'PUT',
  'DELETE',
  'TRACE',
  'QUERY',
])
/** Failures of a connection, not of a request or of its caller. */
const connectionFailures: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
  'UND_ERR_CLOSED',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_DESTROYED',
  'UND_ERR_SOCKET',
])

export interface Wanted {
  readonly origin: URL
  readonly service: string
  readonly tags: readonly string[]
}

export class Attempts implements Handler {
  readonly #options: ResolvedOptions
  readonly #pools: Pools
  readonly #wanted: Wanted
  readonly #request: Dispatcher.DispatchOptions
  readonly #handler: Handler
  readonly #body: Body
  readonly #control = new LastingController()
  readonly #tried = new Set<string>()
  #lease: InstanceLease | undefined
  #started = false
  #sent = false
  #answered = false

  constructor(
    options: ResolvedOptions,
    pools: Pools,
    wanted: Wanted,
    request: Dispatcher.DispatchOptions,
    handler: Handler,
  ) {
    this.#options = options
    this.#pools = pools
    this.#wanted = wanted
    this.#request = request
    this.#handler = handler
    this.#body = new Body(request.body)
  }

  /** Tries the next instance; whatever keeps it from that is the request's failure. */
  async next(): Promise<void> {
    this.#sent = false
    const { origin } = this.#wanted
    let pool: Dispatcher
    try {
      const lease = await this.#choose()
      this.#lease = lease
      if (this.#control.aborted) throw this.#control.reason ?? new Error('aborted')
      this.#tried.add(keyOf(lease.instance))
      pool = this.#pools.get(origin, lease.instance)
    } catch (cause) {
      this.#release()
      // Whoever tries again at once must not keep the news of an instance from arriving.
      await nextTurn()
      return this.#fail(cause as Error)
    }
    pool.dispatch({ ...this.#request, origin, body: this.#body.next() as never }, this)
  }

  onRequestStart(controller: Controller, context: unknown): void {
    this.#sent = true
    this.#control.target = controller
    if (this.#started) return
    this.#started = true
    this.#handler.onRequestStart?.(this.#control, context)
  }

  onRequestUpgrade(
    _controller: Controller,
    status: number,
    headers: IncomingHttpHeaders,
    socket: Duplex,
  ): void {
    this.#answered = true
    this.#release()
    this.#handler.onRequestUpgrade?.(this.#control, status, headers, socket)
  }

  onResponseStarted(): void {
    this.#handler.onResponseStarted?.()
  }

  onResponseStart(
    _controller: Controller,
    status: number,
    headers: IncomingHttpHeaders,
    message?: string,
  ): void {
    // Informational answers come before the one that counts.
    if (status >= 200) this.#answered = true
    this.#handler.onResponseStart?.(this.#control, status, headers, message)
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    this.#handler.onResponseData?.(this.#control, chunk)
  }

  onResponseEnd(_controller: Controller, trailers: IncomingHttpHeaders): void {
    this.#release()
    this.#handler.onResponseEnd?.(this.#control, trailers)
  }

  onResponseError(_controller: Controller | null, cause: Error): void {
    const instance = this.#lease?.instance
    this.#release()
    this.#control.target = undefined
    if (this.#control.aborted || !isConnectionFailure(cause)) return this.#fail(cause)
    // A pool that was closed meanwhile says nothing against its instance.
    if (instance !== undefined && !isOwnEnd(cause)) this.#pools.avoid(instance)
    if (this.#answered || !this.#mayRepeat()) return this.#fail(cause)
    void this.next()
  }

  onBodySent(chunk: Buffer): void {
    this.#handler.onBodySent?.(chunk)
  }

  onRequestSent(): void {
    this.#handler.onRequestSent?.()
  }

  #mayRepeat(): boolean {
    if (this.#tried.size >= this.#options.attemptsMax || !this.#body.isWhole) return false
    return !this.#sent || (this.#request.idempotent ?? idempotent.has(this.#request.method))
  }

  async #choose(): Promise<InstanceLease> {
    const { registry, strategy, key, prefer } = this.#options
    const { service, tags } = this.#wanted
    const options = {
      strategy,
      ...(tags.length > 0 ? { tags } : {}),
      ...(prefer === undefined ? {} : { prefer }),
      ...(key === undefined ? {} : { key: key(this.#request) }),
    }
    const untried = (one: ServiceInstance): boolean => this.#tried.has(keyOf(one))
    const avoided = (one: ServiceInstance): boolean => untried(one) || this.#pools.avoids(one)
    let lease: InstanceLease | undefined
    try {
      lease = await registry.lease(service, { ...options, except: avoided })
      lease ??= await registry.lease(service, { ...options, except: untried })
    } catch (cause) {
      const text = `${service} cannot be resolved: ${(cause as Error).message}`
      throw new UndiciError('ERR_UNDICI_RESOLVE', text, { cause, details: { service } })
    }
    if (lease !== undefined) return lease
    const what = tags.length > 0 ? `${service} with ${tags.join(' and ')}` : service
    const text =
      this.#tried.size > 0
        ? `no further instance of ${what}: ${this.#tried.size} broke the connection`
        : `no passing instance of ${what}`
    throw new UndiciError('ERR_UNDICI_NO_INSTANCE', text, { details: { service } })
  }

  #release(): void {
    this.#lease?.release()
    this.#lease = undefined
  }

  #fail(cause: Error): void {
    this.#body.drop(cause)
    this.#handler.onResponseError?.(this.#control, cause)
  }
}

function codeOf(cause: Error): string {
  const code: unknown = (cause as { code?: unknown }).code
  return typeof code === 'string' ? code : ''
}

function isOwnEnd(cause: Error): boolean {
  return ['UND_ERR_CLOSED', 'UND_ERR_DESTROYED'].includes(codeOf(cause))
}

function isConnectionFailure(cause: Error): boolean {
  // Several addresses of a host failed together.
  if (cause instanceof AggregateError) return cause.errors.some(isConnectionFailure)
  return connectionFailures.has(codeOf(cause))
}

type RawHeaders = Exclude<Controller['rawHeaders'], undefined>

/** What the caller holds on to: leads to the connection of the current try. */
class LastingController implements Controller {
  #target: Controller | undefined
  #paused = false
  #reason: Error | null = null
  #aborted = false

  set target(target: Controller | undefined) {
    this.#target = target
    if (this.#paused) target?.pause()
  }

  get aborted(): boolean {
    return this.#aborted || (this.#target?.aborted ?? false)
  }

  get paused(): boolean {
    return this.#paused
  }

  get reason(): Error | null {
    return this.#reason ?? this.#target?.reason ?? null
  }

  get rawHeaders(): RawHeaders {
    return this.#target?.rawHeaders ?? null
  }

  get rawTrailers(): RawHeaders {
    return this.#target?.rawTrailers ?? null
  }

  abort(reason: Error): void {
    this.#aborted = true
    this.#reason = reason
    this.#target?.abort(reason)
  }

  pause(): void {
    this.#paused = true
    this.#target?.pause()
  }

  resume(): void {
    this.#paused = false
    this.#target?.resume()
  }
}
