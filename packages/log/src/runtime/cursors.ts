/**
 * Named consumers' places: durable, compare-and-set, with the user's own statements (LOG-30,
 * LOG-31).
 */
import type { LogStatement, StatementValue, StoredCursor } from '@kith/interface'
import { LogError } from '../errors.ts'
import { copyBytes } from '../wire/bytes.ts'
import { mustRun, refuseDamaged } from './parts.ts'
import type { LogParts, ReadingParts } from './parts.ts'

/** Cursors a log keeps. */
export const CURSORS_MAX = 4_096

export interface CursorState {
  /** Offset of the next record to process. */
  readonly next: number
  /** Counts commits; 0 before the first. */
  readonly revision: number
}

export interface CursorCommit {
  readonly next: number
  /** The revision this commit follows; another one in the store is a conflict. Absent: any. */
  readonly revision?: number
  /**
   * The caller's own statements, run by the writer in the same transaction: both happen or neither.
   * Only a SQLite store runs them. Tables whose names begin with `kith_` belong to the log.
   */
  readonly statements?: readonly LogStatement[]
}

export interface LogCursor {
  readonly name: string
  /** The durable place; a new cursor has revision 0 and begins with the oldest record held. */
  get(): CursorState
  /** Resolves after the flush. `next` may go back: a consumer may want to read again. */
  commit(commit: CursorCommit): Promise<CursorState>
}

export interface CursorKeeper {
  cursor(name: string): LogCursor
}

export function createCursorKeeper(parts: LogParts): CursorKeeper {
  /** The last commit under way of each cursor: one follows the other. */
  const turns = new Map<string, Promise<unknown>>()
  const inTurn = async <Result>(name: string, run: () => Promise<Result>): Promise<Result> => {
    const before = turns.get(name) ?? Promise.resolve()
    const turn = before.then(run, run)
    turns.set(name, turn)
    try {
      return await turn
    } finally {
      if (turns.get(name) === turn) turns.delete(name)
    }
  }
  return {
    cursor(name) {
      checkName(name)
      return {
        name,
        get: () => readCursor(parts, name),
        commit: (commit) => inTurn(name, () => commitCursor(parts, name, commit)),
      }
    },
  }
}

export function readCursor(parts: ReadingParts, name: string): CursorState {
  mustRun(parts)
  const stored = parts.writer.flushed.cursors.get(name)
  // With damaged rows an absent cursor may be one of them: it must not begin again at 0.
  if (stored === undefined) refuseDamaged(parts, ['file', 'meta', 'cursor'])
  const { next = parts.writer.flushed.meta.floor, revision = 0 } = stored ?? {}
  return { next, revision }
}

async function commitCursor(
  parts: LogParts,
  name: string,
  { next, revision, statements = [] }: CursorCommit,
): Promise<CursorState> {
  const { writer, clock, backend } = parts
  mustRun(parts)
  refuseDamaged(parts, ['file', 'meta', 'cursor'])
  const end = writer.flushed.nextOffset
  if (!Number.isInteger(next) || next < 0 || next > end) {
    throw new LogError(
      'ERR_LOG_OFFSET_OUT_OF_RANGE',
      `cursor ${name}: offset ${next} is not in this log, which holds 0 to ${end}`,
      { details: { next: end } },
    )
  }
  if (statements.length > 0 && !backend.statements) {
    throw new LogError(
      'ERR_LOG_STATEMENTS_UNSUPPORTED',
      'this store runs no statements; they need a log in a directory',
    )
  }
  checkStatements(statements)
  const before = readCursor(parts, name)
  if (revision !== undefined && revision !== before.revision) {
    throw new LogError(
      'ERR_LOG_CURSOR_CONFLICT',
      `cursor ${name} is at revision ${before.revision}, not ${revision}: somebody else moved it`,
      { details: before },
    )
  }
  if (before.revision === 0 && writer.head.cursors.size >= CURSORS_MAX) {
    throw new LogError('ERR_LOG_OVERLOADED', `a log keeps at most ${CURSORS_MAX} cursors`)
  }
  writer.admit(0)
  const row: StoredCursor = {
    name,
    next,
    revision: before.revision + 1,
    changedAt: clock.wallNow(),
  }
  if (statements.length > 0) {
    await writer.runExclusive(ownedCopies(statements), (transaction) =>
      transaction.cursors.push(row),
    )
  } else {
    writer.current(0).cursors.push(row)
    await writer.join()
  }
  return { next, revision: row.revision }
}

/** Transaction control and the log's own tables are not the caller's. */
const forbidden =
  /\bkith_|^\s*(begin|commit|end|rollback|savepoint|release|pragma|attach|detach|vacuum|reindex)\b/i

function checkStatements(statements: readonly LogStatement[]): void {
  for (const [index, { sql, params = [] }] of statements.entries()) {
    if (typeof sql !== 'string' || forbidden.test(sql)) {
      throw new LogError(
        'ERR_LOG_OPTIONS',
        `statements[${index}].sql must not control transactions or name tables of the log (kith_*)`,
      )
    }
    if (Array.isArray(params) && params.every(isStatementValue)) continue
    throw new LogError(
      'ERR_LOG_OPTIONS',
      `statements[${index}].params must be an array of strings, numbers, bigints, null and ` +
        'Uint8Arrays',
    )
  }
}

/** Anything else may not cross to the writer's thread. */
function isStatementValue(value: unknown): value is StatementValue {
  return (
    value === null ||
    value instanceof Uint8Array ||
    ['string', 'number', 'bigint'].includes(typeof value)
  )
}

/** Byte parameters as copies: a view of a pooled buffer would take its whole slab to the writer. */
function ownedCopies(statements: readonly LogStatement[]): readonly LogStatement[] {
  return statements.map(({ sql, params = [] }) => ({
    sql,
    params: params.map((value) => (value instanceof Uint8Array ? copyBytes(value) : value)),
  }))
}

export function checkName(name: string): void {
  const named = typeof name === 'string' && /^[\w.:/-]{1,128}$/.test(name)
  if (named && !name.startsWith('kith:')) return
  throw new LogError(
    'ERR_LOG_OPTIONS',
    "a cursor's name must be 1 to 128 of A-Z a-z 0-9 _ . : / - and not begin with kith:, got " +
      String(name).slice(0, 80),
  )
}
