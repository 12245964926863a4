/**
 * Tokens of the HTTP interface, over every route that there is: who shows none, a wrong one or one
 * of too small a role reads nothing and changes nothing.
 */
import { createAgent, type Agent, type AgentPlugin } from '@kith/agent'
import { runCli } from '@kith/cli'
import { formatAddress, type Logger } from '@kith/interface'
import { createRegistryClient } from '@kith/registry'
import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { declaredRoutes } from './bad-input/declared.ts'

const tokens = {
  read: 'read-0123456789abcdef',
  write: 'write-0123456789abcdef',
  operator: 'operator-0123456789abcdef',
} as const
type Role = keyof typeof tokens
const roles: readonly Role[] = ['read', 'write', 'operator']
const httpTokens = roles.map((role) => ({ token: tokens[role], role, name: `the-${role}` }))

/** What plugins hold, and who touched it. */
const notes: string[] = ['secret']
const handled: string[] = []

/** A route of each role, of which none may be reached by whoever has a smaller one. */
const notebook: AgentPlugin = {
  name: 'notebook',
  setup({ http }) {
    const seen = (route: string): void => void handled.push(route)
    http.route({
      method: 'GET',
      path: '/notes',
      role: 'read',
      handle: () => (seen('GET'), { json: notes }),
    })
    http.route({
      method: 'POST',
      path: '/notes',
      role: 'write',
      handle: ({ body }) => (seen('POST'), void notes.push(String(body))),
    })
    http.route({
      method: 'PUT',
      path: '/notes/:at',
      role: 'write',
      handle: ({ params, body }) => (
        seen('PUT'),
        void (notes[Number(params['at'])] = String(body))
      ),
    })
    http.route({
      method: 'DELETE',
      path: '/notes',
      role: 'operator',
      handle: () => (seen('DELETE'), void (notes.length = 0)),
    })
    // A right that is not by the method.
    http.route({
      method: 'GET',
      path: '/keys',
      role: 'operator',
      handle: () => (seen('keys'), { text: 'secret' }),
    })
  },
}

const audited: object[] = []
const note = (fields: object): void => {
  if ('audit' in fields) audited.push(fields)
}
const logger = { debug() {}, info: note, warn: note, error() {} } as unknown as Logger

let agent: Agent
let url = ''
beforeAll(async () => {
  const plugins = [notebook]
  agent = createAgent({ name: 'guarded', profile: 'local', httpTokens, logger, plugins })
  await agent.start()
  url = `http://${formatAddress(agent.httpAddress)}`
  await agent.registry.register({ service: 'web', id: 'web', port: 80, checks: [{ kind: 'ttl' }] })
  await agent.log.append({ value: new TextEncoder().encode('secret') })
})
afterAll(() => agent.stop())

/** Of plugins, each a row of its own: who may use it is theirs to say. */
const pluginRows = [
  'GET /v1/plugins/notebook/notes',
  'POST /v1/plugins/notebook/notes',
  'PUT /v1/plugins/notebook/notes/:at',
  'DELETE /v1/plugins/notebook/notes',
  'GET /v1/plugins/notebook/keys',
  'GET /v1/plugins/notebook/none',
  'POST /v1/plugins/none/notes',
]

interface Route {
  readonly takes: Role | 'anybody'
  /** Where `:name` and the like stand for something. */
  readonly path?: string
  readonly body?: object | string
  /** What it answers to whoever may ask; default 200. */
  readonly status?: number
}

const routes: Readonly<Record<string, Route>> = {
  'GET /livez': { takes: 'anybody' },
  'GET /readyz': { takes: 'anybody' },
  'GET /metrics': { takes: 'read' },
  'GET /v1/status': { takes: 'read' },
  'GET /v1/diagnosis': { takes: 'read' },
  'GET /v1/members': { takes: 'read' },
  'GET /v1/log/status': { takes: 'read' },
  'GET /v1/log/records': { takes: 'read', path: '/v1/log/records?from=0' },
  'POST /v1/log/records': { takes: 'write', body: 'a record' },
  'POST /v1/log/verify': { takes: 'operator' },
  // That the log knows none such is for those to know who may retire one.
  'POST /v1/log/origins/:origin/retire': {
    takes: 'operator',
    path: `/v1/log/origins/${'ab'.repeat(16)}/retire`,
    status: 409,
  },
  'GET /v1/services': { takes: 'read' },
  'GET /v1/services/:name': { takes: 'read', path: '/v1/services/web' },
  'PUT /v1/services/:id': {
    takes: 'write',
    path: '/v1/services/more',
    body: { service: 'more', port: 81 },
  },
  'DELETE /v1/services/:id': { takes: 'write', path: '/v1/services/more', status: 204 },
  'PUT /v1/services/:id/maintenance': {
    takes: 'write',
    path: '/v1/services/web/maintenance',
    body: { reason: 'x' },
    status: 204,
  },
  'DELETE /v1/services/:id/maintenance': {
    takes: 'write',
    path: '/v1/services/web/maintenance',
    status: 204,
  },
  'PUT /v1/checks/:id/:status': {
    takes: 'write',
    path: '/v1/checks/web%2Fttl/passing',
    body: {},
    status: 204,
  },
  'PUT /v1/maintenance': { takes: 'operator', body: { reason: 'x' }, status: 204 },
  'DELETE /v1/maintenance': { takes: 'operator', status: 204 },
  // Their bodies are in a form of their own: that they are refused shows that they were read.
  'POST /v1/replication/hello': { takes: 'read', body: 'x', status: 400 },
  'POST /v1/replication/pull': { takes: 'read', body: 'x', status: 400 },
  'POST /v1/replication/chain': { takes: 'read', body: 'x', status: 400 },
  'POST /v1/replication/fetch': { takes: 'read', body: 'x', status: 400 },
  'GET /v1/plugins/notebook/notes': { takes: 'read' },
  'POST /v1/plugins/notebook/notes': { takes: 'write', body: {}, status: 204 },
  'PUT /v1/plugins/notebook/notes/:at': {
    takes: 'write',
    path: '/v1/plugins/notebook/notes/0',
    body: {},
    status: 204,
  },
  'DELETE /v1/plugins/notebook/notes': { takes: 'operator', status: 204 },
  'GET /v1/plugins/notebook/keys': { takes: 'operator' },
  // That there is none is for those to know who may read.
  'GET /v1/plugins/notebook/none': { takes: 'read', status: 404 },
  'POST /v1/plugins/none/notes': { takes: 'read', body: {}, status: 404 },
}

async function ask(route: string, authorization: string | undefined): Promise<Response> {
  const [method = '', plain = ''] = route.split(' ')
  const { path = plain, body } = routes[route] ?? {}
  const json = typeof body !== 'string'
  const type = route.startsWith('POST /v1/replication/')
    ? 'application/vnd.kith.replication'
    : 'application/octet-stream'
  return await fetch(`${url}${path}`, {
    method,
    headers: {
      ...(authorization === undefined ? {} : { authorization }),
      ...(body === undefined ? {} : { 'content-type': json ? 'application/json' : type }),
    },
    ...(body === undefined ? {} : { body: json ? JSON.stringify(body) : body }),
  })
}

/** What a request without the right could have changed. */
const state = (): unknown => [
  agent.log.status().records,
  [...agent.registry.instances()],
  [...agent.registry.checks()],
  [...notes],
  handled.length,
]

describe('tokens', () => {
  it('says of every route who may use it', () => {
    const declared = declaredRoutes().flatMap((route) =>
      route.endsWith('${operation}')
        ? ['hello', 'pull', 'chain', 'fetch'].map((name) => route.replace('${operation}', name))
        : [route],
    )
    // Below the prefix of plugins the row that counts is the route of the plugin.
    const patterns = declared.filter((route) => route.endsWith(' /v1/plugins/:plugin/*'))
    const methods = new Set(pluginRows.map((row) => row.split(' ', 1)[0]))
    expect(patterns.map((route) => route.split(' ', 1)[0]).toSorted()).toEqual(
      [...methods].toSorted(),
    )
    const ours = declared.filter((route) => !patterns.includes(route))
    expect(Object.keys(routes).toSorted()).toEqual([...ours, ...pluginRows].toSorted())
  })

  it.each(Object.keys(routes))('%s is for those who may', async (route) => {
    const { takes, status = 200 } = routes[route] ?? { takes: 'operator' }
    const before = state()
    const strangers = [
      undefined,
      '',
      'Bearer ',
      `Bearer ${tokens.read.slice(0, -1)}`,
      `Bearer ${tokens.operator}x`,
      `Basic ${tokens.operator}`,
      tokens.operator,
      `Bearer ${'x'.repeat(5_000)}`,
    ]
    for (const shown of strangers) {
      const answer = await ask(route, shown)
      const said = await answer.text()
      if (takes === 'anybody') {
        expect([answer.status, said]).toEqual([200, expect.not.stringContaining('guarded')])
        continue
      }
      expect([route, shown, answer.status]).toEqual([route, shown, 401])
      expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/)
      expect(said).toContain('ERR_SERVER_UNAUTHORIZED')
      expect(said).not.toMatch(/secret|web|guarded/)
    }
    for (const role of roles) {
      if (takes === 'anybody' || roles.indexOf(role) >= roles.indexOf(takes)) continue
      const answer = await ask(route, `Bearer ${tokens[role]}`)
      expect([route, role, answer.status]).toEqual([route, role, 403])
      expect(await answer.text()).toContain('ERR_SERVER_FORBIDDEN')
    }
    expect(state()).toEqual(before)
    const answer = await ask(route, `bearer ${tokens[takes === 'anybody' ? 'read' : takes]}`)
    expect([route, answer.status]).toEqual([route, status])
    await answer.body?.cancel()
  })

  it('asked no plugin for whom it was not, and every one for whom it was', () => {
    expect(handled.toSorted()).toEqual(['DELETE', 'GET', 'POST', 'PUT', 'keys'])
  })

  it('knows no route that it does not name', async () => {
    expect((await fetch(`${url}/v1/secrets`)).status).toBe(401)
    const headers = { authorization: `Bearer ${tokens.read}` }
    expect((await fetch(`${url}/v1/secrets`, { headers })).status).toBe(404)
  })

  it('leaves a line for what changed something and for what was refused, without a token', () => {
    const lines = audited as { who: string | null; method: string; path: string; status: number }[]
    expect(lines).toContainEqual(
      expect.objectContaining({ who: 'the-write', path: '/v1/log/records', status: 200 }),
    )
    const removed = { who: 'the-operator', method: 'DELETE', path: '/v1/plugins/notebook/notes' }
    expect(lines).toContainEqual(expect.objectContaining({ ...removed, status: 204 }))
    expect(lines).toContainEqual(expect.objectContaining({ who: null, status: 401 }))
    expect(lines).toContainEqual(expect.objectContaining({ who: 'the-read', status: 403 }))
    for (const token of Object.values(tokens)) expect(JSON.stringify(lines)).not.toContain(token)
    const plain = lines.filter(({ path }) => path !== '/v1/plugins/notebook/keys')
    expect(plain.some(({ method, status }) => method === 'GET' && status === 200)).toBe(false)
  })
})

describe('who shows a token', () => {
  it('copies records, and who shows a wrong one does not', async () => {
    const join = [formatAddress(agent.gossip.address)]
    const shared = { profile: 'local', join } as const
    // Takes tokens itself: from a member that takes none, the stranger would have the records.
    await using friend = createAgent({ ...shared, name: 'friend', httpTokens })
    await using stranger = createAgent({ ...shared, name: 'stranger' })
    await Promise.all([friend.start(), stranger.start()])
    const { origin } = agent.log.status()
    for await (const record of friend.log.tail({ from: 'earliest' })) {
      expect(record.origin).toBe(origin)
      break
    }
    const reason = await new Promise((resolve) => {
      stranger.replicator.on('memberDisconnected', ({ member, ...lost }) => {
        if (member === 'guarded') resolve(lost.reason)
      })
    })
    expect(reason).toMatch(/answered 401.*wants a token/)
    expect(stranger.log.status().records).toBe(0)
  })

  it('resolves names as a client, and asks with the command', async () => {
    await using client = createRegistryClient({ urls: [url], token: tokens.read })
    expect(await client.resolve('web', { passing: false })).toHaveLength(1)
    await using blind = createRegistryClient({ urls: [url] })
    await expect(blind.resolve('web')).rejects.toMatchObject({
      code: 'ERR_REGISTRY_CLIENT_REFUSED',
      details: { status: 401 },
    })
    const shown = await kith(['services', '--http-addr', url], { KITH_HTTP_TOKEN: tokens.read })
    expect(shown).toMatchObject({ code: 0, out: expect.stringContaining('web') as string })
    const hidden = await kith(['services', '--http-addr', url], {})
    const odd = await kith(['services', '--http-addr', url], { KITH_HTTP_TOKEN: 'a b' })
    expect(odd).toMatchObject({ code: 2, out: expect.not.stringContaining('a b') as string })
    expect(hidden).toMatchObject({
      code: 1,
      out: expect.stringMatching(/KITH_HTTP_TOKEN/) as string,
    })
  })
})

async function kith(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ code: number; out: string }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const said = Promise.all([text(stdout), text(stderr)])
  const code = await runCli(args, {
    stdin: Readable.from([]),
    stdout,
    stderr,
    env,
    onSignal: () => () => {},
    exit: () => {},
  })
  stdout.end()
  stderr.end()
  return { code, out: (await said).join('\n') }
}
