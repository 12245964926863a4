/** The harness of `bench/log`: turns are counted as they are taken, and bounds judged. */
import { mkdtempSync, rmSync, truncateSync, writeFileSync, mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { Contender } from '../log/support/contender.ts'
import { meets } from '../log/support/report.ts'
import { appendRates, readRates } from '../log/support/slices.ts'
import { allocatedBytes } from '../log/support/space.ts'

const plan = { rounds: 3, sliceMs: 4 }

/** Takes `ms` for each commit and each page, and reads values of `recordBytes`. */
function contender(name: string, ms: number, recordBytes = 8): Contender {
  const wait = (): void => {
    for (const end = performance.now() + ms; performance.now() < end;);
  }
  return {
    name,
    version: '',
    guarantee: { acknowledged: '', checksum: '', flushes: '' },
    directory: '',
    append: wait,
    read() {
      wait()
      return { records: 10, bytes: 10 * recordBytes }
    },
    stop() {},
  }
}

describe('slices', () => {
  it('give each contender one rate a round, in records, the first round not counted', async () => {
    const calls = { first: 0, second: 0 }
    const counted = (name: keyof typeof calls): Contender => {
      // A commit is longer than a slice: one wakes it up, and one is measured.
      const slow = contender(name, 10)
      return { ...slow, append: (values) => void ((calls[name] += 1), slow.append(values)) }
    }
    const values = Array.from({ length: 1_000 }, () => new Uint8Array(8))
    const rates = await appendRates([counted('first'), counted('second')], values, plan)
    const slices = 2 * (plan.rounds + 1)
    expect(calls).toEqual({ first: slices, second: slices })
    for (const of of rates.values()) {
      expect(of).toHaveLength(plan.rounds)
      expect(Math.max(...of)).toBeLessThanOrEqual(100_000)
      // At least one of three commits of a thousand records took less than ten seconds.
      expect(Math.max(...of)).toBeGreaterThan(100)
    }
  })

  it('take nobody for a reader whose records are not those that were written', async () => {
    await expect(readRates([contender('whole', 0.1)], 8, plan)).resolves.toBeDefined()
    await expect(readRates([contender('short', 0.1, 7)], 8, plan)).rejects.toThrow(
      'short read 70 bytes in 10 records',
    )
  })
})

describe('bounds', () => {
  it('are met at the value itself, on its right side, and by nothing that is no number', () => {
    expect([4.9, 5, 6].map((value) => meets(value, { least: 5 }))).toEqual([false, true, true])
    expect([4.9, 5, 6].map((value) => meets(value, { most: 5 }))).toEqual([true, true, false])
    expect(meets(Number.NaN, { most: 5 })).toBe(false)
    expect(meets(Number.NaN, { least: 5 })).toBe(false)
  })
})

describe('space', () => {
  const directory = mkdtempSync(join(tmpdir(), 'kith-bench-test-'))
  afterEach(() => rmSync(directory, { recursive: true }))

  it('is what is allocated, in folders too, and not what a file with holes pretends', () => {
    mkdirSync(join(directory, 'deeper'))
    writeFileSync(join(directory, 'deeper/whole'), Buffer.alloc(64 * 1024, 1))
    writeFileSync(join(directory, 'hollow'), '')
    truncateSync(join(directory, 'hollow'), 2 ** 30)
    const bytes = allocatedBytes(directory)
    expect(bytes).toBeGreaterThanOrEqual(64 * 1024)
    expect(bytes).toBeLessThan(256 * 1024)
  })
})
