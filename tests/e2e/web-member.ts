/**
 * A process with an HTTP server, a server of grpc-js and the member that registers both, as a user
 * would write it: on SIGTERM the member leaves first, then the servers end what is under way.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type sendUnaryData, Server, ServerCredentials } from '@grpc/grpc-js'
import { createAgent } from '@kith/agent'
import { formatAddress } from '@kith/interface'
import { whoMethod } from './grpc-method.ts'

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

const rpc = new Server()
const who = (_call: unknown, reply: sendUnaryData<Buffer>): void => {
  setTimeout(() => reply(null, Buffer.from(name)), 5)
}
rpc.addService({ who: whoMethod }, { who })
const rpcPort = await new Promise<number>((resolve, reject) => {
  rpc.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (cause, bound) =>
    cause === null ? resolve(bound) : reject(cause),
  )
})

const checks = [{ kind: 'tcp', intervalMs: 200, failureThreshold: 5 }]
const services = [
  { service: 'web', port, checks },
  { service: 'rpc', port: rpcPort, checks },
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
  await new Promise((resolve) => rpc.tryShutdown(resolve))
  process.exit(0)
}
