/** Real HTTP servers as instances, and a registry as small as the port allows. */
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ServiceInstance } from '@kith/interface'
import type { InstanceLease, LeaseOptions, ServiceSource } from '../../src/index.ts'

export class Origin {
  readonly requests: { method: string; url: string; host: string; body: string }[] = []
  /** Connections that were opened, ever. */
  connections = 0
  readonly #server: Server

  readonly instance: ServiceInstance

  private constructor(instance: ServiceInstance, server: Server) {
    this.instance = instance
    this.#server = server
  }

  static async start(id: string, handler?: RequestListener): Promise<Origin> {
    const server = createServer((request, response) => {
      let body = ''
      request.on('data', (chunk) => (body += String(chunk)))
      request.on('end', () => {
        const { method = '', url = '', headers } = request
        origin.requests.push({ method, url, host: headers.host ?? '', body })
        if (handler === undefined) response.end(id)
        else handler(request, response)
      })
    })
    server.on('connection', () => (origin.connections += 1))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const origin = new Origin(instanceAt(id, (server.address() as AddressInfo).port), server)
    return origin
  }

  get open(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.getConnections((cause, count) => (cause ? reject(cause) : resolve(count)))
    })
  }

  /** As a process that was killed: connections break, the port is closed. */
  async die(): Promise<void> {
    if (!this.#server.listening) return
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
  }
}

export function instanceAt(id: string, port: number): ServiceInstance {
  return Object.freeze({
    service: 'web',
    id,
    member: id,
    address: '127.0.0.1',
    port,
    tags: [`tag-${id}`],
    meta: {},
    checks: [],
    status: 'passing',
    version: 1,
  })
}

export class FakeRegistry implements ServiceSource {
  /** Leases under way, by id. */
  readonly held = new Map<string, number>()
  readonly asked: LeaseOptions[] = []
  failure: Error | undefined
  #here: readonly ServiceInstance[] = []
  #turn = 0
  readonly #listeners = new Set<(event: { readonly service: string }) => unknown>()

  set(...here: readonly ServiceInstance[]): void {
    this.#here = here
    for (const listener of this.#listeners) listener({ service: 'web' })
  }

  resolve(service: string): readonly ServiceInstance[] {
    return service === 'web' ? this.#here : []
  }

  async lease(service: string, options: LeaseOptions): Promise<InstanceLease | undefined> {
    if (this.failure !== undefined) throw this.failure
    this.asked.push(options)
    const { tags = [], except = () => false } = options
    const found = this.resolve(service).filter(
      (one) => !except(one) && tags.every((tag) => one.tags.includes(tag)),
    )
    const instance = found[this.#turn++ % Math.max(1, found.length)]
    if (instance === undefined) return undefined
    this.held.set(instance.id, (this.held.get(instance.id) ?? 0) + 1)
    let held = true
    const release = (): void => {
      if (held) this.held.set(instance.id, (this.held.get(instance.id) ?? 1) - 1)
      held = false
    }
    return { instance, release }
  }

  get leases(): number {
    return [...this.held.values()].reduce((sum, count) => sum + count, 0)
  }

  get listeners(): number {
    return this.#listeners.size
  }

  on(_kind: 'change', listener: (event: { readonly service: string }) => unknown): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
}
