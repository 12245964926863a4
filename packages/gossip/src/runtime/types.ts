/** What a caller of `createGossip` sees. */
import type {
  Address,
  DiscoveryFactory,
  EventSource,
  ExtensionHost,
  Member,
  MemberEvent,
  MembershipView,
  PacketTransportFactory,
  PluginContext,
  StreamTransportFactory,
} from '@kith/interface'
import type { CoreStats, FailEvent, GossipEvent, UserEvent } from '../core/index.ts'
import type { GossipErrorCode } from '../errors.ts'
import type { GossipTimings, Profile } from '../options.ts'
import type { Finding } from './diagnosis-types.ts'
import type { GossipKeys } from './key-types.ts'
import type { Keyring } from './keyring.ts'
import type {
  EmitOptions,
  EventsOptions,
  Query,
  QueryOptions,
  ReceivedQuery,
  StreamedEvent,
} from './talk-types.ts'

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
   * wildcard. Port 0 stands for the bound port. With `auto` and a wildcard it is one that this
   * machine has: the first private one of the wildcard's family, else the first that other machines
   * could reach. It is looked for anew each second, and where it is gone, the one that took its
   * place is told to everybody; one that was given stays until `setAdvertise`.
   */
  readonly advertise?: Address | 'auto'
  /**
   * Seeds, at most 1,024: `host:port`, `host` (then the port is this member's own), or either
   * behind `name/`. Contacted from `start` on, again and again with back-off while this member is
   * alone. Default none.
   */
  readonly join?: readonly string[]
  /**
   * Further ways to find the others, asked as often as the seeds: `[dnsDiscovery('kith.internal')]`.
   * At most 16; default none.
   */
  readonly discovery?: readonly DiscoveryFactory[]
  /**
   * The path of a file in which this member keeps whom it knew and how far it had come, in Serf's
   * format. A restart then needs no seeds, delivers no event twice, and is believed at once. Its
   * folder must be there; one file for one member.
   */
  readonly snapshot?: string
  /** Looks for those of the snapshot also after a `leave`. Default false, as Serf. */
  readonly rejoinAfterLeave?: boolean
  /** Keys that encrypt and authenticate all gossip, of `createKeyring`. Absent: plaintext. */
  readonly keyring?: Keyring
  /**
   * Keeps clusters apart that can reach each other by mistake: members of other labels are not
   * heard. 1 to 255 bytes. Secret it is not: it travels in the clear. Default none.
   */
  readonly label?: string
  /**
   * Refuses what is not encrypted, where there is a keyring. Default true; off only while a
   * plaintext cluster gets its key: keyrings everywhere with both switches off, then outgoing on
   * everywhere, then incoming.
   */
  readonly verifyIncoming?: boolean
  /** Encrypts what is sent, where there is a keyring. Default true; see `verifyIncoming`. */
  readonly verifyOutgoing?: boolean
  /** Up to 512 bytes encoded; `kith.v` is added. */
  readonly tags?: Readonly<Record<string, string>>
  /** Serf's timings, or `fast`, which finds a crash within 3 s at the median; default `lan`. */
  readonly profile?: Profile
  /** Changes to the profile. */
  readonly overrides?: Partial<GossipTimings>
  /**
   * Delivers the user events that others still remember from before this member joined. Default
   * false: it hears of what happens from then on. A member that was alone for a while gets what it
   * missed in any case.
   */
  readonly replayOnJoin?: boolean
  /**
   * What happens when another member is seen under this one's name. `stop`, the default, asks all
   * members whose name it is, as Serf does, and stops without a leave where most name the other
   * and the other answers. Where it does not, as after a crash, this member waits for the name,
   * warns with `nameHeld`, and stops only after minutes. `warn` asks and only tells; `ignore` does
   * not ask.
   */
  readonly nameConflict?: 'stop' | 'warn' | 'ignore'
  /** Asked before members are taken in; see `MergeVeto`. Default: all may come. */
  readonly mergeVeto?: MergeVeto
  /**
   * 1 to 1,024 networks in CIDR form, IPv4 and IPv6, in which members must have their address; any
   * other is neither taken in nor joined. Default: all addresses.
   */
  readonly allowedNetworks?: readonly string[]
  /** Default: the system's clock and entropy, and no logging. */
  readonly context?: Partial<PluginContext>
}

/**
 * Either tags that every other member must match, as regular expressions like those of a query; or
 * a function that answers at once why these members may not come in, and undefined where they may.
 * It is asked with all members of an exchange of state before anything of it is taken in, and with
 * each member that is new or has new tags. One that throws refuses.
 */
export type MergeVeto =
  | { readonly tags: Readonly<Record<string, string>> }
  | ((members: readonly Member[]) => string | undefined)

export interface JoinOptions {
  /**
   * User events from before the join are not delivered. Default: those that this member missed are,
   * but for its first contact with the cluster, where `replayOnJoin` decides.
   */
  readonly ignoreOld?: boolean
}

export type GossipWarning =
  | (GossipEvent & {
      readonly kind:
        | 'conflict'
        | 'nameHeld'
        | 'conflictLost'
        | 'packetsBlocked'
        | 'mergeRefused'
        | 'paused'
    })
  /** A reader of `events()` is too slow: what finds no room in its buffer is dropped. */
  | { readonly kind: 'eventsDropped' }
  /** The reader of this query is too slow: answers that find no room are dropped. */
  | { readonly kind: 'responsesDropped'; readonly query: string }
  /** This member is alone and reached nobody it was told of; tried again with back-off. */
  | {
      readonly kind: 'seedsUnreachable'
      readonly failures: readonly string[]
      /** What `join` would have rejected with, and its message. */
      readonly code?: GossipErrorCode
      readonly reason?: string
    }
  /** A discovery cannot tell where others are; it is asked again, and told once until it can. */
  | { readonly kind: 'discoveryFailed'; readonly name: string; readonly cause: unknown }
  /** The snapshot file cannot be written; tried again every 30 s, and told once until it can. */
  | { readonly kind: 'snapshotFailed'; readonly cause: unknown }
  /** The address that `auto` found is no longer this machine's; others are told another one. */
  | { readonly kind: 'addressChanged'; readonly from: Address; readonly to: Address }
  /** The same, and there is no other one yet: nobody reaches this member. Told once. */
  | { readonly kind: 'addressLost'; readonly address: Address }
  /** A callback of this extension threw. */
  | { readonly kind: 'extensionFailed'; readonly name: string; readonly cause: unknown }

export interface GossipEvents {
  readonly join: MemberEvent
  readonly leave: MemberEvent
  /** `failure` says who gave the member up, and who accused it before, and when. */
  readonly fail: FailEvent
  readonly update: MemberEvent
  readonly reap: MemberEvent
  /**
   * A member does not answer; it has a while to prove otherwise. `from` says who noticed, and
   * `probe`, where that was this member, in which ways it asked in vain.
   */
  readonly suspect: GossipEvent & { readonly kind: 'suspect' }
  /** Others doubted this member; it answered with `incarnation`. */
  readonly refute: GossipEvent & { readonly kind: 'refute' }
  /** Somebody, this member included, told everybody something. */
  readonly event: UserEvent
  /** Somebody, this member included, asks; `respond` answers. A listener may do so any time. */
  readonly query: ReceivedQuery
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
   * answered. Rejects with what a transport or a discovery rejected with, `ERR_GOSSIP_SNAPSHOT`, or
   * `ERR_GOSSIP_OPTIONS` for an address that others could not use; nothing stays open then. Once
   * only.
   */
  start(signal?: AbortSignal): Promise<void>
  /**
   * Ends at once without a word to the others, who will find it failed; `leave` first to part well.
   */
  stop(): Promise<void>
  /** What others are told; throws `ERR_GOSSIP_NOT_RUNNING` before `start`. */
  readonly address: Address
  /**
   * Exchanges state with each address, all addresses of a name included, and resolves with how many
   * succeeded. Rejects with `ERR_GOSSIP_JOIN_FAILED` where none did, or where the keys are why,
   * with `ERR_GOSSIP_KEY_MISSING`, `ERR_GOSSIP_KEY_UNKNOWN` or `ERR_GOSSIP_NOT_ENCRYPTED`;
   * `details.failures` has a line for each address.
   */
  join(addresses: readonly string[], options?: JoinOptions): Promise<number>
  /** Replaces all tags and resolves when the others could have heard of it. */
  setTags(tags: Readonly<Record<string, string>>): Promise<void>
  /**
   * Tells everybody that this member is reached at another address from now on, and resolves when
   * the others could have heard of it. Host and port are those that others connect to; port 0
   * stands for the bound port. Nothing is bound anew: bind to a wildcard what is to be reached at
   * addresses that come later. Kith members take the new address over at once, each with an
   * `update`. Real Serfs take it in an exchange, which this member begins a probe interval later,
   * and log a failure and a join at that moment; one that has this member failed by then keeps it
   * so until it forgot it. Rejects with `ERR_GOSSIP_OPTIONS`, `ERR_GOSSIP_NOT_RUNNING` or
   * `ERR_GOSSIP_LEFT`; then nothing has changed.
   */
  setAdvertise(address: Address): Promise<void>
  /**
   * Parts from the cluster in order, within about 11 s on `lan`. The sockets stay open until
   * `stop`.
   */
  leave(): Promise<void>
  /**
   * Declares a failed member left; with `prune` (default false) all members forget it at once.
   * Rejects with `ERR_GOSSIP_OPTIONS`.
   */
  forceLeave(name: string, options?: { readonly prune?: boolean }): Promise<void>
  /**
   * Tells everybody, this member included, and resolves with the event once it is delivered here
   * and on its way. Name and payload together, and encoded once more, have at most 512 bytes
   * (`overrides.userEventBytesMax`). Rejects with `ERR_GOSSIP_EVENT_TOO_LARGE`,
   * `ERR_GOSSIP_OVERLOADED` where too many events wait to be sent, or `ERR_GOSSIP_OPTIONS`.
   */
  emit(name: string, payload?: Uint8Array, options?: EmitOptions): Promise<UserEvent>
  /**
   * Asks all members, or those that the options name. Throws before anything is sent:
   * `ERR_GOSSIP_QUERY_TOO_LARGE` above 1,024 bytes encoded (`overrides.queryBytesMax`),
   * `ERR_GOSSIP_QUERY_NAME`, `ERR_GOSSIP_QUERY_FILTER`, `ERR_GOSSIP_OVERLOADED`, or
   * `ERR_GOSSIP_OPTIONS`.
   */
  query(name: string, payload?: Uint8Array, options?: QueryOptions): Query
  /** Keys of all members together: looked at and changed. */
  readonly keys: GossipKeys
  /**
   * Members that come, go and change, and user events, in order, from now on. Never slows down this
   * member: what a reader leaves behind beyond its buffer is dropped and said. Ends with the
   * signal, and when this member stops; throws where it stopped because it lost its name.
   */
  events(options?: EventsOptions): AsyncIterableIterator<StreamedEvent, undefined>
  stats(): GossipStats
  /**
   * What is wrong, as far as this member can tell, each with whom it concerns, since when, what was
   * seen and what to do; empty where nothing is. At most 64 of the cluster, 16 for loopback and 64
   * of those whose key or label is another one. Cheap enough for every few seconds. Throws
   * `ERR_GOSSIP_NOT_RUNNING` before `start`.
   */
  diagnose(): readonly Finding[]
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
