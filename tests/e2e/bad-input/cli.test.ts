/** Every flag and argument of every command, and every key of the configuration file. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { certificatePath } from '../../support/certificates.ts'
import { kith } from './command.ts'
import { declaredFields, declaredInHelp } from './declared.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kith-bad-'))
  await writeFile(join(folder, 'file'), 'a file, no directory')
  await writeFile(join(folder, 'half.json'), '["AAECAwQFBgcICQoLDA0ODw==", "EBES')
})
afterAll(() => rm(folder, { recursive: true }))

const addresses = ['nowhere', '127.0.0.1', ':80', '127.0.0.1:70000', '127.0.0.1:x', '']
const wholes = ['-1', '1.5', '1e3', 'x', '', '99999999999999999']
const http = [...addresses.filter((one) => one !== ''), 'ftp://x/', 'http://', 'http://x:99999']
const from = [...wholes, 'first', '2026-13-01', '12:00']
/** Of whoever asks. */
const tls = {
  '--tls-ca': ['', 'FOLDER/none', 'FOLDER', 'FOLDER/file'],
  '--tls-cert': ['', 'FOLDER/none', 'FOLDER', 'FOLDER/file'],
  '--tls-key': ['', 'FOLDER/none', 'FOLDER', 'FOLDER/file', certificatePath('ca')],
  '--tls-server-name': ['', 'a b', 'x'.repeat(254)],
}
const query = { '--http-addr': http, '--format': ['yaml', 'JSON', ''], ...tls }

const rpc = {
  ...tls,
  '--rpc-addr': [...addresses, '127.0.0.1:0', 'unix:', 'tls:', 'tls:127.0.0.1'],
  '--rpc-auth': [''],
  '--format': ['yaml', 'JSON', ''],
}

/** Bad values for each flag that takes one, by command. */
const flags: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  agent: {
    '--node': ['', 'a b', 'x'.repeat(129), 'ö'],
    '--bind': [...addresses, 'localhost:0', '10.1.2.3:0'],
    '--advertise': [...addresses, '0.0.0.0:1', 'name:1', 'auto', 'AUTO'],
    '--join': [...addresses, '127.0.0.1:0', '/127.0.0.1:1', 'name/nowhere'],
    '--discover': ['', 'dns', 'dns:', 'dns:a b', 'dns:a:0', 'dns:a:1:2', 'file:', 'etcd:x'],
    '--snapshot': ['', 'FOLDER', 'FOLDER/file', 'FOLDER/none/x'],
    '--http': [...addresses, '0.0.0.0:0'],
    '--http-advertise': [...addresses, '0.0.0.0:1', '[::]:1'],
    ...tls,
    '--consul-api': [...addresses, '0.0.0.0:0', 'localhost:0'],
    '--rpc': [...addresses, 'unix:', '0.0.0.0:0', 'tls:', 'tls:127.0.0.1:0'],
    '--data': ['', 'FOLDER/file'],
    // Right by itself, but nothing is kept without --data.
    '--log-storage': ['', 'SQLITE', 'lsm', 'segment'],
    '--replication-bytes-per-second': ['', '-1', '1', '262143', '1e6', 'fast'],
    '--gap-policy': ['', 'SKIP', 'snapshot'],
    '--retain': ['', 'bytesMax', 'bytesMax=-1', 'bytesMax=1e9', 'days=7', 'checkMs=9'],
    '--tag': ['novalue', '=x', '', 'kith.v=2', `x=${'y'.repeat(600)}`],
    '--encrypt': ['', 'key', 'AAECAwQFBgcICQoLDA0ODw', 'AAEC', `${'A'.repeat(43)}B`],
    '--keyring': ['', 'FOLDER/none.json', 'FOLDER', 'FOLDER/file', 'FOLDER/half.json'],
    '--label': ['', 'x'.repeat(256)],
    '--profile': ['slow', 'LAN', ''],
    '--service': ['web', ':80', 'web:0', 'web:65536', 'web:x', '', 'a b:80', 'a.b:80'],
    '--event-handler': ['', '=', '=x', 'user=', 'member-gone=x', 'user:=x', 'user,=x', 'a b=x'],
    '--config': ['', 'FOLDER/none.json', 'FOLDER/file', 'FOLDER'],
    '--log-level': ['loud', 'INFO', ''],
    '--log-format': ['xml', ''],
  },
  keygen: {},
  members: {
    ...rpc,
    '--http-addr': http,
    '--tag': ['novalue', '=x', ''],
    '--name': [''],
    '--status': [''],
    '--role': [''],
  },
  join: rpc,
  leave: rpc,
  'force-leave': rpc,
  event: rpc,
  query: {
    ...rpc,
    '--node': [''],
    '--tag': ['novalue', '=x', ''],
    '--timeout': ['', '5', '0s', '-1s', '1d', 'x', '99999999999s'],
    '--relay-factor': [...wholes, '256'],
  },
  keys: { ...rpc, '--install': [''], '--use': [''], '--remove': [''] },
  tags: { ...rpc, '--set': ['novalue', '=x', ''], '--delete': [''] },
  rtt: rpc,
  info: rpc,
  monitor: { ...rpc, '--log-level': ['loud', 'INFO', ''] },
  reachability: rpc,
  doctor: { ...query, '--timeout': ['', '5', '0s', '-1s', '1d', 'x', '61s', '99999999999s'] },
  services: query,
  resolve: { ...query, '--tag': ['', 'x'.repeat(129)], '--limit': [...wholes, '0', '10001'] },
  register: {
    ...query,
    '--id': ['', 'a/b', 'x'.repeat(129)],
    '--address': ['', 'a b', 'x'.repeat(254)],
    '--tag': ['', 'x'.repeat(129)],
    '--meta': ['novalue', '=x', ''],
    '--check': ['', 'A b', '{', '[]', '{"interval":5}'],
  },
  deregister: query,
  drain: { ...query, '--reason': ['', 'x'.repeat(257)] },
  'log append': {
    ...query,
    '--producer': ['', 'x'.repeat(129)],
    '--producer-sequence': wholes,
    '--durability': ['ram', ''],
    '--replicas': [...wholes, '1001'],
    '--timeout-ms': [...wholes, '600001'],
    '--retry-ms': [...wholes, '3600001'],
  },
  'log read': { ...query, '--from': from, '--limit': [...wholes, '0'] },
  'log tail': { ...query, '--from': from, '--limit': [...wholes, '0'] },
  'log status': {
    ...query,
    '--interval': ['', '5', '0s', '99ms', '1d', 'x', '61m', '99999999999s'],
  },
  'log verify': query,
  'log retire': query,
}

/** How a refusal names a flag that only the agent behind the command can judge. */
const optionOf: Readonly<Record<string, string>> = {
  '--discover': 'discover[0]',
  '--data': 'data',
  '--retain': 'retention.',
  '--tag': 'tags',
  '--service': 'services[0]',
  '--event-handler': 'eventHandlers[0]',
}
/** As a flag or variable with its own value at fault, or with a part of it. */
function isNamed(text: string, name: string, part: string | undefined): boolean {
  const known = [`option '${name} <`, `${name} must be`, `${name}: `]
  if (part !== undefined) known.push(`${part} must be`)
  return known.some((one) => text.includes(one))
}
/** What a command needs besides its flags. */
const argumentOf: Readonly<Record<string, readonly string[]>> = {
  resolve: ['web'],
  register: ['web:80'],
  deregister: ['web-1'],
  'log retire': ['ab'.repeat(16)],
}
/** Free ports, so that what is refused late disturbs nobody. */
const quiet = [
  '--bind',
  '127.0.0.1:0',
  '--http',
  '127.0.0.1:0',
  '--rpc',
  '127.0.0.1:0',
  '--log-level',
  'error',
]

async function commandsOf(path: readonly string[]): Promise<[string, readonly string[]][]> {
  const { out } = await kith([...path, '--help'])
  const { commands, flags: own } = declaredInHelp(out)
  const inner = await Promise.all(commands.map((name) => commandsOf([...path, name])))
  return commands.length > 0 ? inner.flat() : [[path.join(' '), own]]
}

describe('flags', () => {
  it('has bad values here for each flag of each command that the help shows', async () => {
    const declared = (await commandsOf([])).map(([name, own]) => [name, [...own].sort()])
    const listed = Object.entries(flags).map(([name, own]) => [name, Object.keys(own).sort()])
    expect(Object.fromEntries(listed)).toEqual(Object.fromEntries(declared))
  })

  const rows = Object.entries(flags).flatMap(([command, own]) =>
    Object.entries(own).flatMap(([flag, values]) =>
      values.map((value) => ({ command, flag, value })),
    ),
  )
  it.each(rows)('$command $flag $value: is refused by name with exit code 2', async (row) => {
    const { command, flag } = row
    const value = row.value.replace('FOLDER', folder)
    const given = quiet.includes(flag) ? [] : quiet
    const rest = command === 'agent' ? given : []
    const argument = argumentOf[command] ?? []
    const run = await kith([...command.split(' '), ...rest, ...argument, `${flag}=${value}`])
    expect(run.code, run.err).toBe(2)
    expect(isNamed(run.err, flag, optionOf[flag]), run.err).toBe(true)
    expect(run.err).toMatch(/must be|Allowed choices are|cannot read/)
    expect(run.out).toBe('')
  })

  it.each([
    [['agent', '--no-rpc=yes'], '--no-rpc'],
    [['agent', '--dry-run=yes'], '--dry-run'],
    [['agent', '--insecure-plaintext=yes'], '--insecure-plaintext'],
    [['agent', '--script-checks=yes'], '--script-checks'],
    [['agent', 'extra'], 'extra'],
    [['agent', '--encrypt=AAECAwQFBgcICQoLDA0ODw==', '--keyring=k.json'], 'encrypt'],
    [['keygen', 'extra'], 'extra'],
    [['agent', '--node'], '--node'],
    [['resolve'], 'service'],
    [['resolve', ''], 'service'],
    [['resolve', 'web', 'more'], 'more'],
    [['services', ''], 'service'],
    [['services', '--watch=yes'], '--watch'],
    [['services', '--checks=yes'], '--checks'],
    [['register'], 'service:port'],
    [['register', 'web'], 'service:port'],
    [['register', 'web:0'], 'service:port'],
    [['deregister'], 'id'],
    [['deregister', 'a/b'], 'id'],
    [['drain', 'a/b'], 'id'],
    [['drain', '--end=yes'], '--end'],
    [['log', 'write'], 'write'],
    [['log', 'status', '--watch=yes'], '--watch'],
    [['memmbers'], 'memmbers'],
  ])('%j is refused with what is at fault named', async (args, named) => {
    const run = await kith(args)
    expect(run.code).toBe(2)
    expect(run.err).toContain(named)
  })

  // Empty is as if it were not there, and several values are separated by commas.
  const variables: Readonly<Record<string, readonly string[]>> = {
    ...flags['agent'],
    '--rejoin': ['yes', '1', 'TRUE'],
    '--insecure-plaintext': ['yes', '1'],
    '--script-checks': ['yes', '1'],
    '--tls-client-cert': ['no', '0'],
    '--verify-incoming': ['no', '0'],
    '--verify-outgoing': ['no', '0'],
    '--http-tokens': ['x', '{}', '[5]', '["x"]', '[{"token":"short","role":"read"}]'],
    '--http-token': ['short', 'a b c d e f g h i j'],
    '--join': ['127.0.0.1:0', '127.0.0.1:1,', '127.0.0.1:1 127.0.0.1:2', '127.0.0.1:1,nowhere'],
    '--tag': ['novalue', 'a=b,novalue', 'kith.v=2'],
    '--rpc': ['nowhere', 'unix:', 'no', 'FALSE', '0.0.0.0:0', 'tls:127.0.0.1:0'],
  }
  const given = Object.entries(variables).flatMap(([flag, values]) =>
    values.filter((value) => value !== '').map((value) => ({ flag, value })),
  )
  it.each(given)('the variable of $flag as $value is refused by name', async ({ flag, value }) => {
    const name = `KITH_${flag.slice(2).replaceAll('-', '_').toUpperCase()}`
    const env = { [name]: value.replace('FOLDER', folder) }
    const rest = quiet.includes(flag) ? ['--log-level', 'error'] : quiet
    const run = await kith(['agent', ...rest], { env })
    expect(run.code, run.err).toBe(2)
    expect(isNamed(run.err, name, undefined), run.err).toBe(true)
    expect(run.out).toBe('')
  })

  it('has bad values here for each variable of an agent', async () => {
    const { out } = await kith(['agent', '--dry-run'])
    const { settings } = JSON.parse(out) as { settings: object }
    // A key for the RPC may be any text.
    const listed = [...Object.keys(variables), '--rpc-auth']
    expect(listed.length).toBe(Object.keys(settings).length + ['--config'].length)
  })

  it('names the environment where that is at fault', async () => {
    for (const value of http) {
      const run = await kith(['members'], { env: { KITH_HTTP_ADDR: value } })
      expect([run.code, run.err.includes('KITH_HTTP_ADDR')], value).toEqual([2, true])
    }
  })
})

describe('the configuration file', () => {
  const address = ['nowhere', '127.0.0.1', 7, null, '127.0.0.1:70000']
  const bad: Readonly<Record<string, readonly unknown[]>> = {
    node: ['', 'a b', 7],
    bind: [...address, 'localhost:0'],
    advertise: [...address, '0.0.0.0:1', 'auto', 'AUTO'],
    join: ['127.0.0.1:1', ['127.0.0.1:0'], [7], {}],
    discover: ['dns:a', [''], [7], ['dns:'], ['etcd:x']],
    snapshot: ['', 7],
    rejoin: ['yes', 1],
    http: [...address, '0.0.0.0:80'],
    httpAdvertise: [...address, '0.0.0.0:1'],
    httpTokens: [5, ['x'], [{ token: 'short', role: 'read' }], [{ role: 'read' }]],
    httpToken: ['short', 5],
    tlsCert: ['', '/nowhere/cert.pem', 7],
    tlsKey: ['', '/nowhere/key.pem', 7],
    tlsCa: ['', '/nowhere/ca.pem', 7],
    tlsClientCert: ['yes', 1],
    tlsServerName: ['', 'a b', 7],
    consulApi: [...address, '0.0.0.0:8500'],
    rpc: [...address, 'unix:', true, '0.0.0.0:7373', 'tls:127.0.0.1:0'],
    rpcAuth: ['', 7],
    data: ['', 7],
    logStorage: ['', 'SQLITE', 'segment', 7],
    replicationBytesPerSecond: [-1, 1, 262_143, '1000000'],
    gapPolicy: ['', 'SKIP', 'snapshot', 7],
    retention: [[], 5, { bytesMax: '5' }, { bytesMax: -1 }, { days: 7 }],
    tags: [[], { role: 5 }, { 'kith.v': '2' }, 'a=b'],
    encrypt: ['', 'key', 'AAECAwQFBgcICQoLDA0ODw', 7],
    keyring: ['', '/nowhere/keyring.json', '/', 7],
    label: ['', 'x'.repeat(256), 7],
    verifyIncoming: ['no', 1],
    verifyOutgoing: ['no', 1],
    insecurePlaintext: ['yes', 1],
    scriptChecks: ['yes', 1],
    profile: ['slow', 1],
    services: [
      {},
      [{}],
      [{ service: 'web', port: 0 }],
      [{ service: 'a b', port: 1 }],
      [{ service: 'web', port: 1, more: 1 }],
      [{ service: 'web', port: 1, id: 'a/b' }],
      [{ service: 'web', port: 1, address: '0.0.0.0' }],
      [{ service: 'web', port: 1, tags: [''] }],
      [{ service: 'web', port: 1, meta: { a: 5 } }],
      [{ service: 'web', port: 1, checks: [{}] }],
      [{ service: 'web', port: 1, checks: [{ kind: 'telepathy' }] }],
      [{ service: 'web', port: 1, checks: [{ kind: 'tcp', intervalMs: 5 }] }],
      [{ service: 'web', port: 1, checks: [{ kind: 'http', options: { url: 'x' } }] }],
    ],
    eventHandlers: [
      'x',
      {},
      ['x'],
      [{}],
      [{ command: 'ls' }],
      [{ command: [] }],
      [{ command: ['ls'], on: 'member-gone' }],
      [{ command: ['ls'], more: 1 }],
      [{ command: ['ls'], timeoutMs: 99 }],
    ],
    logLevel: ['loud', 1],
    logFormat: ['xml', 1],
    nothingOfOurs: [1],
  }
  const rows = Object.entries(bad).flatMap(([key, values]) =>
    values.map((value) => ({ key, value, shown: JSON.stringify(value) })),
  )

  it('has bad values here for each key', () => {
    const declared = declaredFields('packages/cli/src/config.ts', 'AgentConfig')
    expect(Object.keys(bad).sort()).toEqual([...declared, 'nothingOfOurs'].sort())
  })

  it.each(rows)('$key: $shown is refused by name with exit code 2', async ({ key, value }) => {
    const file = join(folder, 'config.json')
    const rest = { bind: '127.0.0.1:0', http: '127.0.0.1:0', rpc: '127.0.0.1:0', logLevel: 'error' }
    await writeFile(file, JSON.stringify({ ...rest, [key]: value }))
    const run = await kith(['agent', '--config', file])
    expect(run.code, run.err).toBe(2)
    expect(run.err).toContain(key)
    expect(run.err).toContain('must be')
    expect(run.out).toBe('')
  })

  it('is refused where it is no JSON, no object or too long, with its name', async () => {
    const file = join(folder, 'other.json')
    for (const text of ['', '{', '[]', '7', '"x"', `{"node":"${'x'.repeat(1_100_000)}"}`]) {
      await writeFile(file, text)
      const run = await kith(['agent', '--config', file])
      expect([run.code, run.err.includes(file)], text.slice(0, 20)).toEqual([2, true])
    }
  })
})

describe('lines to append', () => {
  it('says which file cannot be read', async () => {
    const run = await kith(['log', 'append', '--http-addr', '127.0.0.1:1', join(folder, 'none')])
    expect(run.code).toBe(1)
    expect(run.err).toContain(join(folder, 'none'))
  })
})
