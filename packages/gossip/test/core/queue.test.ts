/** The transmit-limited queue, and the heap of deadlines beside it. */
import { createRandom } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { cancel, createDeadlines, schedule, takeDue } from '../../src/core/deadlines.ts'
import {
  createQueue,
  enqueue,
  takeBroadcasts,
  takeFinished,
  transmitLimit,
} from '../../src/core/queue.ts'
import type { TransmitQueue } from '../../src/core/queue.ts'

function item(length: number, mark: number): Uint8Array {
  return new Uint8Array(length).fill(mark)
}

function take(queue: TransmitQueue, budget: number, limit = 3): readonly string[] {
  const taken: Uint8Array[] = []
  takeBroadcasts(queue, budget, limit, taken)
  return taken.map((bytes) => `${bytes[0]}x${bytes.length}`)
}

describe('the broadcast queue', () => {
  it('GOS-62 a message is sent retransmitFactor * ceil(log10(N + 1)) times', () => {
    const limits = [1, 8, 9, 10, 99, 100, 999, 1000].map((members) => transmitLimit(4, members))
    expect(limits).toEqual([4, 4, 4, 8, 8, 12, 12, 16])
    const queue = createQueue(16)
    enqueue(queue, item(10, 1), { ticket: 7 })
    expect(take(queue, 1400)).toEqual(['1x10'])
    expect(take(queue, 1400)).toEqual(['1x10'])
    expect(takeFinished(queue)).toEqual([])
    expect(take(queue, 1400)).toEqual(['1x10'])
    expect(takeFinished(queue)).toEqual([7])
    expect(take(queue, 1400)).toEqual([])
    expect(queue.size).toBe(0)
  })

  it('GOS-62 sent least first, then longest, then newest', () => {
    const queue = createQueue(16)
    enqueue(queue, item(10, 1))
    expect(take(queue, 12)).toEqual(['1x10'])
    enqueue(queue, item(10, 2))
    enqueue(queue, item(10, 3))
    enqueue(queue, item(20, 4))
    expect(take(queue, 1400)).toEqual(['4x20', '3x10', '2x10', '1x10'])
  })

  it('GOS-62 what does not fit waits, and smaller ones go in its place', () => {
    const queue = createQueue(16)
    enqueue(queue, item(100, 1))
    enqueue(queue, item(50, 2))
    enqueue(queue, item(20, 3))
    expect(take(queue, 75)).toEqual(['2x50', '3x20'])
    expect(take(queue, 102)).toEqual(['1x100'])
  })

  it('GOS-62 news about a member replaces what is queued about it; Serf messages never do', () => {
    const queue = createQueue(16)
    enqueue(queue, item(10, 1), { about: 'm', ticket: 1 })
    enqueue(queue, item(10, 2), { about: 'm', ticket: 2 })
    enqueue(queue, item(10, 3))
    enqueue(queue, item(10, 3))
    expect(takeFinished(queue)).toEqual([1])
    expect(take(queue, 1400)).toEqual(['3x10', '3x10', '2x10'])
  })

  it('GOS-75 a full queue drops what was sent most, and counts it', () => {
    const queue = createQueue(16)
    for (let mark = 0; mark < 16; mark += 1) enqueue(queue, item(10, mark))
    expect(take(queue, 12)).toEqual(['15x10'])
    enqueue(queue, item(10, 99), { ticket: 4 })
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
