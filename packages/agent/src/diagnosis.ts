/** What is wrong with one agent: what its gossip, its disk and its replicator found, together. */
import type { Gossip } from '@kith/gossip'
import type { Log } from '@kith/log'
import { DiskFindings } from './disk-findings.ts'
import type { AgentFinding } from './findings.ts'
import type { HttpFindings } from './http-findings.ts'
import { toldUrl } from './replication.ts'

export interface AgentDiagnosis {
  /** In order of kind and then of when it began. */
  findings(): Promise<readonly AgentFinding[]>
}

export interface AgentDiagnosisOptions {
  readonly gossip: Gossip
  readonly log: Log
  readonly http: HttpFindings
  /** Where the log is; undefined for one in memory. */
  readonly data: string | undefined
}

/** Looks at the disk now and then, until what it adds to `stops` is called. */
export function createAgentDiagnosis(
  options: AgentDiagnosisOptions,
  stops: { readonly name: string; readonly stop: () => Promise<void> }[],
): AgentDiagnosis {
  const { gossip, log, http, data } = options
  const disk = data === undefined ? undefined : new DiskFindings({ directory: data, log })
  disk?.start()
  stops.push({ name: 'diagnosis', stop: async () => disk?.stop() })
  return {
    async findings() {
      const found: AgentFinding[] = [
        ...gossip.diagnose(),
        ...http.findings((name) => gossip.member(name), toldUrl),
        ...((await disk?.findings()) ?? []),
      ]
      return found.sort(
        (a, b) => (a.kind < b.kind ? -1 : a.kind > b.kind ? 1 : 0) || a.since - b.since,
      )
    },
  }
}
