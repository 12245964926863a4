/**
 * The catalogue of bad packets against a real member in a process of its own, over its real
 * sockets. The process lives, counts what it dropped, believes none of it, keeps its memory.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Arena } from './hostile/arena.ts'
import { floods } from './hostile/floods.ts'
import { abuse, compression, framing, msgpack, values } from './hostile/packets.ts'
import type { Attack } from './hostile/packets.ts'

let arena: Arena

beforeAll(async () => {
  arena = await Arena.open()
}, 120_000)

afterAll(() => arena.close())

const groups: Readonly<Record<string, readonly Attack[]>> = {
  framing,
  msgpack,
  compression,
  values,
  'protocol abuse': abuse,
}

describe.each(Object.entries(groups))('packets: %s', (group, attacks) => {
  it('is dropped, counted and not believed, and memory stays', async () => {
    await arena.expectBounded(`packets: ${group}`, async () => {
      for (const { title, packets, uncounted } of attacks) {
        const start = await arena.dropped()
        await arena.send(packets)
        await arena.expectAnswering()
        if (uncounted === true) continue
        const rise = (await arena.dropped()) - start
        expect(rise, `${title}: counted drops`).toBeGreaterThan(0)
      }
    })
    await arena.expectSameView()
  }, 60_000)
})

describe('floods', () => {
  it.each(floods)(
    'of $title leave the member answering and in the cluster',
    async (flood) => {
      await arena.expectBounded(`flood of ${flood.title}`, async () => {
        await arena.pour(flood)
        await arena.expectAnswering()
      })
      await arena.expectSameView()
    },
    60_000,
  )

  it('and all packets before leave little behind', () => arena.expectLittleLeft())
})
