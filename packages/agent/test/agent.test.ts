import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatAddress } from '@kith/interface'
import type { ChannelMessage } from '@kith/interface/node'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createSerfClient } from '@kith/serf-rpc'
import { type Agent, type AgentContext, type AgentOptions, createAgent } from '../src/index.ts'

const agents: Agent[] = []
const folders: string[] = []

function agent(options: AgentOptions = {}): Agent {
  const made = createAgent({ profile: 'local', ...options })
  agents.push(made)
  return made
}

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'kith-agent-'))
  folders.push(path)
  return path
}

afterEach(async () => {
  // One after the other: two that leave at once wait for each other to hear it.
  for (const each of agents.splice(0).toReversed()) await each.stop()
  await Promise.all(folders.splice(0).map((path) => rm(path, { recursive: true })))
})

/** Asks until it holds; the test's own time is the bound. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20))
}

async function get<Answer>(member: Agent, path: string): Promise<Answer> {
  const answer = await fetch(`http://${formatAddress(member.httpAddress)}${path}`)
  expect(answer.status, path).toBe(200)
  return (await answer.json()) as Answer
}

describe('finding the others', { timeout: 60_000 }, () => {
  it('by a file that names them later', async () => {
    const path = join(await folder(), 'seeds')
    const [a, b] = [agent(), agent({ discovery: [`file:${path}`] })]
    await Promise.all([a.start(), b.start()])
    const joined = new Promise((resolve) => b.gossip.on('join', resolve))
    await writeFile(path, `${formatAddress(a.gossip.address)}\n`)
    await joined
    expect(b.gossip.member(a.name)?.status).toBe('alive')
  })

  it('by a snapshot beside the log, which holds nobody after an orderly end', async () => {
    const data = await folder()
    const a = agent()
    await a.start()
    const seed = formatAddress(a.gossip.address)
    const b = agent({ name: 'b', data, join: [seed] })
    await b.start()
    await until(() => a.gossip.member('b')?.status === 'alive')
    // As a crash would: nobody is told.
    const bind = b.gossip.address
    await b.gossip.stop()
    const kept = await readFile(join(data, 'members.snapshot'), 'utf8')
    expect(kept).toContain(`alive: ${a.name} ${seed}\n`)
    await b.stop()
    const again = agent({ name: 'b', data, bind })
    await again.start()
    await until(() => again.gossip.member(a.name)?.status === 'alive')
    await again.stop()
    expect(await readFile(join(data, 'members.snapshot'), 'utf8')).toMatch(/^leave$/m)
  })

  it('a file that is no snapshot is refused as an option, and left alone', async () => {
    const path = join(await folder(), 'notes')
    await writeFile(path, 'call Ada\n')
    const refused = agent({ snapshot: path }).start()
    await expect(refused).rejects.toMatchObject({ code: 'ERR_AGENT_OPTIONS' })
    await expect(refused).rejects.toThrow(/snapshot must be a file/)
    expect(await readFile(path, 'utf8')).toBe('call Ada\n')
  })
})

describe('an agent without options', () => {
  it('is a working member on loopback, and two of them do not collide', async () => {
    const [a, b] = [agent(), agent()]
    await Promise.all([a.start(), b.start()])
    expect(a.gossip.address.host).toBe('127.0.0.1')
    expect(a.gossip.address.port).not.toBe(b.gossip.address.port)
    expect(a.gossip.self.tags['kith.http']).toBe(formatAddress(a.httpAddress))
    const { offset } = await a.log.append({ value: new Uint8Array([1]) })
    expect(offset).toBe(0)
    const status = await get<{ member: string; ready: boolean }>(a, '/v1/status')
    expect(status).toMatchObject({ member: a.name, ready: true, members: { alive: 1 } })
    expect(b.gossip.members()).toHaveLength(1)
  })

  it('gives its parts once it runs, and says so before', async () => {
    const a = agent()
    expect(() => a.log).toThrow(expect.objectContaining({ code: 'ERR_AGENT_STATE' }))
    await a.start()
    await expect(a.start()).rejects.toMatchObject({ code: 'ERR_AGENT_STATE' })
    await Promise.all([a.stop(), a.stop()])
    await expect(fetch(`http://${formatAddress(a.httpAddress)}/livez`)).rejects.toThrow()
  })

  it('MET-1: shows every metric of the table, and no other', async () => {
    const outcomes = { SRV: { found: 2 } }
    const dns = { ...{ udpQueries: 2, tcpQueries: 0, malformed: 0 }, answers: outcomes }
    const doors = {
      name: 'doors',
      setup({ report }: AgentContext) {
        report({ dns: () => ({ ...dns, overloaded: 0, truncated: 0, connections: 0 }) })
        report({ consul: () => ({ requests: 3, refused: 0, failures: 0, parked: 1 }) })
      },
    }
    const a = agent({
      data: await folder(),
      services: [{ service: 'web', port: 80, checks: [{ kind: 'ttl' }] }],
      eventHandlers: [{ on: 'user:ran', command: ['/bin/true'] }],
      rpc: '127.0.0.1:0',
      plugins: [doors],
    })
    await a.start()
    await a.gossip.emit('ran')
    const serf = createSerfClient({ address: a.rpcAddress ?? '' })
    expect(await serf.members()).toHaveLength(1)
    await serf[Symbol.asyncDispose]()
    // Another one, since who is alone is behind nobody; and a record, which it has to have copied.
    const b = agent({ join: [formatAddress(a.gossip.address)] })
    await b.start()
    await b.log.append({ value: Buffer.from('one') })
    for await (const { value } of a.log.tail()) if (value.length > 0) break
    // All the above came over TCP; packets come with gossip, and the other one calls soon.
    const text = await vi.waitFor(async () => {
      const answer = await fetch(`http://${formatAddress(a.httpAddress)}/metrics`)
      expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
      const scraped = await answer.text()
      expect(scraped).toMatch(
        /^kith_transport_packets_total\{transport="udp",direction="in"\} [1-9]/m,
      )
      expect(scraped).toMatch(
        /^kith_http_request_duration_seconds_count\{.*replication\/hello.*\} [1-9]/m,
      )
      expect(scraped).toMatch(/^kith_handler_runs_total\{outcome="well"\} 1$/m)
      return scraped
    }, 10_000)
    const kinds = (found: Iterable<RegExpExecArray>): object =>
      Object.fromEntries([...found].map(([, name, kind]) => [name, kind]))
    const table = readFileSync(new URL('../../metrics/METRICS.md', import.meta.url), 'utf8')
    const described = kinds(table.matchAll(/^\| `(\w+)` \| (\w+) \|/gm))
    // There was none yet.
    Reflect.deleteProperty(described, 'kith_log_last_checkpoint_seconds')
    expect(kinds(text.matchAll(/^# TYPE (\S+) (\w+)$/gm))).toEqual(described)
    for (const sample of [
      'kith_gossip_members{status="alive"} 2',
      'kith_log_records 1',
      'kith_registry_checks{status="critical"} 1',
      'kith_registry_instances{status="critical"} 1',
      'kith_replicator_applied_records_total 1',
      'kith_replicator_members{phase="connected"} 1',
      'kith_part_readable{part="gossip"} 1',
      'kith_rpc_requests_total{command="members-filtered"} 1',
      'kith_rpc_connections_total 1',
      'kith_dns_answers_total{type="SRV",outcome="found"} 2',
      'kith_consul_requests_total 3',
    ]) {
      expect(text.split('\n')).toContain(sample)
    }
    expect(text).toMatch(/^kith_transport_bytes_total\{transport="tcp",direction="out"\} [1-9]/m)
  })

  it('tells on channels what its parts tell their listeners', async () => {
    const heard: ChannelMessage[] = []
    const listener = (message: unknown): void => void heard.push(message as ChannelMessage)
    const channels = ['kith:gossip:event', 'kith:registry:event', 'kith:replicator:event']
    for (const name of channels) subscribe(name, listener)
    try {
      const a = agent({ services: [{ service: 'web', port: 80, checks: [{ kind: 'ttl' }] }] })
      await a.start()
      const b = agent({ join: [formatAddress(a.gossip.address)] })
      await b.start()
      for await (const [instance] of b.registry.watch('web', { passing: false }))
        if (instance) break
      const [check] = a.registry.checks()
      a.registry.setCheck(check?.id ?? '', 'passing')
      const copying = (): boolean => heard.some(({ kind }) => kind === 'memberConnected')
      while (!copying()) await new Promise((resolve) => setImmediate(resolve))
      const of = (source: object): string[] =>
        heard.filter((message) => message.source === source).map(({ kind }) => kind)
      expect(of(b.gossip)).toContain('join')
      expect(of(a.registry)).toEqual(expect.arrayContaining(['change', 'check']))
      for (const { source, member } of heard) {
        const owner = [a, b].find((it) =>
          Object.values([it.gossip, it.registry, it.replicator]).includes(source as never),
        )
        expect(owner?.name).toBe(member)
      }
      const { event } = heard.find(({ kind }) => kind === 'check') ?? {}
      expect(event).toMatchObject({ status: 'passing', previous: 'critical' })
    } finally {
      for (const name of channels) unsubscribe(name, listener)
    }
  })
})

describe('two agents', () => {
  it('see each other, resolve services, copy records, and part without a failure', async () => {
    const a = agent({ name: 'a', services: [{ service: 'web', port: 80 }] })
    await a.start()
    const b = agent({ name: 'b', join: [formatAddress(a.gossip.address)] })
    await b.start()
    for await (const [instance] of b.registry.watch('web')) {
      if (instance?.member === 'a') break
    }
    await a.log.append([{ value: Buffer.from('one') }, { value: Buffer.from('two') }])
    const values: string[] = []
    for await (const { value } of b.log.tail()) {
      values.push(Buffer.from(value).toString())
      if (values.length === 2) break
    }
    expect(values).toEqual(['one', 'two'])
    const events: string[] = []
    b.gossip.subscribe({ memberChanged: ({ kind }) => void events.push(kind) })
    await a.stop()
    expect(b.gossip.member('a')?.status).toBe('left')
    expect(events).not.toContain('fail')
    expect(b.registry.resolve('web')).toEqual([])
  })

  it('waits for nobody: a seed that comes later is joined then', async () => {
    const data = await folder()
    const free = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => free.once('listening', resolve))
    const { port } = free.address() as AddressInfo
    await new Promise((resolve) => free.close(resolve))
    const b = agent({ name: 'b', join: [`127.0.0.1:${port}`], data })
    await b.start()
    expect(b.gossip.members()).toHaveLength(1)
    const a = agent({ name: 'a', bind: `127.0.0.1:${port}` })
    const joined = new Promise<void>((resolve) => {
      b.gossip.on('join', ({ member }) => {
        if (member.name === 'a') resolve()
      })
    })
    await a.start()
    await joined
  })
})

describe('a restart', () => {
  it('finds the records of the data directory again', async () => {
    const data = await folder()
    const first = agent({ data })
    await first.start()
    await first.log.append({ value: Buffer.from('kept') })
    await first.stop()
    const second = agent({ data })
    await second.start()
    const { records } = await second.log.read()
    expect(records.map(({ value }) => Buffer.from(value).toString())).toEqual(['kept'])
    expect(second.name).toBe(first.name)
  })

  it('keeps a new log as it is told, and refuses another than the one there', async () => {
    const data = await folder()
    const first = agent({ data, logStorage: 'segment' })
    await first.start()
    await first.log.append({ value: new Uint8Array([7]) })
    await first.stop()
    await expect(agent({ data, logStorage: 'sqlite' }).start()).rejects.toMatchObject({
      code: 'ERR_LOG_FORMAT',
      message: expect.stringContaining("holds a log in storage 'segment'") as string,
    })
    // Without a word it is what is there.
    const again = agent({ data })
    await again.start()
    expect((await again.log.read()).records.map(({ value }) => [...value])).toEqual([[7]])
    const backup = await again.log.backup(join(data, 'backup'))
    expect(backup).toMatchObject({ storage: 'segment', next: 1 })
  })

  it('REP-11 gives up records that nobody holds, where it is told to, and says so', async () => {
    const writer = agent()
    await writer.start()
    const warnings: string[] = []
    const quiet = (): void => {}
    const warn = (_: unknown, text?: string): void => void warnings.push(text ?? '')
    const logger = { debug: quiet, info: quiet, warn, error: quiet }
    const seed = formatAddress(writer.gossip.address)
    const options = { name: 'late', data: await folder(), join: [seed], logger }
    const append = (): Promise<unknown> => writer.log.append({ value: new Uint8Array([7]) })
    const held = (late: Agent) =>
      late.log.vector().find(({ origin }) => origin === writer.log.origin)
    const first = agent(options)
    await first.start()
    await append()
    await until(() => held(first)?.next === 2)
    await first.stop()
    for (let more = 0; more < 3; more += 1) await append()
    await writer.log.retain({ recordsMax: 1 })
    const second = agent({ ...options, gapPolicy: 'skip' })
    await second.start()
    await until(() => held(second)?.next === 5)
    expect(held(second)?.holes).toEqual([{ from: 2, to: 4 }])
    expect(warnings).toContain('records that nobody holds are given up')
  })

  it('is refused while another agent has the directory', async () => {
    const data = await folder()
    await agent({ data }).start()
    await expect(agent({ data }).start()).rejects.toMatchObject({ code: 'ERR_LOG_LOCKED' })
  })
})

describe('a start that fails', () => {
  it('stops what was started, so that it can be tried again', async () => {
    const data = await folder()
    const other = agent()
    await other.start()
    const http = formatAddress(other.httpAddress)
    await expect(agent({ data, http }).start()).rejects.toMatchObject({ code: 'ERR_SERVER_LISTEN' })
    await expect(agent({ data }).start()).resolves.toBeUndefined()
  })

  it('ends with the reason of its signal', async () => {
    const stop = AbortSignal.abort(new Error('enough'))
    await expect(agent().start(stop)).rejects.toThrow('enough')
  })

  it('is ended by stop', async () => {
    const a = agent()
    const started = a.start()
    const stopped = a.stop()
    await Promise.allSettled([started])
    await stopped
    await expect(a.start()).rejects.toMatchObject({ code: 'ERR_AGENT_STATE' })
  })
})

describe('plugins', () => {
  it('get the running parts, and end first', async () => {
    const order: string[] = []
    const a = agent({
      name: 'host',
      plugins: [
        {
          name: 'one',
          async setup({ name, membership, registry, log, signal }) {
            order.push(`${name} ${membership.self.status}`)
            await registry.register({ service: 'of-plugin', port: 1 })
            signal.addEventListener('abort', () => order.push('told'))
            return () => void order.push(`stopped, log ${log.status().gate}`)
          },
        },
        { name: 'two', setup: () => () => void order.push('two stopped') },
      ],
    })
    await a.start()
    expect(a.registry.resolve('of-plugin')).toHaveLength(1)
    await a.stop()
    expect(order).toEqual(['host alive', 'told', 'two stopped', 'stopped, log open'])
  })

  it('that fail are named, and nothing stays open', async () => {
    const data = await folder()
    const setup = (): never => {
      throw new Error('no')
    }
    await expect(agent({ data, plugins: [{ name: 'bad', setup }] }).start()).rejects.toMatchObject({
      code: 'ERR_AGENT_PLUGIN',
      message: 'the plugin bad failed to set up: no',
    })
    await expect(agent({ data }).start()).resolves.toBeUndefined()
  })
})

describe('a name that belongs to another member', { timeout: 60_000 }, () => {
  it('ends the agent that came later, without a leave, and says why', async () => {
    const [a, b] = [agent({ name: 'a' }), agent({ name: 'b' })]
    await Promise.all([a.start(), b.start()])
    const seed = formatAddress(a.gossip.address)
    await b.gossip.join([seed])
    await until(() => a.gossip.member('b')?.status === 'alive')
    const twin = agent({ name: 'b', join: [seed] })
    // It may lose its name before all of its parts run.
    const started = twin.start().catch((cause: unknown) => cause)
    expect(await twin.ended).toMatchObject({ code: 'ERR_GOSSIP_CONFLICT_LOST' })
    await started
    expect(a.gossip.member('b')).toMatchObject({ status: 'alive', address: b.gossip.address })
    await b.stop()
    expect(await b.ended).toBeUndefined()
  })

  it('events and queries go through the gossip of an agent', async () => {
    const a = agent({ name: 'a' })
    await a.start()
    a.gossip.on('query', (query) => query.respond(Buffer.from('fine')))
    const answers: string[] = []
    for await (const { from, payload } of a.gossip.query('load')) {
      answers.push(`${from} ${Buffer.from(payload).toString()}`)
    }
    expect(answers).toEqual(['a fine'])
    expect(await a.gossip.emit('deploy')).toMatchObject({ name: 'deploy' })
  })
})
