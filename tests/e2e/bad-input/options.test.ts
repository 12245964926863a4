/** Every option of everything made by options: out of range it is refused by its name. */
import { createAgent } from '@kith/agent'
import { consulApiPlugin, createConsulApi } from '@kith/consul-api'
import { createDnsServer, dnsPlugin } from '@kith/dns'
import { createGossip, profiles } from '@kith/gossip'
import { isKithError } from '@kith/interface'
import { createLog } from '@kith/log'
import { createRegistry, createRegistryClient } from '@kith/registry'
import { createReplicator, tuningDefaults } from '@kith/replicator'
import { createReplicationHandler, httpSource } from '@kith/replicator/http'
import { createSerfClient, createSerfRpcServer } from '@kith/serf-rpc'
import { registerGrpcResolver } from '@kith/grpc'
import { createServer, defaultServerLimits } from '@kith/server'
import { tcpTransport } from '@kith/transport-tcp'
import { udpTransport } from '@kith/transport-udp'
import { createDispatcher } from '@kith/undici'
import { describe, expect, it } from 'vitest'
import { pem } from '../../support/certificates.ts'
import { declaredFields } from './declared.ts'

interface Table {
  /** Where the options are declared. */
  readonly file: string
  readonly name: string
  create(options: object): unknown
  /** Values out of range for each option. */
  readonly bad: Readonly<Record<string, readonly unknown[]>>
  /** Options that are objects with methods: types guard them, no range does. */
  readonly ports?: readonly string[]
  /** Under which name a refusal names the option, where that is not its own. */
  readonly field?: (option: string) => string
}

const numbers = [-1, Number.NaN, Number.POSITIVE_INFINITY, 1e300, '5', {}]
const numeric = (names: readonly string[]): Record<string, readonly unknown[]> =>
  Object.fromEntries(names.map((name) => [name, numbers]))
const transports = { packets: udpTransport(), streams: tcpTransport() }
const port = [-1, 65_536, 1.5, '80', Number.NaN]
const address = ['nowhere', '127.0.0.1', '127.0.0.1:70000', 7, {}, { host: '', port: 1 }]
const membership = { self: { name: 'a', address: { host: '127.0.0.1', port: 1 } } } as never
const registryPort = {
  resolve: () => [],
  watch: async function* () {},
  lease: () => undefined,
  on: () => () => {},
}
const registryParts = { membership, extensions: {} as never }
const registryFile = 'packages/registry/src/options.ts'
const registryOptions = (settings: object): unknown =>
  createRegistry({ ...registryParts, settings })

const good = { token: 'x'.repeat(16), role: 'read' }
const tokens = [
  5,
  {},
  ['x'.repeat(16)],
  [null],
  [good, good],
  [{ ...good, token: 'short' }],
  [{ ...good, token: 'a b'.repeat(9) }],
  [{ ...good, role: 'root' }],
  [{ ...good, name: 'a b' }],
  [{ ...good, more: 1 }],
  Array(65).fill(good),
]
/** Of somebody who connects; what a server takes needs a certificate as well. */
const tls = [
  5,
  'x',
  { ca: 'x' },
  { ca: [] },
  { cert: pem('member') },
  { key: pem('member-key') },
  { cert: pem('member'), key: pem('client-key') },
  { cert: pem('member'), key: pem('member-key'), more: 1 },
]
const ownTls = [...tls, {}, { cert: pem('member'), key: pem('member-key'), clientCert: true }]
const missing = ['', '/nowhere/x.pem', '/dev/null', '/', 7]
/** What is shown to somebody else, who may want any form. */
const shown = ['', 'a b', 'x'.repeat(513), 7]

const tables: readonly Table[] = [
  {
    file: 'packages/agent/src/options.ts',
    name: 'AgentOptions',
    create: (options) => createAgent(options),
    bad: {
      name: ['', 'a b', 'x'.repeat(129), 7],
      bind: [...address, 'localhost:0', '10.0.0.1:7946', '[::]:1'],
      advertise: [...address, 'auto', 'automatic'],
      http: [...address, '0.0.0.0:80'],
      httpAdvertise: [...address, '0.0.0.0:80', '[::]:80'],
      httpTokens: tokens,
      httpToken: ['', 'short', 'a b c d e f g h i j', 7],
      join: ['127.0.0.1:1', {}, ['127.0.0.1:0'], ['x y'], [7]],
      discovery: [
        'dns:a',
        {},
        ['dns:'],
        ['dns:a b'],
        ['dns:a:70000'],
        ['file:'],
        ['x'],
        [7],
        [null],
      ],
      snapshot: ['', 7],
      rejoinAfterLeave: ['yes', 1],
      data: ['', 7],
      logStorage: ['segment', 'SQLITE', '', 7],
      replicationBytesPerSecond: [1, 262_143, 2 ** 35, 1e6 + 0.5, '1000000'],
      gapPolicy: ['snapshot', 'HALT', '', 7, true],
      retention: [5, { bytesMax: -1 }, { days: 7 }, { hardBytesMax: 5 }, { checkMs: 1 }],
      tags: [[], 'a=b', { '': 'x' }, { 'kith.v': '2' }, { role: 5 }],
      profile: ['slow', 'LAN', 1, ''],
      services: [{}, [{}], [{ service: 'a b', port: 1 }], [{ service: 'web', port: 0 }], [null]],
      checkKinds: ['x', [null], [{ kind: 'A B' }], [{ kind: 'x', parse() {} }]],
      eventHandlers: ['x', {}, Array(65).fill({ command: ['x'] }), [null]],
      clusterId: ['', 'a b', 'x'.repeat(129), 7],
      plugins: ['x', [{}], [{ name: 'x' }], [null]],
      insecurePlaintext: ['yes', 1],
    },
    ports: ['logger'],
  },
  {
    file: 'packages/agent/src/handler-options.ts',
    name: 'EventHandler',
    create: (options) => {
      createAgent({ eventHandlers: [{ command: ['ls'], ...options }] })
    },
    bad: {
      on: ['', 'x', 'user,', 'member-gone', 'user:', 'user,query,x', 7, null],
      command: [[], [''], 'ls', ['ls', 7], ['l\0s'], Array(65).fill('x'), ['x'.repeat(2_049)]],
      timeoutMs: [99, 600_001, 0.5, '100'],
    },
  },
  {
    file: 'packages/agent/src/encryption.ts',
    name: 'EncryptionOptions',
    create: (options) => createAgent(options),
    bad: {
      encrypt: ['', 'key', 'AAECAwQFBgcICQoLDA0ODw', 'AAEC', 7],
      keyring: ['', '/nowhere/keyring.json', '/dev/null', '/', 7],
      label: ['x'.repeat(256), 7],
      verifyIncoming: ['no', 0],
      verifyOutgoing: ['no', 0],
    },
  },
  {
    file: 'packages/agent/src/rpc-options.ts',
    name: 'RpcOptions',
    create: (options) => createAgent(options),
    bad: {
      rpc: [...address, '0.0.0.0:7373', 'unix:', '', 'tls:', 'tls:unix:/x', 'tls:127.0.0.1:0'],
      rpcAuth: ['', 7],
      rpcRequired: ['yes', 1],
    },
  },
  {
    file: 'packages/agent/src/tls-options.ts',
    name: 'TlsOptions',
    create: (options) => createAgent(options),
    bad: {
      tlsCert: missing,
      tlsKey: missing,
      tlsCa: missing,
      tlsClientCert: ['yes', 1],
      tlsServerName: ['', 'a b', 7],
    },
  },
  {
    file: 'packages/serf-rpc/src/options.ts',
    name: 'SerfRpcServerOptions',
    create: (options) => createSerfRpcServer({ host: {} as never, ...options }),
    bad: {
      host: [7, 'x'],
      address: [...address, '0.0.0.0:7373'],
      path: ['', 'x'.repeat(104), 7],
      authKey: ['', 'x'.repeat(1_025), 7],
      tls: ownTls,
      limits: [{ speed: 1 }, { connectionsMax: 0 }, { handshakeMs: 'x' }],
    },
    ports: ['logger', 'clock'],
  },
  {
    file: 'packages/serf-rpc/src/options.ts',
    name: 'SerfClientOptions',
    create: createSerfClient,
    bad: {
      address: [...address, '127.0.0.1:0'],
      path: ['', 'x'.repeat(104), 7],
      authKey: ['', 'x'.repeat(1_025), 7],
      tls: [...tls, () => 5],
      ...numeric(['connectTimeoutMs', 'requestTimeoutMs', 'connectAttemptsMax', 'requestsMax']),
      ...numeric(['reconnectDelayMs', 'reconnectDelayMsMax', 'responseBytesMax', 'recordsMax']),
    },
  },
  {
    file: 'packages/gossip/src/runtime/types.ts',
    name: 'GossipOptions',
    create: (options) => createGossip({ ...transports, ...options }),
    bad: {
      name: ['', 'a b', 'x'.repeat(129), 7],
      advertise: [
        { host: 'name', port: 1 },
        { host: '0.0.0.0', port: 1 },
        { host: '::1', port: -1 },
        ...['automatic', '10.0.0.1:7946', null, 7],
      ],
      join: [['x:y:z:'], [''], [7]],
      discovery: ['dns:a', {}, [{}], [null], Array.from({ length: 17 }, () => () => ({}))],
      snapshot: ['', 7],
      rejoinAfterLeave: ['yes', 1],
      tags: [{ role: 'x'.repeat(600) }, { role: 5 }],
      keyring: ['AAEC', {}, { secrets: [7] }],
      label: ['x'.repeat(256), 7],
      verifyIncoming: ['no', 0],
      verifyOutgoing: ['no', 0],
      profile: ['slow', 1],
      overrides: [{ probeIntervalMs: -1 }, { nothing: 1 }],
      replayOnJoin: ['yes', 1],
      nameConflict: ['quit', true],
      mergeVeto: ['no', {}, { tags: { dc: '(' } }, { tags: { dc: 1 } }],
      allowedNetworks: ['10.0.0.0/8', [], ['10.0.0.0/33'], ['10.0.0.0'], [7]],
    },
    ports: ['packets', 'streams', 'context'],
    field: (option) => (option === 'overrides' ? '' : option),
  },
  {
    file: 'packages/gossip/src/options.ts',
    name: 'GossipTimings',
    create: (overrides) => createGossip({ ...transports, overrides }),
    bad: { ...numeric(Object.keys(profiles.lan)), streamProbe: ['yes', 1] },
  },
  {
    file: 'packages/log/src/options.ts',
    name: 'LogOptions',
    create: (options) => createLog(options),
    bad: {
      directory: ['', 7],
      storage: ['files', 7],
      store: ['x', {}],
      member: ['x'.repeat(129), 7],
      writer: ['thread', 1],
      gate: ['shut', true],
      readOnly: ['yes', 1],
      pollMs: numbers,
      ...numeric(['gateMs', 'recordBytesMax', 'appendBytesMax', 'queuedBytesMax', 'cacheBytesMax']),
      producersMax: numbers,
      retention: [5, { bytesMax: -1 }, { days: 7 }],
      scrub: [5, { everyMs: 1 }, { days: 7 }],
    },
    ports: ['clock', 'random', 'logger', 'digests'],
  },
  {
    file: 'packages/log/src/options.ts',
    name: 'ScrubOptions',
    create: (scrub) => createLog({ scrub }),
    bad: numeric(['bytesPerSecond', 'everyMs']),
    field: (option) => `scrub.${option}`,
  },
  {
    file: 'packages/log/src/options.ts',
    name: 'RetentionOptions',
    create: (retention) => createLog({ retention }),
    bad: { checkMs: [...numbers, 9, 3_600_001] },
    field: (option) => `retention.${option}`,
  },
  {
    file: 'packages/log/src/core/retain.ts',
    name: 'RetentionPolicy',
    create: (retention) => createLog({ retention }),
    bad: numeric(['bytesMax', 'recordsMax', 'ageMsMax', 'minReplicas', 'hardBytesMax']),
    field: (option) => `retention.${option}`,
  },
  {
    file: 'packages/replicator/src/options.ts',
    name: 'ReplicatorTuning',
    create: (tuning) =>
      createReplicator({ log: {} as never, member: 'a', source: () => undefined, tuning }),
    bad: {
      ...numeric(Object.keys(tuningDefaults).filter((name) => name !== 'gapPolicy')),
      gapPolicy: ['ignore', 1],
    },
  },
  {
    file: 'packages/replicator/src/runtime/replicator.ts',
    name: 'ReplicatorOptions',
    create: (options) =>
      createReplicator({ log: {} as never, member: 'a', source: () => undefined, ...options }),
    bad: { member: ['', 7], clusterId: ['', 'x'.repeat(129), 7], tuning: [{ stallMs: -1 }] },
    ports: ['log', 'membership', 'source', 'locator', 'expectMembers', 'clock', 'random', 'logger'],
    field: (option) => (option === 'tuning' ? 'stallMs' : option),
  },
  {
    file: 'packages/replicator/src/http/source.ts',
    name: 'HttpSourceOptions',
    create: (options) =>
      httpSource(
        'address' in options ? (options as object) : { url: 'http://127.0.0.1:1', ...options },
      ),
    bad: {
      url: ['nowhere', 'ftp://127.0.0.1/', 7],
      address: [
        { host: '127.0.0.1', port: 0 },
        { host: '', port: 1 },
        { host: 'x', port: 70_000 },
      ],
      ...numeric(['connectTimeoutMs', 'answerTimeoutMs', 'connectionsMax']),
      token: shown,
      tls: [...tls, () => 5],
    },
    field: (option) => (option === 'address' ? '' : option),
  },
  {
    file: 'packages/replicator/src/http/handler.ts',
    name: 'ReplicationHandlerLimits',
    create: (limits) => createReplicationHandler({ source: {} as never, limits }),
    bad: numeric(['requestBytesMax', 'callsMax']),
  },
  {
    file: registryFile,
    name: 'RegistryLimits',
    create: registryOptions,
    bad: numeric(declaredFields(registryFile, 'RegistryLimits')),
  },
  {
    file: registryFile,
    name: 'RegistryTimings',
    create: registryOptions,
    bad: numeric(declaredFields(registryFile, 'RegistryTimings')),
  },
  {
    file: 'packages/registry/src/runtime/types.ts',
    name: 'RegistryOptions',
    create: (options) => createRegistry({ ...registryParts, ...options }),
    bad: {
      member: ['', 'x'.repeat(129), 7, 'a\n'],
      directory: ['', 7],
      checkKinds: [{}, [{}], [{ kind: 'No' }], [null]],
      rtt: [5, 'x'],
      settings: [{ gapMs: -1 }, { nothing: 1 }],
    },
    ports: ['membership', 'extensions', 'clock', 'random', 'logger'],
    field: (option) => (option === 'settings' ? '' : option),
  },
  {
    file: 'packages/registry/src/client/types.ts',
    name: 'RegistryClientOptions',
    create: (options) => createRegistryClient({ urls: ['http://127.0.0.1:1'], ...options }),
    bad: {
      urls: ['http://127.0.0.1:1', [], ['ftp://x'], ['x'], [7], Array(65).fill('http://a')],
      fetch: ['x', 5],
      ...numeric(['timeoutMs', 'silenceMs', 'retryMsMax', 'servicesMax', 'idleMs']),
      near: ['', 'x'.repeat(129), 7],
      token: shown,
      tls: [...tls, () => 5],
    },
    ports: ['clock', 'random', 'logger'],
  },
  {
    file: 'packages/server/src/options.ts',
    name: 'ServerOptions',
    create: (options) => createServer(options),
    bad: {
      host: ['', 'a b', 7],
      port,
      limits: [{ bodyBytesMax: 0 }, { nothing: 1 }],
      tokens,
      tls: ownTls,
    },
    ports: ['logger'],
  },
  {
    file: 'packages/server/src/options.ts',
    name: 'ServerLimits',
    create: (limits) => createServer({ limits }),
    bad: numeric(Object.keys(defaultServerLimits)),
  },
  {
    file: 'packages/consul-api/src/options.ts',
    name: 'ConsulApiOptions',
    create: (options) =>
      createConsulApi({
        registry: registryPort,
        membership: { members: () => [] },
        ...options,
      } as never),
    bad: {
      registry: [5, {}, null],
      membership: [5, {}, null],
      host: ['localhost', '', 7],
      port,
      datacenter: ['', 'A', 'a.b', 'x'.repeat(65), 7],
      persist: ['yes', 1],
      roleOf: ['x', 5, {}],
      ...numeric(['parkedMax', 'waitMsMax', 'bodyBytesMax', 'connectionsMax', 'requestTimeoutMs']),
    },
    ports: ['clock', 'random', 'logger'],
  },
  {
    file: 'packages/consul-api/src/plugin.ts',
    name: 'ConsulApiPluginOptions',
    create: (options) => consulApiPlugin(options),
    bad: { onListening: ['x', 5] },
  },
  {
    file: 'packages/dns/src/options.ts',
    name: 'DnsServerOptions',
    create: (options) => createDnsServer({ registry: registryPort, ...options }),
    bad: {
      registry: [5, {}, null],
      members: [5, {}, null],
      host: ['localhost', '', 7],
      port,
      domain: ['', 'A', '.x', 'a..b', '-a', 'x'.repeat(64), 7],
      ...numeric(['ttlSeconds', 'answersMax', 'udpBytesMax', 'queryBytesMax', 'waitingMax']),
      ...numeric(['connectionsMax', 'idleMs']),
    },
    ports: ['random', 'logger'],
  },
  {
    file: 'packages/dns/src/plugin.ts',
    name: 'DnsPluginOptions',
    create: (options) => dnsPlugin(options),
    bad: { onListening: ['x', 5] },
  },
  {
    file: 'packages/grpc/src/options.ts',
    name: 'GrpcResolverOptions',
    create: (options) => registerGrpcResolver({ registry: registryPort, ...options } as never),
    bad: {
      registry: [5, {}, null],
      scheme: ['', 'Kith', '9x', 'x'.repeat(33), 'dns', 'unix', 7],
      domain: ['', 'A', '.x', 'x'.repeat(64), 7],
      prefer: ['eu', [], { zone: 5 }, { tags: 'x' }, { tags: [5] }],
      ...numeric(['endpointsMax']),
    },
  },
  {
    file: 'packages/undici/src/options.ts',
    name: 'KithDispatcherOptions',
    create: (options) => createDispatcher({ registry: registryPort, ...options } as never),
    bad: {
      registry: [5, {}, null],
      domain: ['', 'A', '.x', 'x'.repeat(64), 7],
      strategy: ['fastest', 1],
      key: ['x', 5],
      prefer: ['eu', [], { zone: 5 }, { tags: 'x' }, { tags: [5] }],
      ...numeric(['attemptsMax', 'connectTimeoutMs', 'avoidMs', 'connectionsMax']),
      pool: ['x', [], { factory: 1 }, { keepAliveTimeout: -1 }],
      fallback: ['x', {}, null],
    },
  },
  {
    file: 'packages/transport-udp/src/options.ts',
    name: 'UdpOptions',
    create: (options) => udpTransport(options),
    bad: {
      host: ['localhost', '', 7],
      port,
      ...numeric(['receiveBufferBytes', 'packetBytesMax', 'sendQueueBytesMax']),
    },
  },
  {
    file: 'packages/transport-tcp/src/options.ts',
    name: 'TcpOptions',
    create: (options) => tcpTransport(options),
    bad: {
      host: ['localhost', '', 7],
      port,
      tls: ['x', { key: 'x', cert: 'y' }, {}],
      ...numeric(['connectionsMax', 'connectionsPerAddressMax', 'firstByteTimeoutMs']),
      idleTimeoutMs: numbers,
    },
  },
]

/** Code and text of what is thrown; a text that says what happened where that is not ours. */
function refusal(run: () => unknown): { readonly code: string; readonly message: string } {
  try {
    run()
    return { code: 'nothing was thrown', message: '' }
  } catch (cause) {
    return isKithError(cause) ? cause : { code: String(cause), message: '' }
  }
}

describe.each(tables)('$name', (table) => {
  const { file, name, create, bad, ports = [], field = (option: string) => option } = table

  it('has a bad value here for each option that is declared', () => {
    const listed = [...Object.keys(bad), ...ports].sort()
    expect(listed).toEqual(declaredFields(file, name).sort())
  })

  const rows = Object.entries(bad).flatMap(([option, values]) =>
    values.map((value) => ({ option, value })),
  )
  it.each(rows)('refuses $option: $value by name, and says what would be right', (row) => {
    const { code, message } = refusal(() => create({ [row.option]: row.value }))
    expect(code).toMatch(/^ERR_[A-Z]+_[A-Z_]+$/)
    expect(message).toContain(field(row.option))
    expect(message).toContain(' must be ')
  })

  it('refuses an option that it does not know, by its name', () => {
    expect(refusal(() => create({ nowhereKnown: 1 })).message).toContain('nowhereKnown')
  })
})
