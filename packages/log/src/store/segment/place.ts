/** Where the index of a segment store lies. */
import { join } from 'node:path'
import { databasePath } from '../sqlite/open.ts'

export function indexDirectory(directory: string): string {
  return join(directory, 'index')
}

/** The database that says where each batch lies. */
export function indexPath(directory: string): string {
  return databasePath(indexDirectory(directory))
}
