/** The registry at work: what callers ask of it, on top of the running core. */
import {
  type CheckKind,
  type CheckState,
  type CheckStatus,
  type Clock,
  type Emitter,
  isKithError,
  type Logger,
  type Member,
  type PluginContext,
  type ServiceInstance,
  showValue,
  silentLogger,
  type Unsubscribe,
} from '@kith/interface'
import { createChannelEmitter, systemClock, systemRandom } from '@kith/interface/node'
import { builtInChecks } from '../checks/built-in.ts'
import { lookUp, serviceNames } from '../core/catalog.ts'
import { checkState } from '../core/own.ts'
import { createState, nextEpoch, zeroCounters } from '../core/state.ts'
import type { InstancePlan, Output, State } from '../core/types.ts'
import { problemError, RegistryError } from '../errors.ts'
import { type RegistrySettings, resolveSettings } from '../options.ts'
import { outputWireBytesMax } from '../wire/limits.ts'
import { checkKindName, checkOptions } from './check-options.ts'
import { type BoundCheck, checkDefinition, type ServiceDefinition } from './definition.ts'
import { epochFile, type EpochStore } from './epoch-file.ts'
import { Keeper } from './keeper.ts'
import { CoreLoop } from './loop.ts'
import { Picker } from './picker.ts'
import { planBytes } from './plan-bytes.ts'
import { CheckRuns } from './runs.ts'
import { type KeptService, serviceFile } from './service-file.ts'
import type {
  PickOptions,
  RegisterOptions,
  Registry,
  RegistryEvents,
  RegistryOptions,
  RegistryStats,
  ResolveOptions,
  ServiceLease,
  ServiceRegistration,
  WatchOptions,
} from './types.ts'
import { ChangeHub, follow } from './watch.ts'

/** Throws `ERR_REGISTRY_OPTIONS` that names every field at fault; effects begin at `start`. */
export function createRegistry(options: RegistryOptions): Registry {
  return new RunningRegistry(options)
}

const extensionName = 'registry'
const stopMs = 1_000
const kithTag = 'kith.v'

class RunningRegistry implements Registry {
  readonly #options: RegistryOptions
  readonly #settings: RegistrySettings
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #context: PluginContext
  readonly #kinds = new Map<string, CheckKind>()
  readonly #bound = new Map<string, BoundCheck>()
  readonly #emitter: Emitter<RegistryEvents>
  readonly #epochs: EpochStore | undefined
  readonly #keeper: Keeper
  readonly #runs: CheckRuns
  readonly #hub = new ChangeHub()
  readonly #picker: Picker
  readonly #abort = new AbortController()
  #loop: CoreLoop | undefined
  #phase: 'new' | 'starting' | 'running' | 'stopped' = 'new'
  #undo: Unsubscribe[] = []
  #keptEpoch: number | undefined
  #saving: Promise<void> = Promise.resolve()

  constructor(options: RegistryOptions) {
    checkOptions(options)
    this.#options = options
    this.#settings = resolveSettings(options.settings)
    this.#clock = options.clock ?? systemClock
    this.#logger = options.logger ?? silentLogger
    const random = options.random ?? systemRandom()
    this.#context = { clock: this.#clock, random, logger: this.#logger }
    const member = (): string => options.member ?? options.membership.self.name
    this.#picker = new Picker({
      random,
      clock: this.#clock,
      rtt: options.rtt ?? ((): undefined => undefined),
      self: member,
    })
    this.#epochs = options.directory === undefined ? undefined : epochFile(options.directory)
    const { directory } = options
    this.#keeper = new Keeper(directory === undefined ? undefined : serviceFile(directory))
    this.#runs = new CheckRuns(this.#context, (id, run, result) => {
      this.#loop?.input({ kind: 'checked', id, run, result })
    })
    this.#emitter = createChannelEmitter<RegistryEvents>(
      'kith:registry:event',
      () => ({ source: this, member: member() }),
      (cause) => this.#logger.error({ err: cause }, 'a registry listener threw'),
    )
    for (const kind of [...builtInChecks(), ...(options.checkKinds ?? [])]) {
      checkKindName(kind)
      this.#kinds.set(kind.kind, kind)
    }
  }

  on<Kind extends keyof RegistryEvents>(
    kind: Kind,
    listener: (event: RegistryEvents[Kind]) => void,
  ): Unsubscribe {
    return this.#emitter.on(kind, listener)
  }

  async start(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    if (this.#phase !== 'new') {
      throw new RegistryError('ERR_REGISTRY_NOT_RUNNING', `cannot start: already ${this.#phase}`)
    }
    this.#phase = 'starting'
    try {
      const stored = await this.#epochs?.load()
      const epoch = nextEpoch(stored, this.#clock.wallNow())
      await this.#epochs?.save(epoch)
      const kept = await this.#keeper.load()
      signal?.throwIfAborted()
      this.#abort.signal.throwIfAborted()
      this.#open(epoch, kept)
    } catch (cause) {
      // Nothing was said yet: what failed may be put right and tried again.
      if (this.#phase === 'starting') this.#phase = 'new'
      throw cause
    }
  }

  #open(epoch: number, kept: readonly KeptService[]): void {
    const { membership, extensions } = this.#options
    const state = createState({
      member: this.#options.member ?? membership.self.name,
      epoch,
      wallMs: this.#clock.wallNow(),
      settings: this.#settings,
      random: this.#context.random,
      broadcastBytesMax: () => extensions.broadcastBytesMax(extensionName),
      now: this.#clock.now(),
    })
    const loop = new CoreLoop(state, this.#clock, (output) => this.#carryOut(output))
    // Throws where the name is taken: then nothing has begun yet.
    const remove = extensions.extend(extensionName, {
      localState: () => loop.ask({ kind: 'stateWanted' }),
      mergeState: (bytes, from) => loop.input({ kind: 'state', from, bytes }),
      onMessage: (bytes, from) => loop.input({ kind: 'broadcast', from, bytes }),
      onFetch: (bytes, from) => loop.ask({ kind: 'fetchRequest', from, bytes }),
    })
    const unsubscribe = membership.subscribe({
      memberChanged: ({ kind, member }) => {
        if (kind === 'reap') loop.input({ kind: 'memberGone', name: member.name })
        else see(loop, member)
        if (member.name === loop.state.member) this.#follow(loop, member.address.host)
      },
    })
    this.#undo = [remove, unsubscribe]
    this.#loop = loop
    this.#keptEpoch = epoch
    this.#phase = 'running'
    for (const member of membership.members()) see(loop, member)
    for (const service of kept) this.#restore(loop, service)
    loop.input({ kind: 'start' })
  }

  /** What cannot be registered any more stays in the file, and the rest of the member starts. */
  #restore(loop: CoreLoop, service: KeptService): void {
    const { definition, maintenance: reason } = service
    try {
      const { id } = this.#place(loop, definition as ServiceDefinition)
      this.#keeper.keep(id, service)
      if (reason !== undefined) loop.input({ kind: 'maintain', id, reason })
    } catch (cause) {
      this.#keeper.leave(service)
      this.#logger.error({ err: cause }, 'a service that was kept cannot be registered again')
    }
  }

  async stop(): Promise<void> {
    if (this.#phase === 'stopped') return
    this.#phase = 'stopped'
    this.#abort.abort(new RegistryError('ERR_REGISTRY_NOT_RUNNING', 'the registry stopped'))
    for (const undo of this.#undo) undo()
    this.#loop?.stop()
    this.#hub.close()
    let cancel = (): void => {}
    const patience = new Promise<void>((resolve) => {
      cancel = this.#clock.after(stopMs, resolve)
    })
    const ending = [this.#runs.stopAll(), this.#saving, this.#keeper.settled()]
    await Promise.race([Promise.allSettled(ending), patience])
    cancel()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async register(
    service: ServiceDefinition,
    { persist = false }: RegisterOptions = {},
  ): Promise<ServiceInstance> {
    const loop = this.#running()
    if (persist) this.#keeper.check(service)
    const instance = this.#place(loop, service)
    await this.#keeper.set(instance.id, persist ? service : undefined)
    return instance
  }

  #place(
    loop: CoreLoop,
    service: ServiceDefinition,
    home: string = this.#options.membership.self.address.host,
  ): ServiceInstance {
    const { plan, bound } = checkDefinition(service, this.#kinds, home)
    this.#checkRoom(loop.state, plan)
    this.#unbind(plan.id)
    for (const [id, check] of bound) this.#bound.set(id, check)
    loop.input({ kind: 'register', plan })
    const own = loop.state.own.live.get(plan.id)
    if (own === undefined) throw unknownInstance(plan.id)
    this.#keeper.note(plan.id, service)
    return own.current
  }

  /** What was registered without an address goes where this member went (REG-32). */
  #follow(loop: CoreLoop, host: string): void {
    for (const { plan } of [...loop.state.own.live.values()]) {
      const definition = this.#keeper.registration(plan.id)?.definition
      if (definition?.address !== undefined || plan.address === host) continue
      try {
        if (definition !== undefined) this.#place(loop, definition, host)
      } catch (cause) {
        this.#logger.error({ err: cause, id: plan.id }, 'a service keeps the former address')
      }
    }
  }

  #checkRoom(state: State, plan: InstancePlan): void {
    const { servicesPerMemberMax, memberBytesMax } = this.#settings
    const others = [...state.own.live.values()].filter((own) => own.plan.id !== plan.id)
    const bytes = [plan, ...others.map((own) => own.plan)].reduce(
      (sum, each) => sum + planBytes(each),
      0,
    )
    const crowded = others.length >= servicesPerMemberMax
    if (!crowded && bytes <= memberBytesMax) return
    const text = crowded
      ? `this member already has servicesPerMemberMax = ${servicesPerMemberMax} instances`
      : `this member's instances would take ${bytes} bytes, memberBytesMax is ${memberBytesMax}`
    throw new RegistryError('ERR_REGISTRY_LIMIT', text, { details: { id: plan.id } })
  }

  async deregister(id: string): Promise<void> {
    const loop = this.#running()
    if (!loop.state.own.live.has(id)) throw unknownInstance(id)
    loop.input({ kind: 'deregister', id })
    await this.#keeper.set(id, undefined)
  }

  async maintain(reason: string, id?: string): Promise<void> {
    const loop = this.#running()
    if (typeof reason !== 'string' || reason === '' || reason.length > outputWireBytesMax) {
      const want = `text of 1 to ${outputWireBytesMax} characters`
      throw problemError('ERR_REGISTRY_OPTIONS', [
        { field: 'reason', got: showValue(reason), want },
      ])
    }
    await this.#maintain(loop, id, reason)
  }

  async resume(id?: string): Promise<void> {
    await this.#maintain(this.#running(), id, undefined)
  }

  async #maintain(loop: CoreLoop, id?: string, reason?: string): Promise<void> {
    if (id !== undefined && !loop.state.own.live.has(id)) throw unknownInstance(id)
    loop.input({ kind: 'maintain', id, reason })
    if (id !== undefined) await this.#keeper.maintain(id, reason)
  }

  async drain(): Promise<void> {
    this.#running().input({ kind: 'drain' })
  }

  setCheck(checkId: string, status: CheckStatus, output = ''): void {
    const loop = this.#running()
    const entry = loop.state.checks.get(checkId)?.entry
    if (entry === undefined) {
      throw new RegistryError('ERR_REGISTRY_UNKNOWN_CHECK', `no own check ${showValue(checkId)}`, {
        details: { id: checkId },
      })
    }
    if (!entry.plan.passive) {
      const text = `check ${showValue(checkId)} is of kind ${entry.plan.kind}, which finds out by itself`
      throw new RegistryError('ERR_REGISTRY_CHECK_NOT_SETTABLE', text, { details: { id: checkId } })
    }
    if (!['passing', 'warning', 'critical'].includes(status) || typeof output !== 'string') {
      const want = '"passing", "warning" or "critical", and output text'
      throw problemError('ERR_REGISTRY_OPTIONS', [
        { field: 'status', got: showValue(status), want },
      ])
    }
    loop.input({ kind: 'setCheck', id: checkId, result: { status, output } })
  }

  instances(): readonly ServiceInstance[] {
    const state = this.#loop?.state
    if (state === undefined) return []
    return serviceNames(state).flatMap((name) => lookUp(state, name).all)
  }

  services(): ReadonlyMap<string, number> {
    const state = this.#loop?.state
    if (state === undefined) return new Map()
    return new Map(serviceNames(state).map((name) => [name, lookUp(state, name).all.length]))
  }

  own(): readonly ServiceInstance[] {
    const live = [...(this.#loop?.state.own.live.values() ?? [])].map((own) => own.current)
    return live.sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  registration(id: string): ServiceRegistration | undefined {
    return this.#keeper.registration(id)
  }

  checks(): readonly CheckState[] {
    const checks = [...(this.#loop?.state.checks.values() ?? [])].map(({ entry }) =>
      checkState(entry),
    )
    return checks.sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  resolve(service: string, options: ResolveOptions = {}): readonly ServiceInstance[] {
    const { limit, near } = options
    let found = this.#found(service, options)
    if (near !== undefined) found = this.#picker.byDistance(found, near)
    return limit !== undefined && limit < found.length ? found.slice(0, Math.max(0, limit)) : found
  }

  #found(service: string, options: ResolveOptions): readonly ServiceInstance[] {
    const state = this.#loop?.state
    if (state === undefined) return []
    const lists = lookUp(state, service)
    const { passing = true, tags } = options
    const found = passing ? lists.passing : lists.all
    if (tags === undefined || tags.length === 0) return found
    return found.filter((instance) => tags.every((tag) => instance.tags.includes(tag)))
  }

  watch(service: string, options: WatchOptions = {}): AsyncIterable<readonly ServiceInstance[]> {
    const read = (): readonly ServiceInstance[] => this.resolve(service, options)
    return { [Symbol.asyncIterator]: () => follow(this.#hub, service, read, options.signal) }
  }

  pick(service: string, options: PickOptions = {}): ServiceInstance | undefined {
    return this.#picker.choose(service, this.#found(service, options), options)
  }

  lease(service: string, options: PickOptions = {}): ServiceLease | undefined {
    const instance = this.pick(service, options)
    return instance === undefined ? undefined : this.#picker.lease(instance)
  }

  stats(): RegistryStats {
    const state = this.#loop?.state
    const sizes = [...(state?.services.values() ?? [])].map((held) => held.size)
    const counters = state?.counters ?? zeroCounters()
    return {
      ...counters,
      members: state?.replicas.size ?? 0,
      instances: sizes.reduce((sum, size) => sum + size, 0),
      wanted: state?.wants.size ?? 0,
    }
  }

  #running(): CoreLoop {
    if (this.#loop !== undefined && this.#phase === 'running') return this.#loop
    const text = `the registry is ${this.#phase}, not running`
    throw new RegistryError('ERR_REGISTRY_NOT_RUNNING', text)
  }

  #carryOut(output: Output): void {
    switch (output.kind) {
      case 'epoch':
        this.#keepEpoch(output.epoch)
        break
      case 'broadcast':
        this.#broadcast(output.bytes)
        break
      case 'fetch':
        this.#fetch(output)
        break
      case 'run':
        this.#run(output.id, output.run)
        break
      case 'abortRun':
        this.#runs.stop(output.run)
        break
      case 'checkChanged': {
        const { id, status, previous } = output
        this.#logger.info({ check: id, status, previous }, 'a check has another status')
        this.#emitter.emit('check', { id, status, previous, output: output.output })
        break
      }
      case 'deregistered':
        if (this.#loop?.state.own.live.has(output.id) !== true) this.#unbind(output.id)
        if (output.reason === 'critical') this.#forget(output.id)
        this.#emitter.emit('deregister', { id: output.id, reason: output.reason })
        break
      case 'changed':
        if (this.#loop?.state.services.has(output.service) !== true) {
          this.#picker.forget(output.service)
        }
        this.#hub.notify(output.service)
        this.#emitter.emit('change', { service: output.service })
        break
      case 'localState':
      case 'fetchReply':
        // Only `ask` gets these, and takes them out.
        break
    }
  }

  #forget(id: string): void {
    this.#keeper.set(id, undefined).catch((cause: unknown) => {
      this.#logger.error({ err: cause, id }, 'the services were not kept')
    })
  }

  /** The start kept its epoch before it opened; later ones are takeovers. */
  #keepEpoch(epoch: number): void {
    if (epoch === this.#keptEpoch) return
    this.#logger.warn({ epoch }, 'an earlier life of this member was ahead; speaking anew')
    this.#emitter.emit('takeover', { epoch })
    this.#keptEpoch = epoch
    this.#saving = this.#saving
      .then(() => this.#epochs?.save(epoch))
      .catch((cause: unknown) => {
        this.#logger.error({ err: cause }, 'the epoch was not kept')
      })
  }

  #broadcast(bytes: Uint8Array): void {
    try {
      this.#options.extensions.broadcast(extensionName, bytes)
    } catch (cause) {
      // Anti-entropy and the next announcement make up for it; who left has nobody to tell.
      const level = isKithError(cause) && cause.code === 'ERR_GOSSIP_LEFT' ? 'debug' : 'warn'
      this.#logger[level]({ err: cause }, 'a broadcast was refused')
    }
  }

  #fetch(output: Extract<Output, { kind: 'fetch' }>): void {
    const { id, member, request, timeoutMs } = output
    const { signal } = this.#abort
    this.#options.extensions.fetch(member, extensionName, request, { timeoutMs, signal }).then(
      (bytes) => this.#loop?.input({ kind: 'fetched', id, bytes }),
      (cause: unknown) => {
        this.#logger.debug({ err: cause, member }, 'a fetch failed')
        this.#loop?.input({ kind: 'fetchFailed', id })
      },
    )
  }

  #run(id: string, run: number): void {
    const check = this.#bound.get(id)
    if (check !== undefined) {
      this.#runs.start(id, run, check)
      return
    }
    const result = { status: 'critical', output: 'the check is gone' } as const
    this.#loop?.input({ kind: 'checked', id, run, result })
  }

  #unbind(instanceId: string): void {
    this.#keeper.drop(instanceId)
    for (const id of this.#bound.keys()) if (id.startsWith(`${instanceId}/`)) this.#bound.delete(id)
  }
}

function see(loop: CoreLoop, member: Member): void {
  const { name, status, tags } = member
  loop.input({ kind: 'member', name, status, kith: tags[kithTag] !== undefined })
}

function unknownInstance(id: string): RegistryError {
  const text = `no own instance ${showValue(id)}`
  return new RegistryError('ERR_REGISTRY_UNKNOWN_INSTANCE', text, { details: { id } })
}
