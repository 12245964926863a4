/** The SQLite store as the fault suite makes it, also in processes that it kills. */
import type { LogStore } from '@kith/interface'
import { sqliteStore } from '../../src/store/sqlite/store.ts'

export const openStore = (directory: string): LogStore => sqliteStore({ directory })()
