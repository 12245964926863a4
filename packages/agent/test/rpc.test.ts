// The RPC of an agent, as a client sees it, with the real gossip behind it.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatAddress } from '@kith/interface'
import { createSerfClient, type SerfClient, type SerfEvent } from '@kith/serf-rpc'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Agent, type AgentOptions, createAgent } from '../src/index.ts'

const agents: Agent[] = []
const clients: SerfClient[] = []
const anyPort = '127.0.0.1:0'

async function started(options: AgentOptions): Promise<Agent> {
  const agent = createAgent({ profile: 'local', rpc: anyPort, ...options })
  agents.push(agent)
  await agent.start()
  return agent
}

function clientOf(agent: Agent, authKey?: string): SerfClient {
  const place = agent.rpcAddress ?? ''
  const client = createSerfClient({
    ...(place.startsWith('unix:') ? { path: place.slice(5) } : { address: place }),
    ...(authKey === undefined ? {} : { authKey }),
  })
  clients.push(client)
  return client
}

async function stopAll(): Promise<void> {
  await Promise.all(clients.splice(0).map((client) => client.close()))
  await Promise.all(agents.splice(0).map((agent) => agent.stop()))
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 10))
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

interface Pair {
  readonly ada: Agent
  readonly ben: Agent
  readonly client: SerfClient
}

async function pair(): Promise<Pair> {
  const [ada, ben] = await Promise.all([
    started({ name: 'ada', tags: { role: 'web', dc: 'east' } }),
    started({ name: 'ben', tags: { role: 'db' } }),
  ])
  const client = clientOf(ada)
  expect(await client.join([formatAddress(ben.gossip.address)])).toBe(1)
  await until(() => ada.gossip.members().length === 2 && ben.gossip.members().length === 2)
  return { ada, ben, client }
}

// A leave takes seconds, so that these share a cluster; the last of them breaks it.
describe('the RPC of an agent', () => {
  let ada: Agent
  let ben: Agent
  let client: SerfClient
  beforeAll(async () => {
    ;({ ada, ben, client } = await pair())
  })
  afterAll(stopAll)

  it('lists members as Serf does, by expressions of RE2', async () => {
    const [first, second] = await client.members()
    expect(first).toMatchObject({
      name: 'ada',
      address: ada.gossip.address,
      status: 'alive',
      tags: { role: 'web', dc: 'east', 'kith.v': '1' },
      protocol: { min: 1, max: 5, current: 2 },
      delegate: { min: 2, max: 5, current: 5 },
    })
    expect(second?.name).toBe('ben')
    const names = async (filter: Parameters<SerfClient['members']>[0]) =>
      (await client.members(filter)).map(({ name }) => name)
    expect(await names({ name: '(?i)B.*' })).toEqual(['ben'])
    expect(await names({ status: 'alive', tags: { dc: 'ea..' } })).toEqual(['ada'])
    await expect(names({ name: '(' })).rejects.toMatchObject({ code: 'ERR_RPC_FILTER' })
  })

  it('carries events, and queries with answers both ways', async () => {
    const seen: SerfEvent[] = []
    const stop = new AbortController()
    const reading = (async () => {
      const filter = 'user:deploy,query:load,member-update'
      for await (const event of client.events(filter, { signal: stop.signal })) {
        seen.push(event)
        if (event.kind !== 'query') continue
        await event.respond('0.3')
        await expect(event.respond('again')).rejects.toMatchObject({
          code: 'ERR_RPC_QUERY_ANSWERED',
          message: 'failed to respond to key query: response already sent',
        })
        stop.abort()
      }
    })()
    const heard = new Promise<string>((resolve) => {
      ben.gossip.on('event', ({ name, payload }) => resolve(`${name} ${text(payload)}`))
    })
    ben.gossip.on('query', (query) => void query.respond(new TextEncoder().encode('of ben')))
    // The stream must be there before the event: its own connection says nothing of the other's.
    await until(async () => {
      await client.event('deploy', 'v1')
      return seen.length > 0
    })
    expect(await heard).toBe('deploy v1')
    const found: string[] = []
    for await (const { kind, from, payload } of client.query('load', 'now', { acks: true })) {
      found.push(`${kind} ${from} ${text(payload)}`)
    }
    expect(found.toSorted()).toEqual([
      'ack ada ',
      'ack ben ',
      'response ada 0.3',
      'response ben of ben',
    ])
    await reading
    expect(seen[0]).toMatchObject({ kind: 'user', name: 'deploy', coalesce: true })
    expect(seen.at(-1)).toMatchObject({ kind: 'query', name: 'load' })
    await expect(client.event('x', 'y'.repeat(600))).rejects.toMatchObject({
      message: 'user event exceeds configured limit of 512 bytes before encoding',
    })
    await expect(client.query('x', 'y'.repeat(2_000)).next()).rejects.toMatchObject({
      message: 'query exceeds limit of 1024 bytes',
    })
  })

  it('changes tags, but for those of the agent itself', async () => {
    await client.setTags({ set: { v: '2', dc: 'west' }, remove: ['role', 'dc'] })
    await until(() => ben.gossip.member('ada')?.tags['v'] === '2')
    const { 'kith.http': http, ...rest } = ada.gossip.self.tags
    expect([typeof http, rest]).toEqual(['string', { 'kith.v': '1', v: '2', dc: 'west' }])
    for (const change of [{ set: { 'kith.v': '2' } }, { remove: ['kith.http'] }]) {
      await expect(client.setTags(change)).rejects.toThrow(/is the agent's own/)
    }
    await expect(client.setTags({ set: { x: 'y'.repeat(600) } })).rejects.toMatchObject({
      code: 'ERR_RPC_TOO_LARGE',
      message: 'Encoded length of tags exceeds limit of 512 bytes',
    })
  })

  it('tells what it knows of itself, of others and of the network', async () => {
    const { agent, runtime, serf, tags } = await client.stats()
    expect(agent).toEqual({ name: 'ada' })
    expect(runtime).toMatchObject({ os: process.platform, version: `node${process.version}` })
    expect(serf).toMatchObject({ members: '2', failed: '0', left: '0', encrypted: 'false' })
    expect(Object.keys(serf ?? {}).toSorted()).toEqual([
      'coordinate_resets',
      'encrypted',
      'event_queue',
      'event_time',
      'failed',
      'health_score',
      'intent_queue',
      'left',
      'member_time',
      'members',
      'query_queue',
      'query_time',
    ])
    expect(tags).toMatchObject({ dc: 'west' })
    await until(async () => (await client.coordinate('ben')) !== undefined)
    expect((await client.coordinate('ada'))?.vector).toHaveLength(8)
    expect(await client.coordinate('nobody')).toBeUndefined()
    for await (const line of client.monitor('DEBUG')) {
      if (/\[INFO\] kith: join "ben"/.test(line)) break
    }
  })

  it('declares a failed member left, and forgets it', async () => {
    await client.forceLeave('nobody')
    await ben.gossip.stop()
    await until(() => ada.gossip.member('ben')?.status === 'failed')
    await client.forceLeave('ben')
    expect(ada.gossip.member('ben')?.status).toBe('left')
    await client.forceLeave('ben', { prune: true })
    await until(() => ada.gossip.member('ben') === undefined)
    await expect(client.join(['127.0.0.1:1'])).rejects.toMatchObject({
      code: 'ERR_RPC_JOIN_FAILED',
    })
  })
})

describe('leave', () => {
  afterEach(stopAll)

  it('leaves and ends when it is told to', async () => {
    const { ada, ben, client } = await pair()
    await client.leave()
    expect(await ada.ended).toBeUndefined()
    await until(() => ben.gossip.member('ada')?.status === 'left')
    await expect(client.stats()).rejects.toMatchObject({ code: 'ERR_RPC_CONNECT' })
  })
})

describe('where the RPC listens', () => {
  afterEach(stopAll)

  it('is nowhere unless it is said', async () => {
    const agent = createAgent()
    agents.push(agent)
    await agent.start()
    expect(agent.rpcAddress).toBeUndefined()
  })

  it('may be a Unix socket, and may want a key', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kith-rpc-'))
    try {
      const rpc = `unix:${join(folder, 'agent.sock')}`
      const agent = await started({ name: 'ada', rpc, rpcAuth: 'sesame' })
      expect(agent.rpcAddress).toBe(rpc)
      await expect(clientOf(agent).stats()).rejects.toMatchObject({ code: 'ERR_RPC_AUTH_REQUIRED' })
      expect((await clientOf(agent, 'sesame').stats())['agent']).toEqual({ name: 'ada' })
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('is a condition of the start unless it is said not to be', async () => {
    const { rpcAddress: rpc = '' } = await started({ name: 'ada' })
    const second = createAgent({ rpc })
    await expect(second.start()).rejects.toMatchObject({ code: 'ERR_RPC_LISTEN' })
    const third = await started({ rpc, rpcRequired: false })
    expect(third.rpcAddress).toBeUndefined()
    expect(third.gossip.members()).toHaveLength(1)
  })

  it('is loopback, or wants both a key and the word that plaintext will do', () => {
    const rpc = '10.0.0.1:7373'
    expect(() => createAgent({ rpc })).toThrow(/rpc must be a loopback.*rpcAuth must be given/)
    expect(() => createAgent({ rpc, insecurePlaintext: true })).toThrow(/rpcAuth must be given/)
    expect(() => createAgent({ rpc, rpcAuth: 'x' })).toThrow(/rpc must be a loopback/)
    expect(() => createAgent({ rpc, rpcAuth: 'x', insecurePlaintext: true })).not.toThrow()
    for (const wrong of ['nowhere', 'unix:', '127.0.0.1:70000', 5 as never]) {
      expect(() => createAgent({ rpc: wrong })).toThrow(/rpc must be host:port.*unix:PATH/)
    }
    expect(() => createAgent({ rpcAuth: '' })).toThrow(/rpcAuth must be a text/)
  })
})
