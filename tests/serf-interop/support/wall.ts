// Transports of ours through which a part of the cluster does not hear us, or is not heard.
import { formatAddress } from '@kith/interface'
import type { Address, PacketTransportFactory, StreamTransportFactory } from '@kith/interface'
import { tcpTransport } from '@kith/transport-tcp'
import { udpTransport } from '@kith/transport-udp'

export interface Wall {
  /** Addresses that must not hear from us. */
  readonly closed: Set<string>
  /** Addresses whose packets we must not hear. */
  readonly deafTo: Set<string>
  /** What was kept from the closed ones, and what of the others. */
  packets: number
  streams: number
  unheard: number
  /** Sees every packet that passes, as it is on the wire. */
  passed?: (way: 'in' | 'out', far: Address, bytes: Uint8Array) => void
}

export function createWall(): Wall {
  return { closed: new Set(), deafTo: new Set(), packets: 0, streams: 0, unheard: 0 }
}

export function walledPackets(wall: Wall): PacketTransportFactory {
  return (context) => {
    const transport = udpTransport()(context)
    return {
      packetBytesMax: transport.packetBytesMax,
      start(handlers, options) {
        const packet: typeof handlers.packet = (from, bytes) => {
          if (wall.deafTo.has(formatAddress(from))) {
            wall.unheard += 1
            return
          }
          wall.passed?.('in', from, bytes)
          handlers.packet(from, bytes)
        }
        const sendFailed: typeof handlers.sendFailed = (to, cause) =>
          handlers.sendFailed?.(to, cause)
        return transport.start({ packet, sendFailed }, options)
      },
      stop: () => transport.stop(),
      [Symbol.asyncDispose]: () => transport.stop(),
      send(to, bytes) {
        if (wall.closed.has(formatAddress(to))) {
          wall.packets += 1
          return
        }
        wall.passed?.('out', to, bytes)
        transport.send(to, bytes)
      },
    }
  }
}

export function walledStreams(wall: Wall): StreamTransportFactory {
  return (context) => {
    const transport = tcpTransport()(context)
    return {
      start: (handlers, options) => transport.start(handlers, options),
      stop: () => transport.stop(),
      [Symbol.asyncDispose]: () => transport.stop(),
      async connect(to, options) {
        if (!wall.closed.has(formatAddress(to))) return transport.connect(to, options)
        wall.streams += 1
        throw new Error('there is a wall')
      },
    }
  }
}
