/**
 * A process with an HTTP server, a server of grpc-js and the member that registers their services,
 * as a user would write it: on SIGTERM the member leaves first, then the servers end what is under
 * way. Whoever started it may make a service sick, and ask when this member stops or begins to hand
 * out another one's.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { type sendUnaryData, Server, ServerCredentials } from '@grpc/grpc-js'
import { createAgent } from '@kith/agent'
import { formatAddress } from '@kith/interface'
import { whoMethod } from './grpc-method.ts'
import {
  checkIntervalMs,
  type Order,
  sharedNow,
  type Told,
  type WebMemberReport,
} from './web-orders.ts'

const stallResolutionMs = 10

const [name = '', services = '', ...join] = process.argv.slice(2)
const sick = new Set<string>()
const web = createServer((request, response) => {
  const health = /^\/health\/(.*)$/.exec(request.url ?? '')?.[1]
  if (health !== undefined) {
    response.writeHead(sick.has(health) ? 503 : 200).end()
    return
  }
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

const quick = { kind: 'tcp', intervalMs: 200, timeoutMs: 5_000, failureThreshold: 5 }
const asked = (service: string): object => ({
  kind: 'http',
  intervalMs: checkIntervalMs,
  timeoutMs: 5_000,
  options: { url: `http://127.0.0.1:${port}/health/${service}` },
})
const agent = createAgent({
  name,
  join,
  profile: 'local',
  services: services.split(',').map((service) => ({
    service,
    port: service === 'rpc' ? rpcPort : port,
    checks: [service === 'web' || service === 'rpc' ? quick : asked(service)] as never,
  })),
})
const goneAt = new Map<string, number>()
const stalls = monitorEventLoopDelay({ resolution: stallResolutionMs })
await agent.start()
agent.gossip.subscribe({
  memberChanged({ member }) {
    if (member.status === 'alive') goneAt.delete(member.name)
    else if (!goneAt.has(member.name)) goneAt.set(member.name, sharedNow())
  },
})
const tell = (told: Told): void => void process.send?.(told)

function answer({ question, services: wanted, member, resolved }: Order & { order: 'tell' }): void {
  stalls.reset()
  stalls.enable()
  const holds = (): boolean =>
    wanted.every(
      (service) =>
        agent.registry.resolve(service).some((one) => one.member === member) === resolved,
    )
  const look = (): void => {
    if (!holds()) return
    unsubscribe()
    const [at, stalledMs] = [sharedNow(), longest(stalls)]
    // The registry hears of a verdict before the handler below.
    queueMicrotask(() => {
      tell({ told: 'answer', question, at, goneAt: goneAt.get(member), stalledMs })
    })
  }
  const unsubscribe = agent.registry.on('change', look)
  look()
}

process.on('message', (order: Order) => {
  if (order.order === 'tell') return answer(order)
  if (order.order === 'sick') sick.add(order.service)
  else sick.delete(order.service)
  tell({ told: 'done', at: sharedNow() })
})
process.once('SIGTERM', () => void leave())
const report: WebMemberReport = {
  gossip: formatAddress(agent.gossip.self.address),
  http: formatAddress(agent.httpAddress),
}
process.send?.(report)

function longest(stalls: { readonly max: number }): number {
  return Math.max(0, stalls.max / 1e6 - stallResolutionMs)
}

async function leave(): Promise<void> {
  await agent.stop()
  await new Promise((resolve) => web.close(resolve))
  await new Promise((resolve) => rpc.tryShutdown(resolve))
  process.exit(0)
}
