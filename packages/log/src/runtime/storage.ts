/** Which kind of log a directory holds, or shall hold. */
import { LogError } from '../errors.ts'
import type { LogStorage } from '../options.ts'
import { indexPath } from '../store/segment/place.ts'
import { databasePath, openError } from '../store/sqlite/open.ts'
import { isThere } from '../store/unreadable.ts'

/** Undefined where it holds none. */
export function storageIn(directory: string): LogStorage | undefined {
  try {
    if (isThere(databasePath(directory))) return 'sqlite'
    return isThere(indexPath(directory)) ? 'segment' : undefined
  } catch (cause) {
    throw openError(cause, directory)
  }
}

/** Throws `ERR_LOG_FORMAT` where a log of the other kind is there. */
export function resolveStorage(directory: string, wanted: LogStorage | undefined): LogStorage {
  const found = storageIn(directory)
  if (found === undefined || wanted === undefined || found === wanted) {
    return found ?? wanted ?? 'sqlite'
  }
  throw new LogError(
    'ERR_LOG_FORMAT',
    `${directory} holds a log in storage '${found}': leave out storage '${wanted}', or give ` +
      'another directory',
  )
}
