/**
 * Stores that move a table of the user's own along with a cursor, and look at every opening whether
 * both are where they were together (LOG-31). The suite of faults, which knows of no such table,
 * kills them as any other: what is torn apart does not open.
 */
import { existsSync } from 'node:fs'
import type { LogStatement, LogStore, StoreChanges, StoredCursor } from '@kith/interface'
import { openDatabase } from '../../src/store/sqlite/driver.ts'
import { databasePath } from '../../src/store/sqlite/open.ts'
import { indexPath } from '../../src/store/segment/place.ts'
import { openSegments, openStore } from './fault-store.ts'

/** The cursor that the suite moves by one with each of its steps. */
const cursorName = 'steps'

type Cursors = readonly StoredCursor[] | undefined

function revisionOf(cursors: Cursors): number {
  return cursors?.find(({ name }) => name === cursorName)?.revision ?? 0
}

/**
 * Every other step has none, as a cursor may move alone: segments take those another way, and what
 * came that way must be there before the statements of the next step.
 */
function statementsFor(cursors: Cursors): readonly LogStatement[] {
  const revision = revisionOf(cursors)
  if (revision % 2 === 0) return []
  return [
    { sql: 'CREATE TABLE IF NOT EXISTS mirror(id INTEGER PRIMARY KEY, revision INTEGER)' },
    { sql: 'INSERT OR REPLACE INTO mirror VALUES(1, ?)', params: [revision] },
  ]
}

/** The last revision that had statements; 0 where the table was not made yet. */
function mirrored(database: string): number {
  if (!existsSync(database)) return 0
  const db = openDatabase(database, { readonly: true, fileMustExist: true, timeout: 1_000 })
  try {
    const made = db.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 'mirror'").pluck()
    if (made.get() === 0) return 0
    return db.prepare('SELECT revision FROM mirror').pluck().get() as number
  } finally {
    db.close()
  }
}

type Commit = (store: LogStore, changes: StoreChanges, flush: boolean) => void

function mirrorOf(store: LogStore, database: string, commit: Commit): LogStore {
  const look = (cursors: Cursors): void => {
    const revision = revisionOf(cursors)
    const wanted = revision % 2 === 0 ? Math.max(0, revision - 1) : revision
    const found = mirrored(database)
    if (found === wanted) return
    throw new Error(`the cursor has revision ${revision}, the table of the user ${found}`)
  }
  return {
    ...store,
    open() {
      const state = store.open()
      look(state.cursors)
      return state
    },
    commit: (changes, flush) => commit(store, changes, flush),
    reader() {
      const reader = store.reader()
      return {
        ...bound(reader),
        state() {
          const state = reader.state()
          look(state.cursors)
          return state
        },
      }
    },
  }
}

/** Readers may be classes, whose methods a spread leaves behind. */
function bound(reader: ReturnType<LogStore['reader']>): ReturnType<LogStore['reader']> {
  return {
    atOffset: (offset) => reader.atOffset(offset),
    fromOffset: (offset, bytesMax) => reader.fromOffset(offset, bytesMax),
    atSequence: (origin, sequence) => reader.atSequence(origin, sequence),
    fromSequence: (origin, from, bytesMax) => reader.fromSequence(origin, from, bytesMax),
    state: () => reader.state(),
    close: () => reader.close(),
  }
}

const together: Commit = (store, changes, flush) =>
  store.commit({ ...changes, statements: statementsFor(changes.cursors) }, flush)

/** The mistake: what belongs together is committed one after the other. */
const apart: Commit = (store, changes, flush) => {
  store.commit(changes, false)
  store.commit({ statements: statementsFor(changes.cursors) }, flush)
}

export const openMirrored = (directory: string): LogStore =>
  mirrorOf(openStore(directory), databasePath(directory), together)

export const openMirroredSegments = (directory: string): LogStore =>
  mirrorOf(openSegments(directory), indexPath(directory), together)

export const openApart = (directory: string): LogStore =>
  mirrorOf(openStore(directory), databasePath(directory), apart)
