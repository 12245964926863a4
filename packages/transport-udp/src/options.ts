/** Options of the transport: checked all at once, before anything is opened. */
import { isIP } from 'node:net'
import { describeProblems } from '@kith/interface'
import type { OptionProblem } from '@kith/interface'
import { UdpError } from './errors.ts'

export interface UdpOptions {
  /**
   * The IPv4 or IPv6 literal to listen on; default `127.0.0.1`. `::` takes IPv4 too, where the
   * system
   * allows it.
   */
  readonly host?: string
  /** 0 (default) takes a free port. */
  readonly port?: number
  /**
   * Bytes the system is asked to keep of packets not read yet; default 2 MiB. The system may give
   * less without saying so: `stats().receiveBufferBytes` tells. More survives longer bursts.
   */
  readonly receiveBufferBytes?: number
  /** Largest packet to send, 512 to 65 507 (default), what UDP over IPv4 can carry. */
  readonly packetBytesMax?: number
  /**
   * Bytes that may wait for the system to take them; default 4 MiB. Above, packets are dropped and
   * reported as `limit`: late packets serve nobody.
   */
  readonly sendQueueBytesMax?: number
}

export type ResolvedUdpOptions = Readonly<Required<UdpOptions>>

const defaults: ResolvedUdpOptions = Object.freeze({
  host: '127.0.0.1',
  port: 0,
  receiveBufferBytes: 2 * 1024 * 1024,
  packetBytesMax: 65_507,
  sendQueueBytesMax: 4 * 1024 * 1024,
})

const ranges: readonly [Exclude<keyof UdpOptions, 'host'>, number, number][] = [
  ['port', 0, 65_535],
  ['receiveBufferBytes', 1_024, 1024 * 1024 * 1024],
  ['packetBytesMax', 512, 65_507],
  ['sendQueueBytesMax', 65_507, 1024 * 1024 * 1024],
]

/** The options with their defaults; throws `ERR_UDP_OPTIONS` with every problem. */
export function resolveOptions(options: UdpOptions): ResolvedUdpOptions {
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  const resolved: ResolvedUdpOptions = { ...defaults, ...Object.fromEntries(given) }
  const problems: OptionProblem[] = given
    .filter(([field]) => !(field in defaults))
    .map(([field, value]) => ({ field, got: show(value), want: 'left out: it is not an option' }))
  if (typeof resolved.host !== 'string' || isIP(resolved.host) === 0) {
    problems.push({ field: 'host', got: show(resolved.host), want: 'an IPv4 or IPv6 literal' })
  }
  for (const [field, min, max] of ranges) {
    const value = resolved[field]
    if (Number.isInteger(value) && value >= min && value <= max) continue
    problems.push({ field, got: show(value), want: `an integer from ${min} to ${max}` })
  }
  if (problems.length === 0) return Object.freeze(resolved)
  throw new UdpError('ERR_UDP_OPTIONS', describeProblems(problems), { problems })
}

function show(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}
