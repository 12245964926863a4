/** Services, checks, and what the registry was told. */
import { counter, gauge, type Part, tally } from './family.ts'
import type { RegistrySource } from './sources.ts'

const instances = gauge(
  'kith_registry_instances',
  'Instances known in the whole cluster, by how their checks find them.',
  'status',
)
const checks = gauge('kith_registry_checks', 'Checks of this member, by what they found.', 'status')
const members = gauge('kith_registry_members', 'Members that told which instances they have.')
const wanted = gauge('kith_registry_fetches_wanted', 'Members that have news still to be fetched.')
const broadcasts = counter('kith_registry_broadcasts_total', 'Broadcasts of changes.', 'direction')
const announcements = counter(
  'kith_registry_announcements_total',
  'Times at which this member announced what it has anew.',
)
const fetches = counter(
  'kith_registry_fetches_total',
  'Fetches of what a member has: asked for, failed of these, and answered to others.',
  'kind',
)
const solicits = counter(
  'kith_registry_solicits_total',
  'Questions to members for an announcement.',
)
const takeovers = counter(
  'kith_registry_takeovers_total',
  'Times at which this member found its own past ahead of itself.',
)
const runs = counter('kith_registry_check_runs_total', 'Runs of checks of this member.')
const timeouts = counter(
  'kith_registry_check_timeouts_total',
  'Of these, without a result in time.',
)
const dropped = counter(
  'kith_registry_dropped_total',
  'Statements and instances that were refused, by why.',
  'reason',
)

const statuses = ['passing', 'warning', 'critical'] as const
const drops = [
  'malformed',
  'unsupported',
  'foreign',
  'stale',
  'futureEpochs',
  'refusedInstances',
  'refusedMembers',
] as const

export function registryPart(source: RegistrySource): Part {
  return {
    name: 'registry',
    families: [
      instances,
      checks,
      members,
      wanted,
      broadcasts,
      announcements,
      fetches,
      solicits,
      takeovers,
      runs,
      timeouts,
      dropped,
    ],
    read(put) {
      const stats = source.stats()
      for (const [family, found] of [
        [instances, source.instances()],
        [checks, source.checks()],
      ] as const) {
        const counts = tally(
          statuses,
          found.map(({ status }) => status),
        )
        for (const [status, count] of counts) put(family, count, status)
      }
      put(members, stats.members)
      put(wanted, stats.wanted)
      put(broadcasts, stats.broadcastsReceived, 'in')
      put(broadcasts, stats.broadcastsSent, 'out')
      put(announcements, stats.announcements)
      put(fetches, stats.fetches, 'asked')
      put(fetches, stats.fetchesFailed, 'failed')
      put(fetches, stats.fetchesServed, 'answered')
      put(solicits, stats.solicits)
      put(takeovers, stats.takeovers)
      put(runs, stats.checkRuns)
      put(timeouts, stats.checkTimeouts)
      for (const reason of drops) put(dropped, stats[reason], reason)
    },
  }
}
