/** A cluster of one kind in a namespace of its own, started slowly and then measured. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Profile } from '@kith/gossip'
import { port, startAgent } from './agents.ts'
import type { Agent, Kind, Placed } from './agents.ts'
import { privateSpace } from './network.ts'
import { Observer } from './observer.ts'

export interface ClusterOptions {
  readonly kind: Kind
  readonly size: number
  readonly profile: Profile
  /** Members in one process. More than 1 is for Kith only. */
  readonly perProcess: number
  /** So many members, the last to start, have processes of their own all the same. Default 0. */
  readonly alone?: number
}

/** Starts come one after another, so that no start is measured instead of a cluster. */
const startGapMs = 100
/** How long a cluster may take until all know all. */
const settleMs = 180_000

export class Cluster {
  readonly kind: Kind
  readonly space: string
  readonly observer: Observer = new Observer()
  readonly agents: Agent[] = []
  readonly #options: ClusterOptions
  readonly #byAgent = new WeakMap<Agent, readonly Placed[]>()
  #placed = 0

  constructor(options: ClusterOptions) {
    this.kind = options.kind
    this.#options = options
    this.space = privateSpace(`${options.kind}${options.size}${options.profile}`)
  }

  get names(): readonly string[] {
    return this.agents.flatMap(({ names }) => names)
  }

  /** Milliseconds from the last start until all knew all; undefined where that never came. */
  async start(): Promise<number | undefined> {
    const { size, perProcess, alone = 0 } = this.#options
    while (this.#placed < size) {
      const shared = size - alone - this.#placed
      const count = Math.max(1, Math.min(perProcess, shared))
      const members = Array.from({ length: count }, () => this.place())
      this.agents.push(this.begin(members))
      await pause(startGapMs * count)
    }
    return this.observer.untilAgreed(this.names, settleMs)
  }

  /** A name and an address that nobody had before. */
  place(): Placed {
    const index = this.#placed
    this.#placed += 1
    const host = `127.10.${Math.floor(index / 250)}.${(index % 250) + 1}`
    return { name: `${this.kind}-${index}`, host, space: this.space }
  }

  /** The same members at the same addresses, in a new process. */
  beginAgain(agent: Agent): Agent {
    return this.begin(this.#byAgent.get(agent) ?? [])
  }

  begin(members: readonly Placed[]): Agent {
    const { profile } = this.#options
    const join = [`${seed}:${port}`]
    const agent = startAgent(this.kind, { members, profile, join, observer: this.observer })
    this.#byAgent.set(agent, members)
    return agent
  }
}

const seed = '127.10.0.1'
