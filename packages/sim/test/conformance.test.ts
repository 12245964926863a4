/** Proves the clauses of docs/protocol/transport.md for the memory transports, calm and faulty. */
import { packetTransportCases, runConformance, streamTransportCases } from '@kith/testkit'
import { describe, it } from 'vitest'
import { openPackets, openStreams } from './subjects.ts'

const runner = { describe, it }
const rough = { jitterMs: 30, loss: 0.05 }
runConformance('sim packets', packetTransportCases, runner, () => openPackets())
runConformance('sim streams', streamTransportCases, runner, () => openStreams())
runConformance('sim streams, lossy and late', streamTransportCases, runner, () =>
  openStreams(rough),
)
