/** What every log store does. */
import { mkdtempSync, rmSync } from 'node:fs'
import { describe, it } from 'node:test'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { logStoreCases, runConformance } from '@kith/testkit'
import { openStore } from './open-store.ts'

const open = () => {
  const directory = mkdtempSync(join(tmpdir(), 'log-store-'))
  return {
    store: () => openStore(join(directory, 'log')),
    [Symbol.asyncDispose]: async () => rmSync(directory, { recursive: true }),
  }
}

runConformance('node:sqlite store', logStoreCases, { describe, it }, open, {
  absent: { statements: 'its file holds nothing of anybody else' },
})
