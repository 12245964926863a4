/** Faults planted on purpose: for each the checkers must name the clause it breaks. */
import { isForgotten } from '@kith/interface'
import type { StoreChanges, StoredBatch } from '@kith/interface'
import type { Log } from '@kith/log'
import { readHead } from './checkers.ts'
import type { Mutant } from './cluster.ts'
import type { Rows } from './disk.ts'

export interface Planted {
  /** What the checkers must say. */
  readonly caught: RegExp
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
    caught: /REP-2/,
    schedule: 'replication-mesh',
    mutant: rewriting((changes, rows) => {
      const again = foreign(changes, rows).at(-1)
      if (again === undefined) return [changes]
      const twice = { ...again, offset: again.offset + again.count }
      return [{ ...changes, batches: [...(changes.batches ?? []), twice] }]
    }),
  },
  'batches stored out of order': {
    caught: /REP-3/,
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
    caught: /REP-1:/,
    schedule: 'replication-mesh',
    mutant: rewriting((changes, rows) => {
      for (const { bytes } of foreign(changes, rows)) bytes.set([0x58], bytes.length - 3)
      return [changes]
    }),
  },
  'the position in a transaction of its own': {
    caught: /REP-5/,
    schedule: 'replication-mesh',
    mutant: rewriting((changes) => {
      const { batches = [], ...rest } = changes
      return batches.length === 0 ? [changes] : [{ batches }, rest]
    }),
  },
  'a batch left out in silence': {
    caught: /REP-11/,
    schedule: 'replication-mesh',
    mutant: rewriting((changes, rows) => {
      const dropped = foreign(changes, rows).at(-1)
      const batches = (changes.batches ?? []).filter((batch) => batch !== dropped)
      return [{ ...changes, batches }]
    }),
  },
  'what was replicated appended again as own': {
    caught: /REP-8/,
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
  'served before it is flushed': {
    caught: /REP-7/,
    schedule: 'replication-mesh',
    mutant: { disk: { liesAboutFlush: true } },
  },
  'only own records served': {
    caught: /REP-9/,
    schedule: 'replication-line',
    mutant: {
      source: (source) => {
        let own = ''
        return {
          ...source,
          async hello(message, signal) {
            const answer = await source.hello(message, signal)
            own = answer.origin
            return answer
          },
          async pull(request, signal) {
            const answer = await source.pull(request, signal)
            const batches = answer.batches.filter((bytes) => readHead(bytes).origin === own)
            return { ...answer, batches }
          },
        }
      },
    },
  },
  'a quarantine that is not written': {
    firstSeed: 5,
    caught: /REP-(1|9)/,
    schedule: 'replication-roll-back-blind',
    mutant: {
      ...rewriting((changes) => [pardoned(changes)]),
      ...replacing(() => ({ quarantine: async () => {} })),
    },
  },
  'a quarantine forgotten': {
    firstSeed: 5,
    caught: /REP-12/,
    schedule: 'replication-roll-back-blind',
    mutant: rewriting((changes) => {
      const fresh = changes.origins?.some((row) => row.status === 'quarantined') === true
      return fresh ? [changes, pardoned({ origins: changes.origins ?? [] })] : [changes]
    }),
  },
  'an origin kept after its past was lost': {
    caught: /REP-13/,
    schedule: 'replication-roll-back-blind',
    mutant: replacing((log) => ({ rotate: async () => log.origin })),
  },
  'a batch missing at rest': {
    caught: /REP-10/,
    schedule: 'replication-replacement',
    mutant: {
      atRest: (disks) => {
        const [disk] = disks.values()
        disk?.rows.batches.pop()
      },
    },
  },
  'an acknowledged record missing everywhere': {
    caught: /REP-6/,
    schedule: 'replication-mesh',
    mutant: {
      atRest: (disks) => {
        const victim = [...disks.values()][0]?.rows.batches.at(-1)
        for (const { rows } of disks.values()) {
          const at = rows.batches.findIndex(
            (batch) => batch.origin === victim?.origin && batch.first === victim.first,
          )
          if (at >= 0) rows.batches.splice(at, 1)
        }
      },
    },
  },
  'an acknowledgement by number alone': {
    caught: /REP-6/,
    schedule: 'replication-roll-back-blind',
    mutant: {
      source: (source) => ({
        ...source,
        hello: (message, signal) => source.hello(message, signal),
        chainAt: (origin, sequences, signal) => source.chainAt(origin, sequences, signal),
        fetch: (origin, first, signal) => source.fetch(origin, first, signal),
        pull: async (request, signal) => {
          const chains = [...request.ack].map(async ([origin, next]) => {
            const [chain] = await source.chainAt(origin, [next], signal)
            return [origin, chain ?? ''] as const
          })
          return source.pull({ ...request, ackChains: new Map(await Promise.all(chains)) }, signal)
        },
      }),
    },
  },
  'an acknowledgement of what is not stored yet': {
    caught: /REP-6/,
    schedule: 'replication-mesh',
    mutant: replacing((log) => ({
      acknowledged(logId, vector, member, from) {
        const ahead = new Map([...vector].map(([origin, next]) => [origin, next + 4]))
        log.acknowledged(logId, ahead, member, from)
      },
    })),
  },
  'an acknowledgement of what was passed over': {
    caught: /REP-6: .* was told that/,
    schedule: 'replication-guarded-retention',
    firstSeed: 7,
    mutant: countingAll,
  },
  'the same, where an origin is retired and a disk rolled back': {
    caught: /REP-6: .* was told that/,
    schedule: 'replication-unsafe-retirement',
    // One in a thousand: this is the trace in which it was found.
    firstSeed: 199,
    mutant: countingAll,
  },
  'retention that waits for nobody': {
    caught: /REP-22/,
    schedule: 'replication-guarded-retention',
    mutant: { retention: ({ recordsMax = 0 }) => ({ recordsMax }) },
  },
  'records of a retired origin taken in silence': {
    caught: /REP-40/,
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
    caught: /REP-9: .*(retired|has up to)/,
    schedule: 'replication-retirement',
    mutant: {
      source: (source) => ({
        ...source,
        hello: async (message, signal) => {
          const answer = await source.hello(message, signal)
          return { ...answer, vector: answer.vector.filter((state) => !isForgotten(state)) }
        },
        pull: (request, signal) => source.pull(request, signal),
        chainAt: (origin, sequences, signal) => source.chainAt(origin, sequences, signal),
        fetch: (origin, first, signal) => source.fetch(origin, first, signal),
      }),
    },
  },
  'two members with different bytes': {
    caught: /REP-1:/,
    schedule: 'replication-mesh',
    mutant: {
      atRest: (disks) => {
        const rows = [...disks.values()][0]?.rows
        const batch = rows?.batches[0]
        if (rows === undefined || batch === undefined) return
        const bytes = batch.bytes.slice()
        bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
        rows.batches[0] = { ...batch, bytes }
      },
    },
  },
}
