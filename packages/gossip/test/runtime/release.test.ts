// What came from the network is freed when it was read, and nothing that was kept goes with it.
import type { PacketHandlers, PacketTransportFactory } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import {
  encodeMessage,
  encodePacket,
  encodeTags,
  openPacket,
  sealPacket,
  userMessage,
} from '../../src/wire/codec.ts'
import { createKeyring } from '../../src/index.ts'
import type { GossipOptions } from '../../src/index.ts'
import { envelopeOf, utf8 } from '../wire/support.ts'
import { at, createPlace, startAll, stopAll, text } from './support.ts'
import type { Place } from './support.ts'

interface Tapped {
  readonly packets: PacketTransportFactory
  /** Every packet as it came, for the hands of the member and for ours. */
  readonly seen: Uint8Array[]
  handlers: PacketHandlers | undefined
}

function tap(place: Place, number: number): Tapped {
  const tapped: Tapped = {
    seen: [],
    handlers: undefined,
    packets(context) {
      const inner = place.network.packetTransport(at(number))(context)
      return {
        packetBytesMax: inner.packetBytesMax,
        start(handlers, options) {
          tapped.handlers = {
            ...handlers,
            packet: (from, bytes) => {
              tapped.seen.push(bytes.slice())
              handlers.packet(from, bytes)
            },
          }
          return inner.start(tapped.handlers, options)
        },
        send: (to, bytes) => inner.send(to, bytes),
        stop: () => inner.stop(),
        [Symbol.asyncDispose]: () => inner.stop(),
      }
    },
  }
  return tapped
}

describe('packets', () => {
  const keyring = createKeyring({ keys: [new Uint8Array(16)] })
  const clusters: readonly (readonly [string, GossipOptions])[] = [
    ['in the open', {}],
    ['behind a label', { label: 'lab' }],
    ['while a key is on its way', { keyring, label: 'lab', verifyIncoming: false }],
    ['with a key', { keyring }],
  ]
  it.each(clusters)(
    'GOS-90 %s are freed when they were read; what was kept is whole',
    async (_w, options) => {
      // Whoever takes plaintext is sent it.
      const { label = '', keyring: ring, verifyIncoming = true } = options
      const keys = ring?.secrets ?? []
      const envelope = envelopeOf({ label: utf8(label), keys, verifyOutgoing: verifyIncoming })
      const place = createPlace()
      const [one, two] = [tap(place, 1), tap(place, 2)]
      const members = [
        place.gossip(1, { ...options, packets: one.packets }),
        place.gossip(2, { ...options, packets: two.packets, join: [text(1)] }),
      ]
      await startAll(place, members)
      await place.eventually(() => members.every((member) => member.members().length === 2))

      const payload = Uint8Array.from({ length: 300 }, (_, index) => index ^ 0x5a)
      const event = userMessage({
        kind: 'userEvent',
        lamportTime: 1n,
        name: 'deploy',
        payload,
        coalesce: false,
      })
      const tags = encodeTags(new Map([['role', 'spare']]))
      const newcomer = encodeMessage({
        kind: 'alive',
        incarnation: 1,
        node: 'm3',
        address: Uint8Array.of(10, 0, 0, 3),
        port: 7946,
        meta: tags,
        versions: [1, 5, 2, 2, 5, 4],
      })
      for (const compress of [false, true]) {
        const packet = encodePacket([newcomer, encodeMessage(event)], { compress })
        const bytes = sealPacket(envelope, packet)
        one.handlers?.packet(at(9), bytes)
        expect(bytes.length).toBe(0)
      }

      expect(members[0]?.member('m3')?.tags).toEqual({ role: 'spare' })
      const carried = (): boolean =>
        two.seen.some((bytes) => {
          const inside = openPacket(envelope, bytes.slice()).bytes ?? new Uint8Array(0)
          return Buffer.from(inside).includes(Buffer.from(payload))
        })
      await place.eventually(carried, 5_000)
      await stopAll(place, members)
    },
  )
})
