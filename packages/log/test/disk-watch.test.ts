import { expect, it } from 'vitest'
import { DiskWatch } from '../src/runtime/disk-watch.ts'
import { manualClock } from './support.ts'

it('LOG-64 tells of slow commits until a minute has passed without one', () => {
  const clock = manualClock()
  const watch = new DiskWatch(clock)
  const began = clock.wallNow()
  watch.committed(999, 10)
  expect(watch.status(0)).toEqual({ waitingMs: 0 })
  watch.committed(2_500.4, 10)
  clock.advance(59_000)
  watch.committed(1_000, 0)
  const slow = { since: began, lastAt: began + 59_000, times: 2, longestMs: 2_500 }
  expect(watch.status(12.4)).toEqual({ slow, waitingMs: 12 })
  clock.advance(60_000)
  expect(watch.status(0).slow).toEqual(slow)
  clock.advance(1)
  expect(watch.status(0)).toEqual({ waitingMs: 0 })
  watch.committed(1_200, 10)
  const now = clock.wallNow()
  expect(watch.status(0).slow).toEqual({ since: now, lastAt: now, times: 1, longestMs: 1_200 })
})

it('LOG-64 tells of refusals for want of room until records found some', () => {
  const clock = manualClock()
  const watch = new DiskWatch(clock)
  const since = clock.wallNow()
  watch.refused()
  clock.advance(500_000)
  watch.refused()
  const full = { since, lastAt: since + 500_000, times: 2 }
  expect(watch.status(0)).toEqual({ waitingMs: 0, full })
  watch.committed(1, 0)
  expect(watch.status(0)).toEqual({ waitingMs: 0, full })
  watch.committed(1, 1)
  expect(watch.status(0)).toEqual({ waitingMs: 0 })
})
