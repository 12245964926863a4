/** Reading all of a store after a fault, and saying what became of the history that was in it. */
import type {
  LogStore,
  LogStoreReader,
  StoredBatch,
  StoredBatchRead,
  StoreState,
} from '@kith/interface'
import { ConformanceFailure, expectBytes, expectEqual, expectThat } from '../expect.ts'
import { holeKey, stepCursor } from './history.ts'
import type { History, StoredRows } from './history.ts'
import type { OpenLogStore } from './subject.ts'

export interface Bounds {
  /** Steps that must be there. */
  readonly atLeast: number
  /** Steps that were begun. */
  readonly atMost: number
}

/** A store whose content is a prefix of the history, or that says that it is damaged. */
export type Finding =
  | { readonly kind: 'prefix'; readonly steps: number }
  | { readonly kind: 'damage'; readonly why: string }

/** Opens what the directory holds, judges it and closes it. Throws for anything but a finding. */
export function judgeDirectory(
  open: OpenLogStore,
  directory: string,
  history: History,
  bounds: Bounds,
): Finding {
  const store = open(directory)
  let state: StoreState
  try {
    state = store.open()
  } catch (cause) {
    store.close()
    return { kind: 'damage', why: `it does not open: ${textOf(cause)}` }
  }
  try {
    return judge(store, state, history, bounds)
  } catch (cause) {
    if (cause instanceof ConformanceFailure) throw cause
    return { kind: 'damage', why: `it cannot be read: ${textOf(cause)}` }
  } finally {
    store.close()
  }
}

/** As `judgeDirectory`, where nothing excuses damage; returns the steps that are held. */
export function wholeDirectory(
  open: OpenLogStore,
  directory: string,
  history: History,
  bounds: Bounds,
): number {
  return stepsOf(judgeDirectory(open, directory, history, bounds))
}

export function stepsOf(finding: Finding): number {
  if (finding.kind === 'prefix') return finding.steps
  throw new ConformanceFailure(`nothing was damaged, but: ${finding.why}`)
}

export function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

/** What an open store holds. */
export function judge(
  store: LogStore,
  state: StoreState,
  history: History,
  { atLeast, atMost }: Bounds,
): Finding {
  if (state.damage.length > 0) return damage(state.damage)
  const steps = state.cursors.find(({ name }) => name === stepCursor)?.revision ?? 0
  const range = `${steps} steps are held, of ${atLeast} that must be and ${atMost} that were begun`
  expectThat(steps >= atLeast && steps <= atMost, range)
  const rows = history.after(steps)
  expectRows(state, rows, `after ${steps} steps`)
  const reader = store.reader()
  try {
    expectRows(reader.state(), rows, `after ${steps} steps, to a reader`)
    const reads = allBatches(reader)
    const bad = reads.find((read) => !read.ok)
    if (bad?.ok === false) return { kind: 'damage', why: `batch ${bad.offset}: ${bad.reason}` }
    expectBatches(batchesOf(reads), rows.batches, `all batches after ${steps} steps`)
    expectLookups(reader, rows)
  } finally {
    reader.close()
  }
  const found = store.inspect()
  return found.length > 0 ? damage(found) : { kind: 'prefix', steps }
}

function damage(found: StoreState['damage']): Finding {
  const said = found.map(({ table, key, reason }) => `${table} ${key}: ${reason}`)
  return { kind: 'damage', why: said.join('; ') }
}

/** Rows in the order of their keys: a store may keep them in any. */
function sorted<Row>(rows: Iterable<Row>, key: (row: Row) => string): readonly Row[] {
  return [...rows].toSorted((one, two) => (key(one) < key(two) ? -1 : 1))
}

type SmallRows = readonly (readonly [table: string, rows: readonly unknown[]])[]

/** Everything but the batches, by table, in the order of the keys. */
export function smallRowsOf(of: {
  readonly origins: Iterable<StoreState['origins'][number]>
  readonly holes: Iterable<StoreState['holes'][number]>
  readonly cursors: Iterable<StoreState['cursors'][number]>
  readonly producers: Iterable<StoreState['producers'][number]>
  readonly replicas: Iterable<StoreState['replicas'][number]>
}): SmallRows {
  return [
    ['origin', sorted(of.origins, ({ origin }) => origin)],
    ['hole', sorted(of.holes, holeKey)],
    ['cursor', sorted(of.cursors, ({ name }) => name)],
    ['producer', sorted(of.producers, ({ id }) => id)],
    ['replica', sorted(of.replicas, ({ logId }) => logId)],
  ]
}

export function modelRows(rows: StoredRows): SmallRows {
  return smallRowsOf({
    origins: rows.origins.values(),
    holes: rows.holes.values(),
    cursors: rows.cursors.values(),
    producers: rows.producers.values(),
    replicas: rows.replicas.values(),
  })
}

function expectRows(state: StoreState, rows: StoredRows, when: string): void {
  expectEqual(state.meta, rows.meta, `the meta row ${when}`)
  expectEqual(state.nextOffset, rows.nextOffset, `the next offset ${when}`)
  const wanted = new Map(modelRows(rows))
  for (const [table, got] of smallRowsOf(state)) {
    const want = wanted.get(table) ?? []
    expectEqual(got.length, want.length, `the number of rows of ${table} ${when}`)
    got.forEach((row, index) => expectEqual(row, want[index], `a row of ${table} ${when}`))
  }
}

const pageBytes = 20_000

/** All rows by offset, page by page, as a log reads them. */
export function allBatches(reader: LogStoreReader): readonly StoredBatchRead[] {
  const reads: StoredBatchRead[] = []
  for (let from = 0; ;) {
    const page = reader.fromOffset(from, pageBytes)
    const last = page.at(-1)
    if (last === undefined) return reads
    reads.push(...page)
    const next = (last.ok ? last.batch.offset : last.offset) + 1
    expectThat(next > from, `a page from ${from} ends before it, at ${next}`)
    from = next
  }
}

function batchesOf(reads: readonly StoredBatchRead[]): readonly StoredBatch[] {
  return reads.flatMap((read) => (read.ok ? [read.batch] : []))
}

function expectBatches(
  got: readonly StoredBatch[],
  want: readonly StoredBatch[],
  what: string,
): void {
  expectEqual(
    got.map(({ offset }) => offset),
    want.map(({ offset }) => offset),
    what,
  )
  got.forEach((batch, index) => expectBatch(batch, want[index], what))
}

/** Every column and every byte. */
function expectBatch(got: StoredBatch, want: StoredBatch | undefined, what: string): void {
  if (want === undefined) throw new ConformanceFailure(`${what}: a batch at ${got.offset}`)
  expectBytes(got.bytes, want.bytes, `${what}, the batch at ${want.offset}`)
  const { bytes: _, ...columns } = got
  const { bytes: __, ...wanted } = want
  expectEqual(columns, wanted, `${what}, the columns of the batch at ${want.offset}`)
}

/** Each batch is found by its last record, and each origin has its own in order. */
function expectLookups(reader: LogStoreReader, rows: StoredRows): void {
  for (const want of rows.batches) {
    const found = [
      reader.atOffset(want.offset + want.count - 1),
      reader.atSequence(want.origin, want.first + want.count - 1),
    ]
    for (const read of found) {
      expectThat(read?.ok === true, `the batch at ${want.offset} is found by its last record`)
      expectBatch(read.batch, want, 'by its last record')
    }
  }
  for (const origin of rows.origins.keys()) {
    const want = rows.batches.filter((batch) => batch.origin === origin)
    const got: StoredBatch[] = []
    for (let from = 0; ;) {
      const page = batchesOf(reader.fromSequence(origin, from, pageBytes))
      const last = page.at(-1)
      if (last === undefined) break
      got.push(...page)
      from = last.first + 1
    }
    expectBatches(got, want, `the batches of ${origin}`)
  }
}
