/** Every route of Consul's API at a real agent: what is out of range is refused by its name. */
import { request } from 'node:http'
import { type Agent, createAgent } from '@kith/agent'
import { consulApiPlugin } from '@kith/consul-api'
import { formatAddress } from '@kith/interface'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { declaredConsulRoutes } from './declared.ts'

let agent: Agent
let url = ''
beforeAll(async () => {
  const onListening = (address: { host: string; port: number }): void => {
    url = `http://${formatAddress(address)}`
  }
  agent = createAgent({ name: 'ada', plugins: [consulApiPlugin({ port: 0, onListening })] })
  await agent.start()
  await agent.registry.register({
    service: 'web',
    port: 80,
    checks: [{ kind: 'ttl' }, { kind: 'tcp', intervalMs: 3_600_000 }],
  })
})
afterAll(() => agent.stop())

interface Bad {
  readonly path: string
  readonly body?: unknown
  readonly status?: number
  /** Texts that the refusal must hold: the field, and what would be right. */
  readonly says: readonly string[]
}

const writing = { dc: ['dc2'], ns: ['team'], partition: ['team'] }
const all = { ...writing, pretty: ['maybe'] }
const blocking = { index: ['x', '-1', '1.5'], wait: ['10', 'x', '-1s', '1d'] }
const listing = { filter: ['x', 'Telepathy == 1', '('], 'node-meta': ['zone'] }
const long = { near: ['x'.repeat(513)] }

const queries = (path: string, ...rows: Readonly<Record<string, readonly string[]>>[]): Bad[] =>
  Object.entries(Object.assign({}, ...rows) as Record<string, string[]>).flatMap(([name, values]) =>
    values.map((value) => ({
      path: `${path}?${name}=${encodeURIComponent(value)}`,
      says: [name, 'must be'],
    })),
  )

const service = { Name: 'web', ID: 'new', Port: 80 }
const register = (changes: object, ...says: string[]): Bad => ({
  path: '/v1/agent/service/register',
  body: { ...service, ...changes },
  says: [...says, 'must be'],
})
const check = (changes: object, ...says: string[]): Bad =>
  register({ Check: { TTL: '10s', ...changes } }, ...says)
const http = { TTL: '', HTTP: 'http://127.0.0.1:1/', Interval: '10s' }

const noBody = (path: string): Bad[] => [
  { path, says: ['body', 'must be a JSON object'] },
  { path, body: '{', says: ['body', 'must be a JSON object'] },
  { path, body: [], says: ['body', 'must be an object'] },
  { path, body: 'x'.repeat(70_000), status: 413, says: ['large'] },
]
const setting = (word: string): Bad[] => [
  ...queries(`/v1/agent/check/${word}/web%2Fttl`, writing, { note: ['x'.repeat(4_097)] }),
  { path: `/v1/agent/check/${word}/none`, status: 404, says: ['none'] },
  { path: `/v1/agent/check/${word}/web/tcp`, says: ['web/tcp', 'finds out by itself'] },
]
const maintenance = (path: string): Bad[] => [
  { path, says: ['enable', 'must be'] },
  ...queries(path, writing, { enable: ['maybe', ''] }),
  { path: `${path}?enable=true&reason=${'x'.repeat(257)}`, says: ['reason', 'must be'] },
]

const rows: Readonly<Record<string, readonly Bad[]>> = {
  'GET /v1/agent/self': queries('/v1/agent/self', all),
  'GET /v1/agent/members': queries('/v1/agent/members', all, { filter: ['('], wan: ['x'] }),
  'GET /v1/agent/services': queries('/v1/agent/services', all, { filter: ['('] }),
  'GET /v1/agent/service/:id': [
    ...queries('/v1/agent/service/web', all, { wait: blocking.wait }),
    { path: '/v1/agent/service/none', status: 404, says: ['none'] },
  ],
  'GET /v1/agent/checks': queries('/v1/agent/checks', all, { filter: ['('] }),
  'PUT /v1/agent/maintenance': maintenance('/v1/agent/maintenance'),
  'PUT /v1/agent/service/register': [
    ...noBody('/v1/agent/service/register'),
    ...queries('/v1/agent/service/register', writing),
    ...['', 'a b', '-a', 'x'.repeat(64), 5, ['web']].map((Name) => register({ Name }, 'Name')),
    ...['a b', 'a/b', 'x'.repeat(129), 5].map((ID) => register({ ID }, 'ID')),
    ...[0, -1, 65_536, 1.5, '80', null].map((Port) => register({ Port }, 'Port')),
    ...['0.0.0.0', '::', 'a b', 'x'.repeat(254), 5].map((Address) =>
      register({ Address }, 'Address'),
    ),
    register({ Tags: 'x' }, 'Tags'),
    register({ Tags: Array.from({ length: 33 }, (_, at) => `t${at}`) }, 'Tags'),
    ...['', 'x'.repeat(129), 5, 'a\nb', '\ud800'].map((tag) =>
      register({ Tags: ['a', tag] }, 'Tags[1]'),
    ),
    register({ Meta: { 'a b': 'c' } }, 'Meta.a b'),
    register({ Meta: { a: 5 } }, 'Meta.a'),
    register({ Meta: { a: 'x'.repeat(1_025) } }, 'Meta.a'),
    register(
      { Meta: Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`k${at}`, ''])) },
      'Meta',
    ),
    register({ Meta: { 'kith.consul': '' } }, 'Meta.kith.consul'),
    register({ Nothing: 1 }, 'Nothing'),
    register({ Kind: 'connect-proxy' }, 'Kind'),
    register({ EnableTagOverride: true }, 'EnableTagOverride'),
    register({ Checks: 5 }, 'Checks'),
    register({ Checks: Array.from({ length: 17 }, () => ({ TTL: '1s' })) }, 'Checks'),
    register(
      {
        Checks: [
          { TTL: '1s', CheckID: 'a' },
          { TTL: '1s', CheckID: 'a' },
        ],
      },
      'Checks[1].CheckID',
    ),
    check({ TTL: '5ms' }, 'Check.TTL'),
    check({ TTL: '' }, 'Check'),
    check({ Status: 'maint' }, 'Check.Status'),
    check({ DeregisterCriticalServiceAfter: '1ms' }, 'Check.DeregisterCriticalServiceAfter'),
    check({ SuccessBeforePassing: 1_001 }, 'Check.SuccessBeforePassing'),
    check({ FailuresBeforeCritical: 1.5 }, 'Check.FailuresBeforeCritical'),
    check({ UDP: '127.0.0.1:1' }, 'Check.UDP'),
    check({ ...http, HTTP: 'ftp://x' }, 'Check.HTTP', 'url'),
    check({ ...http, Method: 'EAT' }, 'Check.HTTP', 'method'),
    check({ ...http, Header: { 'a b': ['c'] } }, 'Check.HTTP', 'headers'),
    check({ ...http, Interval: '99h' }, 'Check.Interval'),
    check({ ...http, Timeout: '1ms' }, 'Check.Timeout'),
    check({ TTL: '', TCP: 'x:0', Interval: '1s' }, 'Check.TCP'),
    // Programs are run only where the owner of the agent says so.
    check({ TTL: '', Args: ['/bin/true'], Interval: '1s' }, 'Check.Args', 'one of event-loop'),
  ],
  'PUT /v1/agent/service/deregister/:id': [
    ...queries('/v1/agent/service/deregister/web', writing),
    { path: '/v1/agent/service/deregister/none', status: 404, says: ['none'] },
  ],
  'PUT /v1/agent/service/maintenance/:id': [
    ...maintenance('/v1/agent/service/maintenance/web'),
    { path: '/v1/agent/service/maintenance/none?enable=true', status: 404, says: ['none'] },
  ],
  'PUT /v1/agent/check/register': [
    ...noBody('/v1/agent/check/register'),
    ...[
      [{ TTL: '1s' }, 'Name'],
      [{ Name: 'x', TTL: '1s' }, 'ServiceID'],
      [{ Name: 'x', TTL: '1s', ServiceID: 'none' }, 'ServiceID'],
      [{ Name: 'x', TTL: '1ms', ServiceID: 'web' }, 'TTL'],
      [{ Name: 'x', HTTP: 'x', Interval: '1s', ServiceID: 'web' }, 'HTTP'],
      [{ Name: 'x', AliasService: 'web', ServiceID: 'web' }, 'AliasService'],
    ].map(([body, field]) => ({
      path: '/v1/agent/check/register',
      body,
      says: [field as string, 'must be'],
    })),
  ],
  'PUT /v1/agent/check/deregister/*': [
    { path: '/v1/agent/check/deregister/none', status: 404, says: ['none'] },
  ],
  'PUT /v1/agent/check/${word}/*': ['pass', 'warn', 'fail'].flatMap(setting),
  'PUT /v1/agent/check/update/*': [
    ...noBody('/v1/agent/check/update/web%2Fttl'),
    ...[{}, { Status: 'fine' }, { Status: 5 }].map((body) => ({
      path: '/v1/agent/check/update/web%2Fttl',
      body,
      says: ['Status', 'must be'],
    })),
  ],
  'GET /v1/catalog/datacenters': queries('/v1/catalog/datacenters', all),
  'GET /v1/catalog/nodes': queries('/v1/catalog/nodes', all, blocking, listing, long),
  'GET /v1/catalog/services': queries('/v1/catalog/services', all, blocking, listing),
  'GET /v1/catalog/service/:name': queries('/v1/catalog/service/web', all, blocking, listing, long),
  'GET /v1/catalog/node/:node': queries('/v1/catalog/node/ada', all, blocking, { filter: ['('] }),
  'GET /v1/catalog/node-services/:node': queries('/v1/catalog/node-services/ada', all, blocking, {
    filter: ['('],
  }),
  'GET /v1/health/node/:node': queries('/v1/health/node/ada', all, blocking, { filter: ['('] }),
  'GET /v1/health/checks/:service': queries('/v1/health/checks/web', all, blocking, listing, long),
  'GET /v1/health/service/:service': queries(
    '/v1/health/service/web',
    all,
    blocking,
    listing,
    long,
    {
      passing: ['yes', '2'],
    },
  ),
  'GET /v1/health/state/:state': [
    ...queries('/v1/health/state/any', all, blocking, listing, long),
    { path: '/v1/health/state/fine', says: ['state', 'must be one of'] },
  ],
  'GET /v1/status/leader': queries('/v1/status/leader', all),
  'GET /v1/status/peers': queries('/v1/status/peers', all),
}

describe("routes of Consul's API", () => {
  it('CON-12: bad requests stand here for each of them', () => {
    expect(Object.keys(rows).sort()).toEqual(declaredConsulRoutes())
  })

  const table = Object.entries(rows).flatMap(([route, list]) =>
    list.map((bad) => ({ route, bad, shown: JSON.stringify(bad).slice(0, 140) })),
  )
  it.each(table)('CON-12: $route $shown is refused as a text', async ({ route, bad }) => {
    const method = route.split(' ')[0] ?? ''
    const body = typeof bad.body === 'string' ? bad.body : JSON.stringify(bad.body)
    const answer = await fetch(url + bad.path, {
      method,
      ...(body === undefined ? {} : { body }),
    })
    const text = await answer.text()
    expect([answer.status, answer.headers.get('content-type')], text.slice(0, 300)).toEqual([
      bad.status ?? 400,
      'text/plain; charset=utf-8',
    ])
    for (const said of bad.says) expect(text).toContain(said)
  })

  it('CON-14: a body without end is answered, on each route that takes one', async () => {
    const paths = declaredConsulRoutes()
      .filter((route) => route.startsWith('PUT '))
      .map((route) =>
        route
          .slice(4)
          .replace('${word}', 'pass')
          .replace(/[:*].*$/, 'web'),
      )
    for (const path of paths) expect(await pour(url + path), path).toBe(413)
  })

  it('CON-12: nothing of all this changed anything', () => {
    expect(agent.registry.own().map(({ id, checks }) => [id, checks.length])).toEqual([['web', 2]])
  })
})

/** The status that comes back while a body goes on. */
function pour(to: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const sending = request(to, { method: 'PUT', agent: false })
    const chunk = Buffer.alloc(65_536, 'x')
    let status = 0
    const send = (): void => {
      while (status === 0 && !sending.destroyed) {
        if (!sending.write(chunk)) return void sending.once('drain', send)
      }
    }
    sending.on('response', (response) => {
      status = response.statusCode ?? 0
      response.resume()
      resolve(status)
      sending.destroy()
    })
    sending.on('error', (cause) => {
      if (status === 0) reject(cause)
    })
    send()
  })
}
