/** Faults planted on purpose: at least one for everything that a checker can say. */
import { isForgotten } from '@kith/interface'
import type { ReplicationSource, StoreChanges, StoredBatch, StoredOrigin } from '@kith/interface'
import type { Log } from '@kith/log'
import { readHead } from './checkers.ts'
import type { Mutant } from './cluster.ts'
import type { Rows, SimDisk } from './disk.ts'
import type { ViolationName } from './violations.ts'

/** The fixed part of a batch. */
const headerBytes = 64
const wrongChain = 'f'.repeat(64)

export interface Planted {
  /** What the checkers must say. */
  readonly caught: ViolationName
  /** The schedule in which the fault can show. */
  readonly schedule: string
  readonly mutant: Mutant
  /** Where to begin: histories rarely meet in the first seeds. Default 1. */
  readonly firstSeed?: number
}

function foreign(changes: StoreChanges, rows: Rows): readonly StoredBatch[] {
  const own = changes.meta?.origin ?? rows.meta?.origin
  return (changes.batches ?? []).filter((batch) => batch.origin !== own)
}

function rewriting(
  rewrite: (changes: StoreChanges, rows: Rows) => readonly StoreChanges[],
): Mutant {
  return { disk: { rewrite } }
}

/** The log as the replicator sees it, with some methods replaced. */
function replacing(changes: (log: Log) => Partial<Log>): Mutant {
  return {
    log: (log) => {
      const replaced = changes(log)
      return new Proxy(log, {
        get(target, key) {
          const own: unknown = Reflect.get(replaced, key)
          if (own !== undefined) return own
          const value: unknown = Reflect.get(target, key, target)
          return typeof value === 'function' ? value.bind(target) : value
        },
      })
    },
  }
}

/** Rows of other members' origins, changed. */
function rewritingRows(change: (row: StoredOrigin) => StoredOrigin): Mutant {
  return rewriting((changes, rows) => {
    const theirs = new Set(foreign(changes, rows).map(({ origin }) => origin))
    const origins = changes.origins?.map((row) => (theirs.has(row.origin) ? change(row) : row))
    return [origins === undefined ? changes : { ...changes, origins }]
  })
}

/** The source that serves, with some methods replaced. */
function serving(
  changes: (source: ReplicationSource, disk: SimDisk) => Partial<ReplicationSource>,
): Mutant {
  return {
    source: (source, disk) => ({
      hello: (message, signal) => source.hello(message, signal),
      pull: (request, signal) => source.pull(request, signal),
      chainAt: (origin, sequences, signal) => source.chainAt(origin, sequences, signal),
      fetch: (origin, first, signal) => source.fetch(origin, first, signal),
      close: () => source.close(),
      ...changes(source, disk),
    }),
  }
}

/** Spoils the first disk when everything has come to rest. */
function atRest(spoil: (rows: Rows) => void): Mutant {
  return {
    atRest: (disks) => {
      const [disk] = disks.values()
      if (disk !== undefined) spoil(disk.rows)
    },
  }
}

/** The row of an origin of which batches are held. */
function someRow(rows: Rows): StoredOrigin | undefined {
  return rows.origins.get(rows.batches[0]?.origin ?? '')
}

/** The last batch of the first disk is nowhere any more. */
const missing: Mutant = {
  atRest: (disks) => {
    const victim = [...disks.values()][0]?.rows.batches.at(-1)
    for (const { rows } of disks.values()) {
      const at = rows.batches.findIndex(
        (batch) => batch.origin === victim?.origin && batch.first === victim.first,
      )
      if (at >= 0) rows.batches.splice(at, 1)
    }
  },
}

/** The same rows, the quarantine left out. */
function pardoned(changes: StoreChanges): StoreChanges {
  const origins = changes.origins?.map((row) =>
    row.status === 'quarantined' ? { ...row, status: 'live' as const } : row,
  )
  return origins === undefined ? changes : { ...changes, origins }
}

/** Takes every acknowledgement for one of everything below it, as it was meant at first. */
const countingAll: Mutant = replacing((log) => ({
  acknowledged(logId, vector, member) {
    const all = new Map([...vector.keys()].map((origin) => [origin, 1]))
    log.acknowledged(logId, vector, member, all)
  },
}))

export const mutants: Readonly<Record<string, Planted>> = {
  'a batch accepted twice': {
    caught: 'batch held already',
    schedule: 'replication-mesh',
    mutant: rewriting((changes, rows) => {
      const again = foreign(changes, rows).at(-1)
      if (again === undefined) return [changes]
      const twice = { ...again, offset: again.offset + again.count }
      return [{ ...changes, batches: [...(changes.batches ?? []), twice] }]
    }),
  },
  'batches stored out of order': {
    caught: 'batch out of order',
    schedule: 'replication-mesh',
    mutant: rewriting((changes) => {
      const batches = changes.batches ?? []
      const [first, second] = batches
      if (first === undefined || second === undefined) return [changes]
      const swapped = [
        { ...first, offset: second.offset },
        { ...second, offset: first.offset },
      ]
      return [{ ...changes, batches: [...swapped, ...batches.slice(2)] }]
    }),
  },
  'no look at the chain': {
    caught: 'batch off its chain',
    schedule: 'replication-mesh',
    mutant: rewriting((changes, rows) => {
      for (const { bytes } of foreign(changes, rows)) bytes.set([0x58], bytes.length - 3)
      return [changes]
    }),
  },
  'the position in a transaction of its own': {
    caught: 'position off its batches',
    schedule: 'replication-mesh',
    mutant: rewriting((changes) => {
      const { batches = [], ...rest } = changes
      return batches.length === 0 ? [changes] : [{ batches }, rest]
    }),
  },
  'a batch left out in silence': {
    caught: 'row past its batches',
    schedule: 'replication-mesh',
    mutant: rewriting((changes, rows) => {
      const dropped = foreign(changes, rows).at(-1)
      const batches = (changes.batches ?? []).filter((batch) => batch !== dropped)
      return [{ ...changes, batches }]
    }),
  },
  'a batch left out before another': {
    caught: 'batch past the end',
    schedule: 'replication-mesh',
    mutant: rewriting((changes, rows) => {
      const [left, next] = foreign(changes, rows)
      if (left === undefined || next?.origin !== left.origin) return [changes]
      return [{ ...changes, batches: (changes.batches ?? []).filter((batch) => batch !== left) }]
    }),
  },
  'a hole off the end of its origin': {
    caught: 'hole off the end',
    schedule: 'replication-mesh',
    mutant: rewriting((changes, rows) => {
      const batch = foreign(changes, rows).at(-1)
      if (batch === undefined) return [changes]
      const { origin, first, count } = batch
      const from = first + count + 1
      const hole = { origin, from, to: from + 1, chain: wrongChain, why: 'planted', at: 0 }
      return [{ ...changes, holes: [...(changes.holes ?? []), hole] }]
    }),
  },
  'a row that lags': {
    caught: 'row behind its batches',
    schedule: 'replication-mesh',
    mutant: rewritingRows((row) => ({ ...row, next: row.next - 1 })),
  },
  'a row of another history': {
    caught: 'row with another chain',
    schedule: 'replication-mesh',
    mutant: rewritingRows((row) => ({ ...row, chain: wrongChain })),
  },
  'records added to for a quarantined origin': {
    caught: 'batch of a quarantined origin',
    schedule: 'replication-mesh',
    mutant: rewritingRows((row) => ({ ...row, status: 'quarantined' })),
  },
  'a record changed': {
    caught: 'batch with other records',
    schedule: 'replication-mesh',
    mutant: rewriting((changes, rows) => {
      for (const { bytes } of foreign(changes, rows)) {
        const at = bytes.indexOf('<'.charCodeAt(0), headerBytes)
        if (at >= 0) bytes.set([0x58], at)
      }
      return [changes]
    }),
  },
  'what was replicated appended again as own': {
    caught: 'record with two names',
    schedule: 'replication-mesh',
    mutant: replacing((log) => ({
      async applyBatches(batches, members) {
        const report = await log.applyBatches(batches, members)
        const values = batches.flatMap((bytes) => readHead(bytes).values)
        void log.append(values.map((value) => ({ value: Buffer.from(value) }))).catch(() => {})
        return report
      },
    })),
  },
  'what was replicated answered with a record': {
    caught: 'record of nobody',
    schedule: 'replication-mesh',
    mutant: replacing((log) => ({
      async applyBatches(batches, members) {
        const report = await log.applyBatches(batches, members)
        void log.append([{ value: Buffer.from('<<echo>>') }]).catch(() => {})
        return report
      },
    })),
  },
  'an answer before the flush': {
    caught: 'told of its disk',
    schedule: 'replication-mesh',
    mutant: { disk: { liesAboutFlush: true } },
  },
  'flushed, and lost all the same': {
    caught: 'lost and held by others',
    schedule: 'replication-mesh',
    mutant: { disk: { losesFlushed: true } },
  },
  'flushed, and lost while it is under way': {
    caught: 'lost and taken later',
    schedule: 'replication-mesh',
    firstSeed: 6,
    mutant: { disk: { losesFlushed: true } },
  },
  'a batch lost from the middle by a power cut': {
    caught: 'batches with one missing',
    schedule: 'replication-mesh',
    mutant: {
      disk: {
        atCut: ({ batches }) => {
          const at = batches.findIndex(({ origin, first }) => {
            return (
              first > 1 && batches.some((other) => other.origin === origin && other.first > first)
            )
          })
          if (at >= 0) batches.splice(at, 1)
        },
      },
    },
  },
  'nothing served any more after a while': {
    caught: 'left behind',
    schedule: 'replication-mesh',
    firstSeed: 14,
    mutant: serving((source) => {
      let answers = 0
      return {
        async pull(request, signal) {
          answers += 1
          const answer = await source.pull(request, signal)
          return answers < 40 ? answer : { ...answer, batches: [] }
        },
      }
    }),
  },
  'only own records served': {
    caught: 'not relayed',
    schedule: 'replication-line',
    firstSeed: 21,
    mutant: serving((source, disk) => ({
      async pull(request, signal) {
        const answer = await source.pull(request, signal)
        const own = disk.rows.meta?.origin
        const batches = answer.batches.filter((bytes) => readHead(bytes).origin === own)
        return { ...answer, batches }
      },
    })),
  },
  'served before it is flushed': {
    caught: 'served unflushed',
    schedule: 'replication-mesh',
    mutant: serving((source, disk) => ({
      async pull(request, signal) {
        const ahead = disk.rows.batches.slice(disk.flushed.batches.length)
        if (ahead.length === 0) return source.pull(request, signal)
        const answer = await source.pull({ ...request, maxWaitMs: 1 }, signal)
        return { ...answer, batches: [...answer.batches, ...ahead.map(({ bytes }) => bytes)] }
      },
    })),
  },
  'announced before it is flushed': {
    caught: 'announced unflushed',
    schedule: 'replication-mesh',
    mutant: serving((source, disk) => ({
      async hello(message, signal) {
        const answer = await source.hello(message, signal)
        const vector = answer.vector.map((state) => {
          return { ...state, next: disk.rows.origins.get(state.origin)?.next ?? state.next }
        })
        return { ...answer, vector }
      },
    })),
  },
  'a history that is not the one of its writer': {
    caught: 'fork without a roll-back',
    schedule: 'replication-mesh',
    mutant: serving((source) => ({
      async hello(message, signal) {
        const answer = await source.hello(message, signal)
        const vector = answer.vector.map((state) => {
          return state.origin === message.origin ? { ...state, chain: wrongChain } : state
        })
        return { ...answer, vector }
      },
    })),
  },
  'a quarantine that is not written': {
    caught: 'left behind',
    schedule: 'replication-roll-back-blind',
    firstSeed: 12,
    mutant: {
      ...rewriting((changes) => [pardoned(changes)]),
      ...replacing(() => ({ quarantine: async () => {} })),
    },
  },
  'a quarantine forgotten': {
    caught: 'quarantine taken off',
    schedule: 'replication-roll-back-blind',
    firstSeed: 12,
    mutant: rewriting((changes) => {
      const fresh = changes.origins?.some((row) => row.status === 'quarantined') === true
      return fresh ? [changes, pardoned({ origins: changes.origins ?? [] })] : [changes]
    }),
  },
  'an origin kept after its past was lost': {
    caught: 'append under a lost origin',
    schedule: 'replication-roll-back-blind',
    firstSeed: 9,
    mutant: replacing((log) => ({ rotate: async () => log.origin })),
  },
  'whatever a member that leaves wrote put away': {
    caught: 'changed by rumours',
    schedule: 'replication-roll-back-blind',
    mutant: {
      told: (log, { name, status }) => {
        if (status !== 'left') return
        const theirs = log.status().origins.find(({ member }) => member === name)
        if (theirs !== undefined) log.quarantine(theirs.origin, 'it left').catch(() => {})
      },
    },
  },
  'a batch missing at rest': {
    caught: 'batch that others hold',
    schedule: 'replication-replacement',
    mutant: atRest((rows) => void rows.batches.pop()),
  },
  'an acknowledged record missing everywhere': {
    caught: 'missing somewhere',
    schedule: 'replication-mesh',
    mutant: missing,
  },
  'the same, where disks are replaced': {
    caught: 'held by nobody',
    schedule: 'replication-replacement',
    mutant: missing,
  },
  'an acknowledgement by number alone': {
    caught: 'told of others',
    schedule: 'replication-roll-back-blind',
    firstSeed: 173,
    mutant: serving((source) => ({
      async pull(request, signal) {
        const chains = [...request.ack].map(async ([origin, next]) => {
          const [chain] = await source.chainAt(origin, [next], signal)
          return [origin, chain ?? ''] as const
        })
        return source.pull({ ...request, ackChains: new Map(await Promise.all(chains)) }, signal)
      },
    })),
  },
  'an acknowledgement of what is not stored yet': {
    caught: 'told of others',
    schedule: 'replication-mesh',
    mutant: replacing((log) => ({
      acknowledged(logId, vector, member, from) {
        const ahead = new Map([...vector].map(([origin, next]) => [origin, next + 4]))
        log.acknowledged(logId, ahead, member, from)
      },
    })),
  },
  'an acknowledgement of what was passed over': {
    caught: 'told of others',
    schedule: 'replication-guarded-retention',
    firstSeed: 36,
    mutant: countingAll,
  },
  'retention that waits for nobody': {
    caught: 'dropped too early',
    schedule: 'replication-guarded-retention',
    mutant: { retention: ({ recordsMax = 0 }) => ({ recordsMax }) },
  },
  'records of a retired origin taken in silence': {
    caught: 'retired origin moved on',
    schedule: 'replication-retirement',
    mutant: rewriting((changes, rows) => {
      const origins = changes.origins?.map((row) =>
        rows.origins.get(row.origin)?.status === 'retired'
          ? { ...row, status: 'retired' as const }
          : row,
      )
      return [origins === undefined ? changes : { ...changes, origins }]
    }),
  },
  'forgotten origins told to nobody': {
    caught: 'not retired everywhere',
    schedule: 'replication-unsafe-retirement',
    firstSeed: 9,
    mutant: serving((source) => ({
      async hello(message, signal) {
        const answer = await source.hello(message, signal)
        return { ...answer, vector: answer.vector.filter((state) => !isForgotten(state)) }
      },
      async pull(request, signal) {
        const answer = await source.pull(request, signal)
        return { ...answer, vector: answer.vector.filter((state) => !isForgotten(state)) }
      },
    })),
  },
  'chains where losses begin told to nobody': {
    caught: 'other bytes',
    schedule: 'replication-everything-line',
    firstSeed: 297,
    mutant: serving(() => ({
      chainAt: async (_, sequences) => sequences.map(() => null),
    })),
  },
  'forgotten origins told in hellos alone': {
    caught: 'not retired everywhere',
    schedule: 'replication-everything-line',
    firstSeed: 17,
    mutant: serving((source) => ({
      async pull(request, signal) {
        const answer = await source.pull(request, signal)
        return { ...answer, vector: answer.vector.filter((state) => !isForgotten(state)) }
      },
    })),
  },
  'two members with different bytes': {
    caught: 'other bytes',
    schedule: 'replication-mesh',
    mutant: atRest((rows) => {
      const [batch] = rows.batches
      if (batch === undefined) return
      const bytes = batch.bytes.slice()
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
      rows.batches[0] = { ...batch, bytes }
    }),
  },
  'two members with different chains': {
    caught: 'other chain',
    schedule: 'replication-mesh',
    mutant: atRest((rows) => {
      const row = someRow(rows)
      if (row !== undefined) rows.origins.set(row.origin, { ...row, chain: wrongChain })
    }),
  },
  'a row lost by a power cut': {
    caught: 'batches without a row',
    schedule: 'replication-mesh',
    mutant: {
      disk: {
        atCut: ({ batches, meta, origins }) => {
          const theirs = batches.find(({ origin }) => origin !== meta?.origin)
          origins.delete(theirs?.origin ?? '')
        },
      },
    },
  },
  'records counted wrong': {
    caught: 'offsets past the rows',
    schedule: 'replication-mesh',
    mutant: atRest((rows) => {
      const row = someRow(rows)
      if (row !== undefined) rows.origins.set(row.origin, { ...row, records: row.records - 1 })
    }),
  },
}
