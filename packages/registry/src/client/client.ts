/** Resolution for processes that are no members: follows agents over HTTP, and asks them. */
import {
  createEmitter,
  type Emitter,
  type ServiceInstance,
  showValue,
  type Unsubscribe,
} from '@kith/interface'
import { problemError, RegistryError } from '../errors.ts'
import { ChangeHub, follow } from '../runtime/watch.ts'
import type { PickOptions, ResolveOptions, ServiceLease, WatchOptions } from '../runtime/types.ts'
import { AgentRing } from './agents.ts'
import { readServices } from './answers.ts'
import { FollowedService } from './followed.ts'
import { askOnce } from './http.ts'
import { type ResolvedClientOptions, resolveClientOptions } from './options.ts'
import type {
  KnownService,
  RegistryClient,
  RegistryClientCallOptions,
  RegistryClientEvents,
  RegistryClientOptions,
  RegistryClientUseOptions,
} from './types.ts'

/**
 * Throws `ERR_REGISTRY_CLIENT_OPTIONS` that names every field at fault. Connections begin with the
 * first use of a name, and keep the process alive until `stop`.
 */
export function createRegistryClient(options: RegistryClientOptions): RegistryClient {
  return new FollowingClient(resolveClientOptions(options))
}

const nameCharactersMax = 128

class FollowingClient implements RegistryClient {
  readonly #options: ResolvedClientOptions
  readonly #ring: AgentRing
  readonly #hub = new ChangeHub()
  readonly #emitter: Emitter<RegistryClientEvents>
  readonly #stopped = new AbortController()
  /** By name and by the member from which its instances are measured; last used last. */
  readonly #followed = new Map<string, FollowedService>()

  constructor(options: ResolvedClientOptions) {
    this.#options = options
    this.#ring = new AgentRing(options.bases)
    this.#emitter = createEmitter((cause) => {
      options.logger.error({ cause }, 'a listener of the registry client failed')
    })
  }

  on<Kind extends keyof RegistryClientEvents>(
    kind: Kind,
    listener: (event: RegistryClientEvents[Kind]) => unknown,
  ): Unsubscribe {
    return this.#emitter.on(kind, listener)
  }

  async services({ signal }: RegistryClientCallOptions = {}): Promise<ReadonlyMap<string, number>> {
    const stopped = this.#stopped.signal
    stopped.throwIfAborted()
    const either = signal === undefined ? stopped : AbortSignal.any([signal, stopped])
    const one = async (base: URL): Promise<ReadonlyMap<string, number>> =>
      readServices(
        await askOnce(new URL('v1/services', base), { ...this.#options, signal: either }),
      )
    return this.#ring.ask(one, either)
  }

  async resolve(
    service: string,
    options: ResolveOptions & RegistryClientUseOptions = {},
  ): Promise<readonly ServiceInstance[]> {
    return (await this.#ready(service, options)).resolve(options)
  }

  async *watch(
    service: string,
    options: WatchOptions = {},
  ): AsyncGenerator<readonly ServiceInstance[], void, undefined> {
    const { signal } = options
    const followed = this.#follow(service, options.near)
    followed.watchers += 1
    try {
      await followed.readyAtLast(signal)
      yield* follow(this.#hub, service, () => followed.resolve(options), signal)
    } finally {
      followed.watchers -= 1
    }
  }

  async pick(
    service: string,
    options: PickOptions & RegistryClientUseOptions = {},
  ): Promise<ServiceInstance | undefined> {
    const followed = await this.#ready(service, options)
    // Distance is the strategy's matter here, not the order's.
    const { near: _near, ...narrowed } = options
    return followed.picker.choose(service, followed.resolve(narrowed), options)
  }

  async lease(
    service: string,
    options: PickOptions & RegistryClientUseOptions = {},
  ): Promise<ServiceLease | undefined> {
    const instance = await this.pick(service, options)
    const followed = this.#followed.get(keyOf(service, options.near ?? this.#options.near))
    return instance === undefined ? undefined : followed?.picker.lease(instance)
  }

  known(service: string): KnownService | undefined {
    for (const [key, { known }] of this.#followed) {
      if (known !== undefined && key.startsWith(keyOf(service, ''))) return known
    }
    return undefined
  }

  async stop(): Promise<void> {
    if (this.#stopped.signal.aborted) return
    const cause = new RegistryError('ERR_REGISTRY_CLIENT_STOPPED', 'the client was stopped')
    this.#stopped.abort(cause)
    for (const followed of [...this.#followed.values()]) followed.end(cause)
    this.#hub.close()
    await this.#options.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #ready(
    service: string,
    { near, signal, ageMsMax }: ResolveOptions & RegistryClientUseOptions,
  ): Promise<FollowedService> {
    if (ageMsMax !== undefined && !(typeof ageMsMax === 'number' && ageMsMax >= 0)) {
      const problem = {
        field: 'ageMsMax',
        got: showValue(ageMsMax),
        want: 'a number of at least 0',
      }
      throw problemError('ERR_REGISTRY_CLIENT_OPTIONS', [problem])
    }
    const followed = this.#follow(service, near)
    await followed.ready(signal)
    const { ageMs = 0 } = followed.known ?? {}
    if (ageMsMax === undefined || ageMs <= ageMsMax) return followed
    const text = `what is known of ${showValue(service)} is ${Math.round(ageMs)} ms old`
    throw new RegistryError('ERR_REGISTRY_CLIENT_UNAVAILABLE', text)
  }

  #follow(service: string, near = this.#options.near): FollowedService {
    this.#stopped.signal.throwIfAborted()
    checkName('service', service)
    if (near !== undefined) checkName('near', near)
    const key = keyOf(service, near)
    const known = this.#followed.get(key)
    if (known !== undefined) {
      known.usedAt = this.#options.clock.now()
      this.#followed.delete(key)
      this.#followed.set(key, known)
      return known
    }
    this.#makeRoom()
    const followed = new FollowedService({ service, near }, this.#options, this.#ring, {
      changed: () => {
        this.#emitter.emit('change', { service })
        this.#hub.notify(service)
      },
      connected: (agent) => this.#emitter.emit('connect', { service, agent }),
      lost: (agent, cause) => this.#emitter.emit('lost', { service, agent, cause }),
      ended: () => {
        if (this.#followed.get(key) === followed) this.#followed.delete(key)
      },
    })
    this.#followed.set(key, followed)
    return followed
  }

  #makeRoom(): void {
    const { servicesMax } = this.#options
    if (this.#followed.size < servicesMax) return
    const text = `${servicesMax} services are followed`
    for (const followed of this.#followed.values()) {
      if (followed.watchers > 0) continue
      followed.end(new RegistryError('ERR_REGISTRY_CLIENT_LIMIT', `${text}, this one was let go`))
      return
    }
    throw new RegistryError('ERR_REGISTRY_CLIENT_LIMIT', `${text} and all are watched`)
  }
}

/** Names hold no line break, so that no two pairs meet. */
function keyOf(service: string, near: string | undefined): string {
  return `${service}\n${near ?? ''}`
}

function checkName(field: string, name: unknown): void {
  const fits =
    typeof name === 'string' &&
    name.length >= 1 &&
    name.length <= nameCharactersMax &&
    !/[\p{Cc}\p{Surrogate}]/u.test(name)
  if (fits) return
  const want = `text of 1 to ${nameCharactersMax} characters`
  throw problemError('ERR_REGISTRY_CLIENT_OPTIONS', [{ field, got: showValue(name), want }])
}
