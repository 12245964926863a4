/** Copies of segments while they grow, and while their front goes. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { StoreChanges, StoredMeta } from '@kith/interface'
import { expect, it, onTestFinished } from 'vitest'
import { restoreLog } from '../src/index.ts'
import { createSegmentStore } from '../src/store/segment/store.ts'
import type { SegmentStore } from '../src/store/segment/store.ts'
import { codeOf, records, started, temporaryDirectory } from './support.ts'

const origin = 'aa'.repeat(16)
const chainOf = (sequence: number): string => sequence.toString(16).padStart(4, '0').repeat(16)
const segmentBytesMax = 32 * 1024

const meta: StoredMeta = {
  ...{ logId: '01'.repeat(16), origin, clean: false, createdAt: 1, rotatedAt: 0 },
  ...{ rotationOwed: '', floor: 0 },
}

const bytesAt = (offset: number): Uint8Array => new Uint8Array(1_000).fill(offset)

/** Adds the record with that offset, as a batch of its own. */
function change(offset: number): StoreChanges {
  const first = offset + 1
  const chains = { previousChain: chainOf(first), chain: chainOf(first + 1) }
  const batch = { offset, origin, first, count: 1, storedAt: offset, ...chains }
  const row = { origin, member: 'm', floor: 1, next: first + 1, chain: chains.chain }
  return {
    batches: [{ ...batch, bytes: bytesAt(offset) }],
    origins: [
      {
        ...{ ...row, status: 'live', bytes: 1_000 * first, records: first, dropped: 0 },
        ...{ why: '', changedAt: offset },
      },
    ],
  }
}

function opened(directory: string): SegmentStore {
  const store = createSegmentStore({ directory, segmentBytesMax })
  expect(store.open().damage).toEqual([])
  onTestFinished(() => store.close())
  return store
}

const segmentsIn = (directory: string): readonly string[] =>
  readdirSync(directory).filter((name) => /^\d+\.seg$/.test(name))

it('LOG-49 LOG-63 a copy of segments stands at one point, whatever comes and goes meanwhile', async () => {
  const directory = temporaryDirectory()
  const store = opened(directory)
  store.commit({ meta }, true)
  let end = 0
  for (; end < 200; end += 1) store.commit(change(end), end % 5 === 0)
  for (let round = 0; round < 3; round += 1) {
    const to = temporaryDirectory()
    const before = end
    let copying = true
    const copied = store.backup(to, () => false).finally(() => (copying = false))
    while (copying || end < before + 40) {
      store.commit(change(end), end % 3 === 0)
      end += 1
      // All but the last hundred goes.
      const floor = end - 100
      if (end % 10 === 0) store.commit({ dropBelow: floor, meta: { ...meta, floor } }, true)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await copied
    const copy = createSegmentStore({ directory: to, segmentBytesMax })
    const state = copy.open()
    expect(state.damage).toEqual([])
    expect(state.nextOffset).toBeGreaterThanOrEqual(before)
    expect(state.nextOffset).toBeLessThanOrEqual(end)
    const reader = copy.reader()
    const held = reader.fromOffset(0, 1e9)
    const floor = state.meta?.floor ?? 0
    expect(held.length).toBeGreaterThanOrEqual(100)
    for (const [at, read] of held.entries()) {
      const offset = state.nextOffset - held.length + at
      expect(read).toMatchObject({ ok: true, batch: { offset, bytes: bytesAt(offset) } })
    }
    expect(state.nextOffset - held.length).toBe(floor)
    expect(copy.inspect()).toEqual([])
    // It goes on by itself.
    copy.commit(change(state.nextOffset), true)
    expect(reader.state().nextOffset).toBe(state.nextOffset + 1)
    reader.close()
    copy.close()
  }
  // What was dropped went when the copies were done: the last hundred takes some six files.
  expect(end).toBeGreaterThan(260)
  expect(segmentsIn(directory).length).toBeLessThan(10)
  expect(store.inspect()).toEqual([])
})

it('LOG-49 a copy of segments that is given up leaves nothing, and the store as it was', async () => {
  const store = opened(temporaryDirectory())
  store.commit({ meta }, true)
  for (let end = 0; end < 200; end += 1) store.commit(change(end), true)
  for (const calls of [0, 1, 2, 4]) {
    const to = temporaryDirectory()
    let asked = 0
    const copied = store.backup(to, () => (asked += 1) > calls)
    expect(await codeOf(copied)).toContain('cancelled')
    expect(readdirSync(to)).toEqual([])
  }
  const to = temporaryDirectory()
  const copied = store.backup(to, () => false)
  store.close()
  expect(await codeOf(copied)).not.toBe('resolved')
  expect(readdirSync(to)).toEqual([])
})

it('LOG-49 LOG-50 a log in segments with a thread of its own is backed up as well', async () => {
  const directory = temporaryDirectory()
  const log = await started({ directory, storage: 'segment', writer: 'worker' })
  await log.append(records(50))
  const [from, to] = [join(temporaryDirectory(), 'backup'), join(temporaryDirectory(), 'log')]
  expect(await log.backup(from)).toMatchObject({ storage: 'segment', next: 50 })
  await log.append(records(50))
  expect(await restoreLog(from, to)).toMatchObject({ next: 50 })
  const restored = await started({ directory: to })
  expect(restored.status().next).toBe(50)
  expect(await restored.verify()).toMatchObject({ ok: true, records: 50 })
  expect(await log.verify()).toMatchObject({ ok: true, records: 100 })
})
