import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { check, instance, type Json, member, World } from './support/world.ts'

let world: World
beforeEach(async () => {
  world = await World.start()
})
afterEach(() => world.api.stop())

const place = (seconds: number) => ({
  vector: [seconds, 0, 0, 0, 0, 0, 0, 0],
  error: 0.1,
  adjustment: 0,
  height: 0,
})

describe('the agent', () => {
  it('CON-1: self and members', async () => {
    const { body } = await world.get('/agent/self')
    expect(body.Config).toMatchObject({ Datacenter: 'dc1', NodeName: 'ada', Server: true })
    expect(body.Config.NodeID).toMatch(
      /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/,
    )
    expect(body.Meta).toEqual({ zone: 'eu' })
    world.everybody = [member('ada'), member('ben', { status: 'failed' })]
    const members = (await world.get('/agent/members')).body
    expect(members.map(({ Name, Addr, Port, Status }: Json) => [Name, Addr, Port, Status])).toEqual(
      [
        ['ada', '192.0.2.7', 7946, 1],
        ['ben', '192.0.2.7', 7946, 4],
      ],
    )
    expect((await world.get('/agent/members?wan=1')).body).toEqual([])
    const alive = await world.get('/agent/members?filter=Status%20==%201')
    expect(alive.body).toHaveLength(1)
  })

  it('CON-1: one of its services, and the next state of it by its hash', async () => {
    world.registry.put(instance('w1', { tags: ['a'] }))
    const first = await world.get('/agent/service/w1')
    expect(first.body).toMatchObject({ ID: 'w1', Service: 'web', Port: 80, Tags: ['a'] })
    const hash = first.headers.get('x-consul-contenthash')
    expect(hash).toMatch(/^[0-9a-f]{32}$/)
    const next = world.get(`/agent/service/w1?hash=${hash}&wait=20s`)
    await world.parked(1)
    world.registry.put(instance('w1', { tags: ['b'] }))
    expect((await next).body.Tags).toEqual(['b'])
    const missing = await world.get('/agent/service/none')
    expect([missing.status, missing.text]).toEqual([404, expect.stringContaining('none')])
  })

  it('CON-1: its checks have the output that others do not have yet', async () => {
    world.registry.put(instance('w1', { checks: [check('w1/service', { output: 'old' })] }))
    world.registry.checks = () => [check('w1/service', { output: 'new' })]
    expect((await world.get('/agent/checks')).body['service:w1'].Output).toBe('new')
    expect((await world.get('/health/checks/web')).body[0].Output).toBe('old')
  })

  it('CON-5: maintenance needs to be told which way', async () => {
    world.registry.put(instance('w1'))
    for (const path of ['/agent/maintenance', '/agent/service/maintenance/w1']) {
      for (const query of [
        '',
        '?enable=',
        '?enable=maybe',
        '?enable',
        '?enable=true&enable=false',
      ]) {
        const { status, text } = await world.put(path + query)
        expect([status, text]).toEqual([400, expect.stringContaining('enable must be')])
      }
      const long = await world.put(`${path}?enable=true&reason=${'x'.repeat(257)}`)
      expect([long.status, long.text]).toEqual([400, expect.stringContaining('reason must be')])
    }
    expect((await world.put('/agent/service/maintenance/none?enable=true')).status).toBe(404)
    await world.put('/agent/service/maintenance/w1?enable=true&reason=disk')
    await world.put('/agent/service/maintenance/w1?enable=false')
    await world.put('/agent/maintenance?enable=1')
    await world.put('/agent/maintenance?enable=0')
    expect(world.registry.calls).toEqual([
      ['maintain', 'disk', 'w1'],
      ['resume', 'w1'],
      ['maintain', 'in maintenance; no reason was given', undefined],
      ['resume', undefined],
    ])
  })
})

describe('catalog and health', () => {
  it('CON-6: nodes are members that have not left, by distance where that is asked', async () => {
    world.everybody = [
      member('ada', { coordinate: place(0) }),
      member('ben', { coordinate: place(0.2) }),
      member('eve', { status: 'left' }),
      member('cyd', { coordinate: place(0.1), status: 'failed' }),
      member('dan', { tags: {} }),
    ]
    const names = async (query: string): Promise<string[]> =>
      (await world.get(`/catalog/nodes${query}`)).body.map(({ Node }: Json) => Node)
    expect(await names('')).toEqual(['ada', 'ben', 'cyd', 'dan'])
    expect(await names('?near=_agent')).toEqual(['ada', 'cyd', 'ben', 'dan'])
    expect(await names('?near=ben')).toEqual(['ben', 'cyd', 'ada', 'dan'])
    expect(await names('?near=nobody')).toEqual(['ada', 'ben', 'cyd', 'dan'])
    expect(await names('?node-meta=zone:eu')).toEqual(['ada', 'ben', 'cyd'])
    expect(await names('?filter=Meta%20is%20empty')).toEqual(['dan'])
    world.registry.put(
      instance('w1', { member: 'ben' }),
      instance('w2'),
      instance('w3', { member: 'dan' }),
    )
    for (const path of ['/catalog/service/web', '/health/checks/web', '/health/service/web']) {
      world.registry.all = world.registry.all.map((one) => ({
        ...one,
        checks: [check(`${one.id}/service`)],
      }))
      const { body } = await world.get(`${path}?near=ben`)
      expect(body.map(({ Node }: Json) => Node.Node ?? Node)).toEqual(['ben', 'ada', 'dan'])
      expect((await world.get(`${path}?node-meta=zone:eu`)).body).toHaveLength(2)
    }
  })

  it('CON-6: a node by its name or its id, with its services in both shapes', async () => {
    world.registry.put(instance('w1'), instance('w2', { member: 'ben' }))
    const byName = (await world.get('/catalog/node/ada')).body
    expect(byName.Services).toEqual({ w1: expect.objectContaining({ ID: 'w1' }) })
    const byId = (await world.get(`/catalog/node-services/${byName.Node.ID}`)).body
    expect(byId.Services).toEqual([expect.objectContaining({ ID: 'w1' })])
    expect((await world.get('/catalog/node/none')).body).toBeNull()
    expect((await world.get('/catalog/node-services/none')).body).toBeNull()
    const kept = await world.get('/catalog/node/ada?filter=Port%20!=%2080')
    expect(kept.body.Services).toEqual({})
  })

  it('CON-6: services with the tags of all their instances, also of those that a filter leaves', async () => {
    world.registry.put(
      instance('w1', { tags: ['b'] }),
      instance('w2', { tags: ['a', 'b'], member: 'ben', meta: { env: 'qa' } }),
      instance('d1', { service: 'db' }),
    )
    expect((await world.get('/catalog/services')).body).toEqual({ web: ['a', 'b'], db: [] })
    const filtered = await world.get('/catalog/services?filter=ServiceMeta.env%20==%20qa')
    expect(filtered.body).toEqual({ web: ['a', 'b'] })
    expect((await world.get('/catalog/services?node-meta=zone:us')).body).toEqual({})
  })

  it('CON-7: what a member is, is its check, and a failed one is critical', async () => {
    world.everybody = [member('ada'), member('ben', { status: 'failed' })]
    world.registry.put(
      instance('w1', { checks: [check('w1/service', { status: 'warning' })], status: 'warning' }),
    )
    const states = async (state: string): Promise<string[]> =>
      (await world.get(`/health/state/${state}`)).body.map(
        ({ Node, CheckID }: Json) => `${Node} ${CheckID}`,
      )
    expect(await states('any')).toEqual(['ada serfHealth', 'ben serfHealth', 'ada service:w1'])
    expect(await states('critical')).toEqual(['ben serfHealth'])
    expect(await states('warning')).toEqual(['ada service:w1'])
    const bad = await world.get('/health/state/fine')
    expect([bad.status, bad.text]).toEqual([400, expect.stringContaining('state must be one of')])
    expect((await world.get('/health/node/ben')).body).toHaveLength(1)
    expect((await world.get('/health/node/none')).body).toEqual([])
  })

  it.each([
    ['', 2],
    ['?passing', 1],
    ['?passing=true', 1],
    ['?passing=1', 1],
    ['?passing=false', 2],
    ['?passing=0', 2],
    ['?tag=a', 2],
    ['?tag=a&tag=b', 1],
    ['?tag=c', 0],
  ])('CON-7: health/service/web%s', async (query, count) => {
    world.registry.put(
      instance('w1', { tags: ['a'] }),
      instance('w2', { tags: ['a', 'b'], status: 'critical' }),
    )
    expect((await world.get(`/health/service/web${query}`)).body).toHaveLength(count)
  })

  it('CON-11: each member answers for itself', async () => {
    world.everybody = [member('ada'), member('ben', { status: 'failed' })]
    expect((await world.get('/status/leader')).body).toBe('192.0.2.7:7946')
    expect((await world.get('/status/peers')).body).toEqual(['192.0.2.7:7946'])
  })
})

describe('a query that waits', () => {
  it('CON-9: is answered when its answer is another one, and not before', async () => {
    world.registry.put(instance('w1'))
    const { index } = await world.get('/health/service/web')
    const next = world.get(`/health/service/web?index=${index}&wait=20s`)
    await world.parked(1)
    // Neither another service nor a change that shows nothing ends it.
    world.registry.put(instance('d1', { service: 'db' }))
    let looked = (): void => {}
    const again = new Promise<void>((resolve) => (looked = resolve))
    const { resolve } = world.registry
    world.registry.resolve = (service, options) => {
      looked()
      return resolve.call(world.registry, service, options)
    }
    world.registry.changed('web')
    await again
    world.tell({ kind: 'update', member: member('ben', { tags: { a: 'b' } }) })
    const unmoved = await world.get('/health/service/web?index=1')
    expect(unmoved.index).toBeGreaterThan(index)
    expect(world.api.stats().parked).toBe(1)
    world.registry.put(instance('w2'))
    const told = await next
    expect(told.body).toHaveLength(2)
    expect(told.index).toBeGreaterThan(unmoved.index)
    expect(world.api.stats().parked).toBe(0)
  })

  it('CON-9: an index that is not the current one is answered at once', async () => {
    const { index } = await world.get('/catalog/nodes')
    for (const given of ['0', '1', String(index - 1), String(index + 1), '18446744073709551615']) {
      expect((await world.get(`/catalog/nodes?index=${given}&wait=20s`)).index).toBe(index)
    }
  })

  it('CON-9: many changes at once are one answer', async () => {
    const { index } = await world.get('/catalog/services')
    const next = world.get(`/catalog/services?index=${index}&wait=20s`)
    await world.parked(1)
    for (let at = 0; at < 50; at += 1) world.registry.put(instance(`s${at}`, { service: `s${at}` }))
    expect(Object.keys((await next).body)).toHaveLength(50)
  })

  it('CON-9: it waits as long as it may, and up to a sixteenth more', async () => {
    await world.api.stop()
    const delays: number[] = []
    let fire = (): void => {}
    const clock = {
      now: () => 0,
      wallNow: () => 1_000,
      after(ms: number, callback: () => void) {
        delays.push(ms)
        fire = callback
        return () => {}
      },
    }
    const random = { float: () => 0.5, uint32: () => 0, below: () => 0 }
    world = await World.start({ clock, random, waitMsMax: 400_000 })
    const { index } = await world.get('/catalog/nodes')
    for (const wait of ['', '&wait=16s', '&wait=1h', '&wait=0']) {
      const next = world.get(`/catalog/nodes?index=${index}${wait}`)
      await world.parked(1)
      fire()
      const timedOut = await next
      expect([timedOut.status, timedOut.index]).toEqual([200, index])
    }
    expect(delays).toEqual([300_000, 16_000, 400_000, 300_000].map((ms) => ms + ms / 32))
  })

  it('CON-10: an index grows with each change, also over a restart and where a service goes', async () => {
    const topics = [
      '/health/service/web',
      '/health/service/none',
      '/catalog/services',
      '/catalog/nodes',
    ]
    const indexes = async (): Promise<number[]> =>
      Promise.all(topics.map(async (path) => (await world.get(path)).index))
    let before = await indexes()
    expect(Math.min(...before)).toBeGreaterThan(0)
    const changes = [
      () => world.registry.put(instance('w1')),
      () => world.registry.put(instance('d1', { service: 'db' })),
      () => world.registry.remove('w1'),
      () => world.tell({ kind: 'join', member: member('eve') }),
      () => world.registry.put(instance('w1')),
      () => world.registry.remove('d1'),
    ]
    for (const change of changes) {
      change()
      const after = await indexes()
      for (const [at, index] of after.entries())
        expect(index).toBeGreaterThanOrEqual(before[at] ?? 0)
      expect(after).not.toEqual(before)
      before = after
    }
    await world.api.stop()
    world = await World.start()
    const after = await indexes()
    for (const [at, index] of after.entries()) expect(index).toBeGreaterThanOrEqual(before[at] ?? 0)
  })

  it('CON-14: no more of them than there may be, and a caller that goes is waited for no more', async () => {
    await world.api.stop()
    world = await World.start({ parkedMax: 2 })
    const { index } = await world.get('/catalog/nodes')
    const going = new AbortController()
    const path = `/catalog/nodes?index=${index}&wait=20s`
    const gone = world.get(path, { signal: going.signal }).catch((cause: Error) => cause.name)
    const stays = world.get(path)
    await world.parked(2)
    const refused = await world.get(path)
    expect([refused.status, refused.text]).toEqual([429, expect.stringContaining('parkedMax = 2')])
    expect(refused.headers.get('retry-after')).toBe('1')
    going.abort()
    expect(await gone).toBe('AbortError')
    await world.parked(1)
    world.everybody = [...world.everybody, member('eve')]
    world.tell({ kind: 'join', member: member('eve') })
    expect((await stays).body).toHaveLength(3)
  })
})
