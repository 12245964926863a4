/**
 * The one place that touches the SQLite driver, loaded late so that its absence is a clear error.
 */
import { createRequire } from 'node:module'
import type BetterSqlite3 from 'better-sqlite3'
import { LogError } from '../../errors.ts'

export type Database = BetterSqlite3.Database
export type Statement = BetterSqlite3.Statement<unknown[]>

export interface DatabaseOptions {
  readonly readonly?: boolean
  readonly fileMustExist?: boolean
  /** Milliseconds to wait for a lock. */
  readonly timeout?: number
}

export function openDatabase(path: string, options: DatabaseOptions): Database {
  const Driver = loadDriver()
  return new Driver(path, options)
}

function loadDriver(): typeof BetterSqlite3 {
  try {
    return createRequire(import.meta.url)('better-sqlite3') as typeof BetterSqlite3
  } catch (cause) {
    const text = cause instanceof Error ? cause.message.split('\n')[0] : String(cause)
    throw new LogError(
      'ERR_LOG_DRIVER',
      `better-sqlite3 does not load on Node.js ${process.version} ${process.platform}-` +
        `${process.arch}: ${text}`,
      { cause },
    )
  }
}

/** `SQLITE_BUSY`, `SQLITE_IOERR_FSYNC`, ...; empty for anything that SQLite did not say. */
export function sqliteCode(cause: unknown): string {
  const code = (cause as { code?: unknown } | null)?.code
  return typeof code === 'string' && code.startsWith('SQLITE_') ? code : ''
}
