/**
 * Anything a stranger can say, in any order: nothing throws, grows past its bound, or differs
 * twice.
 */
import { createRandom } from '@kith/interface'
import type { Random } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { coreStats } from '../../src/core/index.ts'
import { queriesPerTimeMax } from '../../src/core/queries.ts'
import { eventsPerTimeMax } from '../../src/core/user-events.ts'
import { encodeMessage, encodePacket, userMessage } from '../../src/wire/codec.ts'
import type { PacketMessage, SerfMessage, SwimState, Versions } from '../../src/wire/message.ts'
import { addressOf, alive, bytesOf, Core, pushPull, row, selfName, versions } from './support.ts'

const timings = {
  membersMax: 40,
  recentIntentsMax: 20,
  queueDepthMax: 32,
  helperProbesMax: 4,
  eventBufferMax: 8,
  queryBufferMax: 8,
} as const

function pick<Item>(random: Random, items: readonly Item[]): Item {
  return items[random.below(items.length)] as Item
}

function name(random: Random): string {
  return pick(random, [
    selfName,
    'a',
    'b',
    'c',
    '__proto__',
    'constructor',
    `n${random.below(200)}`,
  ])
}

function incarnation(random: Random): number {
  return pick(random, [0, 1, 2, 5, random.below(100), 2 ** 31, 2 ** 32 - 2 ** 20, 2 ** 32 - 1])
}

function time(random: Random): bigint {
  return pick(random, [0n, 1n, BigInt(random.below(50)), 2n ** 40n, 2n ** 62n, 2n ** 64n - 1n])
}

function someVersions(random: Random): Versions {
  return pick(random, [
    versions,
    versions,
    [1, 5, 2, 2, 5, 4],
    [0, 0, 0, 0, 0, 0],
    [9, 9, 9, 9, 9, 9],
  ])
}

function serf(random: Random): SerfMessage {
  const [lamportTime, node] = [time(random), name(random)]
  const payload = new Uint8Array(random.below(40))
  const address = bytesOf(addressOf(node))
  return pick<() => SerfMessage>(random, [
    () => ({ kind: 'leaveIntent', lamportTime, node, prune: random.below(3) === 0 }),
    () => ({ kind: 'joinIntent', lamportTime, node }),
    () => ({ kind: 'userEvent', lamportTime, name: node, payload, coalesce: false }),
    () => ({ kind: 'queryResponse', lamportTime, id: 1, from: node, flags: 0, payload }),
    () => ({ kind: 'relay', address, port: 7946, zone: '', node, body: payload }),
    () => ({
      kind: 'query',
      lamportTime,
      id: random.below(200),
      address,
      port: random.below(2) * 7946,
      sourceNode: node,
      filters: [],
      flags: random.below(4),
      relayFactor: random.below(256),
      timeoutNs: 1n,
      name: pick(random, ['kith:demo', '_serf_conflict', '_serf_ping', 'x']),
      payload,
    }),
  ])()
}

function message(random: Random): PacketMessage {
  const [node, from] = [name(random), name(random)]
  const accusation = { node, from, incarnation: incarnation(random) }
  const sequenceNumber = random.below(20)
  const source = { sourceAddress: bytesOf(addressOf(from)), sourcePort: 7946, sourceNode: from }
  const target = bytesOf(addressOf(node))
  return pick<() => PacketMessage>(random, [
    () =>
      alive(node, {
        incarnation: accusation.incarnation,
        versions: someVersions(random),
        port: pick(random, [7946, 7946, 0, 1]),
        meta: new Uint8Array(random.below(600)),
      }),
    () => ({ kind: 'suspect', ...accusation }),
    () => ({ kind: 'dead', ...accusation }),
    () => ({ kind: 'ack', sequenceNumber, payload: new Uint8Array(0) }),
    () => ({ kind: 'nack', sequenceNumber }),
    () => ({ kind: 'ping', sequenceNumber, node, ...source }),
    () => ({
      kind: 'indirectPing',
      sequenceNumber,
      target,
      port: 7946,
      node,
      nack: true,
      ...source,
    }),
    () => userMessage(serf(random)),
  ])()
}

function abuse(core: Core, random: Random): void {
  const from = addressOf(name(random))
  const draw = random.below(20)
  if (draw === 0) {
    const states: readonly SwimState[] = ['alive', 'suspect', 'dead', 'left']
    const rows = Array.from({ length: random.below(8) }, () =>
      row(name(random), { incarnation: incarnation(random), state: pick(random, states) }),
    )
    core.input({ kind: 'streamMessage', id: random.below(9), from, message: pushPull(rows) })
  } else if (draw === 1) core.input({ kind: 'requestFailed', id: random.below(40), reason: 'no' })
  else if (draw === 2) core.input({ kind: 'sendFailed', to: from })
  else if (draw === 3) core.advanceTo(core.now + random.below(2000))
  else {
    const parts = Array.from({ length: 1 + random.below(4) }, () => encodeMessage(message(random)))
    const bytes = encodePacket(parts)
    // Some datagrams come damaged, which may make any other message of them.
    if (random.below(8) === 0) bytes[random.below(bytes.length)] = random.below(256)
    core.input({ kind: 'packet', from, bytes })
  }
}

function expectBounds(core: Core): void {
  const { state } = core
  const { queues } = coreStats(state)
  expect(state.entries.size).toBe(state.ring.length)
  expect(state.entries.size).toBeLessThanOrEqual(timings.membersMax)
  expect(state.recentIntents.size).toBeLessThanOrEqual(timings.recentIntentsMax)
  expect(Math.max(...Object.values(queues))).toBeLessThanOrEqual(timings.queueDepthMax)
  expect(state.helperProbes.size).toBeLessThanOrEqual(timings.helperProbesMax)
  expect(state.requests.size).toBeLessThanOrEqual(128)
  expect(state.eventSlots.length).toBeLessThanOrEqual(timings.eventBufferMax)
  expect(state.querySlots.length).toBeLessThanOrEqual(timings.queryBufferMax)
  const events = Array.from(state.eventSlots, (slot) => slot?.events.length ?? 0)
  const queries = Array.from(state.querySlots, (slot) => slot?.ids.length ?? 0)
  expect(Math.max(0, ...events)).toBeLessThanOrEqual(eventsPerTimeMax)
  expect(Math.max(0, ...queries)).toBeLessThanOrEqual(queriesPerTimeMax)
  const alive = state.ring.filter((entry) => entry.state === 'alive').length
  expect(state.aliveCount).toBe(alive)
  expect(state.entries.get(selfName)?.state).toBe('alive')
  expect(state.deadlines.heap.length).toBeLessThanOrEqual(20 + 3 * timings.membersMax)
}

const seeds = process.env['KITH_TIER'] === '2' ? 200 : 4

describe('abuse', () => {
  for (let seed = 1; seed <= seeds; seed += 1) {
    it(`GOS-75 seed ${seed}: no throw, no growth, and never a word of ours that we cannot read`, () => {
      const core = new Core({ seed, timings })
      const random = createRandom(seed)
      for (let round = 0; round < 1000; round += 1) {
        abuse(core, random)
        if (round % 100 === 0) expectBounds(core)
      }
      expectBounds(core)
    })
  }

  it('GOS-77 the same seed and inputs give the same outputs, byte for byte', () => {
    const [first, second] = [new Core({ seed: 3, timings }), new Core({ seed: 3, timings })]
    const [one, two] = [createRandom(9), createRandom(9)]
    for (let round = 0; round < 500; round += 1) {
      abuse(first, one)
      abuse(second, two)
    }
    expect(first.outputs).toEqual(second.outputs)
  })
})
