import { describe, expect, it } from 'vitest'
import { releaseBytes } from '../src/index.ts'

describe('releaseBytes', () => {
  it('frees bytes that have a buffer of their own', () => {
    const bytes = new Uint8Array(1024)
    const view = new Uint8Array(bytes.buffer)
    releaseBytes(bytes)
    expect([bytes.length, view.length, view.buffer.byteLength]).toEqual([0, 0, 0])
  })

  it('leaves parts of a larger buffer, shared memory and nothing at all as they are', () => {
    const pool = new Uint8Array(1024).fill(7)
    const shared = new Uint8Array(new SharedArrayBuffer(8))
    const empty = new Uint8Array(0)
    for (const bytes of [pool.subarray(0, 1000), pool.subarray(1), shared, empty]) {
      releaseBytes(bytes)
    }
    expect(pool.every((byte) => byte === 7)).toBe(true)
    expect(shared.length).toBe(8)
    expect(empty.slice()).toEqual(empty)
  })

  it('frees at once: what would fill the memory many times over does not', () => {
    // 1.2 GiB in pieces of 64 KiB; whatever was left to the collector would show.
    const before = process.memoryUsage().arrayBuffers
    let most = 0
    for (let count = 0; count < 20_000; count += 1) {
      releaseBytes(new Uint8Array(65_536))
      if (count % 100 === 0) most = Math.max(most, process.memoryUsage().arrayBuffers - before)
    }
    expect(most).toBeLessThan(1_048_576)
  })
})
