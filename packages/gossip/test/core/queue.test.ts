/** The transmit-limited queue, and the heap of deadlines beside it. */
import { createRandom } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { cancel, createDeadlines, schedule, takeDue } from '../../src/core/deadlines.ts'
import {
  createQueue,
  enqueue,
  shedOlder,
  takeBroadcasts,
  takeFinished,
  transmitLimit,
  transmitLimits,
} from '../../src/core/queue.ts'
import type { TransmitQueue } from '../../src/core/queue.ts'
import { profiles } from '../../src/options.ts'
import type { Profile } from '../../src/options.ts'

function item(length: number, mark: number): Uint8Array {
  return new Uint8Array(length).fill(mark)
}

/** Three times in calm; twice for what has waited for a second. */
const limits = { most: 3, least: 2, spreadMs: 1000 }

function take(queue: TransmitQueue, budget: number, now = 0): readonly string[] {
  const taken: Uint8Array[] = []
  takeBroadcasts(queue, budget, limits, now, taken)
  return taken.map((bytes) => `${bytes[0]}x${bytes.length}`)
}

describe('the broadcast queue', () => {
  it('GOS-62 a message is sent its number of times, and then it is finished', () => {
    const serf = [1, 8, 9, 10, 99, 100, 999, 1000].map((members) => transmitLimit(4, members))
    expect(serf).toEqual([4, 4, 4, 8, 8, 12, 12, 16])
    const queue = createQueue(16)
    enqueue(queue, item(10, 1), 0, { ticket: 7 })
    expect(take(queue, 1400)).toEqual(['1x10'])
    expect(take(queue, 1400)).toEqual(['1x10'])
    expect(takeFinished(queue)).toEqual([])
    expect(take(queue, 1400)).toEqual(['1x10'])
    expect(takeFinished(queue)).toEqual([7])
    expect(take(queue, 1400)).toEqual([])
    expect(queue.size).toBe(0)
  })

  it('GOS-150 in calm ln(N) + 10 times, or twice to everybody, but never less than Serf', () => {
    const sizes = [1, 2, 3, 5, 10, 50, 200, 1000, 100_000]
    const of = (profile: Profile): readonly number[] =>
      sizes.map((members) => transmitLimits(profiles[profile], members).most)
    expect(of('local')).toEqual([2, 2, 4, 8, 13, 14, 16, 17, 22])
    expect(of('lan')).toEqual([4, 4, 4, 8, 13, 14, 16, 17, 24])
  })

  it('GOS-150 the extra transmissions are given up by what grew old in the queue', () => {
    const { least, spreadMs } = transmitLimits(profiles.lan, 50)
    expect(least).toBe(8)
    expect(spreadMs).toBe(2000)
    const queue = createQueue(16)
    enqueue(queue, item(10, 1), 0)
    expect(take(queue, 1400, 500)).toEqual(['1x10'])
    expect(take(queue, 1400, 1001)).toEqual(['1x10'])
    expect(take(queue, 1400, 1002)).toEqual([])
  })

  it('GOS-157 old news that was sent is shed, what was never sent is not', () => {
    const queue = createQueue(16)
    enqueue(queue, item(10, 1), 0, { ticket: 3 })
    expect(take(queue, 12)).toEqual(['1x10'])
    enqueue(queue, item(10, 2), 0)
    enqueue(queue, item(10, 3), 900)
    shedOlder(queue, 500)
    expect(queue).toMatchObject({ size: 2, shed: 1, dropped: 0 })
    expect(takeFinished(queue)).toEqual([3])
    expect(take(queue, 1400)).toEqual(['3x10', '2x10'])
  })

  it('GOS-62 sent least first, then longest, then newest', () => {
    const queue = createQueue(16)
    enqueue(queue, item(10, 1), 0)
    expect(take(queue, 12)).toEqual(['1x10'])
    enqueue(queue, item(10, 2), 0)
    enqueue(queue, item(10, 3), 0)
    enqueue(queue, item(20, 4), 0)
    expect(take(queue, 1400)).toEqual(['4x20', '3x10', '2x10', '1x10'])
  })

  it('GOS-62 what does not fit waits, and smaller ones go in its place', () => {
    const queue = createQueue(16)
    enqueue(queue, item(100, 1), 0)
    enqueue(queue, item(50, 2), 0)
    enqueue(queue, item(20, 3), 0)
    expect(take(queue, 75)).toEqual(['2x50', '3x20'])
    expect(take(queue, 102)).toEqual(['1x100'])
  })

  it('GOS-62 a packet is filled as if each in its turn had been asked whether it fits', () => {
    const random = createRandom(3)
    for (let round = 0; round < 200; round += 1) {
      const queue = createQueue(64)
      const lengths = Array.from({ length: 1 + random.below(40) }, () => 1 + random.below(30))
      for (const [mark, length] of lengths.entries()) enqueue(queue, item(length, mark), 0)
      let left = random.below(300)
      const fitting: string[] = []
      const turns = [...lengths.entries()].sort(([a, long], [b, short]) => short - long || b - a)
      for (const [mark, length] of turns) {
        if (length + 2 > left) continue
        left -= length + 2
        fitting.push(`${mark}x${length}`)
      }
      const budget = left + fitting.reduce((sum, text) => sum + Number(text.split('x')[1]) + 2, 0)
      expect(take(queue, budget)).toEqual(fitting)
      expect(queue.size).toBe(lengths.length)
      expect(take(queue, 100_000)).toHaveLength(lengths.length)
    }
  })

  it('GOS-62 news about a member replaces what is queued about it; events never do', () => {
    const queue = createQueue(16)
    enqueue(queue, item(10, 1), 0, { about: 'm', ticket: 1 })
    enqueue(queue, item(10, 2), 0, { about: 'm', ticket: 2 })
    enqueue(queue, item(10, 3), 0)
    enqueue(queue, item(10, 3), 0)
    expect(takeFinished(queue)).toEqual([1])
    expect(take(queue, 1400)).toEqual(['3x10', '3x10', '2x10'])
  })

  it('GOS-157 of intents about one member the latest stays, in whatever order they come', () => {
    const queue = createQueue(16)
    enqueue(queue, item(10, 1), 0, { about: 'm', lamportTime: 5n })
    enqueue(queue, item(10, 2), 0, { about: 'm', lamportTime: 4n })
    expect(take(queue, 1400)).toEqual(['1x10'])
    enqueue(queue, item(10, 3), 0, { about: 'm', lamportTime: 6n })
    expect(take(queue, 1400)).toEqual(['3x10'])
  })

  it('GOS-75 a full queue drops what was sent most, and counts it', () => {
    const queue = createQueue(16)
    for (let mark = 0; mark < 16; mark += 1) enqueue(queue, item(10, mark), 0)
    expect(take(queue, 12)).toEqual(['15x10'])
    enqueue(queue, item(10, 99), 0, { ticket: 4 })
    expect(queue.size).toBe(16)
    expect(queue.dropped).toBe(1)
    expect(take(queue, 1400)).not.toContain('15x10')
  })
})

describe('deadlines', () => {
  it('GOS-77 run in order of time, then in the order they were set, through any cancelling', () => {
    const random = createRandom(5)
    const deadlines = createDeadlines<number>()
    const timers = Array.from({ length: 500 }, (_, index) =>
      schedule(deadlines, random.below(50), index),
    )
    const kept = timers.filter(() => random.below(3) > 0)
    for (const timer of timers) {
      if (kept.includes(timer)) continue
      cancel(deadlines, timer)
      cancel(deadlines, timer)
    }
    const ran: number[] = []
    for (let timer = takeDue(deadlines, 50); timer !== undefined;) {
      ran.push(timer.task)
      timer = takeDue(deadlines, 50)
    }
    const expected = kept.toSorted((a, b) => a.at - b.at || a.order - b.order)
    expect(ran).toEqual(expected.map(({ task }) => task))
  })
})
