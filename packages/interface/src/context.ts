/**
 * What every part is given instead of reaching for globals: time, randomness, a logger, digests.
 */

/** Cancels a timer; calling it twice or after the timer ran does nothing. */
export type CancelTimer = () => void

export interface Clock {
  /** Monotonic milliseconds with fractions; only differences mean anything. */
  now(): number
  /** Wall time in whole milliseconds since 1970; only for records and for display. */
  wallNow(): number
  /**
   * Runs `callback` once, no sooner than `delayMs` from now. A pending timer keeps no process
   * alive.
   */
  after(delayMs: number, callback: () => void): CancelTimer
}

export interface Random {
  /** Uniform in [0, 2^32). */
  uint32(): number
  /** Uniform in [0, 1), 53 bits. */
  float(): number
  /** Uniform integer in [0, bound); `bound` from 1 to 2^32. */
  below(bound: number): number
}

/** Structured logging, shaped so that a pino logger fits as it is. */
export interface Logger {
  debug(fields: object, message?: string): void
  info(fields: object, message?: string): void
  warn(fields: object, message?: string): void
  error(fields: object, message?: string): void
}

export interface Digests {
  /** IEEE CRC-32 (zlib polynomial). `seed` continues an earlier checksum. */
  crc32(bytes: Uint8Array, seed?: number): number
  /** SHA-256 over the parts one after another, 32 bytes. */
  sha256(...parts: readonly Uint8Array[]): Uint8Array
}

/** What a plugin factory receives, and nothing else. */
export interface PluginContext {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export const silentLogger: Logger = Object.freeze({
  debug() {},
  info() {},
  warn() {},
  error() {},
})
