/** A log with a thread is opened on the caller's, which hands the store over. */
import { copyFileSync, existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { expect, it, onTestFinished } from 'vitest'
import { createLog } from '../src/index.ts'
import { allValues, codeOf, records, started, temporaryDirectory, text } from './support.ts'

/** The thread that begins next, and whether it runs yet. */
function nextThread(): { readonly worker: () => Worker; readonly online: () => boolean } {
  let [worker, online]: [Worker | undefined, boolean] = [undefined, false]
  const begun = (thread: Worker): void => {
    worker = thread
    thread.once('online', () => (online = true))
  }
  process.once('worker', begun)
  onTestFinished(() => void process.off('worker', begun))
  return {
    worker: () => worker ?? expect.fail('no thread was begun'),
    online: () => online,
  }
}

const values = (count: number): string[] => records(count).map(({ value }) => text(value))

it('LOG-80 starts before its thread does, and hands it the store with its lock', async () => {
  const directory = temporaryDirectory()
  const thread = nextThread()
  const log = await started({ directory, writer: 'worker' })
  expect(thread.worker().threadId).toBeGreaterThan(0)
  expect(thread.online()).toBe(false)
  expect(await codeOf(createLog({ directory }).start())).toBe('ERR_LOG_LOCKED')
  const first = log.append(records(1))
  const cursor = log.cursor('c').commit({ next: 0, statements: [{ sql: 'CREATE TABLE mine(x)' }] })
  await Promise.all([first, cursor, log.append(records(2, 1))])
  expect(thread.online()).toBe(true)
  expect(await codeOf(createLog({ directory }).start())).toBe('ERR_LOG_LOCKED')
  expect(existsSync(join(directory, 'log.db-flushed')), 'it was flushed all along').toBe(true)
  await log.stop()
  expect(existsSync(join(directory, 'log.db-wal'))).toBe(false)
  expect(existsSync(join(directory, 'log.db-flushed'))).toBe(false)

  const again = await started({ directory, writer: 'worker' })
  expect(await allValues(again)).toEqual(values(3))
  expect(again.cursor('c').get()).toEqual({ next: 0, revision: 1 })
  expect(await again.verify()).toMatchObject({ ok: true, records: 3 })
})

it('LOG-80 stops before its thread was there, and starts again', async () => {
  const directory = temporaryDirectory()
  for (let round = 0; round < 3; round += 1) {
    const log = createLog({ directory, writer: 'worker' })
    await log.start()
    await log.stop()
  }
  expect(existsSync(join(directory, 'log.db-wal'))).toBe(false)
  expect(await allValues(await started({ directory }))).toEqual([])
})

it('LOG-22 LOG-80 frees the lock once its thread is gone', async () => {
  const directory = temporaryDirectory()
  const thread = nextThread()
  const log = await started({ directory, writer: 'worker' })
  await log.append(records(1))
  await thread.worker().terminate()
  expect(await codeOf(log.append(records(1, 1)))).toBe('ERR_LOG_POISONED')
  const next = await started({ directory, writer: 'worker' })
  expect(await allValues(next)).toEqual(values(1))
})

it('LOG-80 leaves a long recovery to its thread', async () => {
  const directory = temporaryDirectory()
  const log = await started({ directory, writer: 'worker' })
  const value = new Uint8Array(1_000_000).fill(7)
  for (let index = 0; index < 6; index += 1) await log.append({ value }, { durability: 'os' })
  const crashed = temporaryDirectory()
  for (const name of ['log.db', 'log.db-wal']) {
    copyFileSync(join(directory, name), join(crashed, name))
  }
  expect(statSync(join(crashed, 'log.db-wal')).size).toBeGreaterThan(4 * 2 ** 20)

  const thread = nextThread()
  const again = await started({ directory: crashed, writer: 'worker' })
  expect(thread.online()).toBe(true)
  expect(again.status().next).toBe(6)
  await again.append({ value })
  expect(await again.verify()).toMatchObject({ ok: true, records: 7 })
})
