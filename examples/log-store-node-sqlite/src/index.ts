/** A log store in one file of SQLite, as Node.js brings it along. */
export { nodeSqliteStore } from './store.ts'
export type { NodeSqliteStoreOptions } from './store.ts'
