/** The sockets below gossip. */
import { counter, gauge, type Part, type Put } from './family.ts'
import type { TcpSource, TransportSources, UdpSource } from './sources.ts'

const packets = counter(
  'kith_transport_packets_total',
  'Packets that went through the socket.',
  'transport',
  'direction',
)
const bytes = counter(
  'kith_transport_bytes_total',
  'Bytes that went through the sockets; with TLS those inside of it.',
  'transport',
  'direction',
)
const opened = counter(
  'kith_transport_connections_total',
  'Connections that came about, by who opened them.',
  'transport',
  'direction',
)
const connections = gauge(
  'kith_transport_connections',
  'Connections open now that others opened.',
  'transport',
)
const failed = counter(
  'kith_transport_failures_total',
  'Packets not sent, connections refused or failed, errors of sockets and of who handles them.',
  'transport',
  'reason',
)
const buffer = gauge(
  'kith_transport_receive_buffer_bytes',
  'What the system gave the socket of packets to receive into.',
  'transport',
)

export function transportsPart(source: TransportSources): Part {
  return {
    name: 'transports',
    families: [packets, bytes, opened, connections, failed, buffer],
    read(put) {
      const [udp, tcp] = [source.udp(), source.tcp()]
      if (udp) readUdp(udp, put)
      if (tcp) readTcp(tcp, put)
    },
  }
}

function readUdp(udp: UdpSource, put: Put): void {
  put(packets, udp.packetsIn, 'udp', 'in')
  put(packets, udp.packetsOut, 'udp', 'out')
  put(bytes, udp.bytesIn, 'udp', 'in')
  put(bytes, udp.bytesOut, 'udp', 'out')
  put(buffer, udp.receiveBufferBytes, 'udp')
  for (const reason of ['sendsDropped', 'sendsFailed', 'socketErrors', 'handlerErrors'] as const) {
    put(failed, udp[reason], 'udp', reason)
  }
}

const tcpFailures = [
  'connectionsRefused',
  'connectionsSilent',
  'connectsFailed',
  'handshakesFailed',
  'socketErrors',
  'handlerErrors',
] as const

function readTcp(tcp: TcpSource, put: Put): void {
  put(bytes, tcp.bytesIn, 'tcp', 'in')
  put(bytes, tcp.bytesOut, 'tcp', 'out')
  put(opened, tcp.accepted, 'tcp', 'in')
  put(opened, tcp.connected, 'tcp', 'out')
  put(connections, tcp.connections, 'tcp')
  for (const reason of tcpFailures) put(failed, tcp[reason], 'tcp', reason)
}
