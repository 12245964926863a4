/** Certificates on the HTTP port: who asks, who copies records, and what a reload takes over. */
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent as HttpsAgent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type Agent, type AgentOptions, createAgent } from '@kith/agent'
import { formatAddress, type Logger } from '@kith/interface'
import { createRegistryClient } from '@kith/registry'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  askSecurely,
  type CertificateName,
  certificatePath,
  pem,
  shownBy,
} from '../support/certificates.ts'
import { kith } from './bad-input/command.ts'
import { declaredRoutes } from './bad-input/declared.ts'

const agents: Agent[] = []
afterEach(async () => {
  // One after another: two that leave at once wait for each other.
  for (const agent of agents.splice(0).toReversed()) await agent.stop()
})

function files(name: CertificateName, more: AgentOptions = {}): AgentOptions {
  const [tlsCert, tlsKey] = [certificatePath(name), certificatePath(`${name}-key`)]
  return { profile: 'local', tlsCert, tlsKey, tlsCa: certificatePath('ca'), ...more }
}

async function started(options: AgentOptions): Promise<Agent> {
  const agent = createAgent(options)
  agents.push(agent)
  await agent.start()
  return agent
}

const urlOf = (agent: Agent): string => `https://${formatAddress(agent.httpAddress)}`

interface Said {
  readonly level: string
  readonly text: string
}

function heard(): { said: Said[]; logger: Logger } {
  const said: Said[] = []
  const at = (level: string) => (fields: object, message?: string) =>
    void said.push({ level, text: `${message} ${JSON.stringify(fields)}` })
  const logger = { debug() {}, info: at('info'), warn: at('warn'), error: at('error') }
  return { said, logger }
}

describe('who shows no certificate of ours', () => {
  const token = 'operator-0123456789abcdef'
  const { said, logger } = heard()
  let agent: Agent
  beforeAll(async () => {
    const httpTokens = [{ token, role: 'operator' as const }]
    agent = createAgent(files('member', { name: 'guarded', httpTokens, logger }))
    await agent.start()
    await agent.registry.register({ service: 'web', port: 80, checks: [{ kind: 'ttl' }] })
    await agent.log.append({ value: new TextEncoder().encode('secret') })
  })
  afterAll(() => agent.stop())

  const state = (): unknown => [
    agent.log.status().records,
    [...agent.registry.instances()],
    [...agent.registry.checks()],
  ]
  const routes = declaredRoutes().flatMap((route) =>
    route.endsWith('${operation}')
      ? ['hello', 'pull', 'chain', 'fetch'].map((name) => route.replace('${operation}', name))
      : [route],
  )
  const strangers: readonly (CertificateName | undefined)[] = [undefined, 'stranger', 'expired']

  it.each([...routes, 'GET /v1/nothing'])('is refused with a reason: %s', async (route) => {
    const before = state()
    const [method = '', path = ''] = route.split(' ')
    const url = `${urlOf(agent)}${path.replaceAll(/:\w+/g, 'web')}`
    // Whoever has the right token has the wrong certificate still.
    const headers = { authorization: `Bearer ${token}` }
    for (const name of strangers) {
      const shown = name === undefined ? {} : shownBy(name)
      const { status, body } = await askSecurely(url, { method, headers, ...shown })
      expect([name, status]).toEqual([name, 403])
      const { code, detail } = JSON.parse(body) as { code: string; detail: string }
      expect(code).toBe('ERR_SERVER_CERTIFICATE')
      const reasons = { stranger: 'SIGNATURE', expired: 'it has expired' } as const
      const reason = name === 'stranger' || name === 'expired' ? reasons[name] : 'none was shown'
      expect(detail).toContain(reason)
      expect(body).not.toMatch(/secret|guarded|passing/)
    }
    expect(state()).toEqual(before)
  })

  it('leaves lines in the log', () => {
    const [line] = said.filter((one) => one.text.startsWith('a client certificate was refused'))
    expect(line).toEqual({ level: 'warn', text: expect.stringContaining('127.0.0.1') as string })
  })

  it('is somebody else with one: the token decides then', async () => {
    const url = `${urlOf(agent)}/v1/status`
    const headers = { authorization: `Bearer ${token}` }
    expect((await askSecurely(url, { headers, ...shownBy('client') })).status).toBe(200)
    expect((await askSecurely(url, shownBy('client'))).status).toBe(401)
    const scraped = await askSecurely(`${urlOf(agent)}/metrics`, { headers, ...shownBy('client') })
    expect(scraped.body).toMatch(/^kith_http_refused_total\{reason="certificate"\} [1-9]/m)
  })
})

describe('clients', () => {
  it('resolve names and ask with the command, and say what is wrong', async () => {
    const { said, logger } = heard()
    const services = [{ service: 'web', port: 80 }]
    const agent = await started(files('member', { services, logger }))
    const urls = [urlOf(agent)]
    await using client = createRegistryClient({ urls, tls: shownBy('client') })
    expect(await client.resolve('web')).toHaveLength(1)
    await using stranger = createRegistryClient({ urls, tls: shownBy('stranger') })
    await expect(stranger.resolve('web')).rejects.toMatchObject({
      code: 'ERR_REGISTRY_CLIENT_REFUSED',
      message: expect.stringContaining('ERR_SERVER_CERTIFICATE') as string,
    })
    await using trusting = createRegistryClient({ urls, tls: { ca: pem('other-ca') } })
    await expect(trusting.resolve('web')).rejects.toThrow(/signed by nobody who is trusted here/)

    const place = ['--http-addr', formatAddress(agent.httpAddress)]
    const env = { KITH_TLS_CA: certificatePath('ca') }
    const own = [
      '--tls-cert',
      certificatePath('client'),
      '--tls-key',
      certificatePath('client-key'),
    ]
    expect(await kith(['resolve', 'web', ...place, ...own], { env })).toMatchObject({ code: 0 })
    expect(await kith(['members', ...place, ...own], { env })).toMatchObject({ code: 0 })
    const failing = [
      [[], {}, 3, 'it may speak https only'],
      [[], env, 1, 'KITH_TLS_CERT'],
      [own, { KITH_TLS_CA: certificatePath('other-ca') }, 3, 'KITH_TLS_CA'],
      [[...own, '--tls-server-name', 'nobody'], env, 3, 'for another name'],
      [own.slice(0, 2), env, 2, '--tls-key'],
    ] as const
    for (const [args, variables, code, words] of failing) {
      const run = await kith(['services', ...place, ...args], { env: variables })
      expect([run.code, run.err]).toEqual([code, expect.stringContaining(words)])
    }
    const plain = said.find((line) => line.text.startsWith('a TLS handshake failed'))
    expect(plain?.text).toContain('plain HTTP was spoken')
  })
})

describe('members', () => {
  it('copy records from each other, held to a name of their own', async () => {
    const named = { tlsServerName: 'members.kith.test' }
    const ada = await started(files('named', { name: 'ada', ...named }))
    expect(ada.gossip.self.tags['kith.http']).toBe(urlOf(ada))
    await ada.log.append({ value: new TextEncoder().encode('one') })
    const join = [formatAddress(ada.gossip.address)]
    const ben = await started(files('member', { name: 'ben', join, ...named }))
    for await (const { origin } of ben.log.tail({ from: 'earliest' })) {
      expect(origin).toBe(ada.log.status().origin)
      break
    }
    await ben.log.append({ value: new TextEncoder().encode('two') })
    const { origin: bens } = ben.log.status()
    for await (const { origin } of ada.log.tail({ from: 'earliest' })) if (origin === bens) break
  })

  it('copy neither from nor to strangers or in plaintext, and say so', async () => {
    const { said, logger } = heard()
    const ada = await started(files('member', { name: 'ada', logger }))
    await ada.log.append({ value: new TextEncoder().encode('secret') })
    const join = [formatAddress(ada.gossip.address)]
    const lost = (agent: Agent, other: string): Promise<string> =>
      new Promise((resolve) => {
        agent.replicator.on('memberDisconnected', ({ member, reason }) => {
          if (member === other) resolve(reason)
        })
      })
    // Eve trusts the authority, which did not sign hers.
    const eve = await started(files('stranger', { name: 'eve', join }))
    const [adas, eves] = [lost(ada, 'eve'), lost(eve, 'ada')]
    expect(await eves).toMatch(/answered 403.*that of "stranger" is refused/)
    expect(await adas).toMatch(/its certificate is refused: it is signed by nobody/)
    const old = await started({ profile: 'local', name: 'old', join })
    expect(await lost(old, 'ada')).toMatch(/its certificate is refused/)
    expect([eve, old].map(({ log }) => log.status().records)).toEqual([0, 0])
    const lines = said.filter(({ level }) => level === 'warn').map((line) => line.text)
    const plain = expect.stringMatching(/^a member without TLS.*"old"/) as string
    const refused = expect.stringMatching(/^a client certificate was refused/) as string
    expect(lines).toEqual(expect.arrayContaining([plain, refused]))
  })
})

describe('a reload', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kith-tls-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  const at = (name: string): string => join(folder, name)
  async function put(name: CertificateName, authority: CertificateName): Promise<void> {
    await copyFile(certificatePath(name), at('cert.pem'))
    await copyFile(certificatePath(`${name}-key`), at('key.pem'))
    await copyFile(certificatePath(authority), at('ca.pem'))
  }
  const own = { tlsCert: 'cert.pem', tlsKey: 'key.pem', tlsCa: 'ca.pem' } as const

  it('serves another certificate, and holds everybody to another authority', async () => {
    await put('member', 'ca')
    const paths = Object.fromEntries(Object.entries(own).map(([key, name]) => [key, at(name)]))
    const agent = await started({ profile: 'local', ...paths })
    const url = urlOf(agent)
    const keeping = new HttpsAgent({ keepAlive: true, maxSockets: 1, ...shownBy('client') })
    const kept = async (): Promise<[number | undefined, boolean]> =>
      await new Promise((resolve, reject) => {
        const asked = request(`${url}/livez`, { agent: keeping }, (answer) => {
          text(answer).then(() => resolve([answer.statusCode, asked.reusedSocket]), reject)
        })
        asked.on('error', reject).end()
      })
    expect(await kept()).toEqual([200, false])
    expect(await kept()).toEqual([200, true])
    const idle = Object.values(keeping.freeSockets).flat()[0]
    const closed = new Promise((resolve) => idle?.once('close', resolve))
    expect(await agent.reload({})).toEqual([])
    await put('renewed', 'ca')
    expect(await agent.reload({})).toEqual(['tls'])
    await closed
    expect(await askSecurely(`${url}/livez`, shownBy('client'))).toMatchObject({
      status: 200,
      by: 'renewed',
    })
    expect(await kept()).toEqual([200, false])
    await put('renewed', 'other-ca')
    expect(await agent.reload({})).toEqual(['tls'])
    expect(await askSecurely(`${url}/livez`, shownBy('client'))).toMatchObject({ status: 403 })
    expect(await askSecurely(`${url}/livez`, shownBy('stranger'))).toMatchObject({ status: 200 })
    keeping.destroy()
  })

  it('changes nothing where a file is not right', async () => {
    await put('member', 'ca')
    const paths = Object.fromEntries(Object.entries(own).map(([key, name]) => [key, at(name)]))
    const agent = await started({ profile: 'local', tags: { role: 'web' }, ...paths })
    const url = `${urlOf(agent)}/livez`
    await copyFile(certificatePath('renewed'), at('cert.pem'))
    await expect(agent.reload({ tags: { role: 'db' } })).rejects.toMatchObject({
      code: 'ERR_AGENT_OPTIONS',
      message: expect.stringContaining('tlsKey must be the private key') as string,
    })
    await writeFile(at('cert.pem'), 'half')
    await expect(agent.reload({})).rejects.toThrow(/tlsCert must be a certificate in PEM/)
    expect(agent.gossip.self.tags['role']).toBe('web')
    expect(await askSecurely(url, shownBy('client'))).toMatchObject({ status: 200, by: 'member' })
  })
})
