/**
 * What the server needs of the other parts, and no more: objects of other packages fit these
 * without either side importing the other.
 */
import type {
  AppendOptions,
  AppendRecord,
  AppendResult,
  CheckStatus,
  LogId,
  LogRecord,
  MembershipView,
  OriginId,
  OriginState,
  ReadFrom,
  ServiceInstance,
  Unsubscribe,
} from '@kith/interface'

export interface LogPort {
  /** Copies what it is given: once it has settled, keys and values are the caller's again. */
  append(records: readonly AppendRecord[], options?: AppendOptions): Promise<AppendResult>
  /**
   * Records from `from` on (default: the oldest), at most `limit` of at most `bytesMax` bytes, and
   * where to go on.
   */
  read(options?: {
    from?: ReadFrom
    limit?: number
    bytesMax?: number
  }): Promise<{ readonly records: readonly LogRecord[]; readonly next: number }>
  /** Every record from `from` on, then each new one, until the signal aborts. */
  tail(options?: { from?: ReadFrom; signal?: AbortSignal }): AsyncIterable<LogRecord>
  status(): LogStatusPort
  /** Checks every checksum and chain; `ok` says whether all was well. */
  verify(): Promise<{ readonly ok: boolean }>
}

export interface LogStatusPort {
  readonly logId: LogId
  readonly origin: OriginId
  readonly durable: boolean
  readonly records: number
  readonly bytes: number
  /** The offset of the first record held. */
  readonly floor: number
  /** The offset that the next record will have. */
  readonly next: number
  readonly origins: readonly OriginState[]
}

export interface ServiceRegistration {
  readonly service: string
  readonly id: string
  readonly address?: string
  readonly port: number
  readonly tags?: string[]
  readonly meta?: Record<string, string>
  /** Each with at least `name` and `kind`; the registry checks the rest. */
  readonly checks?: never[]
}

export interface RegistryPort {
  /** Who registers over HTTP is another process: the service may live longer than this member. */
  register(service: ServiceRegistration): Promise<ServiceInstance>
  deregister(id: string): Promise<void>
  /** Holds an instance back, or without an id all of this member, until `resume`. */
  maintain(reason: string, id?: string): Promise<void>
  resume(id?: string): Promise<void>
  setCheck(checkId: string, status: CheckStatus, output?: string): void
  /** Instances by service name. */
  services(): ReadonlyMap<string, number>
  resolve(service: string, options?: ResolvePortOptions): readonly ServiceInstance[]
  /** What `resolve` gives now, then after each change, until the signal aborts. */
  watch(
    service: string,
    options: ResolvePortOptions & { signal: AbortSignal },
  ): AsyncIterable<readonly ServiceInstance[]>
  /** Told of each service whose instances may be different now; returns the removal. */
  onChange(listener: (service: string) => void): Unsubscribe
  /** Milliseconds between two members; undefined where nobody measured them. */
  rtt(from: string, to: string): number | undefined
}

export interface ResolvePortOptions {
  readonly passing?: boolean
  readonly tags?: string[]
  readonly limit?: number
  /** The member from which the distance orders the instances. */
  readonly near?: string
}

export type ReplicationOperation = 'hello' | 'pull' | 'chain' | 'fetch'

export interface ReplicationPort {
  /** `release` is called once the body was sent, of which nothing is read after that. */
  handle(
    operation: ReplicationOperation,
    body: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<{
    readonly status: number
    readonly headers: Readonly<Record<string, string>>
    readonly body: AsyncIterable<Uint8Array> | Uint8Array
    readonly release?: () => void
  }>
  /** Answers everything that is parked. */
  stop(): Promise<void>
}

/** Something that is wrong in the cluster, in the words of who found it. */
export interface FindingPort {
  readonly kind: string
  /** Whom it concerns, where that is known. */
  readonly member?: string
  /** Milliseconds since 1970. */
  readonly since: number
  readonly lastAt: number
  readonly times: number
  readonly text: string
  readonly advice: string
}

/** The parts of one running member. All stay owned by whoever bound them. */
export interface ServerParts {
  readonly member: string
  /** The version that `/v1/status` names. */
  readonly version: string
  readonly log: LogPort
  readonly membership: MembershipView
  /** What is wrong now, with the evidence of each kind; empty where nothing is. */
  diagnose(): readonly FindingPort[] | Promise<readonly FindingPort[]>
  readonly registry: RegistryPort
  readonly replication: ReplicationPort
  /** Records behind the best known holder, by origin. */
  lag(): ReadonlyMap<OriginId, number | 'unknown'>
  /** Notes that nothing is expected of an origin any more. */
  retire(origin: OriginId): Promise<void>
  /** Why this member should get no traffic now; undefined when it should. */
  unready(): string | undefined
  /** What `/metrics` answers. */
  metrics(): Promise<{ readonly contentType: string; readonly text: string }>
}
