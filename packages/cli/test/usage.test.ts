import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { closedPort, fakeAgent, kith } from './support.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kith-cli-'))
})
afterAll(() => rm(folder, { recursive: true }))

describe('flags', () => {
  it('prints its version and its help, with the exit codes', async () => {
    expect(await kith(['--version'])).toMatchObject({ code: 0, out: '0.0.0\n' })
    const help = await kith(['--help'])
    expect(help.code).toBe(0)
    expect(help.out).toContain('3 no agent answers')
  })

  it.each([
    [['agent', '--bind', 'nowhere'], '--bind must be', 'HOST:PORT with a port from 0'],
    [['agent', '--join', '10.0.0.1:0'], '--join must be', 'a port from 1 to 65535'],
    [['agent', '--node', 'a b'], '--node must be', '1 to 128 of A-Z a-z 0-9'],
    [['agent', '--tag', 'novalue'], '--tag must be', 'NAME=VALUE, got "novalue"'],
    [['agent', '--service', 'web'], '--service must be', 'NAME:PORT with a port'],
    [['agent', '--profile', 'slow'], '--profile must be', 'one of lan, wan, local, fast'],
    [['agent', '--rpc', 'unix:'], '--rpc must be', 'HOST:PORT or unix:PATH'],
    [['log', 'read', '--from', '-1'], '--from <where>', 'an offset, earliest, latest or a time'],
    [['log', 'read', '--limit', '1.5'], '--limit <count>', 'an integer from 1 to'],
    [['members', '--format', 'yaml'], '--format <format>', 'text, json'],
    [['members', '--http-addr', ':x'], '--http-addr <host:port>', 'HOST:PORT or a URL'],
    [['register', 'web'], 'service:port', 'NAME:PORT with a port from 1 to 65535'],
    [['register', 'web:0'], 'service:port', 'NAME:PORT with a port from 1 to 65535'],
    [['register', 'web:80', '--id', 'a/b'], '--id <id>', '1 to 128 of A-Z a-z 0-9'],
    [['register', 'web:80', '--check', '{}'], '--check <check>', 'a kind as http, or JSON'],
    [['register', 'web:80', '--check', 'A b'], '--check <check>', 'a kind as http, or JSON'],
    [['register', 'web:80', '--meta', 'x'], '--meta <name=value>', 'NAME=VALUE, got "x"'],
    [['deregister', 'a b'], 'id', '1 to 128 of A-Z a-z 0-9'],
    [['drain', '--reason', ''], '--reason <text>', 'text of 1 to 256 characters'],
    [['resolve'], "missing required argument 'service'", ''],
    [['nothing'], "unknown command 'nothing'", ''],
  ])('%j is refused: the flag is named and what is right is said', async (args, flag, want) => {
    const run = await kith(args)
    expect(run.code).toBe(2)
    expect(run.err).toContain(flag)
    expect(run.err).toContain(want)
    expect(run.out).toBe('')
  })

  it('names the variable where the environment is at fault', async () => {
    const run = await kith(['members'], { env: { KITH_HTTP_ADDR: 'nowhere' } })
    expect(run).toMatchObject({ code: 2 })
    expect(run.err).toContain('KITH_HTTP_ADDR')
  })

  it('refuses an address that others reach, without the flag for it', async () => {
    const run = await kith(['agent', '--bind', '0.0.0.0:0', '--http', '10.1.2.3:0'])
    expect(run.code).toBe(2)
    expect(run.err).toContain('bind must be a loopback address unless there is a key')
    expect(run.err).toContain('http must be a loopback address')
  })

  it("refuses Consul's API for others, without the flag for it", async () => {
    const run = await kith(['agent', '--bind', '127.0.0.1:0', '--consul-api', '0.0.0.0:0'])
    expect([run.code, run.err]).toEqual([
      2,
      expect.stringContaining('--consul-api must be a loopback'),
    ])
  })

  it("refuses Consul's API beside certificates without tokens: it goes around them", async () => {
    const file = join(folder, 'tokens.json')
    const certificates = new URL('../../../tests/support/certificates/', import.meta.url)
    const [tlsCert, tlsKey] = ['member.pem', 'member-key.pem'].map((name) =>
      fileURLToPath(new URL(name, certificates)),
    )
    const settings = { consulApi: '127.0.0.1:0', tlsCert, tlsKey }
    await writeFile(file, JSON.stringify(settings))
    const run = await kith(['agent', '--dry-run', '--config', file])
    expect([run.code, run.err]).toEqual([2, expect.stringContaining('absent beside tlsCert')])
    const httpTokens = [{ token: 'abcdefghijklmnop', role: 'read' }]
    await writeFile(file, JSON.stringify({ ...settings, httpTokens }))
    expect(await kith(['agent', '--dry-run', '--config', file])).toMatchObject({ code: 0 })
  })
})

describe('the configuration file', () => {
  it('reports every problem with its path', async () => {
    const file = join(folder, 'bad.json')
    await writeFile(
      file,
      JSON.stringify({
        node: '',
        bind: '127.0.0.1',
        join: ['127.0.0.1:1', 7],
        tags: { role: 5 },
        services: [
          { service: 'web', port: 0 },
          { port: 80, chekcs: [] },
        ],
        profile: 'slow',
        password: 'key',
      }),
    )
    const { code, err } = await kith(['agent', '--config', file])
    expect(code).toBe(2)
    for (const text of [
      'node must be a name of 1 to 128 of A-Z a-z 0-9 . _ -, got ""',
      'bind must be HOST:PORT with a port from 0 to 65535, got "127.0.0.1"',
      'join[1] must be HOST:PORT or NAME/HOST:PORT with a port from 1 to 65535, got 7',
      'tags.role must be text, got 5',
      'services[0].port must be an integer from 1 to 65535, got 0',
      'services[1].service must be the name of a service, got nothing',
      'services[1].chekcs must be absent',
      'profile must be one of lan, wan, local, fast, got "slow"',
      'password must be absent',
    ]) {
      expect(err).toContain(text)
    }
  })

  it('says which file cannot be read, and why', async () => {
    const missing = await kith(['agent', '--config', join(folder, 'none.json')])
    expect(missing).toMatchObject({ code: 2 })
    expect(missing.err).toContain('none.json')
    const file = join(folder, 'broken.json')
    await writeFile(file, '{')
    expect((await kith(['agent', '--config', file])).err).toContain('cannot read')
  })
})

describe('reaching an agent', () => {
  it('exits 3 and says what to do when none answers', async () => {
    const port = closedPort()
    const services = [['services'], ['services', '--checks'], ['services', '--watch'], ['drain']]
    const log = [
      ['log', 'status'],
      ['log', 'status', '--watch'],
      ['log', 'append'],
    ]
    for (const command of [['members'], ...services, ...log]) {
      const run = await kith([...command, '--http-addr', `127.0.0.1:${port}`], { input: 'a\n' })
      expect(run.code, command.join(' ')).toBe(3)
      expect(run.err).toMatch(/no agent answer/)
    }
  })

  it('takes the address from the environment, and passes on what the agent refused', async () => {
    await using agent = await fakeAgent((_asked, response) => {
      response.statusCode = 503
      return { detail: 'the member is starting', code: 'ERR_SERVER_NOT_READY' }
    })
    const run = await kith(['members'], { env: { KITH_HTTP_ADDR: agent.address } })
    expect(run.code).toBe(1)
    expect(run.err).toBe('kith: the member is starting (ERR_SERVER_NOT_READY)\n')
  })

  it('says so when something else answers', async () => {
    await using agent = await fakeAgent((_asked, response) => void response.end('<html>'))
    const run = await kith(['members', '--http-addr', agent.address])
    expect(run).toMatchObject({ code: 1 })
    expect(run.err).toContain('no JSON')
  })
})
