/** One member of a cluster, running: the core, its two transports, and everybody who listens. */
import { invariant, releaseBytes } from '@kith/interface'
import type {
  Address,
  ByteStream,
  CancelTimer,
  GossipExtension,
  Member,
  MembershipHandler,
  PacketHandlers,
  Unsubscribe,
} from '@kith/interface'
import {
  broadcastBytesMax,
  coreStats,
  hasMemberAt,
  member,
  members,
  nearest,
  rttMs,
} from '../core/index.ts'
import type { Command, JoinOutcome, Output, UserEvent } from '../core/index.ts'
import { GossipError } from '../errors.ts'
import { encodeStream } from '../wire/codec.ts'
import type { AnyStreamMessage } from '../wire/codec.ts'
import { bindReachably } from './bind.ts'
import type { Reachable } from './bind.ts'
import { createDiagnosis } from './diagnosis.ts'
import type { Diagnosis } from './diagnosis.ts'
import type { Finding } from './diagnosis-types.ts'
import { isForCore } from './exchanges.ts'
import { createExtensions } from './extensions.ts'
import type { Extensions } from './extensions.ts'
import { fetchFrom } from './fetching.ts'
import type { FetchOptions } from './fetching.ts'
import { createIncoming } from './incoming.ts'
import type { Incoming } from './incoming.ts'
import { machineHosts } from './interfaces.ts'
import { lookedOutFor, openLookout } from './lookout.ts'
import type { Lookout } from './lookout.ts'
import type { GossipKeys } from './key-types.ts'
import { createKeys } from './keys.ts'
import type { Keys } from './keys.ts'
import { createNews } from './news.ts'
import type { News } from './news.ts'
import { checkAdvertise, resolveGossipOptions } from './options.ts'
import type { ResolvedGossipOptions } from './options.ts'
import { lookAfter } from './own-address.ts'
import { createPackets } from './packets.ts'
import type { Packets } from './packets.ts'
import { createPending } from './pending.ts'
import type { Done } from './pending.ts'
import { createQueries } from './queries.ts'
import type { Queries } from './queries.ts'
import { joinError } from './refusal.ts'
import { resolveSeeds } from './resolve.ts'
import { createRunning } from './running.ts'
import type { Running } from './running.ts'
import { checkEvent, checkFetch, checkForceLeave } from './talk.ts'
import { checkJoin, checkStream, checkTags, questionOf } from './talk.ts'
import type {
  EmitOptions,
  EventsOptions,
  Query,
  QueryOptions,
  StreamedEvent,
} from './talk-types.ts'
import type { Gossip, GossipEvents, GossipOptions, GossipStats } from './types.ts'
import type { GossipWarning, JoinOptions } from './types.ts'

/** A member, not started yet. Throws `ERR_GOSSIP_OPTIONS` or `ERR_GOSSIP_TRANSPORT_MISSING`. */
export function createGossip(options: GossipOptions = {}): Gossip {
  return new RunningGossip(resolveGossipOptions(options))
}

class RunningGossip implements Gossip {
  readonly #options: ResolvedGossipOptions
  readonly #news: News
  readonly #extensions: Extensions
  readonly #queries: Queries
  readonly #keys: Keys
  readonly #incoming: Incoming
  readonly #packets: Packets
  readonly #diagnosis: Diagnosis
  readonly #counters = new Map<string, number>()
  readonly #pending = createPending()
  readonly #abort = new AbortController()
  #phase: 'new' | 'starting' | 'running' | 'left' | 'stopped' = 'new'
  #running: Running | undefined
  #stopped: Promise<void> | undefined
  /** Why the member ended by itself. */
  #lost: GossipError | undefined
  #lookout: Lookout | undefined
  #endLook: CancelTimer = () => {}

  constructor(options: ResolvedGossipOptions) {
    this.#options = options
    const { clock, logger } = options.context
    this.#news = createNews({
      logger,
      origin: () => ({ source: this, member: options.name }),
      count: (kind) => this.#count(kind),
      respond: (queryId, payload) => this.#respond(queryId, payload),
    })
    this.#queries = createQueries({
      takeId: () => this.#pending.takeId(),
      begin: (id, question) =>
        this.#settled(() => this.#command({ kind: 'query', id, question }), id),
      cancel: (id) => this.#command({ kind: 'cancelQuery', id }),
      count: (kind) => this.#count(kind),
      behind: (query) => this.#news.warn({ kind: 'responsesDropped', query }),
    })
    this.#keys = createKeys({
      keyring: options.keyring,
      envelope: options.envelope,
      logger,
      ask: (name, payload, given) => this.#ownQuery(name, payload, given, true),
      respond: (queryId, payload) => this.#respond(queryId, payload),
      count: (kind) => this.#count(kind),
    })
    this.#extensions = createExtensions({
      added: (name) => this.#command({ kind: 'extend', name }),
      removed: (name) => this.#command({ kind: 'retract', name }),
      failed: (name, cause) => this.#news.warn({ kind: 'extensionFailed', name, cause }),
    })
    const { label } = options.envelope
    this.#diagnosis = createDiagnosis({ clock, label, members: () => this.members() })
    this.#packets = createPackets({
      envelope: options.envelope,
      isMember: (at) => this.#running !== undefined && hasMemberAt(this.#running.state, at),
      count: (kind, by) => this.#count(kind, by),
      refused: (from, problem, head) => this.#diagnosis.refused(from, problem, { head }),
    })
    this.#incoming = createIncoming({
      clock,
      envelope: options.envelope,
      streamTimeoutMs: options.timings.streamTimeoutMs,
      signal: this.#abort.signal,
      count: (kind, by) => this.#count(kind, by),
      refused: (from, problem, head) =>
        this.#diagnosis.refused(from, problem, { streamed: true, head }),
      answer: (message, from) => this.#answer(message, from),
    })
  }

  get keys(): GossipKeys {
    return this.#keys.commands
  }

  get address(): Address {
    return this.#require().state.address
  }

  get self(): Member {
    const { state } = this.#require()
    const self = member(state, state.name)
    if (self === undefined) throw notRunning('has not announced itself')
    return self
  }

  members(): readonly Member[] {
    return this.#running === undefined ? [] : members(this.#running.state)
  }

  member(name: string): Member | undefined {
    return this.#running === undefined ? undefined : member(this.#running.state, name)
  }

  subscribe(handler: MembershipHandler): Unsubscribe {
    return this.#news.subscribe(handler)
  }

  on<Kind extends keyof GossipEvents>(
    kind: Kind,
    listener: (event: GossipEvents[Kind]) => unknown,
  ): Unsubscribe {
    return this.#news.on(kind, listener)
  }

  async start(signal?: AbortSignal): Promise<void> {
    if (this.#phase !== 'new') throw notRunning(`cannot start, it is ${this.#phase}`)
    signal?.throwIfAborted()
    this.#phase = 'starting'
    const both =
      signal === undefined ? this.#abort.signal : AbortSignal.any([this.#abort.signal, signal])
    try {
      const lookout = await openLookout({
        options: this.#options,
        count: (kind, by) => this.#count(kind, by),
        warn: (warning) => this.#warn(warning),
      })
      this.#lookout = lookout
      both.throwIfAborted()
      const bound = await this.#bind(both)
      if (this.#phase === 'starting') return await this.#launch(bound, lookout, both)
      await Promise.all([bound.packets.stop(), bound.streams.stop()])
      throw notRunning('was stopped while it started')
    } catch (cause) {
      // Where it was stopped while the snapshot was read, that is still open.
      await Promise.all([this.stop(), this.#lookout?.close()])
      throw cause
    }
  }

  #bind(signal: AbortSignal): Promise<Reachable> {
    const { packets, streams, context, advertise } = this.#options
    const packetHandlers: PacketHandlers = {
      packet: (from, bytes) => this.#packet(from, bytes),
      sendFailed: (to) => this.#running?.engine.run({ kind: 'sendFailed', to }),
    }
    const stream = (opened: ByteStream): void => {
      if (this.#phase === 'running' || this.#phase === 'left') this.#incoming.take(opened)
      else opened.destroy()
    }
    const handlers = { packetHandlers, streamHandlers: { stream } }
    const options = { packets, streams, context, signal, ...handlers }
    return bindReachably(options, advertise, machineHosts)
  }

  async #launch(bound: Reachable, lookout: Lookout, signal: AbortSignal): Promise<void> {
    this.#phase = 'running'
    const running = createRunning({
      options: this.#options,
      bound,
      restored: lookout.restored,
      signal: this.#abort.signal,
      execute: (output) => this.#execute(output),
      broken: () => void this.stop(),
      count: (kind, by) => this.#count(kind, by),
    })
    this.#running = running
    const ignoreOld = !this.#options.replayOnJoin && !lookout.belonged
    this.#command({ kind: 'start', ignoreOld })
    for (const extension of this.#extensions.names)
      this.#command({ kind: 'extend', name: extension })
    const { clock } = this.#options.context
    if (bound.found) this.#endLook = lookAfter(running, clock, (warning) => this.#warn(warning))
    const join = (addresses: readonly Address[]): Promise<JoinOutcome> => this.#join(addresses)
    await lookout.begin(lookedOutFor(running.state, join), signal)
  }

  async stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    await this.#stopped
  }

  async #stop(): Promise<void> {
    this.#phase = 'stopped'
    this.#endLook()
    this.#abort.abort(notRunning('was stopped'))
    this.#running?.engine.stop()
    const stopped = this.#lost ?? notRunning('was stopped')
    this.#pending.close(stopped)
    this.#queries.close(stopped)
    this.#news.close(this.#lost)
    this.#running?.exchanges.close()
    const bound = this.#running?.bound
    await Promise.all([bound?.packets.stop(), bound?.streams.stop(), this.#lookout?.close()])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async join(addresses: readonly string[], options: JoinOptions = {}): Promise<number> {
    const { state } = this.#requireActive()
    checkJoin(addresses, options)
    if (addresses.length === 0) return 0
    const found = await resolveSeeds(addresses, state.address.port)
    const outcome =
      found.addresses.length === 0
        ? { joined: 0, failures: [], problems: [] }
        : await this.#join(found.addresses, options.ignoreOld)
    if (outcome.joined > 0) return outcome.joined
    const failures = [...found.failures, ...outcome.failures]
    throw joinError(addresses.length, failures, outcome.problems)
  }

  async #join(addresses: readonly Address[], ignoreOld?: boolean): Promise<JoinOutcome> {
    const { join } = await this.#ask((id) => ({ kind: 'join', id, addresses, ignoreOld }))
    return join ?? { joined: 0, failures: [], problems: [] }
  }

  async setTags(tags: Readonly<Record<string, string>>): Promise<void> {
    checkTags(tags)
    await this.#ask((id) => ({ kind: 'setTags', id, tags: { ...tags } }))
  }

  async setAdvertise(advertise: Address): Promise<void> {
    const address = checkAdvertise(advertise, this.#requireActive().bound.address.port)
    await this.#ask((id) => ({ kind: 'setAdvertise', id, address }))
  }

  async leave(): Promise<void> {
    const { engine } = this.#require()
    if (this.#phase === 'running') this.#phase = 'left'
    await this.#lookout?.leave()
    await this.#settled((id) => engine.run({ kind: 'command', command: { kind: 'leave', id } }))
  }

  async forceLeave(name: string, options: { readonly prune?: boolean } = {}): Promise<void> {
    checkForceLeave(name, options)
    const prune = options.prune ?? false
    await this.#ask((id) => ({ kind: 'forceLeave', id, name, prune }))
  }

  async emit(
    name: string,
    payload: Uint8Array = new Uint8Array(0),
    options: EmitOptions = {},
  ): Promise<UserEvent> {
    checkEvent(name, payload, options)
    const { coalesce = false } = options
    const { event } = await this.#ask((id) => ({ kind: 'emit', id, name, payload, coalesce }))
    invariant(event !== undefined, 'an emit that is done brings its event')
    return event
  }

  query(name: string, payload: Uint8Array = new Uint8Array(0), options: QueryOptions = {}): Query {
    return this.#ownQuery(name, payload, options)
  }

  events(options: EventsOptions = {}): AsyncIterableIterator<StreamedEvent, undefined> {
    checkStream(options)
    return this.#news.events(options)
  }

  extend(name: string, extension: GossipExtension): Unsubscribe {
    return this.#extensions.extend(name, extension)
  }

  broadcastBytesMax(name: string): number {
    return broadcastBytesMax(this.#require().state, name)
  }

  broadcast(name: string, bytes: Uint8Array): void {
    this.#requireActive()
    if (!this.#extensions.has(name)) {
      throw new GossipError('ERR_GOSSIP_EXTENSION_NAME', `there is no extension ${name}`)
    }
    const max = this.broadcastBytesMax(name)
    if (bytes.length > max) {
      const message = `a broadcast of ${name} takes at most ${max} bytes, got ${bytes.length}`
      throw new GossipError('ERR_GOSSIP_BROADCAST_TOO_LARGE', message)
    }
    this.#command({ kind: 'broadcast', name, bytes })
  }

  async fetch(
    memberName: string,
    name: string,
    request: Uint8Array,
    options: FetchOptions = {},
  ): Promise<Uint8Array> {
    const { state, fetcher } = this.#require()
    checkFetch(options)
    const signals = options.signal === undefined ? [] : [options.signal]
    const signal = AbortSignal.any([this.#abort.signal, ...signals])
    this.#count('fetches')
    const what = { node: memberName, extension: name, request }
    return fetchFrom(state, fetcher, what, { ...options, signal })
  }

  stats(): GossipStats {
    const core = coreStats(this.#require().state)
    const counters = { ...core.counters, ...Object.fromEntries(this.#counters) }
    const { open: streamsOpen, heldBytes: streamBytesHeld } = this.#incoming
    return { ...core, counters, streamsOpen, streamBytesHeld }
  }

  diagnose(): readonly Finding[] {
    return this.#diagnosis.findings(this.#require().state)
  }

  rtt(a: string, b: string = this.#options.name): number | undefined {
    return this.#running === undefined ? undefined : rttMs(this.#running.state, a, b)
  }

  nearest(from: string = this.#options.name): readonly Member[] {
    return this.#running === undefined ? [] : nearest(this.#running.state, from)
  }

  #require(): Running {
    if (this.#running === undefined) throw notRunning(`is ${this.#phase}`)
    return this.#running
  }

  #requireActive(): Running {
    if (this.#phase === 'left') {
      throw new GossipError('ERR_GOSSIP_LEFT', 'this member has left the cluster')
    }
    if (this.#phase !== 'running') throw this.#lost ?? notRunning(`is ${this.#phase}`)
    return this.#require()
  }

  /** An `internal` one has one of the names that users may not ask. */
  #ownQuery(name: string, payload: Uint8Array, options: QueryOptions, internal = false): Query {
    const { state } = this.#requireActive()
    return this.#queries.ask(questionOf(state, name, payload, options, internal), options)
  }

  #respond(queryId: number, payload: Uint8Array): Promise<unknown> {
    return this.#settled((id) => this.#command({ kind: 'respond', id, queryId, payload }))
  }

  #command(command: Command): void {
    this.#running?.engine.run({ kind: 'command', command })
  }

  /** Runs a command of this member while it is in the cluster, until the core says it is done. */
  #ask(command: (id: number) => Command): Promise<Done> {
    const { engine } = this.#requireActive()
    return this.#settled((id) => engine.run({ kind: 'command', command: command(id) }))
  }

  async #settled(begin: (id: number) => void, id?: number): Promise<Done> {
    if (this.#phase === 'stopped') throw this.#lost ?? notRunning('is stopped')
    return this.#pending.run(begin, id)
  }

  #packet(from: Address, bytes: Uint8Array): void {
    const inside = this.#packets.received(from, bytes)
    if (inside === undefined) return
    this.#running?.engine.run({ kind: 'packet', from, bytes: inside })
  }

  #execute(output: Output): void {
    switch (output.kind) {
      case 'send':
        return this.#running?.bound.packets.send(output.to, this.#packets.sealed(output.bytes))
      case 'request':
        return void this.#running?.exchanges.request(output)
      case 'respond':
        return this.#running?.exchanges.respond(output.id, output.bytes)
      case 'collect': {
        const states = this.#extensions.localStates()
        return this.#running?.engine.run({ kind: 'collected', id: output.id, states })
      }
      case 'event':
        this.#lookout?.tell(output.event)
        this.#news.tell(output.event)
        if (output.event.kind === 'conflictLost') this.#nameLost()
        return
      case 'extensionMessage':
        return this.#extensions.deliver(output.name, output.bytes, output.from)
      case 'extensionState':
        return this.#extensions.merge(output.name, output.bytes, output.from)
      case 'keyQuery':
        return this.#keys.answer(output)
      case 'answer':
        return this.#queries.answer(output)
      case 'answersEnd':
        return this.#queries.end(output.id, output.summary)
      case 'done':
        return this.#pending.settle(output)
    }
  }

  /** What to send back on a stream that somebody opened to us; undefined ends it. */
  #answer(
    message: AnyStreamMessage,
    from: Address,
  ): Promise<Uint8Array | undefined> | Uint8Array | undefined {
    if (isForCore(message)) return this.#running?.exchanges.answer(message, from)
    if (message.kind === 'fetch') {
      this.#count('fetchesAnswered')
      const answer = encodeStream(this.#extensions.answerFetch(message, this.#options.name))
      releaseBytes(message.request)
      return answer
    }
    this.#count('stream.typeMisplaced')
    return undefined
  }

  #warn(warning: GossipWarning): void {
    this.#diagnosis.warned(warning)
    this.#news.warn(warning)
  }

  /** Without a leave: that would be a leave of the member whose name it is. */
  #nameLost(): void {
    if (this.#options.nameConflict !== 'stop') return
    const message = `the name ${this.#options.name} belongs to another member; this one has stopped`
    this.#lost = new GossipError('ERR_GOSSIP_CONFLICT_LOST', message)
    void this.stop()
  }

  #count(kind: string, by = 1): void {
    this.#counters.set(kind, (this.#counters.get(kind) ?? 0) + by)
  }
}

function notRunning(what: string): GossipError {
  return new GossipError('ERR_GOSSIP_NOT_RUNNING', `this member ${what}`)
}
