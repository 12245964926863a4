/** A plain client of real agents that die, and that leave in order. */
import { createRegistryClient, type RegistryClient } from '@kith/registry'
import { afterEach, describe, expect, it } from 'vitest'
import { type AgentProcess, killAll, startAgent } from './process.ts'

const clients: RegistryClient[] = []
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.stop()))
  await killAll()
}, 60_000)

async function cluster(size: number): Promise<readonly AgentProcess[]> {
  const first = await startAgent('--node', 'm0', '--service', 'web:8000')
  const others = Array.from({ length: size - 1 }, (_, at) =>
    startAgent('--node', `m${at + 1}`, '--service', `web:${8001 + at}`, '--join', first.gossip),
  )
  return [first, ...(await Promise.all(others))]
}

function open(agents: readonly AgentProcess[]): RegistryClient {
  const client = createRegistryClient({ urls: agents.map(({ http }) => `http://${http}`) })
  clients.push(client)
  return client
}

/** Every list of members with an instance, from now on until one fits. */
async function until(
  client: RegistryClient,
  fits: (members: readonly string[]) => boolean,
): Promise<readonly (readonly string[])[]> {
  const seen: (readonly string[])[] = []
  for await (const found of client.watch('web')) {
    const members = found.map(({ member }) => member)
    seen.push(members)
    if (fits(members)) break
  }
  return seen
}

/** The agent that the client follows: the first, unless that was slow to answer. */
function followed(
  client: RegistryClient,
  agents: readonly AgentProcess[],
): { at: number; agent: AgentProcess } {
  const at = agents.findIndex(({ http }) => client.known('web')?.agent === `http://${http}`)
  const agent = agents[at]
  if (agent === undefined) throw new Error('no agent is followed')
  return { at, agent }
}

const without = (name: string) => (members: readonly string[]) =>
  members.length === 2 && !members.includes(name)
const all = (size: number) => (members: readonly string[]) => members.length === size

describe('the client', () => {
  it('answers on while the agent that it follows is killed, and learns who is gone', async () => {
    const agents = await cluster(3)
    const client = open(agents)
    await until(client, all(3))
    const { at, agent } = followed(client, agents)
    const lost = new Promise<void>((resolve) => client.on('lost', () => resolve()))
    agent.child.kill('SIGKILL')
    await lost
    expect((await client.resolve('web')).length).toBeGreaterThan(0)
    const seen = await until(client, without(`m${at}`))
    for (const members of seen) expect(members.length).toBeGreaterThan(0)
    expect(followed(client, agents).at).not.toBe(at)
  }, 120_000)

  it('never sees nothing while the agent that it follows leaves in order', async () => {
    const agents = await cluster(3)
    const client = open(agents)
    await until(client, all(3))
    const { at, agent } = followed(client, agents)
    const gone = until(client, without(`m${at}`))
    agent.child.kill('SIGTERM')
    for (const members of await gone) expect(members.length).toBeGreaterThanOrEqual(2)
    expect(await agent.exited).toBe(0)
    expect(await client.resolve('web')).toHaveLength(2)
  }, 120_000)
})
