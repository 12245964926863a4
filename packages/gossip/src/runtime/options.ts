/** The options of `createGossip` with their defaults, every problem reported at once. */
import { hostname } from 'node:os'
import { isIP } from 'node:net'
import { parseAddress, showValue, silentLogger } from '@kith/interface'
import type {
  Address,
  DiscoveryFactory,
  OptionProblem,
  PacketTransportFactory,
  PluginContext,
  Random,
  StreamTransportFactory,
} from '@kith/interface'
import { systemClock, systemRandom } from '@kith/interface/node'
import { tagsProblem } from '../core/index.ts'
import { GossipError, optionsError } from '../errors.ts'
import { nameProblem, resolveOptions } from '../options.ts'
import type { GossipTimings } from '../options.ts'
import type { Policy } from '../core/index.ts'
import { resolvePolicy } from './policy.ts'
import { labelBytesMax } from '../wire/codec.ts'
import type { Envelope } from '../wire/codec.ts'
import { createAead } from './aead.ts'
import { isKeyring } from './keyring.ts'
import type { Keyring } from './keyring.ts'
import type { GossipOptions } from './types.ts'

/** Seeds one member may be configured with. */
const seedsMax = 1024
/** Discoveries of one member. */
const discoveriesMax = 16

export interface ResolvedGossipOptions {
  readonly name: string
  readonly packets: PacketTransportFactory
  readonly streams: StreamTransportFactory
  readonly advertise: Address | 'auto' | undefined
  readonly seeds: readonly string[]
  readonly discovery: readonly DiscoveryFactory[]
  readonly snapshot: string | undefined
  readonly rejoinAfterLeave: boolean
  readonly tags: Readonly<Record<string, string>>
  readonly timings: GossipTimings
  readonly policy: Policy
  readonly nameConflict: 'stop' | 'warn' | 'ignore'
  readonly replayOnJoin: boolean
  readonly envelope: Envelope
  readonly keyring: Keyring | undefined
  readonly context: PluginContext
}

const optionNames: ReadonlySet<string> = new Set([
  'name',
  'packets',
  'streams',
  'advertise',
  'join',
  'discovery',
  'snapshot',
  'rejoinAfterLeave',
  'keyring',
  'label',
  'verifyIncoming',
  'verifyOutgoing',
  'tags',
  'profile',
  'overrides',
  'replayOnJoin',
  'nameConflict',
  'mergeVeto',
  'allowedNetworks',
  'context',
])

export function resolveGossipOptions(options: GossipOptions): ResolvedGossipOptions {
  const problems = unknownOptions(options)
  const { advertise, join = [], tags = {}, discovery = [] } = options
  const { snapshot, rejoinAfterLeave = false } = options
  const timings = resolveTimings(options, problems)
  const context = { clock: systemClock, logger: silentLogger, ...options.context }
  const random = context.random ?? systemRandom()
  const name = options.name ?? defaultName(random)
  const found = [nameProblem(name), tagsProblem(tags), advertiseProblem(advertise)]
  problems.push(...found.filter((problem) => problem !== undefined), ...seedProblems(join))
  const { nameConflict = 'stop', replayOnJoin = false } = options
  const policy = resolvePolicy(options, problems)
  problems.push(...sourceProblems(discovery, snapshot, rejoinAfterLeave))
  problems.push(...envelopeProblems(options))
  const error = optionsError(problems)
  if (error !== undefined) throw error
  const { packets, streams } = requireTransports(options)
  const seeds = Object.freeze([...join])
  const envelope = envelopeOf(options)
  const resolved = { name, packets, streams, advertise, seeds, timings, policy, envelope }
  return {
    ...resolved,
    keyring: options.keyring,
    nameConflict,
    replayOnJoin,
    snapshot,
    rejoinAfterLeave,
    discovery: Object.freeze([...discovery]),
    tags: { ...tags },
    context: { ...context, random },
  }
}

function unknownOptions(options: GossipOptions): OptionProblem[] {
  return Object.keys(options)
    .filter((field) => !optionNames.has(field))
    .map((field) => ({ field, got: 'a value', want: 'left out: it is not an option' }))
}

function resolveTimings(options: GossipOptions, problems: OptionProblem[]): GossipTimings {
  try {
    return resolveOptions(options.profile, options.overrides)
  } catch (cause) {
    if (!(cause instanceof GossipError)) throw cause
    problems.push(...(cause.details?.problems ?? []))
    return resolveOptions()
  }
}

// The host's name is for humans; the suffix is what makes two members of one host differ.
function defaultName(random: Random): string {
  const host = hostname()
    .replaceAll(/[^A-Za-z0-9._-]/g, '-')
    .slice(0, 60)
  return `${host || 'member'}-${random.uint32().toString(16).padStart(8, '0')}`
}

function advertiseProblem(advertise: unknown): OptionProblem | undefined {
  if (advertise === undefined || advertise === 'auto') return undefined
  if (typeof advertise !== 'object' || advertise === null) {
    return { field: 'advertise', got: showValue(advertise), want: "{ host, port } or 'auto'" }
  }
  const { host, port } = advertise as Address
  const usable = isIP(host) !== 0 && !isWildcard(host)
  if (!usable) {
    return { field: 'advertise.host', got: String(host), want: 'an IP literal, no wildcard' }
  }
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return undefined
  return { field: 'advertise.port', got: String(port), want: 'an integer from 0 to 65535' }
}

/** The address to be told from now on; throws `ERR_GOSSIP_OPTIONS` for what is none. */
export function checkAdvertise(advertise: unknown, boundPort: number): Address {
  const none = advertise === undefined || advertise === 'auto'
  const want = 'an address { host, port }'
  const problem = none
    ? { field: 'advertise', got: showValue(advertise), want }
    : advertiseProblem(advertise)
  const error = optionsError(problem === undefined ? [] : [problem])
  if (error !== undefined) throw error
  const { host, port } = advertise as Address
  return { host, port: port || boundPort }
}

export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}

/** What is wrong with addresses to join, for the options and for `join`. */
export function seedProblems(seeds: readonly string[]): OptionProblem[] {
  const want = 'a list of at most 1,024 of "host:port", "host" or "name/host:port"'
  if (!Array.isArray(seeds) || seeds.length > seedsMax) {
    return [{ field: 'join', got: typeof seeds, want }]
  }
  return seeds.flatMap((seed, index) => {
    if (typeof seed === 'string' && parseSeed(seed, 7946) !== undefined) return []
    return [{ field: `join[${index}]`, got: String(seed).slice(0, 60), want: 'host:port' }]
  })
}

function sourceProblems(
  discovery: readonly DiscoveryFactory[],
  snapshot: string | undefined,
  rejoinAfterLeave: boolean,
): OptionProblem[] {
  const problems: OptionProblem[] = []
  const factories = Array.isArray(discovery) && discovery.every((one) => typeof one === 'function')
  if (!factories || discovery.length > discoveriesMax) {
    const want = `a list of at most ${discoveriesMax} discoveries, as dnsDiscovery('kith.internal')`
    problems.push({ field: 'discovery', got: showValue(discovery), want })
  }
  if (snapshot !== undefined && (typeof snapshot !== 'string' || snapshot === '')) {
    problems.push({ field: 'snapshot', got: showValue(snapshot), want: 'the path of a file' })
  }
  if (typeof rejoinAfterLeave !== 'boolean') {
    const got = showValue(rejoinAfterLeave)
    problems.push({ field: 'rejoinAfterLeave', got, want: 'true or false' })
  }
  return problems
}

/** An address, which may stand behind `name/` as Serf writes it. */
export function parseSeed(seed: string, defaultPort: number): Address | undefined {
  const address = parseAddress(seed.slice(seed.lastIndexOf('/') + 1), defaultPort)
  return address !== undefined && address.port > 0 ? address : undefined
}

function envelopeProblems(options: GossipOptions): OptionProblem[] {
  const { keyring, label = '', verifyIncoming = true, verifyOutgoing = true } = options
  const problems: OptionProblem[] = []
  if (keyring !== undefined && !isKeyring(keyring)) {
    problems.push({ field: 'keyring', got: 'something else', want: 'made by createKeyring' })
  }
  if (typeof label !== 'string' || Buffer.byteLength(label) > labelBytesMax) {
    const want = `text of at most ${labelBytesMax} bytes`
    problems.push({ field: 'label', got: String(label).slice(0, 60), want })
  }
  for (const [field, value] of Object.entries({ verifyIncoming, verifyOutgoing })) {
    if (typeof value === 'boolean') continue
    problems.push({ field, got: String(value).slice(0, 60), want: 'true or false' })
  }
  return problems
}

function envelopeOf(options: GossipOptions): Envelope {
  const { keyring, label = '', verifyIncoming = true, verifyOutgoing = true } = options
  const keys = (): readonly Uint8Array[] => keyring?.secrets ?? []
  return { aead: createAead(), label: Buffer.from(label), keys, verifyIncoming, verifyOutgoing }
}

function requireTransports(options: GossipOptions): {
  readonly packets: PacketTransportFactory
  readonly streams: StreamTransportFactory
} {
  const { packets, streams } = options
  if (packets !== undefined && streams !== undefined) return { packets, streams }
  const missing = packets === undefined ? 'packets' : 'streams'
  const fix =
    packets === undefined
      ? "packets: udpTransport() from '@kith/transport-udp'"
      : "streams: tcpTransport() from '@kith/transport-tcp'"
  throw new GossipError(
    'ERR_GOSSIP_TRANSPORT_MISSING',
    `gossip opens no sockets by itself and ${missing} was not given; pass ${fix}`,
  )
}
