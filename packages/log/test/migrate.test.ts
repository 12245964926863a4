/** Logs of older formats: opened, brought forward, and whole at every moment in between. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import Database from 'better-sqlite3'
import type { Digests } from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import { describe, expect, it, onTestFinished } from 'vitest'
import { sqliteStore } from '../src/index.ts'
import { sqliteKinds, records, started } from './support.ts'

const fixtures = new URL('./fixtures/', import.meta.url)
const firstFormat = gunzipSync(readFileSync(new URL('format-1.db.gz', fixtures)))
const recorded = JSON.parse(readFileSync(new URL('format-1.json', fixtures), 'utf8')) as {
  readonly state: Record<string, unknown> & {
    readonly meta: object
    readonly origins: readonly object[]
    readonly replicas: readonly object[]
  }
  readonly batches: unknown
}

/** What the first format's store said, with what has been added since. */
const expected = {
  state: {
    ...recorded.state,
    meta: { ...recorded.state.meta, floor: 0 },
    origins: recorded.state.origins.map((row) => ({ ...row, dropped: 0 })),
    replicas: recorded.state.replicas.map((row) => ({ ...row, member: '' })),
  },
  batches: recorded.batches,
}

/** In memory where there is such a place: many logs are opened here. */
function directoryOf(file: Uint8Array): string {
  const directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'kith-log-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  writeFileSync(join(directory, 'log.db'), file)
  return directory
}

/** Everything the store in a directory says. */
function said(directory: string, digests: Digests = nodeDigests): unknown {
  const store = sqliteStore({ directory, digests })()
  try {
    const state = store.open()
    const reader = store.reader()
    const batches = reader.fromOffset(0, 1_000_000)
    reader.close()
    expect(store.inspect()).toEqual([])
    return JSON.parse(JSON.stringify({ state, batches }, hex))
  } finally {
    store.close()
  }
}

function hex(_: string, value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value
}

function formatOf(directory: string): unknown {
  const db = new Database(join(directory, 'log.db'), { readonly: true })
  const version = db.pragma('user_version', { simple: true })
  db.close()
  return version
}

/** Digests that stop at their `limit`th checksum. */
function digestsUntil(limit: number, stop: () => never): Digests & { readonly calls: number } {
  let calls = 0
  return {
    ...nodeDigests,
    get calls() {
      return calls
    },
    crc32(bytes, seed) {
      calls += 1
      if (calls > limit) stop()
      return nodeDigests.crc32(bytes, seed)
    },
  }
}

describe('a log of format 1', () => {
  it('LOG-40 holds all it held, once and after another start', () => {
    const directory = directoryOf(firstFormat)
    expect(formatOf(directory)).toBe(1)
    expect(said(directory)).toEqual(expected)
    expect(formatOf(directory)).toBe(2)
    expect(said(directory)).toEqual(expected)
  })

  it.each(sqliteKinds)('LOG-40 goes on in a %s log, which verifies', async (kind) => {
    const log = await started({ directory: directoryOf(firstFormat), writer: kind as 'inline' })
    expect(await log.verify()).toMatchObject({ ok: true, records: 14 })
    const own = log.vector().find((state) => state.own)
    const result = await log.append(records(2))
    expect(result).toMatchObject({ origin: own?.origin, first: 6, offset: 14 })
    const retry = { producer: { id: 'producer-1', sequence: 5 } }
    expect(await log.append(records(2, 9), retry)).toMatchObject({ first: 4, duplicate: true })
    expect(log.cursor('two').get()).toEqual({ next: 7, revision: 1 })
    expect(await log.verify()).toMatchObject({ ok: true, records: 16 })
  })

  it('LOG-40 stays of format 1 wherever the migration is interrupted, and is taken up again', () => {
    const stop = (): never => {
      throw new Error('interrupted')
    }
    let interrupted = 0
    // Each row has one checksum: this stops between any two rows.
    for (let limit = 0; ; limit += 1) {
      const directory = directoryOf(firstFormat)
      const digests = digestsUntil(limit, stop)
      try {
        said(directory, digests)
        break
      } catch (cause) {
        expect(String(cause)).toContain('interrupted')
      }
      interrupted += formatOf(directory) === 1 ? 1 : 0
      expect(said(directory)).toEqual(expected)
    }
    // As many of those moments as there are rows to read and write lay within the migration.
    expect(interrupted).toBe(12)
  })

  it('LOG-40 is whole after the process was killed in its migration', () => {
    for (const limit of [0, 4, 9, 11, 16]) {
      const directory = directoryOf(firstFormat)
      const child = new URL('./process/migrate-child.ts', import.meta.url).pathname
      const args = ['--conditions=@kith/source', child, directory, String(limit)]
      const { signal } = spawnSync(process.execPath, args, { stdio: 'inherit' })
      expect(signal).toBe('SIGKILL')
      expect(said(directory)).toEqual(expected)
    }
  }, 120_000)

  it('LOG-40 LOG-72 has its row about itself twice again, where one copy was damaged', () => {
    const directory = directoryOf(firstFormat)
    const db = new Database(join(directory, 'log.db'))
    db.exec('UPDATE kith_meta SET crc = crc + 1 WHERE id = 1')
    db.close()
    expect(said(directory)).toEqual(expected)
  })

  it('LOG-40 keeps what was damaged before as damaged', () => {
    for (const table of ['kith_origin', 'kith_replica', 'kith_cursor']) {
      const directory = directoryOf(firstFormat)
      const db = new Database(join(directory, 'log.db'))
      db.exec(`UPDATE ${table} SET crc = crc + 1 WHERE id = 1`)
      db.close()
      const { state } = said(directory) as { readonly state: { readonly damage: unknown } }
      const name = table.slice('kith_'.length)
      expect(state.damage).toMatchObject([{ table: name, key: '1' }])
      expect(formatOf(directory)).toBe(2)
    }
  })
})
