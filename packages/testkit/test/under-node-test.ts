/**
 * The suite of packet transports under node:test; run by conformance.test.ts in a process of its
 * own.
 */
import { describe, it } from 'node:test'
import { packetTransportCases, runConformance } from '../src/index.ts'
import { openTinyPackets } from './tiny-packets.ts'

const absent = { refused: 'to see one skipped' }
runConformance('tiny', packetTransportCases, { describe, it }, () => openTinyPackets(), { absent })
