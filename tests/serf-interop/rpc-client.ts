// Our client of Serf's RPC drives real agents: every command, every iteration, every refusal.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { estimatedRttMs } from '@kith/interface'
import { createSerfClient, RpcError, type SerfClient, type SerfEvent } from '@kith/serf-rpc'
import { expect } from 'vitest'
import type { Crew } from './support/crew.ts'
import { within } from './support/process.ts'

const firstKey = 'AAECAwQFBgcICQoLDA0ODw=='
const secondKey = 'EBESExQVFhcYGRobHB0eHw=='
const rpcAuth = 'sesame'

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

export async function clientDrivesSerf(crew: Crew): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kith-rpc-'))
  try {
    const file = join(folder, 'auth.json')
    await writeFile(file, JSON.stringify({ rpc_auth: rpcAuth }))
    await drive(crew, file)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function drive(crew: Crew, authFile: string): Promise<void> {
  const shared = ['-profile=local', `-encrypt=${firstKey}`, '-log-level=debug']
  const handlers = ['query:uptime=printf up-$SERF_SELF_NAME']
  const [ada, ben, cyd] = await Promise.all([
    crew.serf({
      name: 'ada',
      tags: { role: 'web', dc: 'east' },
      handlers,
      flags: [...shared, `-config-file=${authFile}`],
      rpcAuth,
    }),
    crew.serf({ name: 'ben', tags: { role: 'db' }, handlers, flags: shared }),
    crew.serf({ name: 'cyd', handlers, flags: shared }),
  ])
  await using client = createSerfClient({ address: ada.rpc, authKey: rpcAuth })
  await refusals(ada.rpc, client)

  const events: SerfEvent[] = []
  const listening = new AbortController()
  const stream = collect(client, events, listening.signal)
  const lines = monitored(client, listening.signal)

  expect(await client.join([ben.address, cyd.address])).toBe(2)
  await membersAre(client)
  await client.event('deploy', 'v1', { coalesce: false })
  await queries(client)
  await tags(client)
  await keys(client)
  await coordinates(client)
  await eventsAre(events)
  await within(10_000, 'the log tells of the join', () =>
    lines.some((line) => /\[INFO\] agent: joining/.test(line)),
  )
  await ben.kill()
  await removal(client)
  listening.abort()
  await stream
  await client.leave()
  await within(5_000, 'the agent has ended', async () => !(await answers(client)))
}

async function refusals(address: string, client: SerfClient): Promise<void> {
  await using nameless = createSerfClient({ address })
  await expect(nameless.members()).rejects.toMatchObject({ code: 'ERR_RPC_AUTH_REQUIRED' })
  await using wrong = createSerfClient({ address, authKey: 'open' })
  await expect(wrong.members()).rejects.toMatchObject({
    code: 'ERR_RPC_AUTH_INVALID',
    message: 'Invalid authentication token',
  })
  await expect(client.event('x', 'y'.repeat(600))).rejects.toMatchObject({
    code: 'ERR_RPC_TOO_LARGE',
    message: 'user event exceeds configured limit of 512 bytes before encoding',
  })
  await expect(client.setTags({ set: { x: 'y'.repeat(600) } })).rejects.toMatchObject({
    code: 'ERR_RPC_TOO_LARGE',
    message: 'Encoded length of tags exceeds limit of 512 bytes',
  })
  await expect(client.join(['127.0.0.1:1'])).rejects.toMatchObject({ code: 'ERR_RPC_JOIN_FAILED' })
  await expect(client.query('_serf_x').next()).rejects.toMatchObject({
    code: 'ERR_RPC_REFUSED',
    message: "Queries cannot contain the '_serf_' prefix",
  })
  await expect(client.events('nonsense').next()).rejects.toMatchObject({ code: 'ERR_RPC_FILTER' })
  await expect(client.keys.install('!')).rejects.toMatchObject({
    code: 'ERR_RPC_KEYS',
    message: 'illegal base64 data at input byte 0',
  })
}

/** Reads the stream, and answers the queries in it. */
async function collect(
  client: SerfClient,
  events: SerfEvent[],
  signal: AbortSignal,
): Promise<void> {
  for await (const event of client.events('*', { signal })) {
    events.push(event)
    if (event.kind !== 'query' || event.name !== 'load') continue
    await event.respond('0.3')
    await expect(event.respond('again')).rejects.toMatchObject({ code: 'ERR_RPC_QUERY_ANSWERED' })
  }
}

function monitored(client: SerfClient, signal: AbortSignal): readonly string[] {
  const lines: string[] = []
  void (async () => {
    for await (const line of client.monitor('DEBUG', { signal })) lines.push(line)
  })()
  return lines
}

async function membersAre(client: SerfClient): Promise<void> {
  await within(10_000, 'three are alive', async () => {
    const alive = await client.members({ status: 'alive' })
    return alive.length === 3
  })
  const names = async (filter: Parameters<SerfClient['members']>[0]): Promise<string[]> =>
    (await client.members(filter)).map(({ name }) => name).toSorted()
  expect(await names({})).toEqual(['ada', 'ben', 'cyd'])
  expect(await names({ name: 'a.*|c.*' })).toEqual(['ada', 'cyd'])
  expect(await names({ tags: { role: 'web', dc: 'e.st' } })).toEqual(['ada'])
  expect(await names({ tags: { role: '' } })).toEqual(['cyd'])
  expect(await names({ status: 'failed' })).toEqual([])
  const [ada] = await client.members({ name: 'ada' })
  expect(ada).toMatchObject({
    address: { host: '127.0.0.1' },
    tags: { role: 'web', dc: 'east' },
    status: 'alive',
    delegate: { min: 2, max: 5, current: 5 },
    protocol: { min: 1, max: 5, current: 2 },
  })
  expect((await client.stats())['agent']).toEqual({ name: 'ada' })
}

async function queries(client: SerfClient): Promise<void> {
  const ask = async (
    name: string,
    options: Parameters<SerfClient['query']>[2],
  ): Promise<string[]> => {
    const found: string[] = []
    for await (const { kind, from, payload } of client.query(name, 'now', options)) {
      found.push(`${kind} ${from} ${text(payload)}`)
    }
    return found.toSorted()
  }
  const timeoutMs = 2_500
  // One after the other: a Serf that is asked twice at once may give both queries one Lamport time,
  // and then loses the answers to one of them.
  const all = await ask('uptime', { acks: true, timeoutMs })
  const filtered = await ask('uptime', { tags: { role: 'd.' }, timeoutMs })
  const relayed = await ask('uptime', {
    members: ['cyd'],
    relayFactor: 1,
    acks: true,
    timeoutMs,
  })
  const own = await ask('load', { timeoutMs })
  expect(all).toEqual([
    'ack ada ',
    'ack ben ',
    'ack cyd ',
    'response ada up-ada',
    'response ben up-ben',
    'response cyd up-cyd',
  ])
  expect(filtered).toEqual(['response ben up-ben'])
  expect(relayed).toEqual(['ack cyd ', 'response cyd up-cyd'])
  expect(own).toEqual(['response ada 0.3'])
}

async function tags(client: SerfClient): Promise<void> {
  await client.setTags({ set: { v: '2' }, remove: ['dc'] })
  const [ada] = await client.members({ name: 'ada' })
  expect(ada?.tags).toEqual({ role: 'web', v: '2' })
}

async function keys(client: SerfClient): Promise<void> {
  const everywhere = { errors: 0, members: 3, responses: 3, messages: {} }
  const { keys: known } = client
  expect(await byAll(() => known.list())).toEqual({ ...everywhere, keys: { [firstKey]: 3 } })
  expect(await byAll(() => known.install(secondKey))).toEqual({ ...everywhere, keys: {} })
  await byAll(() => known.use(secondKey))
  await byAll(() => known.remove(firstKey))
  expect((await byAll(() => known.list())).keys).toEqual({ [secondKey]: 3 })
  const refused = await byAll(() => known.remove(secondKey)).catch((cause: unknown) => cause)
  expect(refused).toMatchObject({
    code: 'ERR_RPC_KEYS',
    message: '3/3 nodes reported failure',
    details: { report: { errors: 3, messages: { ada: expect.any(String) as string } } },
  })
}

/**
 * Serf gives its members 1.6 s to answer here and asks by packet, once: on a busy machine one may
 * be late. Then it says so, and everything that is asked here may be asked again.
 */
async function byAll<Report>(ask: () => Promise<Report>): Promise<Report> {
  for (let left = 4; ; left -= 1) {
    try {
      return await ask()
    } catch (cause) {
      const late = cause instanceof RpcError && /^[12]\/3 nodes reported/.test(cause.message)
      if (!late || left === 0) throw cause
    }
  }
}

async function coordinates(client: SerfClient): Promise<void> {
  const [ada, ben] = await Promise.all([client.coordinate('ada'), client.coordinate('ben')])
  expect(ada?.vector).toHaveLength(8)
  if (ada && ben) expect(estimatedRttMs(ada, ben)).toBeGreaterThan(0)
  expect(await client.coordinate('nobody')).toBeUndefined()
}

async function eventsAre(events: readonly SerfEvent[]): Promise<void> {
  const seen = (): readonly string[] =>
    events.flatMap((event) => {
      if (event.kind === 'members') return event.members.map(({ name }) => `${event.event} ${name}`)
      return event.kind === 'resumed' ? [] : [`${event.kind} ${event.name} ${text(event.payload)}`]
    })
  const wanted = ['member-join ben', 'member-join cyd', 'user deploy v1', 'query load now']
  await within(
    10_000,
    'the stream told everything',
    () => wanted.every((line) => seen().includes(line)),
    seen,
  )
}

async function removal(client: SerfClient): Promise<void> {
  await client.forceLeave('nobody')
  await within(20_000, 'ben is failed', async () => {
    const failed = await client.members({ status: 'failed' })
    return failed.some(({ name }) => name === 'ben')
  })
  await client.forceLeave('ben')
  expect(await client.members({ name: 'ben', status: 'left' })).toHaveLength(1)
  await client.forceLeave('ben', { prune: true })
  await within(10_000, 'ben is forgotten', async () => {
    return (await client.members({ name: 'ben' })).length === 0
  })
}

async function answers(client: SerfClient): Promise<boolean> {
  return await client.stats().then(
    () => true,
    () => false,
  )
}
