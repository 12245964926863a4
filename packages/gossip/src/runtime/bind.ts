/**
 * Binding packets and streams to one port number, which is how members of this wire are reached.
 */
import { formatAddress, sameAddress } from '@kith/interface'
import type {
  Address,
  PacketHandlers,
  PacketTransport,
  PacketTransportFactory,
  PluginContext,
  StreamHandlers,
  StreamTransport,
  StreamTransportFactory,
} from '@kith/interface'
import { GossipError, optionsError } from '../errors.ts'
import { findHost } from './interfaces.ts'
import type { Hosts } from './interfaces.ts'
import { isWildcard } from './options.ts'

/** A port that is free for streams may be taken for packets; then another one is tried. */
const attemptsMax = 10

export interface Bound {
  readonly packets: PacketTransport
  readonly streams: StreamTransport
  readonly address: Address
}

export interface BindOptions {
  readonly packets: PacketTransportFactory
  readonly streams: StreamTransportFactory
  readonly context: PluginContext
  readonly packetHandlers: PacketHandlers
  readonly streamHandlers: StreamHandlers
  readonly signal: AbortSignal
}

export interface Reachable extends Bound {
  /** What others are told at first. */
  readonly advertised: Address
  /** It was found among the addresses of this machine. */
  readonly found: boolean
}

/**
 * Binds, and finds the address that others are told: `advertise`, or the bound one unless that is a
 * wildcard, which is nowhere; then, where it may, one that this machine has. Leaves nothing open
 * when it rejects.
 */
export async function bindReachably(
  options: BindOptions,
  advertise: Address | 'auto' | undefined,
  hosts: Hosts,
): Promise<Reachable> {
  const bound = await bind(options)
  const { host, port } = bound.address
  const found = advertise === 'auto' && isWildcard(host)
  const given = advertise === 'auto' ? undefined : advertise
  const told = found ? findHost(hosts, host) : (given?.host ?? host)
  if (told !== undefined && !isWildcard(told) && !options.signal.aborted) {
    return { ...bound, advertised: { host: told, port: given?.port || port }, found }
  }
  await Promise.all([bound.packets.stop(), bound.streams.stop()])
  options.signal.throwIfAborted()
  const want = found
    ? 'given where no interface has an address that other machines reach'
    : 'given where packets are bound to a wildcard'
  throw optionsError([{ field: 'advertise', got: host, want }]) ?? new Error(want)
}

/** Streams first, then packets on the same number. Leaves nothing open when it rejects. */
async function bind(options: BindOptions): Promise<Bound> {
  let last: Address | undefined
  for (let attempt = 1; ; attempt += 1) {
    const streams = options.streams(options.context)
    const packets = options.packets(options.context)
    try {
      return await bindOnce(options, packets, streams)
    } catch (cause) {
      await Promise.all([packets.stop(), streams.stop()])
      options.signal.throwIfAborted()
      // The same port twice was asked for: trying again would be in vain.
      const tried = cause instanceof PacketPortTaken ? cause.address : undefined
      const again = tried !== undefined && (last === undefined || !sameAddress(tried, last))
      if (!again || attempt === attemptsMax) {
        throw cause instanceof PacketPortTaken ? cause.cause : cause
      }
      last = tried
    }
  }
}

class PacketPortTaken extends Error {
  readonly address: Address

  constructor(address: Address, cause: unknown) {
    super('the port of the streams is taken for packets', { cause })
    this.address = address
  }
}

async function bindOnce(
  options: BindOptions,
  packets: PacketTransport,
  streams: StreamTransport,
): Promise<Bound> {
  const { signal } = options
  const address = await streams.start(options.streamHandlers, { signal })
  const start = { port: address.port, signal }
  const other = await packets.start(options.packetHandlers, start).catch((cause: unknown) => {
    throw new PacketPortTaken(address, cause)
  })
  if (sameAddress(address, other)) return { packets, streams, address }
  const bound = `${formatAddress(other)} and ${formatAddress(address)}`
  throw new GossipError(
    'ERR_GOSSIP_OPTIONS',
    `packets and streams must be bound to one address, got ${bound}`,
  )
}
