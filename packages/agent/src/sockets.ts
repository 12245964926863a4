/** The transports of gossip and what they counted: gossip makes and owns them, we only look. */
import type { Address, PacketTransportFactory, StreamTransportFactory } from '@kith/interface'
import { type TcpStats, type TcpTransport, tcpTransport } from '@kith/transport-tcp'
import { type UdpStats, type UdpTransport, udpTransport } from '@kith/transport-udp'
import type { AgentPlugin } from './plugin.ts'

export interface Sockets {
  readonly packets: PacketTransportFactory
  readonly streams: StreamTransportFactory
  /** Of the transports that run now; undefined before there are any, and of a plugin's. */
  udp(): UdpStats | undefined
  tcp(): TcpStats | undefined
}

export function createSockets(bind: Address, others: AgentPlugin['transports']): Sockets {
  if (others !== undefined) return { ...others(bind), udp: () => undefined, tcp: () => undefined }
  const makePackets = udpTransport({ ...bind })
  const makeStreams = tcpTransport({ ...bind })
  let packets: UdpTransport | undefined
  let streams: TcpTransport | undefined
  return {
    packets: (context) => (packets = makePackets(context)),
    streams: (context) => (streams = makeStreams(context)),
    udp: () => packets?.stats(),
    tcp: () => streams?.stats(),
  }
}
