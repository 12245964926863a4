/**
 * A process with an HTTP server and the member that registers it, as a user would write it: on
 * SIGTERM the member leaves first, then the server ends what is under way.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAgent } from '@kith/agent'
import { formatAddress } from '@kith/interface'

/** What it tells whoever started it, once. */
export interface WebMemberReport {
  readonly gossip: string
  readonly http: string
}

const [name = '', ...join] = process.argv.slice(2)
const web = createServer((request, response) => {
  // Long enough that some requests are under way whenever something happens.
  request.resume().once('end', () => setTimeout(() => response.end(name), 5))
})
await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
const { port } = web.address() as AddressInfo

const services = [
  { service: 'web', port, checks: [{ kind: 'tcp', intervalMs: 200, failureThreshold: 5 }] },
]
const agent = createAgent({ name, join, profile: 'local', services })
await agent.start()
const report: WebMemberReport = {
  gossip: formatAddress(agent.gossip.self.address),
  http: formatAddress(agent.httpAddress),
}
process.send?.(report)

process.once('SIGTERM', () => void leave())

async function leave(): Promise<void> {
  await agent.stop()
  await new Promise((resolve) => web.close(resolve))
  process.exit(0)
}
