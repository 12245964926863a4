/**
 * A member as a process of its own, which the tests attack. It answers its parent over IPC: what it
 * counts, whom it knows, and how long stopping takes. The attacks go to its real sockets.
 */
import { type AgentPlugin, createAgent } from '@kith/agent'

export interface TargetReport {
  readonly gossip: number
  readonly http: number
  readonly counters: Readonly<Record<string, number>>
  /** Members as `name host:port status tags`, in order. */
  readonly view: readonly string[]
  readonly rssBytes: number
  /** What the program itself holds on to; after a collection, garbage aside. */
  readonly heldBytes: number
}

const [, , name = 'target', ...seeds] = process.argv
const keyring = process.env['KITH_TARGET_KEYRING']
const encryption = keyring === undefined ? {} : { keyring }
/** Takes bodies, as routes of plugins may, and keeps none. */
const taker: AgentPlugin = {
  name: 'taker',
  setup({ http }) {
    for (const method of ['POST', 'PUT'] as const) {
      http.route({ method, path: '/:id', role: 'write', handle: () => {} })
    }
  },
}
const agent = createAgent({ name, join: seeds, ...encryption, plugins: [taker] })
await agent.start()

const collect = (globalThis as { gc?: () => void }).gc

function report(): TargetReport {
  const members = agent.gossip.members().map((member) => {
    const { host, port } = member.address
    return `${member.name} ${host}:${port} ${member.status} ${JSON.stringify(member.tags)}`
  })
  const { rss, heapUsed, external } = process.memoryUsage()
  return {
    gossip: agent.gossip.address.port,
    http: agent.httpAddress.port,
    counters: agent.gossip.stats().counters,
    view: members,
    rssBytes: rss,
    heldBytes: heapUsed + external,
  }
}

/** Leaving takes the time that Serf's timings give it; what comes after is ours to bound. */
async function leaveAndStop(): Promise<void> {
  await agent.leave()
  const before = performance.now()
  await agent.stop()
  process.send?.({ stoppedMs: performance.now() - before })
}

process.on('message', (question) => {
  if (question === 'collect') collect?.()
  if (question === 'report' || question === 'collect') process.send?.(report())
  if (question === 'stop') void leaveAndStop()
})
process.on('disconnect', () => process.exit())
process.send?.(report())
