/** The dispatcher: requests to `name.kith` go to an instance of `name`, all others elsewhere. */
import { Dispatcher, Dispatcher1Wrapper, getGlobalDispatcher } from 'undici'
import { Attempts, type Wanted } from './attempts.ts'
import { UndiciError } from './errors.ts'
import { type KithDispatcherOptions, resolveOptions, type ResolvedOptions } from './options.ts'
import { Pools } from './pools.ts'

export interface KithDispatcher extends Dispatcher, AsyncDisposable {
  /** Connections are held to so many instances. */
  readonly pools: number
}

/**
 * A dispatcher for `fetch(url, { dispatcher })`, for undici's own calls and for
 * `setGlobalDispatcher`. `http://web.kith/` is any instance of `web`, `http://eu.web.kith/` one with
 * the tag `eu`. Throws `ERR_UNDICI_OPTIONS` that names every field at fault.
 */
export function createDispatcher(options: KithDispatcherOptions): KithDispatcher {
  return new ServiceDispatcher(resolveOptions(options))
}

class ServiceDispatcher extends Dispatcher implements KithDispatcher {
  readonly #options: ResolvedOptions
  readonly #pools: Pools
  readonly #unsubscribe: () => void
  readonly #older = new Dispatcher1Wrapper(this)

  constructor(options: ResolvedOptions) {
    super()
    this.#options = options
    this.#pools = new Pools(options)
    this.#unsubscribe = options.registry.on('change', ({ service }) => this.#reconcile(service))
  }

  get pools(): number {
    return this.#pools.size
  }

  override dispatch(
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
  ): boolean {
    // The fetch inside Node 22 and 24 speaks the older form of handlers: wrapped, it comes back.
    if ('onConnect' in handler || 'onHeaders' in handler) {
      return this.#older.dispatch(options, handler)
    }
    const wanted = this.#wanted(options.origin)
    if (wanted === undefined) return this.#elsewhere(options, handler)
    void new Attempts(this.#options, this.#pools, wanted, options, handler).next()
    return true
  }

  /** Ends what is under way in its own time; new requests fail with `ERR_UNDICI_CLOSED`. */
  override close(): Promise<void>
  override close(callback: () => void): void
  override close(callback?: () => void): Promise<void> | void {
    return settle(
      this.#end(() => this.#pools.close()),
      callback,
    )
  }

  /** Breaks off what is under way. */
  override destroy(cause?: Error | null): Promise<void>
  override destroy(callback: () => void): void
  override destroy(cause: Error | null, callback: () => void): void
  override destroy(
    cause: Error | null | (() => void) = null,
    callback?: () => void,
  ): Promise<void> | void {
    const [why, done] = typeof cause === 'function' ? [null, cause] : [cause, callback]
    return settle(
      this.#end(() => this.#pools.destroy(why)),
      done,
    )
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #end(pools: () => Promise<void>): Promise<void> {
    this.#unsubscribe()
    await pools()
  }

  #elsewhere(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const fallback = this.#options.fallback ?? getGlobalDispatcher()
    // Set as the global one it would ask itself for ever.
    if ((fallback as Dispatcher) === this) {
      const text = `fallback must be another dispatcher: this one is the global one`
      throw new UndiciError('ERR_UNDICI_OPTIONS', text)
    }
    return fallback.dispatch(options, handler)
  }

  /** `eu.web.kith`: the last label names the service, those before it tags. */
  #wanted(given: string | URL | undefined): Wanted | undefined {
    if (given === undefined || !URL.canParse(String(given))) return undefined
    const origin = new URL(given)
    const end = `.${this.#options.domain}`
    if (!origin.hostname.endsWith(end)) return undefined
    const labels = origin.hostname.slice(0, -end.length).split('.')
    return { origin, service: labels.at(-1) ?? '', tags: labels.slice(0, -1) }
  }

  async #reconcile(service: string): Promise<void> {
    // What cannot be resolved now keeps its connections: they may be all there is.
    const here = await Promise.resolve(this.#options.registry.resolve(service)).catch(
      () => undefined,
    )
    if (here !== undefined) this.#pools.keep(service, here)
  }
}

function settle(work: Promise<void>, ended?: () => void): Promise<void> | void {
  if (ended === undefined) return work
  void work.then(ended, ended)
}
