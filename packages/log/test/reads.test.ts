/** What of batches that were read is freed at once, and what is left to the collector. */
import { nodeDigests } from '@kith/interface/node'
import { describe, expect, it, onTestFinished } from 'vitest'
import { BatchReads } from '../src/runtime/reads.ts'
import { openSegmentReader } from '../src/store/segment/reader.ts'
import { openSqliteReader } from '../src/store/sqlite/reader.ts'
import { databaseIn, home, started } from './support.ts'
import type { Kind } from './support.ts'

const batchBytes = 32 * 1024

/** Reads of a log of four batches, of which two are kept. */
async function readsOf(
  kind: Kind,
): Promise<{ reads: BatchReads; origin: string; bytesAt: (offset: number) => Uint8Array }> {
  const options = home(kind)
  const log = await started(options)
  for (let batch = 0; batch < 4; batch += 1) {
    await log.append({ value: new Uint8Array(batchBytes) })
  }
  const { directory = '' } = options
  const index = databaseIn(options)
  const reader =
    kind === 'segment'
      ? openSegmentReader(directory, index, nodeDigests)
      : openSqliteReader(index, nodeDigests)
  onTestFinished(() => reader.close())
  const reads = new BatchReads(reader, nodeDigests, 2.5 * batchBytes)
  return {
    reads,
    origin: log.origin,
    bytesAt: (offset) => reads.holding(offset).batch.bytes,
  }
}

describe.each(['inline', 'segment'] as const)('batches read from a %s log', (kind) => {
  it('LOG-82 are freed as they are let go of, where nobody was given them', async () => {
    const { bytesAt } = await readsOf(kind)
    const first = bytesAt(0)
    const second = bytesAt(1)
    expect([first.length, second.length]).not.toContain(0)
    bytesAt(2)
    expect(first.length).toBe(0)
    expect(second.length).toBeGreaterThan(batchBytes)
  })

  it('LOG-82 stay where somebody was given them, before they were kept or since', async () => {
    const { reads, origin, bytesAt } = await readsOf(kind)
    const given = reads.atSequence(origin, 1)?.batch.bytes
    const kept = bytesAt(1)
    expect(reads.atSequence(origin, 2)?.batch.bytes).toBe(kept)
    for (const offset of [2, 3, 0, 1]) bytesAt(offset)
    expect(given?.length).toBeGreaterThan(batchBytes)
    expect(kept.length).toBeGreaterThan(batchBytes)
  })

  it('LOG-82 stay where a run holds them', async () => {
    const { reads, origin, bytesAt } = await readsOf(kind)
    const kept = bytesAt(1)
    const first = reads.atSequence(origin, 1, false)
    if (first === undefined) throw new Error('the first batch is there')
    const run = reads.run(first, 5, 1024 * 1024)
    expect(run[1]?.batch.bytes).toBe(kept)
    for (const offset of [2, 3, 0]) bytesAt(offset)
    expect(run.map(({ batch }) => batch.bytes.length)).not.toContain(0)
  })
})
