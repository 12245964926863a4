/** A DNS server as a process of its own, so that its processor time is only its own. */
import { createDnsServer } from '../../src/index.ts'

/** What it answers to each message: how much it did, and at what cost. */
export interface ServingReport {
  readonly port: number
  readonly queries: number
  readonly cpuMs: number
}

const instances = Array.from({ length: 10 }, (_, at) => ({
  service: 'web',
  id: `web-${at}`,
  member: `m${at}`,
  address: `10.0.0.${at + 1}`,
  port: 8_080,
  tags: [],
  meta: {},
  checks: [],
  status: 'passing' as const,
  version: 1,
}))
const server = createDnsServer({
  registry: { resolve: (service) => (service === 'web' ? instances : []) },
})
const { port } = await server.start()
const report = (): ServingReport => {
  const { user, system } = process.cpuUsage()
  return { port, queries: server.stats().udpQueries, cpuMs: (user + system) / 1_000 }
}
process.on('message', () => process.send?.(report()))
process.send?.(report())
