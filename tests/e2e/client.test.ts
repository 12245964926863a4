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

const all = (size: number) => (members: readonly string[]) => members.length === size

describe('the client', () => {
  it('answers on while the agent that it follows is killed, and learns who is gone', async () => {
    const agents = await cluster(3)
    const client = open(agents)
    await until(client, all(3))
    expect(client.known('web')?.agent).toBe(`http://${agents[0]?.http}`)
    const lost = new Promise<void>((resolve) => client.on('lost', () => resolve()))
    agents[0]?.child.kill('SIGKILL')
    await lost
    expect((await client.resolve('web')).length).toBeGreaterThan(0)
    const seen = await until(client, (members) => !members.includes('m0') && members.length === 2)
    for (const members of seen) expect(members.length).toBeGreaterThan(0)
    expect(client.known('web')?.agent).toBe(`http://${agents[1]?.http}`)
  }, 120_000)

  it('never sees nothing while the agent that it follows leaves in order', async () => {
    const agents = await cluster(3)
    const client = open(agents)
    await until(client, all(3))
    const gone = until(client, (members) => members.length === 2 && !members.includes('m0'))
    agents[0]?.child.kill('SIGTERM')
    for (const members of await gone) expect(members.length).toBeGreaterThanOrEqual(2)
    expect(await agents[0]?.exited).toBe(0)
    expect(await client.resolve('web')).toHaveLength(2)
  }, 120_000)
})
