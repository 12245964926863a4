/** `kith agent`: one member in this process, until it is told to leave. */
import { hostname } from 'node:os'
import type { Agent, AgentOptions } from '@kith/agent'
import { type Address, formatAddress } from '@kith/interface'
import { Command, Option } from 'commander'
import { type AgentLines, createAgentLines } from '../agent-lines.ts'
import type { AgentConfig } from '../config.ts'
import { type WithConsulApi, withConsulApi } from '../consul-api.ts'
import {
  addAddress,
  addBound,
  addressFlag,
  addService,
  addTag,
  addText,
  keyFlag,
  labelFlag,
  rpcPlace,
  type ServiceFlag,
  textFlag,
} from '../flags.ts'
import type { Io } from '../io.ts'
import {
  type LogFormat,
  logFormats,
  type LogLevel,
  logLevels,
  type Profile,
  profiles,
} from '../settings.ts'

interface AgentFlags {
  readonly node?: string
  readonly bind?: Address
  readonly advertise?: Address
  readonly join?: string[]
  readonly discover?: string[]
  readonly snapshot?: string
  readonly rejoin?: true
  readonly http?: Address
  readonly httpAdvertise?: Address
  readonly consulApi?: Address
  readonly rpc?: Address | string | false
  readonly data?: string
  readonly retain?: Record<string, number>
  readonly tag?: Record<string, string>
  readonly encrypt?: string
  readonly keyring?: string
  readonly label?: string
  readonly insecurePlaintext?: true
  readonly profile?: Profile
  readonly service?: ServiceFlag[]
  readonly scriptChecks?: true
  readonly config?: string
  readonly logLevel?: LogLevel
  readonly logFormat?: LogFormat
}

const signalNumbers = { SIGINT: 2, SIGTERM: 15 } as const

export function agentCommand(io: Io, done: (code: number) => void): Command {
  const anyPort = addressFlag({ anyPort: true })
  const nameFlag = textFlag('1 to 128 of A-Z a-z 0-9 . _ -', (text) => /^[\w.-]{1,128}$/.test(text))
  return new Command('agent')
    .description('run a member of a cluster; Ctrl-C leaves it')
    .option('--node <name>', 'the name of this member; default: the name of the host', nameFlag)
    .option('--bind <host:port>', 'where gossip listens; default 127.0.0.1:7946', anyPort)
    .option('--advertise <host:port>', 'where others reach it; default: where it listens', anyPort)
    .option('--join <host:port>', 'a member to join (again for more)', addAddress)
    .option('--discover <how>', 'dns:NAME, dns:NAME:PORT or file:PATH (again for more)', addText)
    .option('--snapshot <file>', 'where members are remembered; default: in --data')
    .option('--rejoin', 'look for those remembered also after a leave')
    .option('--http <host:port>', 'where HTTP listens; default 127.0.0.1:7947', anyPort)
    .option('--http-advertise <host:port>', 'where others reach it', anyPort)
    .option(
      '--consul-api <host:port>',
      "where Consul's HTTP API listens, for its tools; default: nowhere",
      anyPort,
    )
    .option(
      '--rpc <address>',
      "where Serf's RPC listens, HOST:PORT or unix:PATH; default 127.0.0.1:7373",
      rpcPlace({ anyPort: true }),
    )
    .option('--no-rpc', 'let the RPC listen nowhere')
    .option('--data <dir>', 'where the log is kept; default: in memory only')
    .option('--retain <bound=number>', 'keep so much of the log (again for more)', addBound)
    .option('--tag <name=value>', 'tell all members something (again for more)', addTag)
    .option('--encrypt <key>', 'the key of the cluster, as kith keygen prints it', keyFlag)
    .option('--keyring <file>', 'a keyring file instead: JSON list of keys, the primary first')
    .option('--label <text>', 'keep apart from clusters of other labels; default: none', labelFlag)
    .option('--insecure-plaintext', 'allow addresses other than loopback without a key')
    .addOption(new Option('--profile <profile>', 'pace; default lan').choices(profiles))
    .option('--service <name:port>', 'register a service (again for more)', addService)
    .option('--script-checks', 'let checks run programs: whoever may register a service may, too')
    .option('--config <file>', 'JSON with the same settings; flags win over it')
    .addOption(new Option('--log-level <level>', 'default info').choices(logLevels))
    .addOption(new Option('--log-format <format>', 'default pretty').choices(logFormats))
    .action(async (flags: AgentFlags) => {
      const config = flags.config === undefined ? {} : await loadConfig(flags.config)
      const format = flags.logFormat ?? config.logFormat ?? 'pretty'
      const lines = createAgentLines(io, format, flags.logLevel ?? config.logLevel ?? 'info')
      const options = mergeOptions(flags, config, io)
      const scripts = flags.scriptChecks ?? config.scriptChecks ?? false
      const given = scripts ? await withScripts(options) : options
      const consul = await withConsulApi(given, flags.consulApi ?? config.consulApi)
      done(await runAgent(consul, lines, io))
    })
}

/** Loaded only where there is a file: the schemas take as long to load as all the rest. */
async function loadConfig(path: string): Promise<AgentConfig> {
  const { readConfig } = await import('../config.ts')
  return readConfig(path)
}

async function withScripts(options: AgentOptions): Promise<AgentOptions> {
  const { scriptCheck } = await import('@kith/registry')
  return { ...options, checkKinds: [scriptCheck()] }
}

/** Flags win over the file, the file over the defaults of the command. */
function mergeOptions(flags: AgentFlags, config: AgentConfig, io: Io): AgentOptions {
  const merged: { [Name in keyof AgentOptions]?: AgentOptions[Name] | undefined } = {
    name: flags.node ?? config.node ?? hostName(),
    bind: flags.bind ?? config.bind ?? '127.0.0.1:7946',
    http: flags.http ?? config.http ?? '127.0.0.1:7947',
    advertise: flags.advertise ?? config.advertise,
    httpAdvertise: flags.httpAdvertise ?? config.httpAdvertise,
    httpTokens: config.httpTokens as AgentOptions['httpTokens'],
    httpToken: io.env['KITH_HTTP_TOKEN'] || (config.httpToken as string | undefined),
    ...rpcSettings(flags, config, io),
    join: flags.join ?? config.join,
    discovery: flags.discover ?? config.discover,
    snapshot: flags.snapshot ?? config.snapshot,
    rejoinAfterLeave: flags.rejoin ?? config.rejoin,
    data: flags.data ?? config.data,
    retention: flags.retain ?? (config.retention as AgentOptions['retention']),
    tags: flags.tag ?? config.tags,
    profile: flags.profile ?? config.profile,
    // A key on the command line takes the place of a keyring in the file, and the other way round.
    encrypt: flags.encrypt ?? (flags.keyring === undefined ? config.encrypt : undefined),
    keyring: flags.keyring ?? (flags.encrypt === undefined ? config.keyring : undefined),
    label: flags.label ?? config.label,
    verifyIncoming: config.verifyIncoming,
    verifyOutgoing: config.verifyOutgoing,
    insecurePlaintext: flags.insecurePlaintext ?? config.insecurePlaintext,
    services: flags.service ?? (config.services as AgentOptions['services']),
  }
  return Object.fromEntries(
    Object.entries(merged).filter(([, value]) => value !== undefined),
  ) as AgentOptions
}

/** The default port is no condition: another agent of this machine may have it already. */
function rpcSettings(
  { rpc: flag }: AgentFlags,
  { rpc: configured, rpcAuth }: AgentConfig,
  io: Io,
): Pick<{ [Name in keyof AgentOptions]?: AgentOptions[Name] | undefined }, RpcSetting> {
  const given = flag ?? configured
  if (given === false) return {}
  const place = typeof given === 'string' && flag !== undefined ? `unix:${given}` : given
  return {
    rpc: place ?? '127.0.0.1:7373',
    rpcRequired: given !== undefined,
    rpcAuth: io.env['KITH_RPC_AUTH'] || rpcAuth,
  }
}

type RpcSetting = 'rpc' | 'rpcRequired' | 'rpcAuth'

function hostName(): string {
  return (
    hostname()
      .replaceAll(/[^A-Za-z0-9._-]/g, '-')
      .slice(0, 128) || 'member'
  )
}

/** Runs until a signal; the first leaves the cluster, a second ends at once. */
async function runAgent(consul: WithConsulApi, lines: AgentLines, io: Io): Promise<number> {
  const { options } = consul
  // Loaded here: whoever only asks an agent does not wait for a store and a server to load.
  const { createAgent } = await import('@kith/agent')
  const agent = createAgent({ ...options, logger: lines.logger })
  const starting = new AbortController()
  let leave: (() => void) | undefined
  const asked = new Promise<void>((resolve) => {
    leave = resolve
  })
  let signals = 0
  const unsubscribe = io.onSignal((signal) => {
    signals += 1
    // Whoever asks twice does not want to wait: the others will find out by themselves.
    if (signals > 1) io.exit(128 + signalNumbers[signal])
    starting.abort(new Error(`stopped by ${signal}`))
    leave?.()
  })
  // Timers of the parts keep no process alive, so that this one must.
  const alive = setInterval(() => {}, 2 ** 30)
  try {
    await start(agent, consul, lines, starting.signal)
    const lost = await Promise.race([asked, agent.ended])
    if (lost !== undefined) throw lost
    // Somebody made it leave over the RPC, and it has stopped by itself.
    if (signals === 0) return 0
    lines.logger.info({}, 'leaving the cluster; a second signal stops at once')
    return 0
  } catch (cause) {
    lines.release()
    if (signals > 0) return 0
    throw cause
  } finally {
    await agent.stop()
    clearInterval(alive)
    unsubscribe()
  }
}

async function start(
  agent: Agent,
  { options, place }: WithConsulApi,
  lines: AgentLines,
  signal: AbortSignal,
): Promise<void> {
  if (options.data === undefined) {
    lines.logger.warn({}, 'no data directory: the log is in memory and ends with this process')
  }
  await agent.start(signal)
  const consul = place()
  lines.ready({
    node: agent.name,
    gossip: formatAddress(agent.gossip.address),
    http: formatAddress(agent.httpAddress),
    rpc: agent.rpcAddress ?? null,
    ...(consul === undefined ? {} : { consul }),
    pid: process.pid,
  })
  // Both in one turn, so that no change falls between what is and what comes.
  for (const member of agent.gossip.members()) lines.member({ kind: 'join', member })
  agent.gossip.subscribe({ memberChanged: (event) => lines.member(event) })
  agent.gossip.on('suspect', ({ name, from, incarnation, via, probe }) => {
    const probed = probe === undefined ? {} : { probe }
    lines.event('suspect', { name, from, via, incarnation, ...probed })
  })
  agent.gossip.on('refute', ({ from = null, incarnation, accused }) => {
    lines.event('refute', { from, incarnation, accused })
  })
}
