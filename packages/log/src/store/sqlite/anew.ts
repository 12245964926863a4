/**
 * Asking again what SQLite calls malformed (LOG-71): while a statement runs it says so, on purpose,
 * of a page that the medium refused too (EIO). What it says while it opens a file, and of the pages
 * that an inspection walks over, is what the system said.
 */
import { openDatabase, sqliteCode } from './driver.ts'
import type { Database } from './driver.ts'
import { isIoError, refused, throwIfPageRefused, throwIfRefused } from '../unreadable.ts'

/** Pages read meanwhile stay in memory, so that each attempt goes further than the one before. */
const attemptsMax = 3
const lockMs = 1_000

function isMalformed(cause: unknown): boolean {
  return /^SQLITE_(CORRUPT|NOTADB)/.test(sqliteCode(cause))
}

/**
 * Reads, and reads anew where that met damage. Throws `ERR_LOG_IO` where the system refuses, and
 * where an inspection of `tables`, which have to be small ones, does not find the damage either.
 * Without tables what is malformed each time is damage.
 */
export function readAnew<Result>(
  path: string,
  tables: readonly string[],
  read: () => Result,
): Result {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return read()
    } catch (cause) {
      throwIfRefused(cause, path)
      if (!isMalformed(cause) || isDamaged(path, tables)) throw cause
      if (attempt < attemptsMax) continue
      throw tables.length === 0 ? cause : refused('EIO', path, cause)
    }
  }
}

/** Looks over a connection of its own, which knows no page yet. Throws `ERR_LOG_IO`. */
function isDamaged(path: string, tables: readonly string[]): boolean {
  let db: Database | undefined
  let names: readonly string[]
  try {
    db = openDatabase(path, { readonly: true, fileMustExist: true, timeout: lockMs })
    const select = db.prepare<unknown[]>('SELECT name FROM sqlite_schema').pluck()
    try {
      names = ['sqlite_schema', ...(select.all() as string[])]
    } catch {
      return false
    }
    for (const table of tables.filter((name) => names.includes(name))) {
      if (foundIn(db, table)) return true
    }
    return false
  } catch (cause) {
    // Only a second opinion: that it cannot be had, because of a lock for one, is none.
    if (isIoError(cause) || sqliteCode(cause).startsWith('SQLITE_IOERR'))
      throwIfRefused(cause, path)
    return isMalformed(cause)
  } finally {
    db?.close()
  }
}

function foundIn(db: Database, table: string): boolean {
  try {
    return inspectPages(db, `(${table})`).length > 0
  } catch (cause) {
    if (isIoError(cause)) throw cause
    return false
  }
}

/**
 * What an inspection of all, or of a table, finds; `ERR_LOG_IO` where a page is refused. It walks
 * over every page first, and names those that it cannot get: where it then ends at a row each time,
 * what is malformed is what it read.
 */
export function inspectPages(db: Database, argument: string): readonly string[] {
  for (let attempt = 1; ; attempt += 1) {
    const { lines, malformed } = inspectOnce(db, argument)
    if (malformed === undefined || lines.length > 0) return lines
    if (attempt === attemptsMax) return [malformed]
  }
}

interface Inspected {
  readonly lines: readonly string[]
  /** Why it was not brought to its end. */
  readonly malformed?: string
}

function inspectOnce(db: Database, argument: string): Inspected {
  const lines: string[] = []
  const rows = db.prepare<unknown[]>(`PRAGMA integrity_check${argument}`).raw().iterate()
  try {
    for (const [line] of rows as Iterable<[string]>) {
      throwIfPageRefused(line, db.name)
      if (line !== 'ok') lines.push(line)
    }
    return { lines }
  } catch (cause) {
    if (!isMalformed(cause)) throw cause
    // What it found before it came to something that it cannot pass is found.
    return { lines, malformed: cause instanceof Error ? cause.message : String(cause) }
  }
}
