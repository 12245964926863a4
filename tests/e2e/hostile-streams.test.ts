/**
 * The catalogue of bad streams against a real member in a process of its own, over its real
 * sockets. The process lives, counts what it dropped, believes none of it, keeps its memory.
 */
import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Arena, closed } from './hostile/arena.ts'
import { bombs, streamAttacks } from './hostile/streams.ts'
import { message } from './hostile/wire.ts'

let arena: Arena

beforeAll(async () => {
  arena = await Arena.open()
}, 120_000)

afterEach(() => arena.dismissStrangers())

afterAll(() => arena.close())

async function say(pieces: readonly Uint8Array[]): Promise<void> {
  const caller = await arena.stranger()
  for (const piece of pieces) caller.write(piece)
  caller.end()
  await closed(caller)
}

describe('streams', () => {
  it('of nonsense are ended, counted and not believed, and memory stays', async () => {
    await arena.expectBounded('streams', async () => {
      for (const { title, pieces } of streamAttacks) {
        const start = await arena.dropped()
        await say(pieces)
        const rise = (await arena.dropped()) - start
        expect(rise, `${title}: counted drops`).toBeGreaterThan(0)
      }
    })
    await arena.expectSameView()
  }, 60_000)

  it.each(bombs)(
    'that are bombs, in a row and side by side: $title',
    async (bomb) => {
      await arena.expectBounded(`bombs: ${bomb.title}`, async () => {
        for (let round = 0; round < 8; round += 1) await say(bomb.pieces)
        await Promise.all(Array.from({ length: 16 }, () => say(bomb.pieces)))
      })
      await arena.expectSameView()
    },
    60_000,
  )

  it('that only sit there are cut off, by the hundred too', async () => {
    await arena.expectBounded('idle connections', async () => {
      const idle = await Promise.all(Array.from({ length: 300 }, () => arena.stranger()))
      const slow = await Promise.all(Array.from({ length: 10 }, () => arena.stranger()))
      for (const caller of slow) caller.write(Uint8Array.of(6))
      await Promise.all([...idle, ...slow].map(closed))
    })
    await arena.expectSameView()
    // Whoever comes in good faith is served again.
    const caller = await arena.stranger()
    caller.write(message(0, { SeqNo: 5, Node: 'target' }))
    const [answer] = (await once(caller, 'data')) as [Buffer]
    expect(answer[0]).toBe(2)
  }, 60_000)

  it('leave little behind, all of them', () => arena.expectLittleLeft())
})
