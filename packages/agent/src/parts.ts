/** The parts of one agent: how each is made, what it is given, and how it is stopped. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createGossip, type Gossip } from '@kith/gossip'
import { type Address, type Logger, showValue } from '@kith/interface'
import { createLog, type Log } from '@kith/log'
import { createMetrics, type MetricSources } from '@kith/metrics'
import { createRegistry, type Registry } from '@kith/registry'
import { createReplicator, type Replicator } from '@kith/replicator'
import { createReplicationHandler } from '@kith/replicator/http'
import type { SerfRpcServer } from '@kith/serf-rpc'
import { createServer, type Server, type ServerParts } from '@kith/server'
import type { TlsServerOptions } from '@kith/interface/node'
import { AgentError, invalidOptions } from './errors.ts'
import { type AgentDiagnosis, createAgentDiagnosis } from './diagnosis.ts'
import { startEventHandlers } from './event-handlers.ts'
import { LateFigures } from './figures.ts'
import { expectsOthers, snapshotProblem } from './finding.ts'
import { HttpFindings } from './http-findings.ts'
import type { ResolvedAgentOptions } from './options.ts'
import { type PluginHost, pluginRoleOf, setUpPlugins } from './plugins.ts'
import { followGossip, replicationSource, toldHttp } from './replication.ts'
import { createRpc, type RpcControl, rpcPlace } from './rpc.ts'
import { createSockets, type Sockets } from './sockets.ts'
import { agentVersion } from './version.ts'

export interface Parts {
  readonly log: Log
  readonly server: Server
  readonly gossip: Gossip
  readonly registry: Registry
  readonly replicator: Replicator
  readonly diagnosis: AgentDiagnosis
  readonly httpAddress: Address
  /** Where the RPC listens, as `rpc` takes it; undefined where it does not run. */
  readonly rpcAddress: string | undefined
  /** Has every part that listens with TLS take over another certificate. */
  renewTls(tls: TlsServerOptions): void
  /** In order of start: the last one is stopped first. */
  readonly stops: readonly Stop[]
}

/** What the parts may make of the agent that they belong to. */
export interface AgentControl extends RpcControl {
  /** The name of this member belongs to another one. */
  nameLost(): void
}

export interface Stop {
  readonly name: string
  readonly stop: () => Promise<void>
}

const PART_STOP_TIMEOUT_MS = 5_000

/** Starts everything in order; where one part fails, those before it are stopped again. */
export async function startParts(
  options: ResolvedAgentOptions,
  signal: AbortSignal,
  stopping: AbortSignal,
  control: AgentControl,
): Promise<Parts> {
  const stops: Stop[] = []
  try {
    return await assemble(options, signal, stopping, control, stops)
  } catch (cause) {
    await stopAll(stops, options.logger)
    throw cause
  }
}

export async function stopParts({ stops }: Parts, logger: Logger): Promise<void> {
  await stopAll(stops, logger)
}

async function stopAll(stops: readonly Stop[], logger: Logger): Promise<void> {
  for (const { name, stop } of stops.toReversed()) {
    try {
      await bounded(stop(), PART_STOP_TIMEOUT_MS, `stopping ${name}`)
    } catch (cause) {
      // The others are stopped all the same: half a stop would keep the process alive.
      logger.error({ cause, part: name }, 'a part did not stop as it should')
    }
  }
}

async function assemble(
  options: ResolvedAgentOptions,
  signal: AbortSignal,
  stopping: AbortSignal,
  control: AgentControl,
  stops: Stop[],
): Promise<Parts> {
  const { name, logger } = options
  if (options.data !== undefined) await makeDirectory(options.data)
  options.tls?.tellOfTimes()
  const others = await expectsOthers(options)
  const log = await startLog(options, others, signal, stops)
  const server = createAgentServer(options)
  stops.push({ name: 'server', stop: () => server.stop() })
  const httpAddress = await server.start()
  signal.throwIfAborted()
  const sockets = createSockets(options.bind, options.transports)
  const late = new LateFigures()
  const gossip = await startGossip(options, sockets, httpAddress, signal, stops, control.nameLost)
  startHandlers(options, gossip, late, stops)
  const registry = createRegistry({
    membership: gossip,
    extensions: gossip,
    member: name,
    checkKinds: options.checkKinds,
    rtt: (from, to) => gossip.rtt(from, to),
    logger,
    ...(options.data === undefined ? {} : { directory: options.data }),
  })
  stops.push({ name: 'registry', stop: () => registry.stop() })
  await registry.start(signal)
  const http = new HttpFindings()
  const replicator = createAgentReplicator(options, { log, gossip, http }, others)
  const handler = createReplicationHandler({ source: replicator.local })
  stops.push({ name: 'replicator', stop: () => replicator.stop() })
  await replicator.start(signal)
  const sources = {
    ...{ gossip, transports: sockets, registry, log, replicator, server },
    ...late.sources,
  }
  const metrics = createMetrics(sources)
  stops.push({ name: 'metrics', stop: async () => metrics.stop() })
  const diagnosis = createAgentDiagnosis({ gossip, log, http, data: options.data }, stops)
  server.bind({
    member: name,
    version: agentVersion(),
    log,
    membership: gossip,
    registry: registryPort(registry, gossip, options.data !== undefined),
    diagnose: () => diagnosis.findings(),
    replication: handler,
    lag: () => replicator.lag(),
    retire: (origin) => replicator.retire(origin),
    unready: () => unready(gossip, stopping),
    metrics: () => metrics.scrape(),
  })
  const rpc = await startRpc(options, gossip, control, stops)
  late.rpc = rpc?.server
  const renewTls = (next: TlsServerOptions): void => {
    server.renewTls(next)
    if (options.rpcTls) rpc?.server.renewTls(next)
  }
  const own = { log, server, gossip, registry, replicator, diagnosis }
  const parts = { ...own, httpAddress, rpcAddress: rpc?.place, renewTls, stops }
  for (const service of options.services) await registry.register(service)
  const context = contextOf(options, own, { sources, late, stopping })
  await setUpPlugins(options, { context, server, stops })
  return parts
}

function createAgentServer({
  http,
  httpTokens: tokens,
  tls,
  logger,
}: ResolvedAgentOptions): Server {
  const secure = tls === undefined ? {} : { tls: tls.server }
  return createServer({ ...http, logger, tokens, ...secure })
}

/** What plugins are given. */
function contextOf(
  options: ResolvedAgentOptions,
  { gossip, log, registry, replicator }: Pick<Parts, 'gossip' | 'log' | 'registry' | 'replicator'>,
  shared: {
    readonly sources: MetricSources
    readonly late: LateFigures
    readonly stopping: AbortSignal
  },
): PluginHost['context'] {
  const { name, data, logger } = options
  const { sources: metrics, late, stopping: signal } = shared
  const told = { name, membership: gossip, extensions: gossip, data, logger, signal }
  const figures = { metrics, report: late.report }
  return { ...told, log, registry, replicator, ...figures, roleOf: pluginRoleOf(options) }
}

const catchUpTexts = {
  begun: 'records of others are missing here: catching up',
  underWay: 'catching up with the records of others',
  ended: 'caught up with the records of others',
} as const

function createAgentReplicator(
  options: ResolvedAgentOptions,
  {
    log,
    gossip,
    http,
  }: { readonly log: Log; readonly gossip: Gossip; readonly http: HttpFindings },
  expectMembers: boolean,
): Replicator {
  const { name, clusterId, gapPolicy, replicationBytesPerSecond, logger } = options
  const replicator = createReplicator({
    log,
    member: name,
    clusterId,
    membership: gossip,
    source: (other) => replicationSource(other, options, http),
    expectMembers,
    tuning: { bytesPerSecondMax: replicationBytesPerSecond, gapPolicy },
    logger,
  })
  replicator.on('memberRefused', (refused) => {
    logger.warn(refused, 'the records of a member are not copied')
  })
  replicator.on('memberDisconnected', (lost) => {
    logger.info(lost, 'the records of a member are not copied for now')
  })
  replicator.on('progress', ({ stage, ...progress }) => {
    logger.info(progress, catchUpTexts[stage])
  })
  replicator.on('gap', (gap) => {
    if (gap.action === 'halted') logger.warn(gap, 'records that nobody holds are waited for')
    if (gap.action === 'skipped') logger.warn(gap, 'records that nobody holds are given up')
  })
  replicator.on('fork', (fork) => {
    logger.error(fork, 'another history of an origin was met')
  })
  replicator.on('forkLocated', (parted) => {
    logger.warn(parted, 'where both histories of an origin part')
  })
  replicator.on('quarantine', (stopped) => {
    logger.error(stopped, 'an origin is neither copied nor served any more')
  })
  log.on('retire', (retired) => logger.info(retired, 'nothing is expected of an origin any more'))
  log.on('revive', (revived) => logger.warn(revived, 'an origin that was retired has more records'))
  return replicator
}

/** What is registered over HTTP stays over restarts, where there is a place to keep it. */
function registryPort(
  registry: Registry,
  gossip: Gossip,
  persist: boolean,
): ServerParts['registry'] {
  return {
    register: (service) => registry.register(service, { persist }),
    deregister: (id) => registry.deregister(id),
    maintain: (reason, id) => registry.maintain(reason, id),
    resume: (id) => registry.resume(id),
    setCheck: (id, status, output) => registry.setCheck(id, status, output),
    services: () => registry.services(),
    resolve: (service, wanted) => registry.resolve(service, wanted),
    watch: (service, wanted) => registry.watch(service, wanted),
    onChange: (listener) => registry.on('change', ({ service }) => listener(service)),
    rtt: (from, to) => gossip.rtt(from, to),
  }
}

async function startRpc(
  options: ResolvedAgentOptions,
  gossip: Gossip,
  control: RpcControl,
  stops: Stop[],
): Promise<{ readonly server: SerfRpcServer; readonly place: string } | undefined> {
  const rpc = createRpc(
    options,
    { gossip, encrypted: options.keyring !== undefined, ...control },
    options.logger,
  )
  if (rpc === undefined) return undefined
  try {
    await rpc.start()
  } catch (cause) {
    if (options.rpcRequired) throw cause
    options.logger.warn({ cause }, 'the RPC does not run: name another address for it')
    return undefined
  }
  stops.push({ name: 'rpc', stop: () => rpc.stop() })
  return { server: rpc, place: rpcPlace(options, rpc) }
}

async function startLog(
  { name, data, logStorage: storage, retention, logStore, logger }: ResolvedAgentOptions,
  others: boolean,
  signal: AbortSignal,
  stops: Stop[],
): Promise<Log> {
  const log = createLog({
    member: name,
    logger,
    gate: others ? 'wait' : 'open',
    ...(data === undefined || logStore ? {} : { directory: join(data, 'log'), scrub: {} }),
    ...(storage === undefined ? {} : { storage }),
    ...(logStore === undefined ? {} : { store: logStore(data) }),
    ...(retention === undefined ? {} : { retention }),
  })
  stops.push({ name: 'log', stop: () => log.stop() })
  await log.start(signal)
  return log
}

async function makeDirectory(data: string): Promise<void> {
  try {
    await mkdir(data, { recursive: true })
  } catch (cause) {
    const want = `a directory that can be made or used (${(cause as Error).message})`
    throw invalidOptions([{ field: 'data', got: showValue(data), want }], cause)
  }
}

async function startGossip(
  options: ResolvedAgentOptions,
  { packets, streams }: Sockets,
  httpAddress: Address,
  signal: AbortSignal,
  stops: Stop[],
  nameLost: () => void,
): Promise<Gossip> {
  const { name, advertise, logger, keyring, label, verifyIncoming, verifyOutgoing } = options
  const gossip = createGossip({
    name,
    packets,
    streams,
    join: options.join,
    discovery: options.discovery,
    rejoinAfterLeave: options.rejoinAfterLeave,
    ...(options.snapshot === undefined ? {} : { snapshot: options.snapshot }),
    profile: options.profile,
    tags: { ...options.tags, ...toldHttp(options, httpAddress) },
    context: { logger },
    label,
    verifyIncoming,
    verifyOutgoing,
    ...(keyring === undefined ? {} : { keyring }),
    ...(advertise === undefined ? {} : { advertise }),
  })
  stops.push({ name: 'gossip', stop: () => gossip.stop() })
  gossip.on('warning', ({ kind }) => {
    if (kind === 'conflictLost') nameLost()
  })
  await gossip.start(signal).catch((cause: unknown) => {
    throw snapshotProblem(cause, options.snapshot)
  })
  const unfollow = followGossip(gossip, options, httpAddress)
  stops.push({ name: 'address', stop: async () => unfollow() })
  return gossip
}

function startHandlers(
  { eventHandlers, logger }: ResolvedAgentOptions,
  gossip: Gossip,
  late: LateFigures,
  stops: Stop[],
): void {
  if (eventHandlers.length === 0) return
  const handlers = startEventHandlers({ handlers: eventHandlers, gossip, logger })
  late.handlers = () => handlers.stats()
  stops.push({ name: 'event handlers', stop: () => handlers.stop() })
}

function unready(gossip: Gossip, stopping: AbortSignal): string | undefined {
  if (stopping.aborted) return 'the member is stopping'
  const { status } = gossip.self
  return status === 'alive' ? undefined : `the member is ${status}`
}

/** Rejects where the work takes longer; the work itself may still end later. */
export async function bounded<Value>(
  work: Promise<Value>,
  timeoutMs: number,
  what: string,
): Promise<Value> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new AgentError('ERR_AGENT_STATE', `${what} took longer than ${timeoutMs} ms`))
    }, timeoutMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
