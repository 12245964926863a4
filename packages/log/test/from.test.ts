/** Where reading begins: at an end, or at a time. */
import Database from 'better-sqlite3'
import { array, assert as assertProperty, asyncProperty, integer } from 'fast-check'
import type { ReadFrom } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import type { Log } from '../src/index.ts'
import {
  codeOf,
  databaseIn,
  durableKinds,
  home,
  kinds,
  makeBatch,
  manualClock,
  records,
  started,
} from './support.ts'

async function firstOffset(log: Log, from: ReadFrom): Promise<number> {
  const page = await log.read({ from, limit: 1 })
  return page.records[0]?.offset ?? page.next
}

describe.each(kinds)('where reading a %s log begins', (kind) => {
  it('LOG-48 finds the first record stored at a time or later, also where clocks ran backwards', async () => {
    const options = home(kind)
    const clock = manualClock()
    const log = await started({ ...options, clock })
    const begin = clock.wallNow()
    await log.append(records(3))
    clock.advance(100)
    await log.applyBatches([makeBatch('ab'.repeat(16)).bytes])
    clock.setWall(begin + 50)
    await log.append(records(2))
    clock.setWall(begin + 200)
    await log.append(records(1))
    const at = (ms: number): Promise<number> => firstOffset(log, { time: begin + ms })
    expect(await Promise.all([-1e9, 0, 1, 100, 101, 200, 201].map(at))).toEqual([
      0, 0, 3, 3, 8, 8, 9,
    ])
    // What was stored while the clock was behind counts as stored when the last before it was.
    expect(await firstOffset(log, 'earliest')).toBe(0)
    expect(await firstOffset(log, 'latest')).toBe(9)
    await log.retain({ recordsMax: 6 })
    expect(await Promise.all([0, 100, 101].map(at))).toEqual([3, 3, 8])
    expect(await firstOffset(log, 'earliest')).toBe(3)
    await log.stop()
    clock.setWall(begin)
    const again = await started({ ...options, clock })
    await again.append(records(1))
    expect(await firstOffset(again, { time: begin + 200 })).toBe(8)
    expect(await firstOffset(again, { time: begin + 201 })).toBe(10)
  })

  it('LOG-48 refuses what is neither an offset nor an end nor a time', async () => {
    const log = await started(home(kind))
    expect(await codeOf(log.read({ from: { time: Number.NaN } }))).toBe('ERR_LOG_OPTIONS')
    const odd = 'first' as 'earliest'
    expect(await codeOf(log.read({ from: odd }))).toBe('ERR_LOG_OFFSET_OUT_OF_RANGE')
    expect(await firstOffset(log, { time: 5 })).toBe(0)
  })

  it('LOG-32 LOG-48 a tail from a time goes over to what comes', async () => {
    const clock = manualClock()
    const log = await started({ ...home(kind), clock })
    await log.append(records(2))
    clock.advance(10)
    await log.append(records(2))
    const tail = log.tail({ from: { time: clock.wallNow() } })[Symbol.asyncIterator]()
    const offsets = [await tail.next(), await tail.next()].map(({ value }) => value?.offset)
    const next = tail.next()
    await log.append(records(1))
    expect([...offsets, (await next).value?.offset]).toEqual([2, 3, 4])
    await tail.return?.()
  })
})

it('LOG-48 agrees with a walk over all batches, whatever the clock did', async () => {
  await assertProperty(
    asyncProperty(
      array(integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 12 }),
      integer({ min: 0, max: 21 }),
      async (times, asked) => {
        const clock = manualClock()
        const begin = clock.wallNow()
        const log = await started({ clock })
        let latest = 0
        let wanted: number | undefined
        for (const [index, time] of times.entries()) {
          clock.setWall(begin + time)
          const { offset } = await log.append(records((index % 3) + 1))
          latest = Math.max(latest, time)
          if (latest >= asked) wanted ??= offset
        }
        expect(await firstOffset(log, { time: begin + asked })).toBe(wanted ?? log.status().next)
        await log.stop()
      },
    ),
    { numRuns: 60 },
  )
})

it.each(durableKinds)(
  'LOG-18 LOG-48 damaged rows of a %s log hide no whole ones from a search by time',
  async (kind) => {
    const options = home(kind)
    const clock = manualClock()
    const begin = clock.wallNow()
    const log = await started({ ...options, clock })
    for (let at = 0; at < 9; at += 1) {
      await log.append(records(1))
      clock.advance(10)
    }
    await log.stop()
    const db = new Database(databaseIn(options))
    db.exec('UPDATE kith_batch SET crc = crc + 1 WHERE offset IN (4, 5, 8)')
    db.close()
    const again = await started({ ...options, clock })
    for (const [ms, offset] of [
      [0, 0],
      [30, 3],
      [70, 7],
    ] as const) {
      expect(await firstOffset(again, { time: begin + ms })).toBe(offset)
    }
    // Nobody knows when those were stored: reading begins with them, and says that they are bad.
    for (const ms of [40, 55, 60, 75]) {
      expect(await codeOf(again.read({ from: { time: begin + ms } }))).toBe('ERR_LOG_CORRUPT')
    }
  },
)
