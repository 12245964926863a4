/** Proves the clauses of docs/protocol/transport.md for TCP, over IPv4, IPv6 and TLS. */
import { runConformance, streamTransportCases } from '@kith/testkit'
import { describe, it } from 'vitest'
import { openTcp, testTls } from './subject.ts'

const runner = { describe, it }
runConformance('tcp', streamTransportCases, runner, () => openTcp())
runConformance('tcp6', streamTransportCases, runner, () => openTcp({ host: '::1' }))
runConformance('tls', streamTransportCases, runner, () => openTcp({ tls: testTls() }))
