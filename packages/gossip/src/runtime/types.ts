/** What a caller of `createGossip` sees. */
import type {
  Address,
  EventSource,
  ExtensionHost,
  Member,
  MemberEvent,
  MembershipView,
  PacketTransportFactory,
  PluginContext,
  StreamTransportFactory,
} from '@kith/interface'
import type { CoreStats, GossipEvent } from '../core/index.ts'
import type { GossipTimings, Profile } from '../options.ts'

export interface GossipOptions {
  /**
   * Own name, 1 to 128 of `A-Z a-z 0-9 . _ -`, unique in the cluster. Default: the host's name and
   * a random suffix.
   */
  readonly name?: string
  /** Where packets go, for example `udpTransport()` of `@kith/transport-udp`. Required. */
  readonly packets?: PacketTransportFactory
  /** Where streams go, for example `tcpTransport()` of `@kith/transport-tcp`. Required. */
  readonly streams?: StreamTransportFactory
  /**
   * The address others reach this member at; default the bound one. Required where that is a
   * wildcard. Port 0 stands for the bound port.
   */
  readonly advertise?: Address
  /**
   * Seeds: `host:port`, `host`, or either behind `name/`. Contacted from `start` on, again and
   * again with back-off while this member is alone.
   */
  readonly join?: readonly string[]
  /** Up to 512 bytes encoded; `kith.v` is added. */
  readonly tags?: Readonly<Record<string, string>>
  /** Serf's timings; default `lan`. */
  readonly profile?: Profile
  /** Changes to the profile. */
  readonly overrides?: Partial<GossipTimings>
  /** Default: the system's clock and entropy, and no logging. */
  readonly context?: Partial<PluginContext>
}

export type GossipWarning =
  | (GossipEvent & { readonly kind: 'conflict' | 'packetsBlocked' | 'mergeRefused' | 'paused' })
  /** No seed could be joined; tried again with back-off. */
  | { readonly kind: 'seedsUnreachable'; readonly failures: readonly string[] }
  /** A callback of this extension threw. */
  | { readonly kind: 'extensionFailed'; readonly name: string; readonly cause: unknown }

export interface GossipEvents {
  readonly join: MemberEvent
  readonly leave: MemberEvent
  readonly fail: MemberEvent
  readonly update: MemberEvent
  readonly reap: MemberEvent
  /** A member does not answer; it has a while to prove otherwise. `from` says who noticed. */
  readonly suspect: GossipEvent & { readonly kind: 'suspect' }
  /** Others doubted this member; it answered with `incarnation`. */
  readonly refute: GossipEvent & { readonly kind: 'refute' }
  readonly warning: GossipWarning
}

export interface GossipStats extends CoreStats {
  /** Streams opened to us and not done yet. */
  readonly streamsOpen: number
  /** Bytes of unfinished messages they hold. */
  readonly streamBytesHeld: number
}

export interface Gossip
  extends MembershipView, ExtensionHost, EventSource<GossipEvents>, AsyncDisposable {
  /**
   * Binds both transports to one port and announces this member. Resolves before the seeds
   * answered. Rejects with what a transport rejected with, or `ERR_GOSSIP_OPTIONS` for an address
   * that others could not use; nothing stays open then. Once only.
   */
  start(signal?: AbortSignal): Promise<void>
  /**
   * Ends at once without a word to the others, who will find it failed; `leave` first to part well.
   */
  stop(): Promise<void>
  /** Bound and advertised; throws `ERR_GOSSIP_NOT_RUNNING` before `start`. */
  readonly address: Address
  /**
   * Exchanges state with each address, all addresses of a name included, and resolves with how many
   * succeeded. Rejects with `ERR_GOSSIP_JOIN_FAILED` where none did; `details.failures` has a line
   * for each.
   */
  join(addresses: readonly string[]): Promise<number>
  /** Replaces all tags and resolves when the others could have heard of it. */
  setTags(tags: Readonly<Record<string, string>>): Promise<void>
  /**
   * Parts from the cluster in order, within about 11 s on `lan`. The sockets stay open until
   * `stop`.
   */
  leave(): Promise<void>
  /** Declares a failed member left; with `prune` all members forget it at once. */
  forceLeave(name: string, options?: { readonly prune?: boolean }): Promise<void>
  stats(): GossipStats
  /**
   * Estimated round trip between two members in milliseconds, from their network coordinates; the
   * second is this member where it is left out. Undefined while one of them told nothing yet: this
   * member hears of a coordinate when it first probes its owner.
   */
  rtt(a: string, b?: string): number | undefined
  /**
   * Every living member but `from`, nearest to it first; default `from` this member. Those whose
   * distance is not known come last, in order of name.
   */
  nearest(from?: string): readonly Member[]
}
