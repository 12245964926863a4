/** Registries that are wrong on purpose, each in one way that a checker must notice. */
import type { State } from '@kith/registry/core'
import type { Mutant } from './cluster.ts'

/** Fresh ones for each use, because some remember what they did. */
export function registryMutants(): Readonly<Record<string, Mutant>> {
  /** Snapshots and summaries; a fragment is one of either a change or a snapshot. */
  const announcements = new Set([2, 3, 8])
  const firstLives = new WeakMap<State, State['own']['replica']>()
  return {
    'hears only changes, never states or announcements': {
      drops: (input) =>
        input.kind === 'state' ||
        input.kind === 'fetched' ||
        (input.kind === 'broadcast' && announcements.has(input.bytes[1] ?? 0)),
    },
    'tells nobody that a check has another status': {
      drops: (input) => input.kind === 'setCheck',
    },
    'serves members that failed': {
      drops: (input) => input.kind === 'member' && input.status === 'failed',
    },
    'serves members that left': {
      drops: (input) => input.kind === 'member' && input.status === 'left',
    },
    'forgets removals at once': {
      tampers(state) {
        for (const replica of state.replicas.values()) {
          for (const [id, held] of replica.entries) {
            if (held.instance !== undefined) continue
            replica.entries.delete(id)
            replica.tombstones -= 1
          }
          replica.barrier = 0
        }
      },
    },
    'takes what it has for all there is': {
      tampers(state) {
        for (const replica of state.replicas.values())
          replica.floor = Math.max(replica.floor, replica.top)
      },
    },
    'never takes over from an earlier life': {
      tampers(state) {
        const first = firstLives.get(state) ?? state.own.replica
        firstLives.set(state, first)
        state.own.replica = first
      },
    },
  }
}
