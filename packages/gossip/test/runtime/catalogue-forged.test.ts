// Of our list of bad inputs those that are well formed: a member believes them, or its owner
// contradicts, and nobody is harmed for good. Numbers as in the catalogue beside this file.
import { createRandom, silentLogger } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import type { Gossip } from '../../src/index.ts'
import { encodeMessage } from '../../src/wire/memberlist.ts'
import { MsgpackWriter } from '../../src/wire/msgpack.ts'
import { alive as anAlive } from '../wire/support.ts'
import { at, cluster, createPlace, stopAll } from './support.ts'
import type { Place } from './support.ts'

const stranger = { address: Uint8Array.of(10, 0, 0, 200), port: 7946 }
/** Two exchanges of state, of which the first may be with somebody who believes the forgery too. */
const healedMsMax = 60_000

async function tell(place: Place, ...packets: readonly Uint8Array[]): Promise<void> {
  const context = { clock: place.network.clockAt(at(200)), random: createRandom(200) }
  const other = place.network.packetTransport(at(200))({ ...context, logger: silentLogger })
  await other.start({ packet: () => {} })
  for (const bytes of packets) {
    other.send(at(1), bytes)
    await place.advance(20)
  }
  await other.stop()
}

const where = (of: Gossip): readonly string[] =>
  of.members().map(({ name, address, status }) => `${name} ${address.host} ${status}`)

describe('what real agents believed', () => {
  it('GOS-181 U22 U24 U28: what reaches for a prototype is a name or a tag', async () => {
    const place = createPlace()
    const members = await cluster(place, 2)
    const [member] = members
    if (member === undefined) throw new Error('two members')
    const before = where(member)
    const shared = Object.getOwnPropertyNames(Object.prototype)
    const names = ['__proto__', 'constructor', '../../x']
    const meta = new MsgpackWriter().byte(0xff).map(1).text('__proto__').text('polluted').finish()
    await tell(
      place,
      ...[...names, 'tagged'].map((node) =>
        encodeMessage({ ...anAlive, ...stranger, node, incarnation: 1, meta }),
      ),
    )
    for (const name of [...names, 'tagged']) {
      const row = member.member(name)
      expect(row, name).toMatchObject({ name, status: 'alive' })
      expect(Object.entries(row?.tags ?? {}), name).toContainEqual(['__proto__', 'polluted'])
    }
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(shared)
    expect(Object.keys({})).toEqual([])
    // Nobody is there who answers; whoever was there still is.
    await place.advance(healedMsMax)
    for (const name of [...names, 'tagged']) expect(member.member(name)?.status).toBe('failed')
    expect(where(member).filter((line) => /^m\d /.test(line))).toEqual(before)
    await stopAll(place, members)
  })

  for (const [how, from] of [
    ['a death', 'm1'],
    ['a good-bye', 'm2'],
  ] as const) {
    it(`GOS-181 U32: ${how} and an alive from elsewhere move nobody for good`, async () => {
      const place = createPlace()
      const members = await cluster(place, 3)
      const [member] = members
      if (member === undefined) throw new Error('three members')
      const before = where(member)
      const incarnation = member.member('m2')?.incarnation ?? 0
      await tell(
        place,
        encodeMessage({ kind: 'dead', incarnation, node: 'm2', from }),
        encodeMessage({ ...anAlive, ...stranger, node: 'm2', incarnation: incarnation + 1 }),
      )
      const healed = (): boolean =>
        members.every((one) => JSON.stringify(where(one)) === JSON.stringify(before))
      await place.eventually(healed, healedMsMax)
      await place.advance(healedMsMax)
      expect(healed()).toBe(true)
      await stopAll(place, members)
    })
  }
})
