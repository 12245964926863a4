/** SIGHUP to the real process: what it takes over, and that a bad file changes nothing. */
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { askSecurely, certificatePath, shownBy } from '../support/certificates.ts'
import { type AgentProcess, kith, killAll, type Line, startAgent } from './process.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kith-reload-'))
})
afterEach(killAll)
afterAll(() => rm(folder, { recursive: true }))

it('takes over another certificate, and nothing of one without its key', async () => {
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const put = async (name: 'member' | 'renewed', keyOf: typeof name = name): Promise<void> => {
    await copyFile(certificatePath(name), cert)
    await copyFile(certificatePath(`${keyOf}-key`), key)
  }
  await put('member')
  const ca = certificatePath('ca')
  const agent = await startAgent('--tls-cert', cert, '--tls-key', key, '--tls-ca', ca)
  const servedBy = async (): Promise<string> =>
    (await askSecurely(`https://${agent.http}/livez`, shownBy('client'))).by
  expect(await servedBy()).toBe('member')
  await put('renewed', 'member')
  const refused = (await hangUp(agent, 'not reloaded')).at(-1)
  expect(refused?.['message']).toContain('--tls-key must be the private key of the certificate')
  expect(await servedBy()).toBe('member')
  await put('renewed')
  expect((await hangUp(agent, 'reloaded')).at(-1)?.['changed']).toEqual(['tls'])
  expect(await servedBy()).toBe('renewed')
}, 60_000)

const keys = [1, 2].map((byte) => Buffer.alloc(32, byte).toString('base64'))

/** Sends SIGHUP and resolves with the lines that came since, up to the one that begins so. */
async function hangUp(agent: AgentProcess, message: string): Promise<Line[]> {
  const from = agent.lines.length
  const fits = (line: Line): boolean =>
    agent.lines.indexOf(line) >= from && String(line['message']).startsWith(message)
  agent.child.kill('SIGHUP')
  const line = await agent.line(fits)
  return agent.lines.slice(from, agent.lines.indexOf(line) + 1)
}

async function seen({ http }: AgentProcess): Promise<[Record<string, string>, string[]]> {
  const at = async <Answer>(path: string): Promise<Answer> =>
    (await (await fetch(`http://${http}${path}`)).json()) as Answer
  const { members } = await at<{ members: { tags: Record<string, string> }[] }>('/v1/members')
  const { services } = await at<{ services: { service: string }[] }>('/v1/services')
  const { 'kith.v': _version, 'kith.http': _http, ...tags } = members[0]?.tags ?? {}
  return [tags, services.map(({ service }) => service)]
}

it('takes over tags, services, log level and keyring, and nothing of a bad file', async () => {
  const [config, keyring] = [join(folder, 'kith.json'), join(folder, 'keyring.json')]
  const given = { tags: { role: 'web' }, services: [{ service: 'web', port: 80 }] }
  const configured = (more: object): Promise<void> =>
    writeFile(config, JSON.stringify({ ...given, keyring, ...more }))
  await writeFile(keyring, JSON.stringify([keys[0]]), { mode: 0o600 })
  await configured({})
  const agent = await startAgent('--config', config)
  expect(await seen(agent)).toEqual([{ role: 'web' }, ['web']])

  const check = { kind: 'tcp', intervalMs: 60_000 }
  const services = [{ service: 'db', port: 1, checks: [check] }]
  await configured({ tags: { role: 'db' }, services, label: 'x', http: '127.0.0.1:1' })
  await writeFile(keyring, JSON.stringify([keys[1], keys[0]]))
  const lines = await hangUp(agent, 'changed settings that need a restart')
  const said = lines.find(({ message }) => message === 'reloaded')
  expect(said?.['changed']).toEqual(['tags', 'services', 'keyring'])
  // The flag of the test names where HTTP listens, so that the file says nothing new of it.
  expect(lines.at(-1)).toMatchObject({ level: 'warn', settings: ['label'] })
  expect(await seen(agent)).toEqual([{ role: 'db' }, ['db']])
  const listed = await kith(['keys', '--list', '--rpc-addr', agent.rpc])
  for (const key of keys) expect(listed.out).toContain(key)

  await configured({ tags: { role: 5 }, logLevel: 'loud', profile: 'slow' })
  const refused = (await hangUp(agent, 'not reloaded')).at(-1)
  expect(refused).toMatchObject({ level: 'error' })
  for (const text of ['tags.role must be text', 'logLevel must be', 'profile must be']) {
    expect(refused?.['message']).toContain(`${config}: ${text}`)
  }
  await writeFile(config, '{')
  expect((await hangUp(agent, 'not reloaded')).at(-1)?.['message']).toContain('cannot read')
  await configured({ tags: { role: 'x'.repeat(600) }, services: [] })
  expect((await hangUp(agent, 'not reloaded')).at(-1)?.['message']).toContain(`${config}: tags`)
  expect(await seen(agent)).toEqual([{ role: 'db' }, ['db']])

  await configured({ logLevel: 'error' })
  const quieter = (await hangUp(agent, 'reloaded')).at(-1)
  expect(quieter?.['changed']).toEqual(['tags', 'services', 'logLevel'])
  await configured({ tags: { role: 'quiet' }, logLevel: 'error' })
  const updated = agent.line(({ member }) => member?.tags?.['role'] === 'quiet')
  agent.child.kill('SIGHUP')
  await updated
  await configured({ logLevel: 'info' })
  const louder = await hangUp(agent, 'reloaded')
  expect(louder.at(-1)?.['changed']).toEqual(['tags', 'logLevel'])
  expect(louder.filter(({ message }) => message === 'reloaded')).toHaveLength(1)
  expect((await hangUp(agent, 'reloaded; nothing changed')).at(-1)?.['changed']).toEqual([])
  agent.child.kill('SIGTERM')
  expect(await agent.exited).toBe(0)
}, 60_000)
