/** Proves the clauses of docs/protocol/transport.md for UDP, over IPv4 and IPv6. */
import { packetTransportCases, runConformance } from '@kith/testkit'
import { describe, it } from 'vitest'
import { openUdp } from './subject.ts'

const absent = { refused: 'Node.js does not ask the system for ICMP errors' }
runConformance('udp', packetTransportCases, { describe, it }, () => openUdp('127.0.0.1'), {
  absent,
})
runConformance('udp6', packetTransportCases, { describe, it }, () => openUdp('::1'), { absent })
