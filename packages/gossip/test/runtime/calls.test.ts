// What callers pass to a running member: misspelt or of another type, it is refused by its name.
import { describe, expect, it } from 'vitest'
import { cluster, createPlace, stopAll, text } from './support.ts'

const none = new Uint8Array(0)

describe('options of a call', () => {
  it('GOS-21 that are misspelt or of another type are refused, and nothing is done', async () => {
    const place = createPlace()
    const [member] = await cluster(place, 1)
    if (member === undefined) throw new Error('one member')
    const refusals: readonly (readonly [string, () => unknown])[] = [
      ['timeout', () => member.query('load', undefined, { timeout: 5 } as never)],
      ['signal', () => member.query('load', undefined, { signal: 5 } as never)],
      ['coalesced', () => member.emit('deploy', undefined, { coalesced: true } as never)],
      ['buffer', () => member.events({ buffer: 5 } as never)],
      ['signal', () => member.events({ signal: {} } as never)],
      ['ignoreOld', () => member.join([text(9)], { ignoreOld: 'no' } as never)],
      ['replay', () => member.join([text(9)], { replay: true } as never)],
      ['prune', () => member.forceLeave('m9', { prune: 'no' } as never)],
      ['pruned', () => member.forceLeave('m9', { pruned: true } as never)],
      ['name', () => member.forceLeave(9 as never)],
      ['timeoutMs', () => member.fetch('m9', 'x', none, { timeoutMs: Number.NaN })],
      ['timeoutMs', () => member.fetch('m9', 'x', none, { timeoutMs: 0 })],
      ['timeout', () => member.fetch('m9', 'x', none, { timeout: 5 } as never)],
    ]
    for (const [field, call] of refusals) {
      const refused = expect.objectContaining({
        code: 'ERR_GOSSIP_OPTIONS',
        details: { problems: [expect.objectContaining({ field })] },
      })
      await expect((async () => call())(), field).rejects.toEqual(refused)
    }
    expect(member.stats().queues).toMatchObject({ events: 0, queries: 0, intents: 0 })
    await stopAll(place, [member])
  })
})
