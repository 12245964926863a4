/**
 * One member: log, server, gossip, registry and replicator, started in this order and stopped in
 * the reverse one. The agent puts them together and adds nothing of its own.
 */
import type { Address, Logger } from '@kith/interface'
import { type Gossip, GossipError } from '@kith/gossip'
import type { Log } from '@kith/log'
import type { Registry } from '@kith/registry'
import type { Replicator } from '@kith/replicator'
import { createLogTap, type SerfLogSource } from '@kith/serf-rpc'
import { AgentError } from './errors.ts'
import type { AgentFinding } from './findings.ts'
import { type AgentOptions, resolveAgentOptions, type ResolvedAgentOptions } from './options.ts'
import { type AgentReload, applyReload, type Reloaded, reloadedOptions } from './reload.ts'
import { bounded, type Parts, startParts, stopParts } from './parts.ts'

export interface Agent extends AsyncDisposable {
  /** Known from the beginning; the parts below exist once `start` resolved. */
  readonly name: string
  readonly gossip: Gossip
  readonly registry: Registry
  readonly log: Log
  readonly replicator: Replicator
  /** Where the HTTP interface listens. */
  readonly httpAddress: Address
  /** Where the RPC listens, as the option `rpc` takes it; undefined where it does not run. */
  readonly rpcAddress: string | undefined
  /**
   * Starts the parts in order. A member that cannot be joined yet is tried again in the background.
   * A part that fails stops what was started before and rejects with its error.
   */
  start(signal?: AbortSignal): Promise<void>
  /**
   * Takes over tags and services that differ from those of the start or of the last reload, and
   * reads the keyring file and those of the certificates again. What somebody else changed
   * meanwhile, as tags over the RPC, stays as it is. Resolves with what has changed. Rejects with
   * `ERR_AGENT_OPTIONS` for what `createAgent` would not take, with a part's own error for what that
   * has no room for; all is as before then.
   */
  reload(change: AgentReload): Promise<Reloaded[]>
  /**
   * What is wrong, as far as this member can tell: in its cluster, with the HTTP interfaces of the
   * others, with its disk. Each with since when, what was seen and what to do; empty where nothing
   * is. `kith doctor` prints it. Rejects with `ERR_AGENT_STATE` before the start, and with a part's
   * own error after the stop.
   */
  diagnose(): Promise<readonly AgentFinding[]>
  /** Drains the services and leaves the cluster; the parts keep running until `stop`. */
  leave(): Promise<void>
  /** Drains, leaves, and stops every part in reverse, each within a bound. Idempotent. */
  stop(): Promise<void>
  /**
   * Resolves once the agent has stopped: with undefined where it was asked to, also over
   * the RPC, else with why it did
   * so by itself, which is `ERR_GOSSIP_CONFLICT_LOST` where its name belongs to another member.
   */
  readonly ended: Promise<Error | undefined>
}

const DRAIN_TIMEOUT_MS = 5_000
const LEAVE_TIMEOUT_MS = 15_000

/**
 * An agent that does not run yet. Without options it is a working single member on loopback with
 * free ports and a memory log. Throws `ERR_AGENT_OPTIONS` that names everything that is wrong.
 */
export function createAgent(options: AgentOptions = {}): Agent {
  return new AssembledAgent(options, resolveAgentOptions(options))
}

class AssembledAgent implements Agent {
  readonly #given: AgentOptions
  #options: ResolvedAgentOptions
  readonly #logger: Logger
  readonly #logs: SerfLogSource
  readonly #stopping = new AbortController()
  #started: Promise<void> | undefined
  #parts: Parts | undefined
  #left: Promise<void> | undefined
  #stopped: Promise<void> | undefined
  #reloading: Promise<unknown> = Promise.resolve()
  /** Why it stops by itself. */
  #lost: Error | undefined
  #end: (cause: Error | undefined) => void = () => {}
  readonly ended: Promise<Error | undefined> = new Promise((resolve) => {
    this.#end = resolve
  })

  constructor(given: AgentOptions, options: ResolvedAgentOptions) {
    this.#given = given
    // Everything that is logged can be read over the RPC, whatever the logger lets pass.
    const tap = createLogTap({ logger: options.logger })
    this.#options = options.rpc === undefined ? options : { ...options, logger: tap.logger }
    this.#logger = this.#options.logger
    this.#logs = tap.source
  }

  get name(): string {
    return this.#options.name
  }
  get gossip(): Gossip {
    return this.#running().gossip
  }
  get registry(): Registry {
    return this.#running().registry
  }
  get log(): Log {
    return this.#running().log
  }
  get replicator(): Replicator {
    return this.#running().replicator
  }
  get httpAddress(): Address {
    return this.#running().httpAddress
  }
  get rpcAddress(): string | undefined {
    return this.#running().rpcAddress
  }

  async start(signal?: AbortSignal): Promise<void> {
    if (this.#started || this.#stopped) {
      throw new AgentError('ERR_AGENT_STATE', 'an agent starts once; make another one')
    }
    const stopping = this.#stopping.signal
    const both = signal ? AbortSignal.any([signal, stopping]) : stopping
    const control = {
      logs: this.#logs,
      leave: () => this.leave(),
      shutdown: () => void this.stop(),
      nameLost: () => this.#nameLost(),
    }
    this.#started = startParts(this.#options, both, stopping, control).then((parts) => {
      this.#parts = parts
    })
    await this.#started
  }

  reload(change: AgentReload): Promise<Reloaded[]> {
    // One after another: each begins with what the one before left.
    const done = this.#reloading.then(async () => {
      const parts = this.#running()
      if (this.#stopped) throw new AgentError('ERR_AGENT_STATE', 'the agent is stopping')
      const next = reloadedOptions(this.#given, this.#options, change)
      const changed = await applyReload(parts, this.#options, next)
      this.#options = next
      return changed
    })
    this.#reloading = done.catch(() => {})
    return done
  }

  async diagnose(): Promise<readonly AgentFinding[]> {
    return this.#running().diagnosis.findings()
  }

  leave(): Promise<void> {
    this.#left ??= this.#leave(this.#running())
    return this.#left
  }

  async #leave({ registry, gossip }: Parts): Promise<void> {
    // First out of resolution, then out of the cluster: nobody is sent to a member that goes.
    await bounded(registry.drain(), DRAIN_TIMEOUT_MS, 'draining the services')
    await bounded(gossip.leave(), LEAVE_TIMEOUT_MS, 'leaving the cluster')
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop().finally(() => this.#end(this.#lost))
    return this.#stopped
  }

  async #stop(): Promise<void> {
    const asked = new AgentError('ERR_AGENT_STATE', 'the agent is stopping')
    this.#stopping.abort(this.#lost ?? asked)
    // A start under way cleans up after itself.
    await this.#started?.catch(() => {})
    const parts = this.#parts
    if (!parts) return
    // A leave under a name that is another's would be the other's leave.
    if (this.#lost === undefined) {
      await this.leave().catch((cause: unknown) => {
        this.#logger.warn({ cause }, 'the cluster was not told of the leave; it will notice')
      })
    }
    await stopParts(parts, this.#logger)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  /** Gossip has stopped; a member without it is none. */
  #nameLost(): void {
    const message = `the name ${this.name} belongs to another member; this agent stops`
    this.#lost = new GossipError('ERR_GOSSIP_CONFLICT_LOST', message)
    this.#logger.error({ name: this.name }, message)
    void this.stop()
  }

  #running(): Parts {
    if (this.#parts) return this.#parts
    throw new AgentError('ERR_AGENT_STATE', 'the agent does not run yet: await start() first')
  }
}
