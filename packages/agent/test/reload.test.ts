// What a running agent takes over, and that a reload that cannot be changes nothing.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type Agent, type AgentOptions, createAgent } from '../src/index.ts'

const agents: Agent[] = []
const folders: string[] = []
const keys = [1, 2].map((byte) => Buffer.alloc(32, byte).toString('base64'))

async function started(options: AgentOptions): Promise<Agent> {
  const agent = createAgent({ profile: 'local', name: 'ada', ...options })
  agents.push(agent)
  await agent.start()
  return agent
}

afterEach(async () => {
  await Promise.all(agents.splice(0).map((agent) => agent.stop()))
  await Promise.all(folders.splice(0).map((path) => rm(path, { recursive: true })))
})

/** Without those of the agent itself. */
function tagsOf(agent: Agent): Record<string, string> {
  const tags = Object.entries(agent.gossip.self.tags)
  return Object.fromEntries(tags.filter(([name]) => !name.startsWith('kith.')))
}

function servicesOf(agent: Agent): [string, number][] {
  return agent.registry.own().map(({ id, port }) => [id, port])
}

const web = { service: 'web', port: 80 }
const tooLong = { role: 'x'.repeat(600) }

describe('a reload', () => {
  it('changes tags and services that differ, and leaves what others changed', async () => {
    const agent = await started({
      tags: { role: 'web', zone: 'eu', old: '1' },
      services: [web, { service: 'db', port: 1 }, { service: 'api', id: 'api-1', port: 2 }],
    })
    await agent.registry.register({ service: 'own', port: 9 })
    await agent.registry.maintain('broken', 'web')
    const own = agent.gossip.self.tags['kith.http'] ?? ''
    const by = { role: 'web', zone: 'us', old: '1', more: 'x', 'kith.http': own }
    await agent.gossip.setTags(by)
    const changed = await agent.reload({
      tags: { role: 'db', zone: 'eu' },
      services: [web, { service: 'api', id: 'api-1', port: 3 }, { service: 'new', port: 4 }],
    })
    expect(changed).toEqual(['tags', 'services'])
    expect(tagsOf(agent)).toEqual({ role: 'db', zone: 'us', more: 'x' })
    expect(agent.gossip.self.tags['kith.http']).toBe(own)
    expect(servicesOf(agent).toSorted(([a], [b]) => (a < b ? -1 : 1))).toEqual([
      ['api-1', 3],
      ['new', 4],
      ['own', 9],
      ['web', 80],
    ])
    // Not registered again: it would not be out of order any more.
    expect(agent.registry.own().find(({ id }) => id === 'web')?.status).toBe('critical')
    expect(await agent.reload({})).toEqual([])
    expect(await agent.reload({ services: [] })).toEqual(['services'])
    expect(servicesOf(agent)).toEqual([['own', 9]])
  })

  it('reads the keyring again', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kith-reload-'))
    folders.push(folder)
    const keyring = join(folder, 'keyring.json')
    await writeFile(keyring, JSON.stringify(keys), { mode: 0o600 })
    const agent = await started({ keyring })
    expect(await agent.reload({})).toEqual([])
    await writeFile(keyring, JSON.stringify(keys.toReversed()))
    expect(await agent.reload({})).toEqual(['keyring'])
    const { primaryKeys } = await agent.gossip.keys.list()
    expect(primaryKeys).toEqual({ [keys[1] ?? '']: 1 })
    await writeFile(keyring, '[')
    const change = { tags: { role: 'web' }, services: [web] }
    await expect(agent.reload(change)).rejects.toMatchObject({ code: 'ERR_AGENT_OPTIONS' })
    expect([tagsOf(agent), servicesOf(agent)]).toEqual([{}, []])
  })

  it.each([
    ['tags.kith.v', { tags: { 'kith.v': '2' }, services: [] }],
    ['services[0].port', { tags: {}, services: [{ service: 'web', port: 0 }] }],
    ['services[0].checks[0].kind', { services: [{ ...web, checks: [{ kind: 'script' }] }] }],
    ['tags', { tags: tooLong, services: [] }],
  ])('with bad %s changes nothing and says so', async (field, change) => {
    const agent = await started({ tags: { role: 'web' }, services: [web] })
    const refused = agent.reload(change as AgentOptions)
    await expect(refused).rejects.toMatchObject({
      details: { problems: [expect.objectContaining({ field })] },
    })
    expect([tagsOf(agent), servicesOf(agent)]).toEqual([{ role: 'web' }, [['web', 80]]])
  })

  it('that the registry has no room for is taken back whole', async () => {
    const agent = await started({ tags: { role: 'web' }, services: [web] })
    const services = Array.from({ length: 1001 }, (_, at) => ({ service: `s${at}`, port: 1 }))
    const refused = agent.reload({ tags: { role: 'db' }, services })
    await expect(refused).rejects.toMatchObject({ code: 'ERR_REGISTRY_LIMIT' })
    expect([tagsOf(agent), servicesOf(agent)]).toEqual([{ role: 'web' }, [['web', 80]]])
    // The next one begins with what is in force.
    expect(await agent.reload({ tags: { role: 'db' } })).toEqual(['tags'])
  })

  it('before the start and after the stop is refused', async () => {
    const agent = createAgent({ profile: 'local', name: 'ada' })
    await expect(agent.reload({})).rejects.toMatchObject({ code: 'ERR_AGENT_STATE' })
    await agent.start()
    await agent.stop()
    await expect(agent.reload({})).rejects.toMatchObject({ code: 'ERR_AGENT_STATE' })
  })
})
