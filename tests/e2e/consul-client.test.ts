/** The npm package `consul`, as it is, against two agents: every call that tools make. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type Agent, createAgent } from '@kith/agent'
import { consulApiPlugin } from '@kith/consul-api'
import type { Address } from '@kith/interface'
import Consul from 'consul'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

/** Answers, and the client itself: its types do not know half of what it takes. */
type Json = ReturnType<typeof JSON.parse>

const kith = fileURLToPath(new URL('../../packages/cli/bin/kith.js', import.meta.url))
const places = new Map<string, Address>()
const api = (name: string) =>
  consulApiPlugin({ port: 0, onListening: (address) => places.set(name, address) })
let ada: Agent
let ben: Agent
let client: Json
let other: Json
let web: Server
let webPort = 0
let sick = false

const clientOf = (name: string): Json => new Consul(places.get(name))

beforeAll(async () => {
  ada = createAgent({ name: 'ada', tags: { zone: 'eu' }, profile: 'fast', plugins: [api('ada')] })
  await ada.start()
  const { host, port } = ada.gossip.address
  const seeds = [`${host}:${port}`]
  ben = createAgent({ name: 'ben', join: seeds, profile: 'fast', plugins: [api('ben')] })
  await ben.start()
  web = createServer((_request, response) => {
    response.statusCode = sick ? 500 : 200
    response.end(sick ? 'sick' : 'well')
  }).listen(0, '127.0.0.1')
  await once(web, 'listening')
  webPort = (web.address() as AddressInfo).port
  client = clientOf('ada')
  other = clientOf('ben')
})
afterAll(async () => {
  client?.destroy()
  other?.destroy()
  await Promise.all([ada?.stop(), ben?.stop()])
  web?.close()
})
afterEach(async () => {
  sick = false
  for (const { id } of ada.registry.own()) await ada.registry.deregister(id)
})

/** What a watch of the service is told once it fits. */
function until(
  of: Json,
  service: string,
  fits: (entries: Json[]) => boolean,
  options: object = {},
): Promise<Json[]> {
  return new Promise((resolve, reject) => {
    const asked = { service, wait: '20s', ...options }
    const watch = of.watch({ method: of.health.service, options: asked })
    watch.on('change', (entries: Json[]) => {
      if (!fits(entries)) return
      watch.end()
      resolve(entries)
    })
    watch.on('error', (cause: Error) => {
      watch.end()
      reject(cause)
    })
  })
}

describe('the npm package consul', () => {
  it('CON-1: agent self, members, services, checks, register, deregister', async () => {
    const self = await client.agent.self()
    expect(self.Config).toMatchObject({ Datacenter: 'dc1', NodeName: 'ada' })
    expect(self.Member).toMatchObject({ Name: 'ada', Status: 1 })
    const members = await client.agent.members()
    expect(members.map(({ Name, Status }: Json) => [Name, Status])).toEqual([
      ['ada', 1],
      ['ben', 1],
    ])
    await client.agent.service.register({
      id: 'web-1',
      name: 'web',
      address: '127.0.0.1',
      port: webPort,
      tags: ['eu', 'v1'],
      meta: { version: '4' },
      check: { http: `http://127.0.0.1:${webPort}/`, interval: '100ms', timeout: '1s' },
    })
    expect(await client.agent.services()).toMatchObject({
      'web-1': {
        ID: 'web-1',
        Service: 'web',
        Port: webPort,
        Tags: ['eu', 'v1'],
        Meta: { version: '4' },
      },
    })
    const passing = await until(other, 'web', (found) => found.length === 1, { passing: true })
    expect(passing[0]).toMatchObject({
      Node: { Node: 'ada', Address: '127.0.0.1', Datacenter: 'dc1', Meta: { zone: 'eu' } },
      Service: { ID: 'web-1', Service: 'web', Address: '127.0.0.1', Port: webPort },
      Checks: [
        { CheckID: 'serfHealth', Status: 'passing', ServiceID: '' },
        { CheckID: 'service:web-1', Name: "Service 'web' check", Status: 'passing', Node: 'ada' },
      ],
    })
    const checks = await client.agent.checks()
    expect(checks['service:web-1']).toMatchObject({ Status: 'passing', ServiceName: 'web' })
    expect(checks['service:web-1']?.Output).toContain('well')
    await client.agent.service.deregister('web-1')
    expect(await client.agent.services()).toEqual({})
    await until(other, 'web', (found) => found.length === 0)
    await expect(client.agent.service.deregister('web-1')).rejects.toThrow(/web-1/)
  })

  it('CON-3: check pass, warn, fail, with the note as output', async () => {
    await client.agent.service.register({
      name: 'job',
      port: 7,
      check: { ttl: '60s', notes: 'tells of itself' },
    })
    const [created] = await until(other, 'job', (found) => found.length === 1)
    expect(created.Checks[1]).toMatchObject({ Status: 'critical', Notes: 'tells of itself' })
    await client.agent.check.pass({ id: 'service:job', note: 'fine' })
    await until(other, 'job', ([found]) => found?.Checks[1].Status === 'passing')
    await client.agent.check.warn({ id: 'service:job', note: 'hm' })
    const [warned] = await until(other, 'job', ([found]) => found?.Checks[1].Status === 'warning')
    expect(warned.Checks[1].Output).toBe('hm')
    expect(await other.health.service({ service: 'job', passing: true })).toEqual([])
    await client.agent.check.fail('service:job')
    await until(other, 'job', ([found]) => found?.Checks[1].Status === 'critical')
    await expect(client.agent.check.pass('service:none')).rejects.toThrow(/service:none/)
  })

  it('CON-4: checks are registered and deregistered for a service that is there', async () => {
    await client.agent.service.register({ name: 'db', port: 5432, check: { ttl: '60s' } })
    await client.agent.check.pass('service:db')
    await client.agent.check.register({
      id: 'db:disk',
      name: 'Room on the disk',
      serviceid: 'db',
      ttl: '60s',
      status: 'passing',
    })
    const [two] = await until(other, 'db', ([found]) => found?.Checks.length === 3)
    expect(two.Checks.slice(1)).toMatchObject([
      { CheckID: 'service:db', Status: 'passing' },
      { CheckID: 'db:disk', Name: 'Room on the disk', Status: 'passing' },
    ])
    await client.agent.check.fail('db:disk')
    await until(other, 'db', ([found]) => found?.Checks[2]?.Status === 'critical')
    await client.agent.check.deregister('db:disk')
    const [one] = await until(other, 'db', ([found]) => found?.Checks.length === 2)
    expect(one.Checks[1]).toMatchObject({ CheckID: 'service:db', Status: 'passing' })
    const ofHost = client.agent.check.register({ name: 'host', ttl: '9s' })
    await expect(ofHost).rejects.toMatchObject({ response: { statusCode: 400 } })
  })

  it('CON-5: maintenance of a service and of the agent', async () => {
    await client.agent.service.register({ name: 'web', port: webPort })
    await until(other, 'web', (found) => found.length === 1, { passing: true })
    await client.agent.service.maintenance({ id: 'web', enable: true, reason: 'new disk' })
    await until(other, 'web', (found) => found.length === 0, { passing: true })
    const [held] = await other.health.service('web')
    expect(held.Checks[1]).toMatchObject({
      CheckID: '_service_maintenance:web',
      Status: 'critical',
      Notes: 'new disk',
    })
    await client.agent.service.maintenance({ id: 'web', enable: false })
    await until(other, 'web', (found) => found.length === 1, { passing: true })
    await client.agent.maintenance({ enable: true, reason: 'reboot' })
    await until(other, 'web', (found) => found.length === 0, { passing: true })
    await client.agent.maintenance(false)
    await until(other, 'web', (found) => found.length === 1, { passing: true })
  })

  it('CON-6: catalog datacenters, nodes, services, service, node', async () => {
    await client.agent.service.register({ name: 'web', id: 'w1', port: 81, tags: ['b', 'a'] })
    await client.agent.service.register({ name: 'web', id: 'w2', port: 82, tags: ['c'] })
    await until(other, 'web', (found) => found.length === 2)
    expect(await other.catalog.datacenters()).toEqual(['dc1'])
    const nodes = await other.catalog.nodes()
    expect(nodes.map(({ Node, Address }: Json) => [Node, Address])).toEqual([
      ['ada', '127.0.0.1'],
      ['ben', '127.0.0.1'],
    ])
    expect(await other.catalog.services()).toEqual({ web: ['a', 'b', 'c'] })
    const both = await other.catalog.service.nodes('web')
    expect(both.map(({ ServiceID, ServicePort }: Json) => [ServiceID, ServicePort])).toEqual([
      ['w1', 81],
      ['w2', 82],
    ])
    const tagged = await other.catalog.service.nodes({ service: 'web', tag: 'c' })
    expect(tagged.map(({ ServiceID }: Json) => ServiceID)).toEqual(['w2'])
    const node = await other.catalog.node.services('ada')
    expect(node).toMatchObject({
      Node: { Node: 'ada' },
      Services: { w1: { Port: 81 }, w2: { Service: 'web' } },
    })
    // The client makes this of null.
    expect(await other.catalog.node.services('nobody')).toBeUndefined()
    expect(await other.catalog.nodes({ 'node-meta': 'zone:eu' })).toHaveLength(1)
  })

  it('CON-7: health node, checks, service, state', async () => {
    await client.agent.service.register({
      name: 'web',
      port: webPort,
      tags: ['eu'],
      check: { http: `http://127.0.0.1:${webPort}/`, interval: '100ms' },
    })
    await until(other, 'web', (found) => found.length === 1, { passing: true })
    const ofNode = await other.health.node('ada')
    expect(ofNode.map(({ CheckID, Status }: Json) => [CheckID, Status])).toEqual([
      ['serfHealth', 'passing'],
      ['service:web', 'passing'],
    ])
    sick = true
    await until(other, 'web', (found) => found.length === 0, { passing: true })
    const [ofService] = await other.health.checks('web')
    expect(ofService).toMatchObject({ CheckID: 'service:web', Status: 'critical', Node: 'ada' })
    const critical = await other.health.state('critical')
    expect(critical.map(({ CheckID }: Json) => CheckID)).toEqual(['service:web'])
    expect((await other.health.state('any')).length).toBe(3)
    expect(await other.health.state('unknown')).toEqual([])
    expect(await other.health.service({ service: 'web', tag: 'us' })).toEqual([])
    expect(await other.health.service({ service: 'web', near: '_agent' })).toHaveLength(1)
  })

  it('CON-8: filter on the selectors of what is listed', async () => {
    for (const [id, meta] of [
      ['w1', { env: 'qa' }],
      ['w2', { env: 'live' }],
    ] as const) {
      await client.agent.service.register({ name: 'web', id, port: 80, meta, tags: [id] })
    }
    await until(other, 'web', (found) => found.length === 2)
    const ids = async (filter: string): Promise<string[]> => {
      const found: Json[] = await other.health.service({ service: 'web', filter })
      return found.map(({ Service }: Json) => Service.ID)
    }
    expect(await ids('Service.Meta.env == "qa"')).toEqual(['w1'])
    expect(await ids('Service.Meta.env != qa and "w2" in Service.Tags')).toEqual(['w2'])
    expect(await ids('Checks.Status == "passing" and not (Service.ID matches "^w[2-9]$")')).toEqual(
      ['w1'],
    )
    const own = await client.agent.services({ filter: 'Meta.env == live' })
    expect(Object.keys(own)).toEqual(['w2'])
    await expect(ids('Service.Telepathy == 1')).rejects.toThrow(/bad request/)
  })

  it('CON-9: a watch is told of each change, and an error of none', async () => {
    const watch = client.watch({
      method: client.catalog.service.list,
      options: { wait: '10s' },
    })
    const seen: string[][] = []
    const errors: Error[] = []
    watch.on('error', (cause: Error) => errors.push(cause))
    const sawBoth = new Promise<void>((resolve) => {
      watch.on('change', (services: object) => {
        seen.push(Object.keys(services))
        if (seen.at(-1)?.length === 2) resolve()
        else
          void client.agent.service.register({
            name: Object.keys(services).length === 0 ? 'a' : 'b',
            port: 1,
          })
      })
    })
    await sawBoth
    watch.end()
    // An index may grow without another answer: whoever asks just then is told the same again.
    const told = seen.map((names) => names.join(' '))
    expect(told.filter((names, at) => names !== told[at - 1])).toEqual(['', 'a', 'a b'])
    expect(errors).toEqual([])
  })

  it('CON-11: status leader and peers', async () => {
    const { host, port } = ada.gossip.address
    expect(await client.status.leader()).toBe(`${host}:${port}`)
    expect(await client.status.peers()).toHaveLength(2)
  })
})

describe('kith agent --consul-api', () => {
  it('CON-15: listens where it is told, keeps what is registered, and is off unless asked for', async () => {
    const data = await mkdtemp(join(tmpdir(), 'kith-consul-'))
    const life = async (use: (client: Json) => Promise<void>, ...more: string[]): Promise<Json> => {
      const free = ['bind', 'http', 'rpc'].flatMap((flag) => [`--${flag}`, '127.0.0.1:0'])
      const child = spawn(process.execPath, [kith, 'agent', '--data', data, ...free, ...more], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      try {
        const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
        const ready = JSON.parse(line) as Json
        const [host, port] = (ready.consul ?? '').split(':')
        if (port !== undefined) await use(new Consul({ host, port: Number(port) }))
        return ready
      } finally {
        child.kill('SIGTERM')
        await once(child, 'exit')
      }
    }
    try {
      const flags = ['--log-format', 'json', '--consul-api', '127.0.0.1:0']
      await life(
        async (own) => {
          await own.agent.service.register({ name: 'web', port: 8080, check: { ttl: '60s' } })
          own.destroy()
        },
        ...flags,
      )
      let found: Json
      await life(
        async (own) => {
          found = await own.agent.checks()
          own.destroy()
        },
        ...flags,
      )
      expect(Object.keys(found)).toEqual(['service:web'])
      const without = await life(async () => {}, '--log-format', 'json')
      expect(without.event).toBe('ready')
      expect(without).not.toHaveProperty('consul')
    } finally {
      await rm(data, { recursive: true, force: true })
    }
  }, 60_000)
})
