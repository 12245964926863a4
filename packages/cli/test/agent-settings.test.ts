// Where each setting of `kith agent` comes from, and everything that is wrong at once.
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { kith } from './support.ts'

const key = Buffer.alloc(32, 1).toString('base64')
const otherKey = Buffer.alloc(32, 2).toString('base64')
const token = 'a-token-of-some-length'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kith-settings-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function configFile(name: string, config: object): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, JSON.stringify(config))
  return path
}

interface Shown {
  readonly config: string | null
  readonly settings: Readonly<Record<string, { value: unknown; from: string; name?: string }>>
  readonly unknownVariables: readonly string[]
}

async function dryRun(args: readonly string[], env: Record<string, string> = {}): Promise<Shown> {
  const run = await kith(['agent', '--dry-run', ...args], { env })
  expect(run.code, run.err).toBe(0)
  return JSON.parse(run.out) as Shown
}

/** One setting in each layer: the flag, the variable, the file, and what is left without any. */
const layered = [
  ['node', ['--node', 'ada'], { KITH_NODE: 'ben' }, 'cleo', ['ada', 'ben']],
  ['label', ['--label', 'a'], { KITH_LABEL: 'b' }, 'c', ['a', 'b', null]],
  [
    'logLevel',
    ['--log-level', 'warn'],
    { KITH_LOG_LEVEL: 'error' },
    'debug',
    ['warn', 'error', 'info'],
  ],
  [
    'http',
    ['--http', '[::1]:1'],
    { KITH_HTTP: '[::1]:2' },
    '[::1]:3',
    ['[::1]:1', '[::1]:2', '127.0.0.1:7947'],
  ],
  ['rpc', ['--no-rpc'], { KITH_RPC: 'false' }, 'unix:/x', [false, false, '127.0.0.1:7373']],
  ['rejoin', ['--rejoin'], { KITH_REJOIN: 'false' }, true, [true, false, false]],
  [
    'join',
    ['--join', 'a/[::1]:1', '--join', '[::1]:2'],
    { KITH_JOIN: '[::1]:3, b/[::1]:4' },
    ['[::1]:5'],
    [['a/[::1]:1', '[::1]:2'], ['[::1]:3', 'b/[::1]:4'], []],
  ],
  [
    'tags',
    ['--tag', 'a=1', '--tag', 'b=2'],
    { KITH_TAG: 'c=3,d==' },
    { e: '5' },
    [{ a: '1', b: '2' }, { c: '3', d: '=' }, {}],
  ],
  [
    'services',
    ['--service', 'web:80'],
    { KITH_SERVICE: 'db:1,x:2' },
    [{ service: 'y', port: 3 }],
    [
      [{ service: 'web', port: 80 }],
      [
        { service: 'db', port: 1 },
        { service: 'x', port: 2 },
      ],
      [],
    ],
  ],
  [
    'retention',
    ['--retain', 'recordsMax=5'],
    { KITH_RETAIN: 'recordsMax=6,ageMsMax=70000' },
    { recordsMax: 7 },
    [{ recordsMax: 5 }, { recordsMax: 6, ageMsMax: 70_000 }, null],
  ],
] as const

describe('the layers of settings', () => {
  it.each(layered)('%s: a flag wins over the environment, that over the file', async (...row) => {
    const [name, flags, env, inFile, [byFlag, byVariable, byDefault]] = row
    const path = await configFile(`${name}.json`, { [name]: inFile })
    const file = ['--config', path]
    const [variable = ''] = Object.keys(env)
    const at = async (...given: Parameters<typeof dryRun>): Promise<unknown> =>
      (await dryRun(...given)).settings[name]
    const flag = flags[0]
    expect(await at([...flags, ...file], env)).toEqual({ value: byFlag, from: 'flag', name: flag })
    const named = { from: 'environment', name: variable }
    expect(await at(file, env)).toEqual({ value: byVariable, ...named })
    expect(await at(file)).toEqual({ value: inFile, from: 'file', name: path })
    // As if it were not there.
    expect(await at(file, { [variable]: '' })).toEqual({ value: inFile, from: 'file', name: path })
    const fallback = await at([])
    expect(fallback).toMatchObject({ from: 'default' })
    if (byDefault !== undefined) expect(fallback).toEqual({ value: byDefault, from: 'default' })
  })

  it('advertise is an address or auto, wherever it stands', async () => {
    const everywhere = ['--bind', '0.0.0.0:7946', '--insecure-plaintext']
    const path = await configFile('auto.json', { advertise: 'auto' })
    const at = async (...given: Parameters<typeof dryRun>): Promise<unknown> =>
      (await dryRun(...given)).settings['advertise']?.value
    expect(await at([...everywhere, '--advertise', 'auto'])).toBe('auto')
    expect(await at(everywhere, { KITH_ADVERTISE: 'auto' })).toBe('auto')
    expect(await at([...everywhere, '--config', path])).toBe('auto')
    expect(await at(['--advertise', '[::1]:0'])).toBe('[::1]:0')
    const refused = await kith(['agent', '--dry-run', '--advertise', 'auto'])
    expect(refused.code).toBe(2)
    expect(refused.err).toContain('"auto" needs as bind every address of this machine')
  })

  it('takes the file from the environment, and another one from the flag', async () => {
    const [first, second] = [
      await configFile('first.json', { label: 'first' }),
      await configFile('second.json', { label: 'second' }),
    ]
    const env = { KITH_CONFIG: first }
    expect(await dryRun([], env)).toMatchObject({
      config: first,
      settings: { label: { value: 'first', from: 'file', name: first } },
    })
    expect((await dryRun(['--config', second], env)).settings['label']?.value).toBe('second')
  })

  it('a key takes the place of a keyring further down, and the other way round', async () => {
    const keyring = await configFile('keyring.json', [key])
    const file = ['--config', await configFile('with-keyring.json', { keyring })]
    const byVariable = await dryRun(file, { KITH_ENCRYPT: otherKey })
    expect(byVariable.settings).toMatchObject({
      encrypt: { value: '(secret)', name: 'KITH_ENCRYPT' },
      keyring: { value: null, from: 'default' },
    })
    const byFlag = await dryRun([...file, '--keyring', keyring], { KITH_ENCRYPT: otherKey })
    expect(byFlag.settings).toMatchObject({
      encrypt: { value: null },
      keyring: { value: keyring, from: 'flag' },
    })
    const both = await kith(['agent', '--dry-run'], {
      env: { KITH_ENCRYPT: key, KITH_KEYRING: keyring },
    })
    expect([both.code, both.err]).toEqual([
      2,
      expect.stringContaining('KITH_ENCRYPT must be absent'),
    ])
  })

  it('names variables that set nothing, which are mistyped most of the time', async () => {
    const env = { KITH_LOGLEVEL: 'debug', KITH_HTTP_ADDR: 'x', KITH_NODE: 'ada', HOME: '/' }
    expect((await dryRun([], env)).unknownVariables).toEqual(['KITH_LOGLEVEL'])
  })
})

describe('a dry run', () => {
  it('shows no secret, wherever it comes from', async () => {
    const checks = [
      { kind: 'http', options: { url: 'http://me:hidden-1@h/', headers: { x: 'hidden-2' } } },
    ]
    const path = await configFile('secrets.json', {
      encrypt: key,
      rpcAuth: 'hidden-3',
      httpTokens: [{ token, role: 'read', name: 'watcher' }],
      services: [{ service: 'web', port: 80, checks }],
    })
    const env = { KITH_HTTP_TOKEN: 'hidden-4-is-a-token-too' }
    const run = await kith(['agent', '--dry-run', '--config', path], { env })
    expect(run.code, run.err).toBe(0)
    for (const secret of [key, token, 'hidden']) expect(run.out).not.toContain(secret)
    const { settings } = JSON.parse(run.out) as Shown
    expect(settings).toMatchObject({
      encrypt: { value: '(secret)' },
      rpcAuth: { value: '(secret)' },
      httpToken: { value: '(secret)', name: 'KITH_HTTP_TOKEN' },
      httpTokens: { value: [{ token: '(secret)', role: 'read', name: 'watcher' }] },
    })
    expect(settings['services']?.value).toMatchObject([
      { checks: [{ options: { url: 'http://(secret)@h/', headers: { x: '(secret)' } } }] },
    ])
  })

  it('makes no file, and says where the members will be remembered', async () => {
    const data = join(folder, 'not-made')
    const { settings } = await dryRun(['--data', data])
    expect(settings['snapshot']).toEqual({
      value: join(data, 'members.snapshot'),
      from: 'default',
    })
    expect(existsSync(data)).toBe(false)
  })
})

describe('everything that is wrong', () => {
  it.each([[['--dry-run']], [[]]])('is said at once, with where it stands: %j', async (args) => {
    const path = await configFile('wrong.json', {
      node: 'a b',
      nothingOfOurs: 1,
      http: '10.1.2.3:80',
      services: [{ service: 'web', port: 80, checks: [{ kind: 'telepathy' }] }],
    })
    const flags = ['--bind', '10.1.2.3:0', '--label', 'x'.repeat(256), '--tag', 'kith.v=2']
    const env = {
      KITH_LOG_LEVEL: 'loud',
      KITH_JOIN: '10.0.0.1:7946,nowhere',
      KITH_HTTP_TOKEN: 'short',
      KITH_DISCOVER: 'dns:a,etcd:b',
    }
    const run = await kith(['agent', ...args, '--config', path, ...flags], { env })
    expect(run).toMatchObject({ code: 2, out: '' })
    const lines = run.err.trim().split('\n  ')
    expect(lines).toEqual([
      'kith: these settings are not right:',
      expect.stringMatching(/^--label must be text of 1 to 255 bytes, got /),
      expect.stringMatching(/^KITH_JOIN must be HOST:PORT .* got "nowhere"$/),
      expect.stringMatching(/^KITH_LOG_LEVEL must be one of debug, .* got "loud"$/),
      `${path}: node must be a name of 1 to 128 of A-Z a-z 0-9 . _ -, got "a b"`,
      expect.stringContaining(`${path}: nothingOfOurs must be absent`),
      expect.stringMatching(/^KITH_DISCOVER: discover\[1\] must be .* got "etcd:b"$/),
      expect.stringContaining('KITH_HTTP_TOKEN must be '),
      expect.stringMatching(/^--tag: tags\.kith\.v must be /),
      expect.stringContaining(`${path}: services[0].checks[0].kind must be`),
      expect.stringMatching(/^--bind must be a loopback address unless /),
      expect.stringContaining(`${path}: http must be a loopback address unless `),
    ])
    expect(run.err).not.toContain('short')
  })
})
