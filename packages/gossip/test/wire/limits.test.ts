// Bounds that hold over all decoders: what a member must say of itself fits a packet, names of keys
// are only names, and dropping costs next to nothing.
import { appendFileSync } from 'node:fs'
import { nodeDigests } from '@kith/interface/node'
import { describe, expect, it } from 'vitest'
import { metaBytesMax, nameBytesMax } from '../../src/options.ts'
import { openPacket, packetOverhead, sealPacket } from '../../src/wire/envelope.ts'
import { encodeMessage } from '../../src/wire/memberlist.ts'
import type { PacketMessage } from '../../src/wire/message.ts'
import { MsgpackReader } from '../../src/wire/msgpack.ts'
import {
  broadcastCost,
  decodePacket,
  encodePacket,
  piggybackBudget,
} from '../../src/wire/packet.ts'
import { decodeConflictResponse, encodeConflictResponse } from '../../src/wire/serf.ts'
import { encodeState } from '../../src/wire/state.ts'
import { decodeTags, encodeTags, tagsRecord } from '../../src/wire/tags.ts'
import { alive, decodeState, envelopeOf, hex, utf8, vector } from './support.ts'

const longest = 'n'.repeat(nameBytesMax)
const address = new Uint8Array(16).fill(0xfd)

/** What everybody must be able to say of a member, or to it, in one packet. */
const mandatory: readonly PacketMessage[] = [
  {
    ...alive,
    node: longest,
    address,
    port: 65_535,
    incarnation: 0xffff_ffff,
    meta: new Uint8Array(metaBytesMax),
  },
  { kind: 'suspect', incarnation: 0xffff_ffff, node: longest, from: longest },
  { kind: 'dead', incarnation: 0xffff_ffff, node: longest, from: longest },
  {
    kind: 'ping',
    sequenceNumber: 0xffff_ffff,
    node: longest,
    sourceAddress: address,
    sourcePort: 65_535,
    sourceNode: longest,
  },
]

describe('what a member must say', () => {
  it('GOS-186 fits a packet for every member that is let in, label and encryption included', () => {
    const envelope = envelopeOf({
      label: new Uint8Array(255).fill(0x6c),
      keys: [new Uint8Array(32)],
    })
    const budget = piggybackBudget(0, packetOverhead(envelope))
    const [own, ...others] = mandatory.map((message) => encodeMessage(message))
    for (const bytes of [own, ...others]) {
      expect(broadcastCost(bytes?.length ?? budget)).toBeLessThanOrEqual(budget)
    }
    // The ping that tells a suspect of its suspicion carries both.
    const [suspicion = hex(''), , ping = hex('')] = others
    const whole = sealPacket(envelope, encodePacket([ping, suspicion], { crc: nodeDigests }))
    expect(whole.length).toBeLessThanOrEqual(1_405)
  })
})

describe('keys that are also those of every object', () => {
  const keys = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf']
  const before = new Map(
    Reflect.ownKeys(Object.prototype).map((key) => [key, Reflect.get(Object.prototype, key)]),
  )

  it.each(keys)('GOS-187 %s is only a name', (key) => {
    const tags = new Map([[key, 'polluted']])
    expect(decodeTags(encodeTags(tags))).toEqual(tags)
    const record = tagsRecord(tags)
    expect(Object.getPrototypeOf(record)).toBeNull()
    expect(Object.keys(record)).toEqual([key])
    const conflict = { ...alive, name: key, tags, status: 1 }
    expect(decodeConflictResponse(encodeConflictResponse(conflict))).toMatchObject({ tags })
    const state = encodeState({
      lamportTime: 1n,
      eventLamportTime: 1n,
      queryLamportTime: 1n,
      statusTimes: new Map([[key, 1n]]),
      leftMembers: [key],
      events: [{ lamportTime: 1n, events: [{ name: key, payload: utf8(key) }] }],
      extensions: new Map([[key, utf8(key)]]),
    })
    expect(decodeState(state)?.statusTimes).toEqual(new Map([[key, 1n]]))
    // A struct whose fields nobody knows, in any message.
    const unknown = Uint8Array.from([4, 0x81, 0xa0 | key.length, ...utf8(key), 0x81, 0xa1, 0x61, 1])
    for (let type = 0; type < 14; type += 1) decodePacket(unknown.with(0, type), nodeDigests)
    new MsgpackReader(unknown, 1).struct([], () => {})
    const after = Reflect.ownKeys(Object.prototype)
    expect(after).toEqual([...before.keys()])
    for (const name of after) expect(Reflect.get(Object.prototype, name)).toBe(before.get(name))
  })
})

describe('dropping', () => {
  /** Microseconds of processor time for each; the least of three. */
  function cost(rounds: number, work: () => void): number {
    let least = Infinity
    for (let tries = 0; tries < 3; tries += 1) {
      const before = process.threadCpuUsage()
      for (let round = 0; round < rounds; round += 1) work()
      const { user, system } = process.threadCpuUsage(before)
      least = Math.min(least, (user + system) / rounds)
    }
    return least
  }

  it('GOS-184 costs a few microseconds, whatever it is for', () => {
    const label = utf8('cluster')
    const envelope = envelopeOf({ label, keys: [new Uint8Array(32).fill(1)] })
    const foreign = sealPacket(
      envelopeOf({ label, keys: [new Uint8Array(32)] }),
      vector('udp-ping'),
    )
    const damaged = Uint8Array.from([12, 0, 0, 0, 0, ...vector('udp-ping')])
    const labelled = Uint8Array.from([0xf4, 7, ...label, ...vector('udp-dead')])
    const costs = {
      labelMissing: cost(200_000, () => void openPacket(envelope, foreign.subarray(9))),
      plaintextRefused: cost(200_000, () => void openPacket(envelope, labelled)),
      keyUnknown: cost(20_000, () => void openPacket(envelope, foreign)),
      crcMismatch: cost(200_000, () => void decodePacket(damaged, nodeDigests)),
    }
    expect(openPacket(envelope, foreign)).toEqual({ problem: 'keyUnknown' })
    expect(openPacket(envelope, labelled)).toEqual({ problem: 'plaintextRefused' })
    const file = process.env['KITH_EVIDENCE']
    for (const [kind, microseconds] of Object.entries(costs)) {
      // 50,000 a second of the cheap ones, and 10,000 that must be tried with a key, are half a
      // processor where it does nothing else; a quiet machine takes a tenth of that.
      expect(microseconds, kind).toBeLessThan(kind === 'keyUnknown' ? 50 : 10)
      if (file) appendFileSync(file, `dropping ${kind}, microseconds: ${microseconds.toFixed(2)}\n`)
    }
  }, 60_000)
})
