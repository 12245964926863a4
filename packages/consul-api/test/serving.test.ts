import { once } from 'node:events'
import { connect } from 'node:net'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ConsulApiPluginContext, consulApiPlugin, createConsulApi } from '../src/index.ts'
import { check, instance, member, World } from './support/world.ts'

let world: World
beforeEach(async () => {
  world = await World.start()
})
afterEach(() => world.api.stop())

/** What comes back for these bytes, until the far end closes. */
async function raw(bytes: string): Promise<string> {
  const socket = connect(world.address.port, world.address.host)
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(bytes)
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  return text
}

describe('a refusal', () => {
  it.each([
    ['/catalog/nodes?dc=dc2', 400, 'dc must be dc1'],
    ['/catalog/nodes?ns=team', 400, 'ns must be default'],
    ['/catalog/nodes?partition=team', 400, 'partition must be default'],
    ['/catalog/nodes?index=x', 400, 'index must be a whole number'],
    ['/catalog/nodes?index=-1', 400, 'index must be a whole number'],
    ['/catalog/nodes?index=1&index=2', 400, 'index must be given once'],
    ['/catalog/nodes?index=1&wait=10', 400, 'wait must be a time'],
    ['/catalog/nodes?node-meta=zone', 400, 'node-meta must be KEY:VALUE'],
    ['/catalog/nodes?filter=x', 400, 'filter must be'],
    ['/catalog/nodes?pretty=maybe', 400, 'pretty must be true or false'],
    ['/health/service/web?passing=yes', 400, 'passing must be true or false'],
    ['/health/service/%', 400, '%'],
    ['/kv/a', 404, "/v1/kv/a is not part of Consul's API as Kith has it"],
    ['/agent/service/register', 405, 'GET must be PUT here'],
  ])('CON-12: %s', async (path, status, says) => {
    const answer = await world.get(path)
    expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(says)])
    expect(answer.type).toBe('text/plain; charset=utf-8')
  })

  it.each([
    [`/health/service/${'x'.repeat(600)}`, 414, 'param length'],
    [`/health/service/web?near=${'x'.repeat(513)}`, 400, 'near must be text of at most'],
    [`/health/service/web?${'tag=x&'.repeat(65)}`, 400, 'tag must be given at most 64 times'],
  ])('CON-12: of what is too long, %#', async (path, status, says) => {
    const answer = await world.get(path)
    expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(says)])
  })

  it('CON-12: of another method names the right one', async () => {
    for (const method of ['PUT', 'POST', 'DELETE', 'PATCH']) {
      const answer = await world.get('/agent/self', { method })
      expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET'])
    }
  })

  it('CON-12: parameters that nothing depends on are not looked at', async () => {
    const answer = await world.get(
      '/catalog/nodes?stale=&consistent=1&cached&token=x&dc=dc1&ns=default',
    )
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-consul-knownleader')).toBe('true')
    expect(answer.headers.get('x-consul-lastcontact')).toBe('0')
    const pretty = await world.get('/status/peers?pretty')
    expect(pretty.text).toContain('\n    "192.0.2.7:7946"')
  })

  it('CON-12: an error of ours is told as one, and nothing of it', async () => {
    world.registry.instances = () => {
      throw new Error('secret')
    }
    const answer = await world.get('/catalog/services')
    expect(answer).toMatchObject({ status: 500, text: expect.not.stringContaining('secret') })
    expect(world.api.stats().failures).toBe(1)
  })
})

describe('bounds', () => {
  it('CON-14: a body may be so long', async () => {
    const long = JSON.stringify({ Name: 'web', Port: 80, Tags: ['x'.repeat(70_000)] })
    const answer = await world.put('/agent/service/register', long)
    expect([answer.status, answer.type]).toEqual([413, 'text/plain; charset=utf-8'])
    const head = 'PUT /v1/agent/service/register HTTP/1.1\r\nhost: x\r\n'
    expect(await raw(`${head}content-length: 999999999\r\n\r\n{`)).toMatch(/^HTTP\/1\.1 413 /)
    expect(await raw('nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
    expect(await raw(`GET / HTTP/1.1\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 431 /,
    )
  })

  it('CON-14: a request that does not come whole is given up, and connections are counted', async () => {
    await world.api.stop()
    world = await World.start({ requestTimeoutMs: 100, connectionsMax: 2 })
    const head = 'PUT /v1/agent/service/register HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n'
    const slow = raw(head)
    const other = connect(world.address.port, world.address.host)
    await once(other, 'connect')
    const third = connect(world.address.port, world.address.host)
    third.on('error', () => {})
    await once(third, 'close')
    other.destroy()
    expect(await slow).toMatch(/^HTTP\/1\.1 408 /)
  })

  it('CON-14: no body and no query makes it fail', async () => {
    world.registry.put(instance('w1', { checks: [check('w1/service')] }))
    const paths = fc.constantFrom(
      ...[
        '/agent/self',
        '/agent/checks',
        '/catalog/services',
        '/catalog/service/web',
        '/catalog/node/ada',
      ],
      ...['/health/service/web', '/health/state/any', '/health/node/ada', '/agent/service/w1'],
    )
    const name = fc.constantFrom(
      'filter',
      'tag',
      'near',
      'node-meta',
      'passing',
      'index',
      'wait',
      'hash',
    )
    const query = fc.array(fc.tuple(name, fc.string({ unit: 'binary', maxLength: 20 })), {
      maxLength: 4,
    })
    const puts = fc.constantFrom(
      ...['/agent/service/register', '/agent/check/register', '/agent/check/update/service:w1'],
    )
    await fc.assert(
      fc.asyncProperty(
        paths,
        query,
        puts,
        fc.json({ maxDepth: 4 }),
        async (path, pairs, put, body) => {
          const search = new URLSearchParams(
            pairs.map(([key, value]): [string, string] => [key, value]),
          )
          const read = await world.get(`${path}?${search.toString()}&index=1`)
          expect([200, 400, 404]).toContain(read.status)
          expect((await world.put(put, body)).status).toBe(400)
        },
      ),
      { numRuns: 200 },
    )
    expect(world.api.stats().failures).toBe(0)
  })
})

describe('its life', () => {
  it('CON-15: it starts once, says where it cannot, and stops with what waits answered', async () => {
    const { port } = world.address
    const second = new World({ port })
    await expect(second.api.start()).rejects.toMatchObject({ code: 'ERR_CONSUL_LISTEN' })
    await second.api.stop()
    await expect(world.api.start()).rejects.toMatchObject({ code: 'ERR_CONSUL_STATE' })
    const { index } = await world.get('/catalog/nodes')
    const waiting = world.get(`/catalog/nodes?index=${index}&wait=20s`)
    await world.parked(1)
    await world.api.stop()
    expect((await waiting).body).toHaveLength(2)
    await expect(world.get('/catalog/nodes')).rejects.toThrow()
    expect(world.handlers.size).toBe(0)
    await world.api.stop()
  })

  it('CON-15: options out of range are refused, all at once', () => {
    const registry = world.registry
    const membership = { members: () => [] } as never
    expect(() =>
      createConsulApi({
        registry,
        membership,
        port: -1,
        datacenter: 'A B',
        parkedMax: 0,
        x: 1,
      } as never),
    ).toThrow(/^x must be absent.*port must be.*parkedMax must be.*datacenter must be/)
    expect(() => createConsulApi({} as never)).toThrow(/registry must be.*membership must be/)
    expect(() => consulApiPlugin({ host: 'localhost' })).toThrow('host must be an IP address')
    expect(() => consulApiPlugin({ onListening: 5 as never })).toThrow('onListening must be')
  })

  it('CON-15: as a plugin it keeps what is registered where the agent keeps anything', async () => {
    const logged: object[] = []
    const note = (fields: object): void => void logged.push(fields)
    const self = member('ada')
    for (const data of [undefined, '/somewhere']) {
      world.registry.registered.length = 0
      let url = ''
      const plugin = consulApiPlugin({
        port: 0,
        onListening: ({ host, port }) => (url = `http://${host}:${port}/v1`),
      })
      const context: ConsulApiPluginContext = {
        registry: world.registry,
        membership: { self, members: () => [self], member: () => self, subscribe: () => () => {} },
        logger: { debug: note, info: note, warn: note, error: note },
        data,
      }
      const stop = await plugin.setup(context)
      await fetch(`${url}/agent/service/register`, { method: 'PUT', body: '{"Name":"a","Port":1}' })
      expect(world.registry.registered[0]?.persist).toBe(data !== undefined)
      await stop()
    }
    expect(logged).toHaveLength(2)
  })
})
