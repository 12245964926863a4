/** All metrics of one member, read in one go: what both doors, Prometheus' and the other, show. */
import { consulPart, dnsPart, handlersPart, rpcPart } from './doors.ts'
import { eventsPart, type OnRequest } from './events.ts'
import { type Distribution, type Family, gauge, type Part, type Put } from './family.ts'
import { gossipPart } from './gossip.ts'
import { logPart } from './log.ts'
import { processPart } from './process.ts'
import { registryPart } from './registry.ts'
import { replicatorPart } from './replicator.ts'
import { serverPart } from './server.ts'
import type { MetricSources } from './sources.ts'
import { transportsPart } from './transports.ts'

const readable = gauge(
  'kith_part_readable',
  '1 where a part of the member could be read, 0 where it does not run; its metrics are absent then.',
  'part',
)

export interface Figures {
  /** Read with `read`; fixed from the beginning. */
  readonly families: readonly Family[]
  /** The metrics of parts that can be read now. */
  read(): ReadonlyMap<Family, readonly Sample[]>
  stop(): void
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number | Distribution
}

export function createFigures(sources: MetricSources, onRequest: OnRequest): Figures {
  const ownProcess = processPart()
  const events = eventsPart(sources, onRequest)
  const { gossip, transports, registry, log, replicator, server } = sources
  const { rpc, dns, consul, handlers } = sources
  const parts: Part[] = [ownProcess, events]
  if (gossip) parts.push(gossipPart(gossip))
  if (transports) parts.push(transportsPart(transports))
  if (registry) parts.push(registryPart(registry))
  if (log) parts.push(logPart(log))
  if (replicator && log) parts.push(replicatorPart(replicator, log))
  if (server) parts.push(serverPart(server))
  if (rpc) parts.push(rpcPart(rpc))
  if (dns) parts.push(dnsPart(dns))
  if (consul) parts.push(consulPart(consul))
  if (handlers) parts.push(handlersPart(handlers))
  return {
    families: [readable, ...parts.flatMap(({ families }) => families)],
    read() {
      const all = new Map<Family, Sample[]>([[readable, []]])
      for (const part of parts) {
        const read = readPart(part)
        all.get(readable)?.push({ labels: { part: part.name }, value: read === undefined ? 0 : 1 })
        for (const [family, samples] of read ?? []) all.set(family, samples)
      }
      return all
    },
    stop() {
      ownProcess.stop()
      events.stop()
    },
  }
}

/** Undefined where the part cannot be read: half of it would look like all of it. */
function readPart(part: Part): Map<Family, Sample[]> | undefined {
  const read = new Map<Family, Sample[]>(part.families.map((family) => [family, []]))
  const put: Put = (family, value, ...given) => {
    if (value === undefined) return
    if (typeof value === 'number' && !Number.isFinite(value)) return
    const labels = Object.fromEntries(family.labels.map((name, at) => [name, given[at] ?? '']))
    read.get(family)?.push({ labels, value })
  }
  try {
    part.read(put)
    return read
  } catch {
    return undefined
  }
}
