/**
 * The settings of `kith agent`: one table from which its flags, the variables of the environment
 * and the names in the configuration file come.
 */
import { hostname } from 'node:os'
import { parseAddress } from '@kith/interface'
import type { AgentConfig } from './config.ts'
import {
  addAddress,
  addBound,
  addHandler,
  addressFlag,
  addService,
  addTag,
  addText,
  integerFlag,
  jsonFlag,
  keyFlag,
  labelFlag,
  oneOfFlag,
  rpcPlace,
  switchFlag,
  textFlag,
} from './flags.ts'
import { gapPolicies, logFormats, logLevels, logStorages, profiles } from './settings.ts'

export type SettingKey = keyof AgentConfig

export interface Setting {
  /** Its name in the configuration file. */
  readonly key: SettingKey
  /** As the command line shows it, `--bind <host:port>`; absent where no flag should hold it. */
  readonly flag?: string
  readonly help?: string
  /** What one text means, and what came before it. Throws what a flag throws. */
  readonly read: (text: string, earlier: never) => unknown
  /** Takes several values: a flag again and again, a variable separated by commas. */
  readonly many?: true
  /** What separates several values in a variable. Default a comma. */
  readonly separator?: string
  /** Nobody gets to see its value. */
  readonly secret?: true
  /** What holds where nobody says otherwise. */
  readonly fallback?: unknown
}

const anyPort = addressFlag({ anyPort: true })
const anyRpc = rpcPlace({ anyPort: true })
const advertise = textFlag(
  'auto, or HOST:PORT with a port from 0 (any free one) to 65535',
  (text) => text === 'auto' || parseAddress(text) !== undefined,
)
const path = textFlag('a path', (text) => text !== '')
const nameFlag = textFlag('1 to 128 of A-Z a-z 0-9 . _ -', (text) => /^[\w.-]{1,128}$/.test(text))

/** Checked as an address, kept as it was written: so it stands in a file, too. */
function address(text: string): string {
  anyPort(text)
  return text
}

function rpc(text: string): string | false {
  if (text === 'false') return false
  anyRpc(text)
  return text
}

/** In the order of the help. */
export const agentSettings: readonly Setting[] = [
  {
    key: 'node',
    flag: '--node <name>',
    help: 'the name of this member; default: the name of the host',
    read: nameFlag,
    fallback: hostName(),
  },
  {
    key: 'bind',
    flag: '--bind <host:port>',
    help: 'where gossip listens; default 127.0.0.1:7946',
    read: address,
    fallback: '127.0.0.1:7946',
  },
  {
    key: 'advertise',
    flag: '--advertise <host:port>',
    help: 'where others reach it, or auto; default: where it listens',
    read: advertise,
  },
  {
    key: 'join',
    flag: '--join <host:port>',
    help: 'a member to join (again for more)',
    read: addAddress,
    many: true,
    fallback: [],
  },
  {
    key: 'discover',
    flag: '--discover <how>',
    help: 'dns:NAME, dns:NAME:PORT or file:PATH (again for more)',
    read: addText,
    many: true,
    fallback: [],
  },
  {
    key: 'snapshot',
    flag: '--snapshot <file>',
    help: 'where members are remembered; default: in --data',
    read: path,
  },
  {
    key: 'rejoin',
    flag: '--rejoin',
    help: 'look for those remembered also after a leave',
    read: switchFlag,
    fallback: false,
  },
  {
    key: 'http',
    flag: '--http <host:port>',
    help: 'where HTTP listens; default 127.0.0.1:7947',
    read: address,
    fallback: '127.0.0.1:7947',
  },
  {
    key: 'httpAdvertise',
    flag: '--http-advertise <host:port>',
    help: 'where others reach it',
    read: address,
  },
  { key: 'httpTokens', read: jsonFlag, secret: true },
  { key: 'httpToken', read: (text) => text, secret: true },
  {
    key: 'tlsCert',
    flag: '--tls-cert <file>',
    help: 'HTTP speaks TLS with this certificate, in PEM; default: it does not',
    read: path,
  },
  {
    key: 'tlsKey',
    flag: '--tls-key <file>',
    help: 'the private key of the certificate',
    read: path,
  },
  {
    key: 'tlsCa',
    flag: '--tls-ca <file>',
    help: 'who signs the certificates of members and callers, which are asked for then',
    read: path,
  },
  { key: 'tlsClientCert', read: switchFlag },
  {
    key: 'tlsServerName',
    flag: '--tls-server-name <name>',
    help: "the name in the members' certificates; default: their hosts",
    read: textFlag('the name of a host', (text) => /^[\w.-]{1,253}$/.test(text)),
  },
  {
    key: 'consulApi',
    flag: '--consul-api <host:port>',
    help: "where Consul's HTTP API listens, for its tools; default: nowhere",
    read: address,
  },
  {
    key: 'rpc',
    flag: '--rpc <address>',
    help: "where Serf's RPC listens, HOST:PORT, tls:HOST:PORT or unix:PATH; default 127.0.0.1:7373",
    read: rpc,
    fallback: '127.0.0.1:7373',
  },
  { key: 'rpcAuth', read: (text) => text, secret: true },
  {
    key: 'data',
    flag: '--data <dir>',
    help: 'where the log is kept; default: in memory only',
    read: path,
  },
  {
    key: 'logStorage',
    flag: '--log-storage <kind>',
    help: `how a new log is kept in --data, one of ${logStorages.join(', ')}; default sqlite`,
    read: oneOfFlag(logStorages),
  },
  {
    key: 'retention',
    flag: '--retain <bound=number>',
    help: 'keep so much of the log (again for more)',
    read: addBound,
    many: true,
  },
  {
    key: 'replicationBytesPerSecond',
    flag: '--replication-bytes-per-second <bytes>',
    help: 'copy no more than this from all others together; 0, the default, for no limit',
    read: integerFlag(0, 16 * 1024 ** 3),
  },
  {
    key: 'gapPolicy',
    flag: '--gap-policy <policy>',
    help: 'wait for records that nobody holds, or give them up: halt, the default, or skip',
    read: oneOfFlag(gapPolicies),
  },
  {
    key: 'tags',
    flag: '--tag <name=value>',
    help: 'tell all members something (again for more)',
    read: addTag,
    many: true,
    fallback: {},
  },
  {
    key: 'encrypt',
    flag: '--encrypt <key>',
    help: 'the key of the cluster, as kith keygen prints it',
    read: keyFlag,
    secret: true,
  },
  {
    key: 'keyring',
    flag: '--keyring <file>',
    help: 'a keyring file instead: JSON list of keys, the primary first',
    read: path,
  },
  {
    key: 'label',
    flag: '--label <text>',
    help: 'keep apart from clusters of other labels; default: none',
    read: labelFlag,
  },
  { key: 'verifyIncoming', read: switchFlag, fallback: true },
  { key: 'verifyOutgoing', read: switchFlag, fallback: true },
  {
    key: 'insecurePlaintext',
    flag: '--insecure-plaintext',
    help: 'allow addresses other than loopback without a key',
    read: switchFlag,
    fallback: false,
  },
  {
    key: 'profile',
    flag: '--profile <profile>',
    help: `pace, one of ${profiles.join(', ')}; default lan`,
    read: oneOfFlag(profiles),
    fallback: 'lan',
  },
  {
    key: 'services',
    flag: '--service <name:port>',
    help: 'register a service (again for more)',
    read: addService,
    many: true,
    fallback: [],
  },
  {
    key: 'scriptChecks',
    flag: '--script-checks',
    help: 'let checks run programs: whoever may register a service may, too',
    read: switchFlag,
    fallback: false,
  },
  {
    key: 'eventHandlers',
    flag: '--event-handler <events=program>',
    help: 'run a program on events, as user:deploy=/bin/deploy (again for more)',
    read: addHandler,
    many: true,
    separator: ';',
    fallback: [],
  },
  {
    key: 'logLevel',
    flag: '--log-level <level>',
    help: `one of ${logLevels.join(', ')}; default info`,
    read: oneOfFlag(logLevels),
    fallback: 'info',
  },
  {
    key: 'logFormat',
    flag: '--log-format <format>',
    help: `one of ${logFormats.join(', ')}; default pretty`,
    read: oneOfFlag(logFormats),
    fallback: 'pretty',
  },
]

/** `--log-level` of `--log-level <level>`; of a setting without a flag the one it would have. */
export function flagName({ key, flag }: Pick<Setting, 'key' | 'flag'>): string {
  if (flag !== undefined) return flag.split(' ')[0] ?? ''
  return `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

/** The one rule: `--log-level` is `KITH_LOG_LEVEL`. */
export function variableName(flag: string): string {
  return `KITH_${flag.replace(/^--/, '').replaceAll('-', '_').toUpperCase()}`
}

function hostName(): string {
  const name = hostname().replaceAll(/[^A-Za-z0-9._-]/g, '-')
  return name.slice(0, 128) || 'member'
}
