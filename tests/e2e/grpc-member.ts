/**
 * A process with a server of grpc-js and the member that registers it: on SIGTERM the member leaves
 * first, then the server ends what is under way.
 */
import { type sendUnaryData, Server, ServerCredentials } from '@grpc/grpc-js'
import { createAgent } from '@kith/agent'
import { formatAddress } from '@kith/interface'
import { whoMethod } from './grpc-method.ts'
import type { WebMemberReport } from './web-member.ts'

const [name = '', ...join] = process.argv.slice(2)
const server = new Server()
server.addService(
  { who: whoMethod },
  {
    // Long enough that some calls are under way whenever something happens.
    who: (_call: unknown, reply: sendUnaryData<Buffer>) =>
      setTimeout(() => reply(null, Buffer.from(name)), 5),
  },
)
const port = await new Promise<number>((resolve, reject) => {
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (cause, bound) =>
    cause === null ? resolve(bound) : reject(cause),
  )
})

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
  await new Promise((resolve) => server.tryShutdown(resolve))
  process.exit(0)
}
