import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { logStoreCases, runConformance } from '@kith/testkit'
import { describe, it } from 'vitest'
import { memoryStore, segmentStore, sqliteStore } from '../src/index.ts'

runConformance('memory store', logStoreCases, { describe, it }, () => ({ store: memoryStore() }), {
  absent: {
    statements: 'there is no database to run them on',
    'own-bytes': 'it keeps the bytes it is given, as a store that is not durable may',
  },
})

runConformance('sqlite store', logStoreCases, { describe, it }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'kith-log-'))
  return {
    store: sqliteStore({ directory }),
    [Symbol.asyncDispose]: async () => rmSync(directory, { recursive: true }),
  }
})

runConformance('segment store', logStoreCases, { describe, it }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'kith-log-'))
  return {
    store: segmentStore({ directory }),
    [Symbol.asyncDispose]: async () => rmSync(directory, { recursive: true }),
  }
})
