/**
 * The ports of `@kith/interface` on Node.js: what runtimes use where a caller gives nothing else.
 * @packageDocumentation
 */
import { createHash, hash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Clock, Digests, Random } from '../context.ts'
import { createRandom } from '../random.ts'

export { createChannelEmitter } from './channel.ts'
export type { ChannelMessage, ChannelOrigin } from './channel.ts'
export { reachFailure } from './reach-failure.ts'
export type { ReachFailure, ReachProblem } from './reach-failure.ts'
export { replaceFile } from './replace-file.ts'
export type { ReplaceFileOptions } from './replace-file.ts'
export { runProgram } from './run-program.ts'
export type { ProgramEnd, RunProgramOptions } from './run-program.ts'
export {
  certificateProblem,
  forCurrentTls,
  readCertificates,
  tlsClientProblems,
  tlsContext,
  tlsFailure,
  tlsServerProblems,
} from './tls.ts'
export type {
  Pem,
  TlsClientOptions,
  TlsClientSource,
  TlsContextOptions,
  TlsServerOptions,
} from './tls.ts'

/** The system's clocks; timers are unreferenced, so none keeps the process alive. */
export const systemClock: Clock = Object.freeze({
  now: () => performance.now(),
  wallNow: () => Date.now(),
  after(delayMs: number, callback: () => void) {
    // A longer delay would overflow into "at once"; whoever waits 24 days may wake once early.
    const timer = setTimeout(callback, Math.min(Math.max(0, delayMs), 0x7fff_ffff))
    timer.unref()
    return () => clearTimeout(timer)
  },
})

/** Parts up to this many bytes together are joined before they are hashed. */
const joinedBytesMax = 1024

export const nodeDigests: Digests = Object.freeze({
  crc32: (bytes: Uint8Array, seed?: number) => crc32(bytes, seed),
  sha256(...parts: readonly Uint8Array[]) {
    // In one go wherever that needs no copy worth speaking of: a hash object costs more to collect
    // than a short input costs to hash.
    const [only] = parts
    if (only !== undefined && parts.length === 1) return hash('sha256', only, 'buffer')
    const length = parts.reduce((sum, part) => sum + part.length, 0)
    if (length <= joinedBytesMax) return hash('sha256', Buffer.concat(parts, length), 'buffer')
    const running = createHash('sha256')
    for (const part of parts) running.update(part)
    return running.digest()
  },
})

/** A generator seeded by the system's entropy. */
export function systemRandom(): Random {
  const seed = randomBytes(12)
  return createRandom([seed.readUInt32LE(0), seed.readUInt32LE(4), seed.readUInt32LE(8)])
}
