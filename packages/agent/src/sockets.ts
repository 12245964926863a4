/** The transports of gossip and what they counted: gossip makes and owns them, we only look. */
import type { Address, PacketTransportFactory, StreamTransportFactory } from '@kith/interface'
import { type TcpTransport, tcpTransport } from '@kith/transport-tcp'
import { type UdpTransport, udpTransport } from '@kith/transport-udp'
import { flatten } from './figures.ts'

export interface Sockets {
  readonly packets: PacketTransportFactory
  readonly streams: StreamTransportFactory
  /** `udp_...` and `tcp_...`, of the transports that run now; nothing before there are any. */
  figures(): Record<string, number>
}

export function createSockets(bind: Address): Sockets {
  const makePackets = udpTransport({ ...bind })
  const makeStreams = tcpTransport({ ...bind })
  let packets: UdpTransport | undefined
  let streams: TcpTransport | undefined
  return {
    packets: (context) => (packets = makePackets(context)),
    streams: (context) => (streams = makeStreams(context)),
    figures() {
      const { receiveBufferBytes, ...udp } = packets?.stats() ?? { receiveBufferBytes: 0 }
      const { connections, ...tcp } = streams?.stats() ?? { connections: 0 }
      return {
        ...flatten('udp', { receiveBufferBytes, counters: udp }),
        ...flatten('tcp', { connections, counters: tcp }),
      }
    },
  }
}
