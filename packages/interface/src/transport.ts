/**
 * The two ways members exchange bytes. Clauses TRA-1 and on stand in `docs/protocol/transport.md`;
 * `@kith/testkit` proves them for any implementation.
 */
import type { Address } from './address.ts'
import type { PluginContext } from './context.ts'

/** Why a transport could not do what it was asked. */
export type TransportFailure =
  /** The far end answered that nobody listens there. */
  | 'refused'
  /** Nobody answered in time. */
  | 'timeout'
  /** The caller's signal aborted. */
  | 'aborted'
  /** This transport was stopped, or not started yet. */
  | 'stopped'
  /** `start` was called twice, or two reads ran at once: a mistake of the caller. */
  | 'misuse'
  /** An established stream broke. */
  | 'reset'
  /** Above `packetBytesMax`. */
  | 'tooLarge'
  /** Not an address this transport can use. */
  | 'address'
  /** A limit of this transport was reached. */
  | 'limit'
  /** Anything else the system reported; the cause carries it. */
  | 'system'

/** `details` of every `KithError` a transport rejects with or reports to `sendFailed`. */
export interface TransportErrorDetails {
  readonly reason: TransportFailure
  /** The far end, or the address to bind, where one was involved. */
  readonly address?: Address
}

export interface TransportStart {
  /** Replaces a configured port of 0, so that packets and streams can share one number. */
  readonly port?: number
  /** Aborting while starting rejects with the signal's reason and leaves nothing open. */
  readonly signal?: AbortSignal
}

export interface PacketHandlers {
  /**
   * One datagram, whole. `bytes` belongs to the receiver from here on; the transport does not touch
   * it again. A throwing handler is logged and loses only that packet.
   */
  packet(from: Address, bytes: Uint8Array): void
  /** A send that failed locally or came back refused. Best effort: most losses are silent. */
  sendFailed?(to: Address, cause: Error): void
}

export interface PacketTransport extends AsyncDisposable {
  /** Largest datagram that `send` takes. */
  readonly packetBytesMax: number
  /** Resolves with the bound address once packets can arrive. A second call rejects. */
  start(handlers: PacketHandlers, options?: TransportStart): Promise<Address>
  /**
   * Best effort, unordered, maybe lost, maybe twice. Returns at once. `bytes` must not change
   * afterwards. Larger than `packetBytesMax`, or after `stop`: reported to `sendFailed`, never
   * thrown.
   */
  send(to: Address, bytes: Uint8Array): void
  /** Idempotent, ends within 1 s; no handler runs after it resolved. */
  stop(): Promise<void>
}

export interface ByteStream {
  readonly remote: Address
  /**
   * The next bytes in order; undefined once the far side ended. Rejects when the stream broke. One
   * read at a time. Bytes are only taken off the wire as they are read, so a slow reader slows the
   * writer. The returned bytes belong to the caller.
   */
  read(): Promise<Uint8Array | undefined>
  /**
   * Resolves when the transport took the bytes and has room for more; `bytes` must not change until
   * then.
   */
  write(bytes: Uint8Array): Promise<void>
  /** Sends the end after everything written; reading stays possible. Idempotent. */
  end(): Promise<void>
  /** Closes at once, without a promise about unsent bytes. Idempotent, never throws. */
  destroy(cause?: Error): void
}

export interface StreamHandlers {
  /** A connection somebody opened to us. The handler owns it and must end or destroy it. */
  stream(stream: ByteStream): void
}

export interface ConnectOptions {
  /** Milliseconds until the attempt fails with a timeout; default 10 000. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export interface StreamTransport extends AsyncDisposable {
  start(handlers: StreamHandlers, options?: TransportStart): Promise<Address>
  /** Rejects with a typed error when refused, timed out, aborted or after `stop`. */
  connect(to: Address, options?: ConnectOptions): Promise<ByteStream>
  /** Idempotent, ends within 1 s, destroys every stream it still has. */
  stop(): Promise<void>
}

/** `udpTransport(options)` is one of these: bad options fail there, effects begin at `start`. */
export type PacketTransportFactory = (context: PluginContext) => PacketTransport
export type StreamTransportFactory = (context: PluginContext) => StreamTransport
