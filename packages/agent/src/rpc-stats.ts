/** What `serf info` prints of us, by the names that Serf's agent has for it. */
import { availableParallelism, cpus } from 'node:os'
import type { Gossip } from '@kith/gossip'
import type { SerfStats } from '@kith/serf-rpc'

/** Go's names of processors, where Node.js has others. */
const architectures: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' }

export function agentStats(gossip: Gossip, encrypted: boolean): SerfStats {
  const { self } = gossip
  const { counters, queues, failed, left, awareness, lamportTimes } = gossip.stats()
  return {
    agent: { name: self.name },
    runtime: {
      os: process.platform,
      arch: architectures[process.arch] ?? process.arch,
      version: `node${process.version}`,
      max_procs: String(availableParallelism()),
      // What goroutines are there: how much is under way.
      goroutines: String(process.getActiveResourcesInfo().length),
      cpu_count: String(cpus().length),
    },
    serf: {
      members: String(gossip.members().length),
      failed: String(failed),
      left: String(left),
      health_score: String(awareness),
      member_time: String(lamportTimes.member),
      event_time: String(lamportTimes.event),
      query_time: String(lamportTimes.query),
      intent_queue: String(queues.intents),
      event_queue: String(queues.events),
      query_queue: String(queues.queries),
      encrypted: String(encrypted),
      coordinate_resets: String(counters['coordinateResets'] ?? 0),
    },
    tags: { ...self.tags },
    event_handlers: {},
  }
}
