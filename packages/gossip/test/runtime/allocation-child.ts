// Opens packets in vain, in a process of its own, whose space for young objects is never full.
import { PerformanceObserver } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { createAead } from '../../src/runtime/aead.ts'
import { openPacket } from '../../src/wire/codec.ts'

export interface Allocated {
  readonly packetBytes: number
  readonly keys: number
  /** Of each packet: objects, and what lies outside of the heap. */
  readonly objectBytes: number
  readonly outsideBytes: number
  /** How often V8 collected meanwhile; where it did, the figures are too small. */
  readonly collections: number
}

const warmUp = 50
const count = 200

let collections = 0
new PerformanceObserver((list) => {
  collections += list.getEntries().length
}).observe({ entryTypes: ['gc'] })

async function measure(packetBytes: number, keys: number): Promise<Allocated> {
  const all = Array.from({ length: keys }, (_, index) => new Uint8Array(32).fill(index + 1))
  const packets = Array.from({ length: warmUp + count }, (_, index) => {
    const bytes = new Uint8Array(packetBytes).fill(index)
    bytes[0] = 1
    return bytes
  })
  const label = new Uint8Array(0)
  const verify = { verifyIncoming: true, verifyOutgoing: true }
  const envelope = { aead: createAead(), label, keys: () => all, ...verify }
  const open = (bytes: Uint8Array): void => {
    const { problem } = openPacket(envelope, bytes)
    if (problem !== 'keyUnknown') throw new Error(`${problem} is not what it should be`)
  }
  for (const bytes of packets.slice(0, warmUp)) open(bytes)
  const rest = packets.slice(warmUp)
  // Entries of the observer come in a later turn.
  await pause(20)
  collections = 0
  const before = process.memoryUsage()
  for (const bytes of rest) open(bytes)
  const after = process.memoryUsage()
  await pause(20)
  return {
    packetBytes,
    keys,
    objectBytes: (after.heapUsed - before.heapUsed) / count,
    outsideBytes: (after.arrayBuffers - before.arrayBuffers) / count,
    collections,
  }
}

const measured: Allocated[] = []
for (const packetBytes of [64, 1_200, 65_507]) {
  for (const keys of [1, 8]) measured.push(await measure(packetBytes, keys))
}
process.stdout.write(JSON.stringify(measured))
