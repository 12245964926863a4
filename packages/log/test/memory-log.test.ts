import { afterEach, expect, it } from 'vitest'
import { createLog, memoryStore } from '../src/index.ts'
import type { Log, LogOptions } from '../src/index.ts'

const logs: Log[] = []

async function openLog(options: LogOptions = {}): Promise<Log> {
  const log = createLog(options)
  logs.push(log)
  await log.start()
  return log
}

afterEach(async () => {
  for (const log of logs.splice(0)) await log.stop()
})

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (value: Uint8Array): string => new TextDecoder().decode(value)

it('appends, reads back and copies its batches to another log, where nothing is stored twice', async () => {
  const a = await openLog({ member: 'a' })
  const b = await openLog({ member: 'b' })
  const results = await Promise.all(
    Array.from({ length: 10 }, (_, index) =>
      a.append({ value: bytes(`record ${index}`), key: bytes('k'), headers: { h: 'v' } }),
    ),
  )
  expect(results.map((result) => result.first)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  const run = await a.readBatches(a.origin, 1, 1_000_000)
  if (run.kind !== 'batches') throw new Error(run.kind)
  const report = await b.applyBatches(run.batches, new Map([[a.origin, 'a']]))
  expect(report.outcomes).toEqual(run.batches.map(() => 'applied'))
  expect((await b.applyBatches(run.batches)).outcomes).toEqual(run.batches.map(() => 'duplicate'))
  const { records, next } = await b.read()
  expect(next).toBe(10)
  expect(records.map(({ value }) => text(value))).toEqual(
    Array.from({ length: 10 }, (_, index) => `record ${index}`),
  )
  const held = b.vector().find(({ origin }) => origin === a.origin)
  const own = a.vector().find(({ origin }) => origin === a.origin)
  expect(held).toEqual({ ...own, own: false })
  expect(await b.verify()).toMatchObject({ ok: true, records: 10 })
})

it('keeps what a memory store holds over a stop and a start', async () => {
  const store = memoryStore()
  const first = await openLog({ store })
  await first.append([{ value: bytes('one') }, { value: bytes('two') }])
  const { origin, logId } = first
  await first.stop()
  const second = await openLog({ store })
  expect([second.origin, second.logId]).toEqual([origin, logId])
  expect((await second.append({ value: bytes('three') })).first).toBe(3)
  expect((await second.read({ from: 1 })).records.map(({ value }) => text(value))).toEqual([
    'two',
    'three',
  ])
})
