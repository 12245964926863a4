// Whatever arrives: no exception, bounded time, bounded memory, and an account of what was dropped.
import { createRandom } from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import { byteArrays } from '@kith/testkit'
import { assert, property, uint8Array } from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  createStreamDecoder,
  decodeConflictResponse,
  decodePacket,
  decodeSerf,
  decodeTags,
  encodeMessage,
} from '../../src/wire/codec.ts'
import { concatBytes } from '../../src/wire/packet.ts'
import { decodeState, vector, vectorNames } from './support.ts'

const packets = vectorNames()
  .filter((name) => name.includes('udp'))
  .map(vector)
const streams = vectorNames()
  .filter((name) => name.includes('tcp'))
  .map(vector)

/** Everything a datagram can reach. Throws only where the code under test does. */
function readPacket(bytes: Uint8Array): void {
  const { messages, problems } = decodePacket(bytes, nodeDigests)
  expect(messages.length).toBeLessThanOrEqual(1024)
  expect(problems.length).toBeLessThanOrEqual(1026)
  for (const message of messages) {
    // What was accepted can be passed on.
    expect(encodeMessage(message).length).toBeGreaterThan(0)
    if (message.kind === 'alive') decodeTags(message.meta)
    const serf = message.kind === 'user' ? message.message : undefined
    if (serf?.kind === 'queryResponse') decodeConflictResponse(serf.payload)
  }
  // An empty compound is the one packet that says nothing and has nothing wrong.
  expect(messages.length + problems.length > 0 || bytes[0] === 7).toBe(true)
}

function readStream(bytes: Uint8Array): void {
  const decoder = createStreamDecoder()
  const step = decoder.push(bytes)
  const last = step.kind === 'more' ? decoder.end() : step
  if (last.kind === 'message' && last.message.kind === 'pushPull')
    decodeState(last.message.userState)
}

function mutated(bytes: Uint8Array, random: ReturnType<typeof createRandom>): Uint8Array {
  const copy = Uint8Array.from(bytes)
  const kind = random.below(4)
  if (kind === 0) return copy.subarray(0, random.below(copy.length + 1))
  const at = random.below(copy.length)
  if (kind === 1) copy[at] = random.below(256)
  if (kind === 2) copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8))
  if (kind === 3) {
    const extra = Uint8Array.from({ length: 1 + random.below(8) }, () => random.below(256))
    return concatBytes([copy.subarray(0, at), extra, copy.subarray(at)])
  }
  return copy
}

describe('hostile bytes', () => {
  it('GOS-2 random datagrams are read or dropped, never thrown at anybody', () => {
    assert(property(byteArrays(), readPacket), { numRuns: 2000 })
  })

  it('GOS-2 every type byte in front of random bytes', () => {
    for (let type = 0; type < 256; type += 1) {
      const check = property(uint8Array({ maxLength: 40 }), (rest) => {
        readPacket(Uint8Array.from([type, ...rest]))
        readStream(Uint8Array.from([type, ...rest]))
        decodeSerf(Uint8Array.from([type, ...rest]))
        decodeState(Uint8Array.from([2, ...rest]))
      })
      assert(check, { numRuns: 20 })
    }
  })

  it('GOS-2 real packets and streams, changed', () => {
    const random = createRandom(1)
    for (let round = 0; round < 300; round += 1) {
      for (const packet of packets) readPacket(mutated(packet, random))
      for (const stream of streams) if (round < 30) readStream(mutated(stream, random))
    }
  })

  it('GOS-2 real packets and streams, cut at every byte', () => {
    for (const packet of packets) {
      for (let end = 0; end < packet.length; end += 1) readPacket(packet.subarray(0, end))
    }
    for (const stream of streams) {
      for (let end = 0; end < stream.length; end += 1) readStream(stream.subarray(0, end))
    }
  })

  it('GOS-2 a hundred thousand hostile packets leave no memory behind', () => {
    const random = createRandom(2)
    const hostile = Array.from({ length: 500 }, (_, index) =>
      mutated(packets[index % packets.length] ?? new Uint8Array(0), random),
    )
    const run = (rounds: number): void => {
      for (let round = 0; round < rounds; round += 1) {
        for (const packet of hostile) decodePacket(packet, nodeDigests)
      }
    }
    run(20)
    const before = process.memoryUsage().rss
    run(200)
    expect(process.memoryUsage().rss - before).toBeLessThan(32 * 2 ** 20)
  })
})
