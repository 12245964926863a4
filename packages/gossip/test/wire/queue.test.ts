/** The queue behind streams: the same bytes come out, and what was taken stays as it is. */
import { array, assert, constantFrom, integer, property, record } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteQueue } from '../../src/wire/queue.ts'

const steps = array(
  record({ kind: constantFrom('push', 'take', 'consume'), size: integer({ min: 0, max: 3_000 }) }),
  { maxLength: 40 },
)

describe('ByteQueue', () => {
  it('GOS-8 gives back in order what was pushed, and never touches what it gave', () => {
    assert(
      property(steps, integer({ min: 0, max: 10_000 }), (all, wanted) => {
        const queue = new ByteQueue()
        const taken: { bytes: Uint8Array; from: number }[] = []
        let [pushed, read] = [0, 0]
        const value = (at: number): number => (at * 7 + (at >> 8)) & 0xff
        for (const { kind, size } of all) {
          const there = Math.min(size, queue.length)
          if (kind === 'push') {
            const start = pushed
            queue.push(
              Uint8Array.from({ length: size }, (_, at) => value(start + at)),
              wanted,
            )
            pushed += size
          } else if (kind === 'take') taken.push({ bytes: queue.take(there), from: read })
          else queue.consume(there)
          if (kind !== 'push') read += there
          expect(queue.length).toBe(pushed - read)
          expect(queue.view().every((byte, at) => byte === value(read + at))).toBe(true)
        }
        for (const { bytes, from } of taken) {
          expect(bytes.every((byte, at) => byte === value(from + at))).toBe(true)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('GOS-9 takes no room for an announcement, and all of it once a good part is there', () => {
    const queue = new ByteQueue()
    queue.push(new Uint8Array(10), 8_000_000)
    expect(queue.view().buffer.byteLength).toBeLessThanOrEqual(1024)
    const piece = new Uint8Array(65_536)
    while (queue.length < 2_000_000) queue.push(piece, 8_000_000)
    expect(queue.view().buffer.byteLength).toBe(8_000_000)
    while (queue.length + piece.length < 8_000_000) queue.push(piece, 8_000_000)
    expect(queue.view().buffer.byteLength).toBe(8_000_000)
  })
})
