/**
 * Telling what could not be read from what is damaged (LOG-71): where the system refuses, nothing
 * is known of what is stored, and nothing is done about it.
 */
import { statSync } from 'node:fs'
import { isKithError } from '@kith/interface'
import { LogError } from '../errors.ts'
import { sqliteCode } from './sqlite/driver.ts'

export interface IoDetails {
  /** `EIO`, `EACCES`, ... of the system, or `SQLITE_IOERR_READ`, ... where SQLite met it. */
  readonly code: string
}

/** What SQLite says of the system, and not of what it read. */
const sqliteRefusals =
  /^SQLITE_(IOERR|CANTOPEN|FULL|NOMEM|PERM|READONLY|AUTH|BUSY|LOCKED|PROTOCOL|INTERRUPT)/

/** A file that ends too early was read, and is damaged. */
const shortRead = 'SQLITE_IOERR_SHORT_READ'

/** The code with which a read was refused; undefined where what was read is the trouble. */
export function refusalCode(cause: unknown): string | undefined {
  const sqlite = sqliteCode(cause)
  if (sqlite !== '') {
    return sqliteRefusals.test(sqlite) && sqlite !== shortRead ? sqlite : undefined
  }
  const { code, errno } = (cause ?? {}) as { code?: unknown; errno?: unknown }
  return typeof code === 'string' && typeof errno === 'number' ? code : undefined
}

/** `ERR_LOG_IO` for a read that was refused; undefined for anything else. */
export function ioError(cause: unknown, what: string): LogError<IoDetails> | undefined {
  const code = refusalCode(cause)
  return code === undefined ? undefined : refused(code, what, cause)
}

/** Throws `ERR_LOG_IO` for a read that was refused, or told so already. */
export function throwIfRefused(cause: unknown, what: string): void {
  if (isIoError(cause)) throw cause
  const error = ioError(cause, what)
  if (error !== undefined) throw error
}

export function isIoError(cause: unknown): boolean {
  return isKithError(cause) && cause.code === 'ERR_LOG_IO'
}

export function refused(code: string, what: string, cause: unknown): LogError<IoDetails> {
  const text = cause instanceof Error ? cause.message : String(cause)
  return new LogError('ERR_LOG_IO', `${what} cannot be read (${code}): ${text}`, {
    cause,
    details: { code },
  })
}

/** Of an extended result code of SQLite, which kind it is. */
const primaryCodeMask = 0xff
const [sqliteIoErr, sqliteNoMem, sqliteCorrupt, shortReadCode] = [10, 7, 11, 522]

/**
 * Throws `ERR_LOG_IO` where a line of `integrity_check` says that a page could not be read: SQLite
 * lists that among what it found. A page of a list is named without a code; its number was checked
 * before, so that only the system can have refused it.
 */
export function throwIfPageRefused(line: string, what: string): void {
  if (/failed to get page \d+/.test(line)) throw refused('SQLITE_IOERR', what, line)
  const text = /unable to get the page\. error code=(\d+)/.exec(line)?.[1]
  const code = Number(text ?? sqliteCorrupt)
  const kind = code & primaryCodeMask
  if (kind === sqliteNoMem) throw refused('SQLITE_NOMEM', what, line)
  if (kind === sqliteIoErr && code !== shortReadCode) throw refused('SQLITE_IOERR', what, line)
}

/** Throws where the system cannot tell, which `existsSync` takes for no. */
export function isThere(path: string): boolean {
  try {
    statSync(path)
    return true
  } catch (cause) {
    const { code } = cause as { code?: string }
    if (code === 'ENOENT' || code === 'ENOTDIR') return false
    throw cause
  }
}
