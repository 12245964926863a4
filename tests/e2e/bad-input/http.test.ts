/** Every route of a real agent: what is out of range is refused as a problem that names it. */
import { createAgent, type Agent, type AgentContext, type PluginRoute } from '@kith/agent'
import { formatAddress } from '@kith/interface'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { declaredRoutes } from './declared.ts'

/** Requests that reached a plugin. */
let handled = 0
const counted = (method: PluginRoute['method']): PluginRoute => ({
  method,
  path: '/:id',
  role: 'read',
  query: ['limit'],
  handle: () => void (handled += 1),
})

let agent: Agent
let url = ''
beforeAll(async () => {
  const setup = ({ http }: AgentContext): void => {
    for (const method of ['GET', 'POST', 'PUT', 'DELETE'] as const) http.route(counted(method))
  }
  agent = createAgent({ name: 'bad-input', plugins: [{ name: 'counter', setup }] })
  await agent.start()
  url = `http://${formatAddress(agent.httpAddress)}`
  await agent.registry.register({
    service: 'web',
    port: 80,
    checks: [{ kind: 'ttl' }, { kind: 'tcp', intervalMs: 3_600_000 }],
  })
})
afterAll(() => agent.stop())

interface Bad {
  readonly path: string
  readonly method?: string
  readonly body?: unknown
  readonly type?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly status: number
  /** Texts that the refusal must hold: the field, and what would be right. */
  readonly says: readonly string[]
}

const queries = (path: string, rows: Readonly<Record<string, readonly string[]>>): Bad[] =>
  Object.entries(rows).flatMap(([name, values]) =>
    values.map((value) => ({
      path: `${path}?${name}=${encodeURIComponent(value)}`,
      status: 400,
      says: [name, 'must be'],
    })),
  )
const unknownQuery = (path: string): Bad => ({
  path: `${path}?nothingOfOurs=1`,
  status: 400,
  says: ['nothingOfOurs', 'must be absent'],
})
const wholes = ['-1', '1.5', '1e3', 'x', '', '99999999999999999']

const line = (text: string, ...says: string[]): Bad => ({
  path: '/v1/log/records',
  body: `{"value":"fine"}\n${text}\n`,
  type: 'application/x-ndjson',
  status: 400,
  says: ['line 2', ...says],
})

const service = { service: 'web', port: 80 }
const put = (body: unknown, field: string, id = 'web-1'): Bad => ({
  path: `/v1/services/${id}`,
  body,
  status: 400,
  says: [field, 'must be'],
})
const check = (changes: object): unknown => ({
  ...service,
  checks: [{ kind: 'tcp', name: 'c', ...changes }],
})

const maintenance = (path: string): readonly Bad[] => [
  unknownQuery(path),
  ...[undefined, {}, { reason: '' }, { reason: 5 }, { reason: 'x'.repeat(257) }].map((body) => ({
    path,
    body,
    status: 400,
    says: [body === undefined ? 'body' : 'reason', 'must be'],
  })),
  { path, body: { reason: 'x', more: 1 }, status: 400, says: ['more', 'must be absent'] },
]

/** What holds for the routes of every plugin, whatever it does with them. */
const ofPlugin: readonly Bad[] = [
  unknownQuery('/v1/plugins/counter/1'),
  { path: '/v1/plugins/counter/1?limit=1&limit=2', status: 400, says: ['limit', 'given once'] },
  { path: '/v1/plugins/counter', status: 404, says: ['ERR_SERVER_NOT_FOUND'] },
  { path: '/v1/plugins/counter/', status: 404, says: ['no plugin', '/v1/plugins/counter/'] },
  { path: '/v1/plugins/counter/1/2', status: 404, says: ['no plugin'] },
  { path: '/v1/plugins/none/1', status: 404, says: ['no plugin', '/v1/plugins/none/1'] },
  { path: `/v1/plugins/counter/${'x'.repeat(513)}`, status: 404, says: ['no plugin'] },
  { path: `/v1/plugins/${'x'.repeat(600)}/1`, status: 400, says: ['ERR_SERVER_BAD_REQUEST'] },
  { path: '/v1/plugins/counter/%ff', status: 400, says: ['ERR_SERVER_BAD_REQUEST'] },
  { path: '/v1/plugins/%2e%2e%2fstatus/1', status: 404, says: ['no plugin'] },
]
const withBody: readonly Bad[] = [
  ...ofPlugin,
  { path: '/v1/plugins/counter/1', body: '{', status: 400, says: ['body', 'valid JSON'] },
  {
    path: '/v1/plugins/counter/1',
    body: '{}',
    type: 'text/plain',
    status: 415,
    says: ['content-type'],
  },
  {
    path: '/v1/plugins/counter/1',
    body: '{}',
    headers: { 'content-encoding': 'gzip' },
    status: 415,
    says: ['content-encoding', 'gzip'],
  },
  {
    path: '/v1/plugins/counter/1',
    body: JSON.stringify('x'.repeat(70_000)),
    status: 413,
    says: ['65536'],
  },
]

const rows: Readonly<Record<string, readonly Bad[]>> = {
  'GET /v1/status': [unknownQuery('/v1/status')],
  'GET /v1/members': [unknownQuery('/v1/members')],
  'GET /v1/diagnosis': [unknownQuery('/v1/diagnosis')],
  'GET /v1/log/status': [unknownQuery('/v1/log/status')],
  'POST /v1/log/verify': [unknownQuery('/v1/log/verify')],
  'POST /v1/log/origins/:origin/retire': [
    unknownQuery(`/v1/log/origins/${'ab'.repeat(16)}/retire`),
    ...['x', 'AB'.repeat(16), 'ab'.repeat(17), '..%2f'].map((origin) => ({
      path: `/v1/log/origins/${origin}/retire`,
      status: 400,
      says: ['origin', 'must be'],
    })),
  ],
  'GET /v1/log/records': [
    unknownQuery('/v1/log/records'),
    ...queries('/v1/log/records', {
      from: [...wholes, 'first'],
      limit: [...wholes, '0'],
      follow: ['yes', '', '1'],
    }),
    { path: '/v1/log/records?from=999', status: 416, says: ['ERR_LOG_OFFSET_OUT_OF_RANGE', '999'] },
    { path: '/v1/log/records?from=0&from=1', status: 400, says: ['from'] },
  ],
  'POST /v1/log/records': [
    unknownQuery('/v1/log/records'),
    ...queries('/v1/log/records', {
      durability: ['ram', ''],
      replicas: [...wholes, '1001'],
      timeoutMs: [...wholes, '600001'],
      producerSequence: wholes,
      producer: ['', 'x'.repeat(129)],
    }),
    { path: '/v1/log/records?producer=x', status: 400, says: ['producerSequence', 'producer'] },
    { path: '/v1/log/records?producerSequence=1', status: 400, says: ['producerSequence'] },
    line('{', 'valid JSON'),
    line('not json at all', 'valid JSON'),
    line('[]', 'must be'),
    line('{}', 'value', 'must be given'),
    line('{"value":5}', 'value', 'text'),
    line('{"value":"a","valueBase64":"YQ=="}', 'value'),
    line('{"valueBase64":"?"}', 'valueBase64', 'base64'),
    line('{"value":"a","key":5}', 'key', 'text'),
    line('{"value":"a","keyBase64":"?"}', 'keyBase64', 'base64'),
    line('{"value":"a","key":"b","keyBase64":"YQ=="}', 'key'),
    line('{"value":"a","headers":[]}', 'headers'),
    line('{"value":"a","headers":{"x":5}}', 'headers.x', 'text'),
    line('{"value":"a","more":5}', 'more', 'must be absent'),
    line('{"value":"\\ud800"}', 'Unicode'),
    {
      path: '/v1/log/records',
      body: '',
      type: 'application/x-ndjson',
      status: 400,
      says: ['body'],
    },
    { path: '/v1/log/records', body: 'x', type: 'text/plain', status: 415, says: ['content-type'] },
    {
      path: '/v1/log/records',
      body: 'x',
      type: 'application/octet-stream',
      headers: { 'content-encoding': 'gzip' },
      status: 415,
      says: ['content-encoding', 'gzip'],
    },
    {
      path: '/v1/log/records',
      body: 'x'.repeat(1_048_600),
      type: 'application/octet-stream',
      status: 413,
      says: ['ERR_LOG_RECORD_TOO_LARGE', '1048576'],
    },
    {
      path: '/v1/log/records',
      body: `{"value":"a","key":"${'k'.repeat(1_025)}"}\n`,
      type: 'application/x-ndjson',
      status: 400,
      says: ['key', '1024'],
    },
    {
      path: '/v1/log/records',
      body: `{"value":"${'x'.repeat(2_200_000)}"}`,
      type: 'application/x-ndjson',
      status: 400,
      says: ['line 1', 'at most 2097152 bytes'],
    },
    {
      path: '/v1/log/records',
      body: '{"value":""}\n'.repeat(10_001),
      type: 'application/x-ndjson',
      status: 400,
      says: ['line 10001', 'at most 10000 records'],
    },
  ],
  'GET /v1/services': [
    unknownQuery('/v1/services'),
    ...queries('/v1/services', { follow: ['yes', '', '1'] }),
  ],
  'GET /v1/services/:name': [
    unknownQuery('/v1/services/web'),
    ...queries('/v1/services/web', {
      passing: ['yes', ''],
      follow: ['yes', '', '1'],
      near: ['', 'x'.repeat(129)],
      tag: ['', 'x'.repeat(129)],
      limit: [...wholes, '0', '10001'],
    }),
    { path: `/v1/services/${'x'.repeat(600)}`, status: 400, says: ['ERR_SERVER_BAD_REQUEST'] },
  ],
  'PUT /v1/services/:id': [
    unknownQuery('/v1/services/web-1'),
    put(undefined, 'body'),
    put([], 'body'),
    put('x', 'body'),
    put({ port: 80 }, 'service'),
    put({ ...service, service: 'a b' }, 'service'),
    put({ ...service, service: '' }, 'service'),
    put({ service: 'web' }, 'port'),
    ...[0, 65_536, 1.5, '80', null].map((port) => put({ ...service, port }, 'port')),
    put({ ...service, address: '0.0.0.0' }, 'address'),
    put({ ...service, address: 5 }, 'address'),
    put({ ...service, tags: 'x' }, 'tags'),
    put({ ...service, tags: ['\n'] }, 'tags[0]'),
    put({ ...service, tags: Array(33).fill('x') }, 'tags'),
    put({ ...service, meta: { 'a b': 'x' } }, 'meta.a b'),
    put({ ...service, meta: { a: 5 } }, 'meta.a'),
    put({ ...service, meta: { a: 'x'.repeat(2_000) } }, 'meta.a'),
    put({ ...service, checks: {} }, 'checks'),
    put({ ...service, checks: Array(17).fill({ kind: 'ttl' }) }, 'checks'),
    put({ ...service, checks: [{}] }, 'checks[0].kind'),
    put(check({ kind: 'telepathy' }), 'checks[0].kind'),
    put(check({ intervalMs: 1 }), 'checks[0].intervalMs'),
    put(check({ timeoutMs: 0 }), 'checks[0].timeoutMs'),
    put(check({ successThreshold: 0 }), 'checks[0].successThreshold'),
    put(check({ failureThreshold: 'x' }), 'checks[0].failureThreshold'),
    put(check({ initialStatus: 'fine' }), 'checks[0].initialStatus'),
    put(check({ deregisterCriticalAfterMs: 1 }), 'checks[0].deregisterCriticalAfterMs'),
    put(check({ options: { port: 0 } }), 'checks[0].options'),
    put(check({ kind: 'http', options: { url: 'ftp://x' } }), 'checks[0].options'),
    put(check({ kind: 'function', options: { run: 'x' } }), 'checks[0].options'),
    put(check({ more: 1 }), 'checks[0].more'),
    put({ ...service, more: 1 }, 'more'),
    put(service, 'id', 'a%2Fb'),
    put(service, 'id', 'x'.repeat(200)),
    { path: '/v1/services/web-1', body: '{', status: 400, says: ['body', 'valid JSON'] },
    {
      path: '/v1/services/web-1',
      body: '{}',
      type: 'text/plain',
      status: 415,
      says: ['content-type'],
    },
    {
      path: '/v1/services/web-1',
      body: JSON.stringify({ ...service, meta: { a: 'x'.repeat(70_000) } }),
      status: 413,
      says: ['65536'],
    },
  ],
  'PUT /v1/services/:id/maintenance': maintenance('/v1/services/web-1/maintenance'),
  'DELETE /v1/services/:id/maintenance': [
    unknownQuery('/v1/services/web/maintenance'),
    {
      path: '/v1/services/none/maintenance',
      status: 404,
      says: ['ERR_REGISTRY_UNKNOWN_INSTANCE', 'none'],
    },
  ],
  'PUT /v1/maintenance': maintenance('/v1/maintenance'),
  'DELETE /v1/maintenance': [unknownQuery('/v1/maintenance')],
  'DELETE /v1/services/:id': [
    unknownQuery('/v1/services/web'),
    { path: '/v1/services/none', status: 404, says: ['ERR_REGISTRY_UNKNOWN_INSTANCE', 'none'] },
  ],
  'PUT /v1/checks/:id/:status': [
    unknownQuery('/v1/checks/web%2Fttl/passing'),
    { path: '/v1/checks/web%2Fttl/fine', status: 400, says: ['status', '"passing"'] },
    { path: '/v1/checks/web%2Fnone/passing', status: 404, says: ['web/none'] },
    { path: '/v1/checks/web%2Ftcp/passing', status: 409, says: ['web/tcp', 'tcp'] },
    { path: '/v1/checks/web%2Fttl/passing', body: { output: 5 }, status: 400, says: ['output'] },
    { path: '/v1/checks/web%2Fttl/passing', body: { text: '' }, status: 400, says: ['text'] },
    {
      path: '/v1/checks/web%2Fttl/passing',
      body: { output: 'x'.repeat(5_000) },
      status: 400,
      says: ['output', '4096'],
    },
  ],
  'GET /v1/plugins/:plugin/*': ofPlugin,
  'DELETE /v1/plugins/:plugin/*': ofPlugin,
  'POST /v1/plugins/:plugin/*': withBody,
  'PUT /v1/plugins/:plugin/*': withBody,
  ...Object.fromEntries(
    ['hello', 'pull', 'chain', 'fetch'].map((operation) => [
      `POST /v1/replication/${operation}`,
      ['', 'x', '\0\0\0\u0001', '\u007f\u007f\u007f\u007f'].map((body) => ({
        path: `/v1/replication/${operation}`,
        body,
        type: 'application/vnd.kith.replication',
        status: 400,
        says: ['ERR_REPLICATOR_MALFORMED'],
      })),
    ]),
  ),
}

/** Routes that take nothing: neither a body nor a query changes their answer. */
const takingNothing = ['GET /livez', 'GET /metrics', 'GET /readyz']

async function ask(
  route: string,
  bad: Bad,
): Promise<{ status: number; type: string; text: string }> {
  const method = bad.method ?? route.split(' ')[0] ?? 'GET'
  const body = typeof bad.body === 'string' ? bad.body : JSON.stringify(bad.body)
  const type = bad.type ?? 'application/json'
  const response = await fetch(url + bad.path, {
    method,
    headers: { 'content-type': type, ...bad.headers },
    ...(method === 'GET' || body === undefined ? {} : { body }),
  })
  const text = await response.text()
  return { status: response.status, type: response.headers.get('content-type') ?? '', text }
}

describe('routes', () => {
  it('has bad requests here for each route that the server declares', () => {
    const templates = declaredRoutes().filter((route) => !route.includes('${'))
    const operations = Object.keys(rows).filter((route) => route.includes('/replication/'))
    const listed = [...Object.keys(rows), ...takingNothing].filter((r) => !operations.includes(r))
    expect(listed.sort()).toEqual(templates.sort())
    expect(declaredRoutes()).toContain('POST /v1/replication/${operation}')
  })

  const table = Object.entries(rows).flatMap(([route, list]) =>
    list.map((bad) => ({ route, bad, shown: JSON.stringify(bad).slice(0, 140) })),
  )
  it.each(table)('$route $shown is refused as a problem', async ({ route, bad }) => {
    const { status, type, text } = await ask(route, bad)
    expect([status, type.split(';')[0]], text.slice(0, 300)).toEqual([
      bad.status,
      'application/problem+json',
    ])
    const problem = JSON.parse(text) as { status: number; code: string; detail: string }
    expect(problem.code).toMatch(/^ERR_[A-Z_]+$/)
    expect(problem.status).toBe(status)
    for (const said of bad.says) expect(text.replaceAll('\\"', '"')).toContain(said)
  })

  it('left nothing behind: no record, no service, no memory of bodies, no word to a plugin', async () => {
    expect(handled).toBe(0)
    const status = await (await fetch(`${url}/v1/log/status`)).json()
    expect(status).toMatchObject({ records: 0 })
    expect(agent.registry.own().map(({ id }) => id)).toEqual(['web'])
    const metrics = await (await fetch(`${url}/metrics`)).text()
    expect(metrics).toMatch(/http_reserved_body_bytes 0\n/)
    expect(metrics).toMatch(/http_failures_total 0\n/)
  })

  it.each(['/', '/v1', '/v2/status', '/v1/log', '/v1/services/a/b', '/v1/%2e%2e/status'])(
    'GET %s is not part of it',
    async (path) => {
      const { status, text } = await ask('GET', { path, status: 404, says: [] })
      expect([status, text.includes('ERR_SERVER_NOT_FOUND')], text).toEqual([404, true])
    },
  )

  it.each(['PATCH', 'POST', 'PUT', 'DELETE'])('%s on a path for GET is refused', async (method) => {
    const { status, type } = await ask('', { path: '/v1/status', method, status: 404, says: [] })
    expect([404, 405]).toContain(status)
    expect(type).toContain('application/problem+json')
  })
})
