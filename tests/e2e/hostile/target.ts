/**
 * A member as a process of its own, which the tests attack. It answers its parent over IPC: what it
 * counts, whom it knows, and how long stopping takes. The attacks go to its real sockets.
 */
import { createAgent } from '@kith/agent'

export interface TargetReport {
  readonly gossip: number
  readonly http: number
  readonly counters: Readonly<Record<string, number>>
  /** Members as `name host:port status tags`, in order. */
  readonly view: readonly string[]
  readonly rssBytes: number
}

const [, , name = 'target', ...seeds] = process.argv
const agent = createAgent({ name, join: seeds })
await agent.start()

const collect = (globalThis as { gc?: () => void }).gc

function report(): TargetReport {
  const members = agent.gossip.members().map((member) => {
    const { host, port } = member.address
    return `${member.name} ${host}:${port} ${member.status} ${JSON.stringify(member.tags)}`
  })
  return {
    gossip: agent.gossip.address.port,
    http: agent.httpAddress.port,
    counters: agent.gossip.stats().counters,
    view: members,
    rssBytes: process.memoryUsage.rss(),
  }
}

process.on('message', (question) => {
  if (question === 'collect') collect?.()
  if (question === 'report' || question === 'collect') process.send?.(report())
  if (question === 'stop') {
    const before = performance.now()
    void agent.stop().then(() => process.send?.({ stoppedMs: performance.now() - before }))
  }
})
process.on('disconnect', () => process.exit())
process.send?.(report())
