/**
 * One pool of connections for each instance under each origin. The connection goes to the instance,
 * the request to the origin: host header and certificate are those of the service (UND-1).
 */
import type { ServiceInstance } from '@kith/interface'
import { buildConnector, type Dispatcher, Pool } from 'undici'
import { UndiciError } from './errors.ts'
import type { ResolvedOptions } from './options.ts'

interface Held {
  readonly pool: Pool
  readonly instance: ServiceInstance
}

export class Pools {
  readonly #options: ResolvedOptions
  readonly #held = new Map<string, Held>()
  /** Until when an instance is chosen only where there is no other; by what the registry said. */
  readonly #avoided = new Map<string, { readonly instance: ServiceInstance; until: number }>()

  #closed = false

  constructor(options: ResolvedOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#held.size
  }

  /** The connections to `instance` for requests to `origin`; throws `ERR_UNDICI_CLOSED`. */
  get(origin: URL, instance: ServiceInstance): Dispatcher {
    if (this.#closed) throw new UndiciError('ERR_UNDICI_CLOSED', 'the dispatcher is closed')
    const key = `${origin.protocol}//${origin.host} ${keyOf(instance)}`
    const held = this.#held.get(key)
    if (held !== undefined) return held.pool
    const pool = createPool(this.#options, origin, instance)
    this.#held.set(key, { pool, instance })
    return pool
  }

  /** Takes the connections of whoever is not among `here`: what is under way ends as it would. */
  keep(service: string, here: readonly ServiceInstance[]): void {
    const keys = new Map(here.map((instance) => [keyOf(instance), instance]))
    for (const [key, { pool, instance }] of this.#held) {
      if (instance.service !== service || keys.has(keyOf(instance))) continue
      this.#held.delete(key)
      // Rejections are impossible here: whatever is under way has its own handler.
      void pool.close()
    }
    for (const [key, { instance }] of this.#avoided) {
      if (instance.service === service && keys.get(key) !== instance) this.#avoided.delete(key)
    }
  }

  avoid(instance: ServiceInstance): void {
    const until = performance.now() + this.#options.avoidMs
    this.#avoided.set(keyOf(instance), { instance, until })
  }

  avoids(instance: ServiceInstance): boolean {
    const key = keyOf(instance)
    const avoided = this.#avoided.get(key)
    if (avoided === undefined) return false
    if (avoided.instance === instance && performance.now() < avoided.until) return true
    this.#avoided.delete(key)
    return false
  }

  async close(): Promise<void> {
    await this.#all((pool) => pool.close())
  }

  async destroy(cause: Error | null): Promise<void> {
    await this.#all((pool) => pool.destroy(cause))
  }

  async #all(end: (pool: Pool) => Promise<void>): Promise<void> {
    this.#closed = true
    const held = [...this.#held.values()]
    this.#held.clear()
    await Promise.all(held.map(({ pool }) => end(pool)))
  }
}

function createPool(options: ResolvedOptions, origin: URL, instance: ServiceInstance): Pool {
  const { pool = {}, connectTimeoutMs, connectionsMax } = options
  const allowH2 = pool.allowH2 ?? false
  const connector = buildConnector({ timeout: connectTimeoutMs, allowH2 })
  return new Pool(origin.origin, {
    ...pool,
    allowH2,
    connections: connectionsMax,
    connect(target, callback) {
      const { address, port } = instance
      const secure = origin.protocol === 'https:'
      const servername = secure ? (target.servername ?? origin.hostname) : undefined
      const there = { ...target, hostname: address, host: address, port: String(port) }
      connector({ ...there, ...(servername === undefined ? {} : { servername }) }, callback)
    },
  })
}

/** The place: an instance that moved is another one. */
export function keyOf({ member, id, address, port }: ServiceInstance): string {
  return `${member}/${id}@${address}:${port}`
}
