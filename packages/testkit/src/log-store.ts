/** What every log store must do: LOG-20 to LOG-24, LOG-45 and LOG-54 of the log's `SPEC.md`. */
import { isKithError } from '@kith/interface'
import type {
  LogStore,
  LogStoreFactory,
  LogStoreReader,
  StoreChanges,
  StoredBatch,
  StoredBatchRead,
  StoredMeta,
  StoredOrigin,
  StoreState,
} from '@kith/interface'
import type { ConformanceCase } from './conformance.ts'
import { expectBytes, expectEqual, expectThat } from './expect.ts'

export interface LogStoreSubject {
  /** Each store it makes works on the same medium, empty at first; one is open at a time. */
  readonly store: LogStoreFactory
}

const origins = ['aa'.repeat(16), 'bb'.repeat(16)] as const
const chain = (mark: number): string => mark.toString(16).padStart(2, '0').repeat(32)

const meta: StoredMeta = {
  logId: '01'.repeat(16),
  origin: origins[0],
  clean: false,
  createdAt: 1_700_000_000_000,
  rotatedAt: 0,
  rotationOwed: '',
  floor: 0,
}

function originRow(index: 0 | 1, next: number, change: Partial<StoredOrigin> = {}): StoredOrigin {
  return {
    origin: origins[index],
    member: `member-${index}`,
    floor: 1,
    next,
    chain: chain(next),
    status: 'live',
    bytes: (next - 1) * 100,
    records: next - 1,
    dropped: 0,
    why: '',
    changedAt: 1_700_000_000_001,
    ...change,
  }
}

/** A batch of 100 bytes that are their own places. A store does not look into them. */
function batchRow(index: 0 | 1, offset: number, first: number, count: number): StoredBatch {
  return {
    offset,
    origin: origins[index],
    first,
    count,
    storedAt: 1_700_000_000_002,
    previousChain: chain(first),
    chain: chain(first + count),
    bytes: Uint8Array.from({ length: 100 }, (_, at) => (at * 7 + offset) & 0xff),
  }
}

/** Two origins interleaved: offsets 0 to 9. */
const history: StoreChanges = {
  meta,
  origins: [originRow(0, 7), originRow(1, 5)],
  batches: [batchRow(0, 0, 1, 2), batchRow(1, 2, 1, 3), batchRow(0, 5, 3, 4), batchRow(1, 9, 4, 1)],
}

function withStore<Result>(
  subject: LogStoreSubject,
  run: (store: LogStore, state: StoreState) => Result,
): Result {
  const store = subject.store()
  const state = store.open()
  try {
    return run(store, state)
  } finally {
    store.close()
  }
}

function withReader<Result>(store: LogStore, run: (reader: LogStoreReader) => Result): Result {
  const reader = store.reader()
  try {
    return run(reader)
  } finally {
    reader.close()
  }
}

function offsetOf(read: StoredBatchRead | undefined): number | undefined {
  if (read === undefined) return undefined
  expectThat(read.ok, 'a row that was stored whole reads as whole')
  return read.batch.offset
}

function offsets(reads: readonly StoredBatchRead[]): readonly (number | undefined)[] {
  return reads.map(offsetOf)
}

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (cause) {
    return isKithError(cause) ? cause.code : `untyped: ${String(cause)}`
  }
  return 'nothing was thrown'
}

const life: readonly ConformanceCase<LogStoreSubject>[] = [
  {
    id: 'LOG-20',
    title: 'opens empty, without a meta row, rows or damage',
    run: (subject) =>
      withStore(subject, (_, state) => {
        expectEqual(state.meta, undefined, 'no meta row')
        expectEqual(state.nextOffset, 0, 'no records')
        expectEqual(state.damage, [], 'no damage')
        expectEqual(state.origins, [], 'no origins')
      }),
  },
  {
    id: 'LOG-20',
    title: 'gives back after a reopening exactly what was committed before',
    run(subject) {
      const rows = {
        cursors: [{ name: 'c', next: 4, revision: 2, changedAt: 5 }],
        producers: [{ id: 'p', answers: Uint8Array.of(1, 2, 3), usedAt: 6 }],
        replicas: [{ logId: '02'.repeat(16), member: 'm', acked: Uint8Array.of(9), seenAt: 7 }],
        holes: [{ origin: origins[1], from: 2, to: 4, chain: chain(4), why: 'lost', at: 8 }],
      }
      withStore(subject, (store) => {
        store.commit({ ...history, ...rows }, true)
      })
      withStore(subject, (_, state) => {
        expectEqual(state.meta, meta, 'the meta row')
        expectEqual(state.origins, history.origins, 'the origins')
        expectEqual(state.cursors, rows.cursors, 'the cursors')
        expectEqual(state.producers, rows.producers, 'the producers')
        expectEqual(state.replicas, rows.replicas, 'the replicas')
        expectEqual(state.holes, rows.holes, 'the holes')
        expectEqual(state.nextOffset, 10, 'the next offset')
        expectEqual(state.damage, [], 'no damage')
      })
    },
  },
  {
    id: 'LOG-20',
    title: 'keeps commits made without a flush over an orderly close',
    run(subject) {
      withStore(subject, (store) => {
        store.commit({ meta, origins: [originRow(0, 1)] }, false)
        store.commit({ origins: [originRow(0, 3)], batches: [batchRow(0, 0, 1, 2)] }, false)
      })
      withStore(subject, (_, state) => expectEqual(state.nextOffset, 2, 'the next offset'))
    },
  },
  {
    id: 'LOG-20',
    title: 'keeps its own copy of the bytes it was given',
    needs: ['own-bytes'],
    run: (subject) =>
      withStore(subject, (store) => {
        const given = batchRow(0, 0, 1, 2)
        store.commit({ meta, origins: [originRow(0, 3)], batches: [given] }, true)
        given.bytes.fill(0)
        withReader(store, (reader) => {
          const read = reader.atOffset(0)
          expectThat(read?.ok === true, 'the row is whole')
          if (read?.ok === true) expectBytes(read.batch.bytes, batchRow(0, 0, 1, 2).bytes, 'bytes')
        })
      }),
  },
  {
    id: 'LOG-21',
    title: 'replaces a row with the same key and forgets a removed one',
    run(subject) {
      const producer = { id: 'p', answers: Uint8Array.of(1), usedAt: 1 }
      const replica = { logId: '03'.repeat(16), member: '', acked: Uint8Array.of(1), seenAt: 1 }
      withStore(subject, (store) => {
        store.commit(
          { meta, origins: [originRow(0, 1)], producers: [producer], replicas: [replica] },
          true,
        )
        store.commit(
          {
            meta: { ...meta, clean: true },
            origins: [originRow(0, 1, { status: 'quarantined', why: 'two histories' })],
            producers: [{ ...producer, id: 'q' }],
            producersRemoved: ['p'],
            replicasRemoved: [replica.logId],
          },
          true,
        )
      })
      withStore(subject, (_, state) => {
        expectEqual(state.meta?.clean, true, 'the meta row is the later one')
        expectEqual(state.origins[0]?.status, 'quarantined', 'so is the origin')
        expectEqual(state.origins.length, 1, 'one origin')
        expectEqual(
          state.producers.map(({ id }) => id),
          ['q'],
          'one producer',
        )
        expectEqual(state.replicas, [], 'no replica')
        expectEqual(state.damage, [], 'no damage')
      })
    },
  },
  {
    id: 'LOG-22',
    title:
      'refuses a second writer, and takes one again after the first closed, twice closed or not',
    run(subject) {
      const first = subject.store()
      first.open()
      const second = subject.store()
      expectEqual(
        codeOf(() => second.open()),
        'ERR_LOG_LOCKED',
        'the second writer',
      )
      first.close()
      first.close()
      second.open()
      second.close()
    },
  },
  {
    id: 'LOG-22',
    title: 'takes no commit before it is open or after it is closed',
    run(subject) {
      const store = subject.store()
      expectEqual(
        codeOf(() => store.commit({ meta }, true)),
        'ERR_LOG_CLOSED',
        'before',
      )
      store.open()
      store.close()
      expectEqual(
        codeOf(() => store.commit({ meta }, true)),
        'ERR_LOG_CLOSED',
        'after',
      )
    },
  },
]

const reading: readonly ConformanceCase<LogStoreSubject>[] = [
  {
    id: 'LOG-23',
    title: 'finds the batch that holds an offset, and pages from one by bytes',
    run: (subject) =>
      withStore(subject, (store) => {
        store.commit(history, true)
        withReader(store, (reader) => {
          expectEqual(
            [0, 1, 2, 4, 5, 8, 9, 50].map((at) => offsetOf(reader.atOffset(at))),
            [0, 0, 2, 2, 5, 5, 9, 9],
            'the batch at or before',
          )
          expectEqual(offsets(reader.fromOffset(0, 1_000)), [0, 2, 5, 9], 'all')
          expectEqual(offsets(reader.fromOffset(1, 200)), [2, 5], 'a page of two')
          expectEqual(offsets(reader.fromOffset(5, 1)), [5], 'at least one')
          expectEqual(offsets(reader.fromOffset(10, 1_000)), [], 'none behind the end')
        })
      }),
  },
  {
    id: 'LOG-24',
    title: 'finds and pages the batches of one origin by sequence',
    run: (subject) =>
      withStore(subject, (store) => {
        store.commit(history, true)
        withReader(store, (reader) => {
          const [a, b] = origins
          expectEqual(offsetOf(reader.atSequence(a, 1)), 0, 'the first of a')
          expectEqual(offsetOf(reader.atSequence(a, 4)), 5, 'inside the second of a')
          expectEqual(offsetOf(reader.atSequence(b, 3)), 2, 'inside the first of b')
          expectEqual(offsetOf(reader.atSequence('cc'.repeat(16), 3)), undefined, 'a stranger')
          expectEqual(offsets(reader.fromSequence(a, 1, 1_000)), [0, 5], 'all of a')
          expectEqual(offsets(reader.fromSequence(b, 2, 1_000)), [9], 'the rest of b')
          expectEqual(offsets(reader.fromSequence(b, 5, 1_000)), [], 'nothing behind b')
        })
      }),
  },
  {
    id: 'LOG-24',
    title: 'hands out every column and byte of a batch as it was given',
    run: (subject) =>
      withStore(subject, (store) => {
        store.commit(history, true)
        withReader(store, (reader) => {
          const wanted = batchRow(1, 9, 4, 1)
          const read = reader.atOffset(9)
          expectThat(read?.ok === true, 'the row is whole')
          if (read?.ok !== true) return
          expectBytes(read.batch.bytes, wanted.bytes, 'the bytes')
          const { bytes: _, ...columns } = wanted
          const { bytes: __, ...found } = read.batch
          expectEqual(found, columns, 'the columns')
        })
      }),
  },
  {
    id: 'LOG-23',
    title: 'shows a reader what is committed after it was opened',
    run: (subject) =>
      withStore(subject, (store) => {
        store.commit({ meta, origins: [originRow(0, 1)] }, true)
        withReader(store, (reader) => {
          expectEqual(offsetOf(reader.atOffset(0)), undefined, 'nothing yet')
          store.commit({ origins: [originRow(0, 3)], batches: [batchRow(0, 0, 1, 2)] }, true)
          expectEqual(offsetOf(reader.atOffset(0)), 0, 'the new batch')
          expectEqual(reader.state().nextOffset, 2, 'the new end')
        })
      }),
  },
  {
    id: 'LOG-21',
    title: 'stores nothing of a transaction whose statement fails, and goes on',
    needs: ['statements'],
    run: (subject) =>
      withStore(subject, (store) => {
        store.commit({ meta, origins: [originRow(0, 1)] }, true)
        const cursors = [{ name: 'c', next: 0, revision: 1, changedAt: 1 }]
        const bad = { cursors, statements: [{ sql: 'INSERT INTO nowhere VALUES (1)' }] }
        expectEqual(
          codeOf(() => store.commit(bad, true)),
          'ERR_LOG_STATEMENT',
          'the bad one',
        )
        withReader(store, (reader) => expectEqual(reader.state().cursors, [], 'no cursor'))
        store.commit({ cursors }, true)
        withReader(store, (reader) => {
          expectEqual(reader.state().cursors, cursors, 'the cursor')
          expectEqual(reader.state().damage, [], 'no damage')
        })
      }),
  },
]

const dropping: readonly ConformanceCase<LogStoreSubject>[] = [
  {
    id: 'LOG-45',
    title: 'drops the batches that begin below an offset, and holds and finds the rest as before',
    run(subject) {
      const [a, b] = origins
      const left = (reader: LogStoreReader): void => {
        expectEqual(
          [0, 2, 4, 5, 8, 9].map((at) => offsetOf(reader.atOffset(at))),
          [undefined, undefined, undefined, 5, 5, 9],
          'the batch at or before',
        )
        expectEqual(offsets(reader.fromOffset(0, 1_000)), [5, 9], 'all that is left')
        expectEqual(offsetOf(reader.atSequence(a, 2)), undefined, 'the dropped part of a')
        expectEqual(offsetOf(reader.atSequence(a, 3)), 5, 'the rest of a')
        expectEqual(offsets(reader.fromSequence(b, 1, 1_000)), [9], 'the rest of b')
      }
      withStore(subject, (store) => {
        store.commit(history, true)
        withReader(store, (reader) => {
          store.commit({ dropBelow: 5, meta: { ...meta, floor: 5 } }, true)
          left(reader)
        })
      })
      withStore(subject, (store, state) => {
        withReader(store, left)
        expectEqual(state.meta?.floor, 5, 'the floor')
        expectEqual(state.nextOffset, 10, 'the next offset')
        expectEqual(state.damage, [], 'no damage')
      })
    },
  },
  {
    id: 'LOG-45',
    title: 'drops everything, and takes what comes after it in the same transaction',
    run(subject) {
      withStore(subject, (store) => {
        store.commit(history, true)
        const floor = { ...meta, floor: 10 }
        store.commit({ dropBelow: 10, meta: floor, batches: [batchRow(0, 10, 7, 2)] }, true)
        store.commit({ dropBelow: 12, meta: { ...meta, floor: 12 } }, true)
        withReader(store, (reader) => {
          expectEqual(offsets(reader.fromOffset(0, 1_000)), [], 'nothing is left')
          expectEqual(offsetOf(reader.atSequence(origins[0], 9)), undefined, 'of no origin')
        })
        store.commit({ batches: [batchRow(1, 12, 5, 1)] }, true)
      })
      withStore(subject, (store, state) => {
        expectEqual(state.nextOffset, 13, 'the next offset')
        withReader(store, (reader) => {
          expectEqual(offsets(reader.fromSequence(origins[1], 1, 1_000)), [12], 'what came after')
        })
      })
    },
  },
  {
    id: 'LOG-45',
    title: 'forgets the holes it is told to, and no others',
    run(subject) {
      const hole = { origin: origins[1], from: 2, to: 4, chain: chain(4), why: 'lost', at: 8 }
      const later = { ...hole, from: 6, to: 9 }
      const other = { ...hole, origin: origins[0] }
      withStore(subject, (store) => {
        store.commit({ ...history, holes: [hole, later, other] }, true)
        store.commit({ holesRemoved: [hole] }, true)
      })
      withStore(subject, (_, state) => {
        expectEqual(
          state.holes.toSorted((one, two) => two.from - one.from),
          [later, other],
          'holes',
        )
        expectEqual(state.damage, [], 'no damage')
      })
    },
  },
  {
    id: 'LOG-45',
    title: 'drops nothing where the transaction fails',
    needs: ['statements'],
    run: (subject) =>
      withStore(subject, (store) => {
        store.commit(history, true)
        const bad = { dropBelow: 5, statements: [{ sql: 'INSERT INTO nowhere VALUES (1)' }] }
        expectEqual(
          codeOf(() => store.commit(bad, true)),
          'ERR_LOG_STATEMENT',
          'the transaction',
        )
        withReader(store, (reader) => {
          expectEqual(offsets(reader.fromOffset(0, 1_000)), [0, 2, 5, 9], 'all is there')
        })
      }),
  },
]

const repairing: readonly ConformanceCase<LogStoreSubject>[] = [
  {
    id: 'LOG-54',
    title: 'puts a batch in the place of the one at its offset, and leaves all others',
    run(subject) {
      const [, second] = history.batches ?? []
      if (second === undefined) throw new Error('the history has more than one batch')
      const bytes = Uint8Array.from(second.bytes)
      bytes[70] = (bytes[70] ?? 0) ^ 1
      const all = (reader: LogStoreReader): readonly StoredBatchRead[] =>
        reader.fromOffset(0, 10_000)
      withStore(subject, (store) => {
        store.commit(history, true)
        const before = withReader(store, all)
        store.commit({ repairs: [{ ...second, bytes }] }, true)
        const read = withReader(store, (reader) => reader.atOffset(second.offset))
        expectThat(read?.ok === true, 'the batch is whole')
        if (read?.ok === true) expectBytes(read.batch.bytes, bytes, 'the bytes given')
        store.commit({ repairs: [second] }, true)
        expectEqual(withReader(store, all), before, 'all as before')
      })
      withStore(subject, (store) => {
        expectEqual(withReader(store, all).length, 4, 'no batch more or less')
      })
    },
  },
]

/**
 * Run with `runConformance`; `statements` may be declared absent, and `own-bytes` by a store that
 * is not durable.
 */
export const logStoreCases: readonly ConformanceCase<LogStoreSubject>[] = [
  ...life,
  ...reading,
  ...dropping,
  ...repairing,
]
