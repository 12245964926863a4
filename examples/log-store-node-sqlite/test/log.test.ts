/** A log on it, from end to end. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { createLog } from '@kith/log'
import { nodeSqliteStore } from '../src/index.ts'

void it('keeps the records and the places of cursors over a restart', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'log-store-'))
  try {
    const log = createLog({ store: nodeSqliteStore({ directory }) })
    await log.start()
    const { first } = await log.append([1, 2, 3].map((n) => ({ value: Uint8Array.of(n) })))
    await log.cursor('reader').commit({ next: 2 })
    await log.stop()

    const again = createLog({ store: nodeSqliteStore({ directory }) })
    await again.start()
    const { records } = await again.read({ from: again.cursor('reader').get().next })
    assert.deepEqual(
      records.map(({ sequence, value }) => [sequence, ...value]),
      [[first + 2, 3]],
    )
    assert.equal((await again.verify()).ok, true)
    await again.stop()
  } finally {
    rmSync(directory, { recursive: true })
  }
})
