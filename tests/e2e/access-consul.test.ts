/**
 * Consul's API of an agent that takes tokens, over every route that there is: who shows none, a
 * wrong one or one of too small a role reads nothing and changes nothing.
 */
import { type Agent, createAgent } from '@kith/agent'
import { consulApiPlugin } from '@kith/consul-api'
import { formatAddress } from '@kith/interface'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { declaredConsulRoutes } from './bad-input/declared.ts'

const roles = ['read', 'write', 'operator'] as const
type Role = (typeof roles)[number]
const tokenOf = (role: Role): string => `${role}-0123456789abcdef`
const httpTokens = roles.map((role) => ({ token: tokenOf(role), role }))

let agent: Agent
let url = ''
beforeAll(async () => {
  const onListening = (address: { host: string; port: number }): void => {
    url = `http://${formatAddress(address)}`
  }
  const plugins = [consulApiPlugin({ port: 0, onListening })]
  agent = createAgent({ name: 'guarded', profile: 'local', httpTokens, plugins })
  await agent.start()
  const checks = [{ kind: 'ttl' }]
  await agent.registry.register({ service: 'hidden', id: 'web', port: 80, checks })
})
afterAll(() => agent.stop())

/** What is right of each route that takes more than the role by its method. */
const asked: Readonly<Record<string, { role?: Role; path?: string; body?: object }>> = {
  'PUT /v1/agent/maintenance': {
    role: 'operator',
    path: '/v1/agent/maintenance?enable=false',
  },
  'PUT /v1/agent/service/register': { body: { Name: 'more', Port: 81 } },
  'PUT /v1/agent/service/deregister/:id': { path: '/v1/agent/service/deregister/more' },
  'PUT /v1/agent/service/maintenance/:id': {
    path: '/v1/agent/service/maintenance/web?enable=true',
  },
}

const state = (): unknown => [[...agent.registry.instances()], [...agent.registry.checks()]]

async function ask(route: string, headers: Record<string, string>): Promise<Response> {
  const [method = '', plain = ''] = route.split(' ')
  const { path = plain, body } = asked[route] ?? {}
  const sent = body === undefined ? {} : { body: JSON.stringify(body) }
  const place = path.replace(/:\w+/, 'web').replaceAll('*', 'web')
  return await fetch(`${url}${place}`, { method, headers, ...sent })
}

it('CON-17: names no route that is not there', () => {
  expect(declaredConsulRoutes()).toEqual(expect.arrayContaining(Object.keys(asked)))
})

it.each([...declaredConsulRoutes(), 'GET /v1/kv/x'])(
  'CON-17: is for those who may: %s',
  async (route) => {
    const { role: needed = route.startsWith('GET') ? 'read' : 'write' } = asked[route] ?? {}
    const before = state()
    const strangers: Record<string, string>[] = [
      {},
      { 'x-consul-token': '' },
      { 'x-consul-token': tokenOf('operator').slice(1) },
      { 'x-consul-token': `${tokenOf('operator')}x` },
      { authorization: tokenOf('operator') },
      { authorization: `Basic ${tokenOf('operator')}` },
    ]
    for (const headers of strangers) {
      const answer = await ask(route, headers)
      expect([headers, answer.status]).toEqual([headers, 403])
      expect(await answer.text()).toMatch(/^Permission denied: this agent wants a token/)
    }
    for (const role of roles.slice(0, roles.indexOf(needed))) {
      const answer = await ask(route, { 'x-consul-token': tokenOf(role) })
      const said = await answer.text()
      expect([role, answer.status, said]).toEqual([role, 403, expect.stringContaining(needed)])
    }
    expect(state()).toEqual(before)
    for (const headers of [
      { 'x-consul-token': tokenOf(needed) },
      { authorization: `Bearer ${tokenOf('operator')}` },
    ]) {
      expect([200, 400, 404]).toContain((await ask(route, headers)).status)
    }
  },
)
