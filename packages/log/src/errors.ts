/** Every error this package throws on purpose; `docs/errors.md` explains each code. */
import { KithError } from '@kith/interface'
import type { KithErrorOptions } from '@kith/interface'

export type LogErrorCode =
  | 'ERR_LOG_APPEND_TOO_LARGE'
  | 'ERR_LOG_BACKUP'
  | 'ERR_LOG_BACKUP_UNSUPPORTED'
  | 'ERR_LOG_CLOSED'
  | 'ERR_LOG_CORRUPT'
  | 'ERR_LOG_CURSOR_CONFLICT'
  | 'ERR_LOG_DIRECTORY'
  | 'ERR_LOG_DRIVER'
  | 'ERR_LOG_DROPPED'
  | 'ERR_LOG_FORMAT'
  | 'ERR_LOG_GAP'
  | 'ERR_LOG_IO'
  | 'ERR_LOG_LOCKED'
  | 'ERR_LOG_NOT_READY'
  | 'ERR_LOG_NOT_STARTED'
  | 'ERR_LOG_OFFSET_OUT_OF_RANGE'
  | 'ERR_LOG_OPTIONS'
  | 'ERR_LOG_OVERLOADED'
  | 'ERR_LOG_POISONED'
  | 'ERR_LOG_PRODUCER_STALE'
  | 'ERR_LOG_READ_ONLY'
  | 'ERR_LOG_RECORD_INVALID'
  | 'ERR_LOG_RECORD_TOO_LARGE'
  | 'ERR_LOG_REPAIR'
  | 'ERR_LOG_RETIRE'
  | 'ERR_LOG_ROTATION_RATE'
  | 'ERR_LOG_STATEMENT'
  | 'ERR_LOG_STATEMENTS_UNSUPPORTED'
  | 'ERR_LOG_STORE_FULL'

/** Thrown by everything in `@kith/log`; branch on `code`. */
export class LogError<Details = unknown> extends KithError<LogErrorCode, Details> {
  constructor(code: LogErrorCode, message: string, options: KithErrorOptions<Details> = {}) {
    super(code, message, options)
    this.name = 'LogError'
  }
}
