/** What one connection, and all of them together, may cost the server. */

export interface RpcServerLimits {
  /** Connections at the same time; more are closed at once. Default 128. */
  readonly connectionsMax: number
  /** Of these, connections that are not through handshake and authentication yet. Default 32. */
  readonly strangersMax: number
  /** Milliseconds for handshake and authentication; then the connection ends. Default 10 000. */
  readonly handshakeMs: number
  /** Wrong keys on one connection until it ends. Default 3. */
  readonly wrongKeysMax: number
  /** Bytes of a header or a body before authentication. Default 4 096. */
  readonly strangerBytesMax: number
  /** Bytes of a header or a body afterwards. Default 262 144. */
  readonly requestBytesMax: number
  /** Streams, monitors and queries of one connection at the same time. Default 64. */
  readonly streamsMax: number
  /** Records of one stream that wait for a slow reader; further ones are dropped. Default 512. */
  readonly recordsMax: number
  /** Bytes of the records of one stream that wait. Default 1 048 576. */
  readonly recordsBytesMax: number
  /** Bytes on their way to one reader before anything waits. Default 65 536. */
  readonly unsentBytesMax: number
  /**
   * Milliseconds between the last answer to a query and the word that it is done, where that comes
   * before the query's time is over: Serf's command drops what it has not taken by then. Default
   * 1 000.
   */
  readonly doneDelayMs: number
  /** Queries of one connection that may still be answered; the oldest go first. Default 512. */
  readonly queriesMax: number
}

export const defaultServerLimits: RpcServerLimits = Object.freeze({
  connectionsMax: 128,
  strangersMax: 32,
  handshakeMs: 10_000,
  wrongKeysMax: 3,
  strangerBytesMax: 4_096,
  requestBytesMax: 262_144,
  streamsMax: 64,
  recordsMax: 512,
  recordsBytesMax: 1_048_576,
  unsentBytesMax: 65_536,
  doneDelayMs: 1_000,
  queriesMax: 512,
})
