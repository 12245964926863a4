/**
 * What is read, and no more of it than is needed: the objects of the other packages fit these
 * without either side importing the other.
 */

export interface GossipSource {
  members(): readonly { readonly status: string }[]
  stats(): {
    readonly counters: Readonly<Record<string, number>>
    readonly queues: Readonly<Record<string, number>>
    readonly broadcastsDropped: number
    readonly broadcastsShed: number
    readonly probeList: number
    readonly awareness: number
    readonly longestStallMs: number
    readonly streamsOpen: number
    readonly streamBytesHeld: number
  }
}

export interface UdpSource {
  readonly packetsIn: number
  readonly packetsOut: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly receiveBufferBytes: number
  readonly sendsDropped: number
  readonly sendsFailed: number
  readonly socketErrors: number
  readonly handlerErrors: number
}

export interface TcpSource {
  readonly connections: number
  readonly accepted: number
  readonly connected: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly connectionsRefused: number
  readonly connectionsSilent: number
  readonly connectsFailed: number
  readonly handshakesFailed: number
  readonly socketErrors: number
  readonly handlerErrors: number
}

/** Each undefined until its transport was made. */
export interface TransportSources {
  udp(): UdpSource | undefined
  tcp(): TcpSource | undefined
}

export interface RegistrySource {
  instances(): readonly { readonly status: string }[]
  checks(): readonly { readonly status: string }[]
  stats(): {
    readonly members: number
    readonly wanted: number
    readonly broadcastsSent: number
    readonly broadcastsReceived: number
    readonly announcements: number
    readonly fetches: number
    readonly fetchesFailed: number
    readonly fetchesServed: number
    readonly solicits: number
    readonly takeovers: number
    readonly checkRuns: number
    readonly checkTimeouts: number
    readonly malformed: number
    readonly unsupported: number
    readonly foreign: number
    readonly stale: number
    readonly futureEpochs: number
    readonly refusedInstances: number
    readonly refusedMembers: number
  }
}

export interface LogSource {
  status(): {
    readonly records: number
    readonly bytes: number
    readonly floor: number
    readonly next: number
    readonly gate: string
    readonly origins: readonly { readonly origin: string; readonly member: string }[]
    /** What is not known is absent. */
    readonly metrics: Readonly<Record<string, number>>
    readonly latency?: { readonly append: LatencySource; readonly flush: LatencySource }
  }
}

/** Times by bucket: one more than there are bounds, for what took longer. */
export interface LatencySource {
  readonly boundsMs: readonly number[]
  readonly counts: readonly number[]
  readonly sumMs: number
}

export interface ReplicatorSource {
  status(): {
    readonly caughtUp: boolean
    readonly parked: number
    readonly members: readonly {
      readonly member: string
      readonly phase: string
      readonly heardAgoMs: number | undefined
      readonly roundTripMs: number
      readonly bufferedBytes: number
    }[]
    readonly counters: {
      readonly applied: number
      readonly records: number
      readonly bytes: number
      readonly duplicates: number
      readonly ahead: number
      readonly corrupt: number
      readonly unwanted: number
      readonly forks: number
      readonly gaps: number
      readonly repicks: number
      readonly rotations: number
      readonly dials: number
      readonly refusals: number
    }
  }
  /** Records behind the best known holder, by origin. */
  lag(): ReadonlyMap<string, number | 'unknown'>
  /** Behind each member, by origin: at most so many, those first that are behind. */
  lags(pairsMax: number): {
    readonly pairs: readonly {
      readonly origin: string
      readonly member: string
      readonly records: number
      readonly bytesEstimate: number | undefined
      readonly forMs: number
    }[]
    readonly leftOut: number
  }
}

export interface ServerSource {
  stats(): {
    readonly requests: number
    readonly badRequests: number
    readonly unauthorized: number
    readonly forbidden: number
    readonly certificatesRefused: number
    readonly handshakesFailed: number
    readonly failures: number
    readonly bodyBytes: number
    readonly bodyBytesReserved: number
    readonly recordsAppended: number
    readonly recordsRead: number
    readonly readers: number
    readonly followers: number
    readonly watchers: number
  }
}

export interface RpcSource {
  readonly connections: number
  /** `accepted`, `requests`, `recordsDropped`, `command.NAME`; every other is why somebody had to go. */
  readonly counters: Readonly<Record<string, number>>
}

export interface DnsSource {
  readonly udpQueries: number
  readonly tcpQueries: number
  readonly malformed: number
  readonly overloaded: number
  readonly truncated: number
  readonly connections: number
  /** By type, then by outcome. */
  readonly answers: Readonly<Record<string, Readonly<Record<string, number>>>>
}

export interface ConsulSource {
  readonly requests: number
  readonly refused: number
  readonly failures: number
  readonly parked: number
}

export interface HandlersSource {
  readonly succeeded: number
  readonly failed: number
  readonly timedOut: number
  readonly dropped: number
  readonly late: number
  readonly waiting: number
}

/** The parts of one member, those that there are. All stay owned by whoever gives them. */
export interface MetricSources {
  readonly gossip?: GossipSource
  readonly transports?: TransportSources
  readonly registry?: RegistrySource
  readonly log?: LogSource
  /** Needs `log`, which says who wrote what is behind. */
  readonly replicator?: ReplicatorSource
  readonly server?: ServerSource
  /** These and those below are asked each time: undefined while they do not run. */
  readonly rpc?: () => RpcSource | undefined
  readonly dns?: () => DnsSource | undefined
  readonly consul?: () => ConsulSource | undefined
  readonly handlers?: () => HandlersSource | undefined
}
