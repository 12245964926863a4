/**
 * A durable append-only record log in SQLite, with pluggable stores.
 * @packageDocumentation
 */
export { LogError } from './errors.ts'
export type { LogErrorCode } from './errors.ts'
export type { RetentionPolicy } from './core/retain.ts'
export { retentionProblems } from './options.ts'
export type { LogOptions, RetentionOptions, ScrubOptions } from './options.ts'
export type { BackupManifest, BackupOptions } from './runtime/backup.ts'
export type { CursorCommit, CursorState, LogCursor } from './runtime/cursors.ts'
export type { Log, LogStatus, ScrubCall } from './runtime/face.ts'
export { createLog } from './runtime/log.ts'
export type { LogEvents } from './runtime/parts.ts'
export type { ReadOptions, ReadResult, TailOptions } from './runtime/queries.ts'
export type { CorruptDetails } from './runtime/reads.ts'
export { restoreLog } from './runtime/restore.ts'
export type { RestoreReport } from './runtime/restore.ts'
export type { RetainReport } from './runtime/retention.ts'
export type { ScrubReport } from './runtime/scrub.ts'
export type { VerifyOptions, VerifyReport } from './runtime/verify.ts'
export { memoryStore } from './store/memory.ts'
export { sqliteStore } from './store/sqlite/store.ts'
export type { SqliteStoreOptions } from './store/sqlite/store.ts'
