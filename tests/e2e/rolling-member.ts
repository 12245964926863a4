/**
 * A process that a rolling upgrade restarts, as a user would write it: an HTTP server that stores
 * each order in the log of its member. On SIGTERM the member leaves first, so that nobody is sent
 * here any more; then the server ends what is under way; then the log ends.
 */
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { createAgent } from '@kith/agent'
import { formatAddress } from '@kith/interface'
import type { Ordered, RollingQuestion, RollingTold } from './rolling-orders.ts'

const [name = '', data = '', bind = '', http = '', ...join] = process.argv.slice(2)
const tell = (told: RollingTold): void => void process.send?.(told)

const web = createServer((request, response) => {
  if (request.method === 'GET') response.end(name)
  else {
    void store(request).then(
      () => response.end(name),
      (cause: unknown) => response.writeHead(500).end(String(cause)),
    )
  }
})
await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
const { port } = web.address() as AddressInfo
const check = { kind: 'tcp', intervalMs: 200, timeoutMs: 5_000, failureThreshold: 5 }
const agent = createAgent({
  name,
  data,
  join,
  bind,
  http,
  rejoinAfterLeave: true,
  services: [{ service: 'web', port, checks: [check] as never }],
})
await agent.start()
agent.gossip.on('fail', ({ member }) => tell({ told: 'failed', member: member.name }))
tell({
  told: 'ready',
  gossip: formatAddress(agent.gossip.self.address),
  http: formatAddress(agent.httpAddress),
})

async function store(request: IncomingMessage): Promise<void> {
  const { worker, number } = JSON.parse(await text(request)) as Ordered
  const producer = { id: `worker-${worker}`, sequence: number }
  await agent.log.append({ value: Buffer.from(`${worker} ${number}`) }, { producer })
}

/** All that this member has, as `writer sequence value`. */
async function records(): Promise<string[]> {
  const all: string[] = []
  const { records: held } = agent.log.status()
  if (held === 0) return all
  for await (const { origin, sequence, value } of agent.log.tail({ from: 'earliest' })) {
    all.push(`${origin} ${sequence} ${Buffer.from(value).toString()}`)
    if (all.length === held) break
  }
  return all.toSorted()
}

process.on('message', (question: RollingQuestion) => {
  if (question === 'records') void records().then((all) => tell({ told: 'records', all }))
})
process.once('SIGTERM', () => void leave())

async function leave(): Promise<void> {
  await agent.leave()
  await new Promise((resolve) => web.close(resolve))
  await agent.stop()
  process.exit(0)
}
