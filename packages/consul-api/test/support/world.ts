/** A registry and members as small as the ports allow, and questions over real connections. */
import {
  type Address,
  type CheckState,
  createEmitter,
  KithError,
  type Member,
  type MemberEvent,
  type MembershipHandler,
  type ServiceInstance,
} from '@kith/interface'
import {
  type ConsulApi,
  type ConsulApiOptions,
  type ConsulRegistration,
  type ConsulRegistry,
  type ConsulServiceDefinition,
  createConsulApi,
} from '../../src/index.ts'

export function member(name: string, changes: Partial<Member> = {}): Member {
  const address = { host: '192.0.2.7', port: 7946 }
  return { name, address, tags: { zone: 'eu' }, status: 'alive', incarnation: 3, ...changes }
}

export function instance(id: string, changes: Partial<ServiceInstance> = {}): ServiceInstance {
  return {
    service: 'web',
    id,
    member: 'ada',
    address: '10.0.0.1',
    port: 80,
    tags: [],
    meta: {},
    checks: [],
    status: 'passing',
    version: 1,
    ...changes,
  }
}

export const check = (id: string, changes: Partial<CheckState> = {}): CheckState => ({
  id,
  kind: 'ttl',
  status: 'passing',
  output: '',
  ...changes,
})

/** Keeps what it is given, and refuses what the test says. */
export class FakeRegistry implements ConsulRegistry {
  all: readonly ServiceInstance[] = []
  refuse: Error | undefined
  readonly registered: { definition: ConsulServiceDefinition; persist: boolean }[] = []
  readonly calls: unknown[][] = []
  readonly #events = createEmitter<{ change: { readonly service: string } }>((cause) => {
    throw cause
  })
  readonly on = this.#events.on

  /** Puts up or replaces by id, and tells. */
  put(...instances: readonly ServiceInstance[]): void {
    const ids = new Set(instances.map(({ id }) => id))
    this.all = [...this.all.filter(({ id }) => !ids.has(id)), ...instances]
    for (const { service } of instances) this.changed(service)
  }

  remove(id: string): void {
    const gone = this.all.filter((one) => one.id === id)
    this.all = this.all.filter((one) => one.id !== id)
    for (const { service } of gone) this.changed(service)
  }

  changed(service: string): void {
    this.#events.emit('change', { service })
  }

  async register(
    definition: ConsulServiceDefinition,
    { persist }: { readonly persist: boolean },
  ): Promise<ServiceInstance> {
    if (this.refuse !== undefined) throw this.refuse
    if (typeof definition.service !== 'string' || typeof definition.port !== 'number') {
      const problems = [{ field: 'service', got: 'nothing', want: 'text' }]
      throw new KithError('ERR_REGISTRY_SERVICE', 'x', { details: { problems } })
    }
    this.registered.push({ definition, persist })
    const { service, id = service, port, tags = [], meta = {}, checks = [] } = definition
    const states = checks.map((one) => check(`${id}/${one.name ?? one.kind}`, { kind: one.kind }))
    const placed = instance(id, { service, port, tags, meta, checks: states })
    this.put(placed)
    return placed
  }
  async deregister(id: string): Promise<void> {
    this.remove(id)
  }
  async maintain(reason: string, id?: string): Promise<void> {
    this.calls.push(['maintain', reason, id])
  }
  async resume(id?: string): Promise<void> {
    this.calls.push(['resume', id])
  }
  setCheck(id: string, status: string, output?: string): void {
    this.calls.push(['setCheck', id, status, output])
    if (!this.checks().some((one) => one.id === id)) {
      throw new KithError('ERR_REGISTRY_UNKNOWN_CHECK', `no own check ${id}`)
    }
  }
  services(): ReadonlyMap<string, number> {
    return new Map(this.all.map(({ service }) => [service, 1]))
  }
  resolve(service: string, { passing }: { readonly passing: boolean }): readonly ServiceInstance[] {
    const found = this.all.filter((one) => one.service === service)
    return passing ? found.filter(({ status }) => status === 'passing') : found
  }
  instances(): readonly ServiceInstance[] {
    return this.all
  }
  own(): readonly ServiceInstance[] {
    return this.all.filter((one) => one.member === 'ada')
  }
  checks(): readonly CheckState[] {
    return this.own().flatMap(({ checks }) => checks)
  }
  registration(id: string): ConsulRegistration | undefined {
    return this.registered.findLast(
      ({ definition }) => (definition.id ?? definition.service) === id,
    )
  }
}

/** Whatever an answer holds; what it must hold the tests say. */
export type Json = ReturnType<typeof JSON.parse>

export interface Answer {
  readonly status: number
  readonly type: string
  readonly index: number
  readonly headers: Headers
  readonly text: string
  readonly body: Json
}

export class World {
  readonly registry = new FakeRegistry()
  everybody: readonly Member[] = [member('ada'), member('ben')]
  readonly handlers = new Set<MembershipHandler>()
  readonly api: ConsulApi
  address: Address = { host: '', port: 0 }

  constructor(options: Partial<ConsulApiOptions> = {}) {
    const everybody = (): readonly Member[] => this.everybody
    const find = (name: string): Member | undefined => everybody().find((one) => one.name === name)
    this.api = createConsulApi({
      registry: this.registry,
      membership: {
        get self(): Member {
          return find('ada') as Member
        },
        members: everybody,
        member: find,
        subscribe: (handler) => {
          this.handlers.add(handler)
          return () => this.handlers.delete(handler)
        },
      },
      port: 0,
      ...options,
    })
  }

  static async start(options: Partial<ConsulApiOptions> = {}): Promise<World> {
    const world = new World(options)
    world.address = await world.api.start()
    return world
  }

  tell(event: MemberEvent): void {
    for (const handler of this.handlers) handler.memberChanged(event)
  }

  get url(): string {
    return `http://${this.address.host}:${this.address.port}/v1`
  }

  async get(path: string, init: RequestInit = {}): Promise<Answer> {
    const response = await fetch(this.url + path, init)
    const text = await response.text()
    const type = response.headers.get('content-type') ?? ''
    return {
      status: response.status,
      type,
      index: Number(response.headers.get('x-consul-index')),
      headers: response.headers,
      text,
      body: type.startsWith('application/json') && text !== '' ? JSON.parse(text) : undefined,
    }
  }

  put(path: string, body?: unknown): Promise<Answer> {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    return this.get(path, { method: 'PUT', ...(body === undefined ? {} : { body: text }) })
  }

  /** Resolves once so many queries wait. */
  async parked(count: number): Promise<void> {
    while (this.api.stats().parked !== count) await new Promise((resolve) => setImmediate(resolve))
  }
}
