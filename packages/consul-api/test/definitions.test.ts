import { KithError } from '@kith/interface'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { parseDuration } from '../src/durations.ts'
import { check, instance, type Json, World } from './support/world.ts'

let world: World
beforeAll(async () => {
  world = await World.start({ persist: true })
})
afterAll(() => world.api.stop())
beforeEach(() => {
  world.registry.all = []
  world.registry.registered.length = 0
  world.registry.refuse = undefined
})

const register = (body: unknown) => world.put('/agent/service/register', body)
const only = (): Json => world.registry.registered.at(-1)?.definition

describe('a registration', () => {
  it('CON-2: becomes a definition, whatever the case of its names', async () => {
    const answer = await register({
      ID: 'web-1',
      name: 'web',
      Tags: ['a'],
      port: 80,
      Address: '10.0.0.1',
      meta: { version: '1' },
      Check: null,
      enable_tag_override: false,
      Weights: { Passing: 1, Warning: 1 },
      tagged_addresses: {},
      Namespace: 'default',
      Token: 'secret',
      checks: [
        {
          HTTP: 'https://10.0.0.1/health',
          Interval: '10s',
          Timeout: '1500ms',
          Method: 'head',
          Header: { Accept: ['a', 'b'], Host: ['web'] },
          TLSSkipVerify: true,
          tls_server_name: 'web.example',
          Status: 'passing',
          SuccessBeforePassing: 2,
          FailuresBeforeCritical: 3,
          FailuresBeforeWarning: 3,
          DeregisterCriticalServiceAfter: '1m30s',
          DisableRedirects: true,
          OutputMaxSize: 4096,
        },
        { TCP: '[::1]:80', Interval: 5_000_000_000, CheckID: 'web-tcp', Notes: 'by hand' },
        { GRPC: '10.0.0.1:90/web.v1', GRPCUseTLS: true, Interval: '1m' },
        { TTL: '30s', Name: 'Told' },
        { Args: ['/bin/true', '-x'], Interval: '1h', CheckID: 'service:web-1:x' },
      ],
    })
    expect([answer.status, answer.text]).toEqual([200, ''])
    expect(world.registry.registered).toEqual([{ definition: expect.anything(), persist: true }])
    expect(only()).toEqual({
      service: 'web',
      id: 'web-1',
      port: 80,
      address: '10.0.0.1',
      tags: ['a'],
      meta: {
        version: '1',
        'kith.consul':
          '[["web-tcp","web-tcp","","by hand"],["service-4","","Told"],["service-5","service:web-1:x"]]',
      },
      checks: [
        {
          name: 'service-1',
          kind: 'http',
          options: {
            url: 'https://10.0.0.1/health',
            method: 'HEAD',
            headers: { Accept: 'a, b', Host: 'web' },
            tls: { serverName: 'web.example', verify: false },
          },
          intervalMs: 10_000,
          timeoutMs: 1_500,
          initialStatus: 'passing',
          successThreshold: 2,
          failureThreshold: 3,
          deregisterCriticalAfterMs: 90_000,
        },
        { name: 'web-tcp', kind: 'tcp', options: { host: '::1', port: 80 }, intervalMs: 5_000 },
        {
          name: 'service-3',
          kind: 'grpc',
          options: { host: '10.0.0.1', port: 90, service: 'web.v1', tls: true },
          intervalMs: 60_000,
        },
        { name: 'service-4', kind: 'ttl', intervalMs: 30_000 },
        {
          name: 'service-5',
          kind: 'script',
          options: { command: ['/bin/true', '-x'] },
          intervalMs: 3_600_000,
        },
      ],
    })
  })

  it('CON-2: of a name and a port is enough, and empty values are absent', async () => {
    expect((await register({ Name: 'web', Port: 80, ID: '', Kind: '', Connect: {} })).status).toBe(
      200,
    )
    expect(only()).toEqual({ service: 'web', port: 80, meta: {}, checks: [] })
  })

  const ttl = { TTL: '10s' }
  const http = { HTTP: 'http://127.0.0.1/', Interval: '10s' }
  it.each([
    ['nothing', '', 'body must be a JSON object'],
    ['text', '{', 'body must be a JSON object'],
    ['a list', [], 'body must be an object'],
    ['null', null, 'body must be an object'],
    ['an unknown field', { Nmae: 'x' }, 'Nmae must be absent'],
    ['a kind', { Kind: 'connect-proxy' }, 'Kind must be absent (Kith has no proxies)'],
    ['a proxy', { Proxy: { DestinationServiceName: 'x' } }, 'Proxy must be absent'],
    ['a mesh', { Connect: { Native: true } }, 'Connect must be absent'],
    ['addresses', { TaggedAddresses: { lan: { Address: 'x' } } }, 'TaggedAddresses must be absent'],
    ['overriding', { EnableTagOverride: true }, 'EnableTagOverride must be absent'],
    ['a socket', { SocketPath: '/tmp/x' }, 'SocketPath must be absent'],
    ['a locality', { Locality: { Zone: 'x' } }, 'Locality must be absent'],
    ['ports', { Ports: [{ Name: 'x', Port: 1 }] }, 'Ports must be absent'],
    ['a namespace', { Namespace: 'team' }, 'Namespace must be absent'],
    ['a partition', { Partition: 'team' }, 'Partition must be absent'],
    ['weights', { Weights: { Passing: 10 } }, 'Weights.Passing must be 1'],
    ['weights', { Weights: 5 }, 'Weights must be an object'],
    ['an id', { ID: 5 }, 'ID must be text'],
    ['meta', { Meta: ['a'] }, 'Meta must be an object of texts'],
    ['our meta', { Meta: { 'kith.consul': '[]' } }, 'Meta.kith.consul must be absent'],
    ['checks', { Checks: {} }, 'Checks must be a list of at most 16 checks'],
    ['checks', { Checks: Array.from({ length: 17 }, () => ttl) }, 'Checks must be a list'],
    ['a check', { Check: 5 }, 'Check must be an object'],
    [
      'a check of nothing',
      { Checks: [{ Name: 'x' }] },
      'Checks[0] must be a check with one of TTL',
    ],
    ['two in one', { Check: { ...ttl, ...http } }, 'got "TTL and HTTP"'],
    ['an unknown field', { Check: { ...ttl, Color: 'red' } }, 'Check.Color must be absent'],
    ['a check id', { Check: { ...ttl, ID: 'x' } }, 'Check.ID must be absent (inside a service'],
    [
      'a long name',
      { Check: { ...ttl, Name: 'x'.repeat(257) } },
      'Check.Name must be text of at most',
    ],
    ['notes', { Check: { ...ttl, Notes: 'x'.repeat(257) } }, 'Check.Notes must be'],
    ['no interval', { Check: { TCP: '127.0.0.1:1' } }, 'Check.Interval must be given'],
    ['an interval', { Check: { ...http, Interval: '10' } }, 'Check.Interval must be a time'],
    ['an interval', { Check: { ...http, Interval: '1ms' } }, 'Check.Interval must be a time'],
    ['an interval', { Check: { ...http, Interval: -1 } }, 'Check.Interval must be a time'],
    ['a TTL with one', { Check: { ...ttl, Interval: '1s' } }, 'Check.Interval must be absent'],
    ['a TTL', { Check: { TTL: '25h' } }, 'Check.TTL must be a time'],
    ['a timeout', { Check: { ...http, Timeout: 'soon' } }, 'Check.Timeout must be a time'],
    ['a status', { Check: { ...ttl, Status: 'fine' } }, 'Check.Status must be passing, warning or'],
    [
      'a header',
      { Check: { ...http, Header: { a: 5 } } },
      'Check.Header.a must be a list of texts',
    ],
    ['headers', { Check: { ...http, Header: 'a: b' } }, 'Check.Header must be an object'],
    ['a body', { Check: { ...http, Body: 'x' } }, 'Check.Body must be absent'],
    [
      'verifying',
      { Check: { ...http, TLSSkipVerify: 'no' } },
      'Check.TLSSkipVerify must be true or',
    ],
    ['verifying', { Check: { ...ttl, TLSSkipVerify: true } }, 'only an http check takes it'],
    ['an address', { Check: { TCP: 'here', Interval: '1s' } }, 'Check.TCP must be HOST:PORT'],
    ['an address', { Check: { GRPC: '/x', Interval: '1s' } }, 'Check.GRPC must be HOST:PORT'],
    ['TLS', { Check: { ...http, GRPCUseTLS: true } }, 'Check.GRPCUseTLS must be absent'],
    [
      'TLS',
      { Check: { TCP: 'a:1', Interval: '1s', TCPUseTLS: true } },
      'Check.TCPUseTLS must be absent',
    ],
    [
      'UDP',
      { Check: { UDP: 'a:1', Interval: '1s' } },
      'Check.UDP must be absent (Kith has no such',
    ],
    ['HTTP/2', { Check: { H2PING: 'a:1', Interval: '1s' } }, 'Check.H2PING must be absent'],
    ['an alias', { Check: { AliasService: 'web' } }, 'Check.AliasService must be absent'],
    [
      'a container',
      { Check: { ...ttl, DockerContainerID: 'x' } },
      'Check.DockerContainerID must be',
    ],
    ['a script', { Check: { Script: 'true', Interval: '1s' } }, 'Check.Script must be absent'],
    [
      'a shell',
      { Check: { Args: ['a'], Interval: '1s', Shell: 'sh' } },
      'Check.Shell must be absent',
    ],
    ['an output', { Check: { ...ttl, OutputMaxSize: 10 } }, 'Check.OutputMaxSize must be 4096'],
    [
      'thresholds',
      { Check: { ...ttl, SuccessBeforePassing: -1 } },
      'Check.SuccessBeforePassing must',
    ],
    [
      'warnings',
      { Check: { ...ttl, FailuresBeforeWarning: 2 } },
      'Check.FailuresBeforeWarning must',
    ],
    [
      'labels',
      { Checks: Array.from({ length: 5 }, () => ({ ...ttl, Name: 'x'.repeat(256) })) },
      'Checks must be CheckID, Name and Notes of at most 1024 bytes in all',
    ],
  ])('CON-2: %s is refused by its name: %j', async (_what, body, says) => {
    const whole = typeof body === 'string' || Array.isArray(body) || body === null
    const answer = await register(whole ? body : { Name: 'web', Port: 80, ...(body as object) })
    expect([answer.status, answer.type]).toEqual([400, 'text/plain; charset=utf-8'])
    expect(answer.text).toContain(says)
    expect(world.registry.registered).toEqual([])
  })

  it('CON-2: all faults are told at once', async () => {
    const { text } = await register({ Kind: 'x', Checks: [{ TTL: 'x' }, { UDP: 'y' }] })
    for (const field of ['Kind', 'Checks[0].TTL', 'Checks[1].UDP', 'Checks[1]']) {
      expect(text).toContain(`${field} must be`)
    }
  })

  it('CON-2: what the registry refuses is told in the names of the body', async () => {
    const fields = ['service', 'id', 'port', 'address', 'tags[1]', 'meta.a b']
    const ofChecks = ['intervalMs', 'name', 'kind', 'timeoutMs', 'options'].map(
      (name) => `checks[0].${name}`,
    )
    const problems = [...fields, ...ofChecks, 'checks[1].intervalMs'].map((field) => ({
      field,
      got: '1',
      want: 'else',
    }))
    world.registry.refuse = new KithError('ERR_REGISTRY_SERVICE', 'x', { details: { problems } })
    const { status, text } = await register({ Name: 'web', Port: 80, Checks: [http, ttl] })
    expect(status).toBe(400)
    expect(text.split('; ').map((one) => one.split(' must')[0])).toEqual([
      ...['Name', 'ID', 'Port', 'Address', 'Tags[1]', 'Meta.a b'],
      ...['Interval', 'CheckID', 'HTTP', 'Timeout', 'HTTP'].map((name) => `Checks[0].${name}`),
      'Checks[1].TTL',
    ])
  })

  it('CON-16: a CheckID belongs to one service of the agent', async () => {
    await register({ Name: 'web', Port: 80, Check: { ...ttl, CheckID: 'mine' } })
    const taken = await register({ Name: 'db', Port: 81, Check: { ...ttl, CheckID: 'mine' } })
    expect([taken.status, taken.text]).toEqual([
      400,
      expect.stringContaining('Check.CheckID must be'),
    ])
    expect(
      (await register({ Name: 'web', Port: 82, Check: { ...ttl, CheckID: 'mine' } })).status,
    ).toBe(200)
  })
})

describe('a check by itself', () => {
  it('CON-4: is added to the checks of its service, and taken away again', async () => {
    await register({ Name: 'web', Port: 80, Check: { TTL: '10s' } })
    const added = await world.put('/agent/check/register', {
      Name: 'Disk',
      ID: 'web disk',
      ServiceID: 'web',
      TTL: '1m',
    })
    expect([added.status, added.text]).toEqual([200, ''])
    expect(only().checks).toEqual([
      { name: 'service', kind: 'ttl', intervalMs: 10_000 },
      { name: 'service-1', kind: 'ttl', intervalMs: 60_000 },
    ])
    const { body } = await world.get('/agent/checks')
    expect(Object.keys(body)).toEqual(['service:web', 'web disk'])
    expect((await world.put('/agent/check/deregister/web%20disk')).status).toBe(200)
    expect(only()).toMatchObject({ checks: [{ name: 'service' }], meta: {} })
    expect((await world.put('/agent/check/deregister/web%20disk')).status).toBe(404)
  })

  it.each([
    [{ Name: 'x', TTL: '1s' }, 'ServiceID must be the ID of a service of this agent'],
    [{ Name: 'x', TTL: '1s', ServiceID: 'none' }, 'ServiceID must be'],
    [{ ServiceID: 'web', TTL: '1s' }, 'Name must be text'],
    [{ Name: 'x', ServiceID: 'web' }, 'body must be a check with one of'],
    [{ Name: 'x', ServiceID: 'web', UDP: 'a:1', Interval: '1s' }, 'UDP must be absent'],
  ])('CON-4: %j is refused', async (body, says) => {
    await register({ Name: 'web', Port: 80 })
    const { status, text } = await world.put('/agent/check/register', body)
    expect([status, text]).toEqual([400, expect.stringContaining(says)])
  })

  it('CON-3: is set by its id, ours or that of Consul', async () => {
    world.registry.put(instance('web', { checks: [check('web/service'), check('web/own-x')] }))
    world.registry.calls.length = 0
    expect((await world.put('/agent/check/pass/service:web?note=fine')).status).toBe(200)
    expect((await world.put('/agent/check/warn/web/own-x')).status).toBe(200)
    expect((await world.put('/agent/check/fail/web%2Fown-x')).status).toBe(200)
    const body = { Status: 'warning', Output: 'so so' }
    expect((await world.put('/agent/check/update/service:web', body)).status).toBe(200)
    expect(world.registry.calls).toEqual([
      ['setCheck', 'web/service', 'passing', 'fine'],
      ['setCheck', 'web/own-x', 'warning', ''],
      ['setCheck', 'web/own-x', 'critical', ''],
      ['setCheck', 'web/service', 'warning', 'so so'],
    ])
    for (const [bad, says] of [
      [{ Status: 'fine' }, 'Status must be'],
      [{}, 'Status must be'],
      [{ Status: 'passing', Output: 5 }, 'Output must be text'],
      [{ Status: 'passing', More: 5 }, 'More must be absent'],
    ] as const) {
      const { status, text } = await world.put('/agent/check/update/service:web', bad)
      expect([status, text]).toEqual([400, expect.stringContaining(says)])
    }
    expect((await world.put('/agent/check/pass/service:none')).status).toBe(404)
  })
})

describe('a label', () => {
  it('CON-16: of another member may be anything', async () => {
    const checks = [check('w/service'), check('w/tcp', { kind: 'tcp' }), check('w/service-2')]
    const shown = async (labels: string): Promise<unknown[]> => {
      world.registry.put(instance('w', { checks, meta: { 'kith.consul': labels, a: 'b' } }))
      const { body } = await world.get('/health/service/web')
      expect(body[0].Service.Meta).toEqual({ a: 'b' })
      return body[0].Checks.slice(1).map(({ CheckID, Name, Notes }: Json) => [CheckID, Name, Notes])
    }
    const usual = "Service 'web' check"
    const plain = [
      ['service:w', usual, ''],
      ['w/tcp', usual, ''],
      ['service:w:2', usual, ''],
    ]
    for (const none of [
      '',
      '{',
      '5',
      '{}',
      '[5]',
      '[[5]]',
      '[["service",5]]',
      '[[]]',
      '[["x","y"]]',
    ]) {
      expect(await shown(none)).toEqual(plain)
    }
    expect(await shown('[["tcp","mine","Mine","well"],["service","",""]]')).toEqual([
      plain[0],
      ['mine', 'Mine', 'well'],
      plain[2],
    ])
  })
})

describe('a time', () => {
  it.each([
    ['10s', 10_000],
    ['1m30s', 90_000],
    ['1.5h', 5_400_000],
    ['250ms', 250],
    ['0', 0],
    ['1us', 0.001],
    ['', undefined],
    ['10', undefined],
    ['-1s', undefined],
    ['1d', undefined],
    ['s', undefined],
    ['1e3s', undefined],
    [`${'9'.repeat(70)}s`, undefined],
  ])('CON-2: %j', (text, ms) => expect(parseDuration(text)).toBe(ms))
})
