/**
 * A cluster in memory for whole registries: a view each, and extension hosts that lose and repeat.
 */
import {
  type Clock,
  createRandom,
  type ExtensionHost,
  type GossipExtension,
  KithError,
  type Member,
  type MemberEventKind,
  type MembershipHandler,
  type MembershipView,
  type MemberStatus,
  type Random,
} from '@kith/interface'
import type { VirtualClock } from '@kith/sim'
import type { Registry } from '../../src/index.ts'

export interface Faults {
  loss: number
  duplicate: number
  delayMs: number
}

export class MemoryCluster {
  readonly faults: Faults = { loss: 0, duplicate: 0, delayMs: 5 }
  readonly counts = { lost: 0, duplicated: 0 }
  readonly random: Random = createRandom(42)
  readonly clock: Clock
  readonly ports = new Map<string, MemoryPort>()

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** A member that the others see as alive from now on. */
  add(name: string): MemoryPort {
    const port = new MemoryPort(this, name)
    this.ports.set(name, port)
    for (const other of this.ports.values()) {
      other.see(name, 'alive')
      port.see(other.self.name, 'alive')
    }
    return port
  }

  /** All others see this of the member. */
  tell(name: string, status: MemberStatus): void {
    for (const other of this.ports.values()) if (other.self.name !== name) other.see(name, status)
  }

  carry(action: () => void): void {
    const { loss, duplicate, delayMs } = this.faults
    if (this.random.float() < loss) {
      this.counts.lost += 1
      return
    }
    const copies = this.random.float() < duplicate ? 2 : 1
    this.counts.duplicated += copies - 1
    for (let copy = 0; copy < copies; copy += 1) {
      this.clock.after(this.random.float() * delayMs, action)
    }
  }
}

export class MemoryPort implements MembershipView, ExtensionHost {
  self: Member
  readonly extensions = new Map<string, GossipExtension>()
  readonly #cluster: MemoryCluster
  readonly #members = new Map<string, Member>()
  readonly #handlers = new Set<MembershipHandler>()
  /** Broadcasts of more would be refused. */
  bytesMax = 900
  online = true

  constructor(cluster: MemoryCluster, name: string) {
    this.#cluster = cluster
    const address = { host: '10.0.0.1', port: 7946 }
    this.self = { name, address, tags: { 'kith.v': '1' }, status: 'alive', incarnation: 1 }
  }

  members(): readonly Member[] {
    return [...this.#members.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  member(name: string): Member | undefined {
    return this.#members.get(name)
  }

  subscribe(handler: MembershipHandler): () => void {
    this.#handlers.add(handler)
    return () => void this.#handlers.delete(handler)
  }

  see(name: string, status: MemberStatus): void {
    const member: Member = { ...this.self, name, status }
    this.#members.set(name, member)
    const kinds: Record<MemberStatus, MemberEventKind> = {
      alive: 'join',
      leaving: 'update',
      left: 'leave',
      failed: 'fail',
    }
    for (const handler of this.#handlers) handler.memberChanged({ kind: kinds[status], member })
  }

  /** This member itself is reached at another host from now on. */
  move(host: string): void {
    this.self = { ...this.self, address: { ...this.self.address, host } }
    this.see(this.self.name, 'alive')
  }

  extend(name: string, extension: GossipExtension): () => void {
    this.extensions.set(name, extension)
    return () => void this.extensions.delete(name)
  }

  broadcastBytesMax(): number {
    return this.bytesMax
  }

  broadcast(name: string, bytes: Uint8Array): void {
    if (bytes.length > this.bytesMax) throw new KithError('ERR_TEST_TOO_LARGE', 'too large')
    for (const other of this.#others()) {
      const copy = bytes.slice()
      this.#cluster.carry(() => other.extensions.get(name)?.onMessage?.(copy, this.self.name))
    }
  }

  fetch(member: string, name: string, request: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const failed = new KithError('ERR_TEST_FETCH', `no answer from ${member}`)
      const to = this.#cluster.ports.get(member)
      this.#cluster.clock.after(5, () => {
        const reply = to?.online
          ? to.extensions.get(name)?.onFetch?.(request, this.self.name)
          : undefined
        if (reply === undefined) reject(failed)
        else resolve(reply.slice())
      })
    })
  }

  /** One exchange of anti-entropy state with another member, both ways. */
  exchange(name: string, other: MemoryPort): void {
    const mine = this.extensions.get(name)?.localState?.()
    const theirs = other.extensions.get(name)?.localState?.()
    if (theirs !== undefined) this.extensions.get(name)?.mergeState?.(theirs, other.self.name)
    if (mine !== undefined) other.extensions.get(name)?.mergeState?.(mine, this.self.name)
  }

  #others(): MemoryPort[] {
    if (!this.online) return []
    return [...this.#cluster.ports.values()].filter((port) => port !== this && port.online)
  }
}

/** Time has to pass for a stop that waits. */
export async function endInTime(registry: Registry, clock: VirtualClock): Promise<void> {
  const abort = new AbortController()
  const pump = clock.pump(abort.signal)
  await registry.stop()
  abort.abort()
  await pump
}
