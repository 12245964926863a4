/**
 * This log as a source: what the HTTP handler serves, and what another log in the same process
 * pulls
 * from. Only durable batches are visible, because the log shows no others (REP-7).
 */
import { setImmediate as turnOfLoop } from 'node:timers/promises'
import { isKithError } from '@kith/interface'
import type {
  Chain,
  Clock,
  HelloMessage,
  LogId,
  OriginId,
  OriginState,
  PullFork,
  PullGap,
  PullRequest,
  PullResponse,
  PullWant,
  ReplicaLog,
  ReplicationSource,
} from '@kith/interface'
import { isNews, recalled } from '../core/retire.ts'
import { createVectorVersions, judgeRun, judgeWant } from '../core/serve.ts'
import type { RunVerdict, VectorVersions } from '../core/serve.ts'
import { protocolVersions } from '../core/state.ts'
import { ReplicatorError } from '../errors.ts'
import { wireLimits } from '../wire/limits.ts'
import { bytesOf, turnBytes, Turns } from './turns.ts'

export interface LocalSourceOptions {
  readonly log: ReplicaLog
  readonly clusterId: string
  readonly member: string
  readonly clock: Clock
  /** Differs from the one of any earlier source of this log. */
  readonly versionBase: number
  readonly announceDelayMs: number
  readonly parkedMax: number
  /** What pullers tell us about our own past. */
  readonly onHello: (hello: HelloMessage) => void
  readonly onAck: (logId: LogId, ack: ReadonlyMap<OriginId, number>) => void
  readonly onFork: (origin: OriginId, sequence: number, member: string) => void
}

export interface LocalSource extends ReplicationSource {
  /** The vector changed in a way that no commit announces: look again. */
  changed(): void
  readonly parked: () => number
}

interface Puller {
  readonly member: string
  readonly durable: boolean
  /** Forgotten origins that its hello named as we have them: not told when it acknowledges them. */
  readonly knows: ReadonlySet<OriginId>
  /** Rotates the order of wants, so that none waits behind a large one for ever. */
  turn: number
}

interface Parked {
  readonly origins: ReadonlySet<OriginId>
  /** When it is answered with news alone; Infinity while there are none. */
  announcedAt: number
  /** Takes back what `announcedAt` was set for, where that was a commit. */
  unannounce: () => void
  wake(): void
}

interface Serving extends LocalSourceOptions {
  readonly versions: VectorVersions
  readonly pullers: Map<LogId, Puller>
  readonly parked: Set<Parked>
  /** Origins appended to before our eyes, for logs that do not say it themselves. */
  readonly written: Set<OriginId>
  /** Of all pulls together. */
  readonly turns: Turns
  generation: number
  closed: boolean
}

/** Milliseconds the news of an origin that was never named may be held back at most. */
const newOriginDelayMs = 50
/** Logs remembered as greeted; the oldest must greet again. */
const pullersMax = 4_096

export function createLocalSource(options: LocalSourceOptions): LocalSource {
  const serving: Serving = {
    ...options,
    versions: createVectorVersions(options.versionBase),
    pullers: new Map(),
    parked: new Set(),
    written: new Set(),
    turns: new Turns(),
    generation: 0,
    closed: false,
  }
  const wakeAll = (): void => {
    serving.generation += 1
    for (const parked of serving.parked) parked.wake()
  }
  const unsubscribe = options.log.onCommit(({ origin, local }) => {
    if (local) serving.written.add(origin)
    onCommit(serving, origin)
  })
  return {
    hello: async (message) => hello(serving, message),
    pull: (request, signal) => pull(serving, request, signal),
    chainAt: (origin, sequences) => chainAt(serving, origin, sequences),
    async fetch(origin, first) {
      assertOpen(serving)
      return options.log.fetchBatch(origin, first)
    },
    changed: wakeAll,
    parked: () => serving.parked.size,
    async close() {
      serving.closed = true
      unsubscribe()
      wakeAll()
    },
  }
}

function assertOpen(serving: Serving): void {
  if (serving.closed) throw new ReplicatorError('ERR_REPLICATOR_STOPPED', 'the source has stopped')
}

function onCommit(serving: Serving, origin: OriginId): void {
  serving.generation += 1
  const { clock, versions } = serving
  const delayMs = newsDelayMs(serving, !versions.has(origin))
  const at = clock.now() + delayMs
  for (const parked of serving.parked) {
    if (parked.origins.has(origin)) parked.wake()
    else if (at < parked.announcedAt) {
      // News without data can wait a little, so that a busy origin is not announced record by
      // record.
      parked.unannounce()
      parked.announcedAt = at
      parked.unannounce = clock.after(delayMs, () => parked.wake())
    }
  }
}

/** Whoever never heard of an origin has no source for it: that is told sooner. */
function newsDelayMs({ announceDelayMs }: Serving, unheardOf: boolean): number {
  return unheardOf ? Math.min(announceDelayMs, newOriginDelayMs) : announceDelayMs
}

function hello(serving: Serving, message: HelloMessage): HelloMessage {
  assertOpen(serving)
  const { log, clusterId, member } = serving
  if (!message.versions.some((version) => protocolVersions.includes(version))) {
    throw new ReplicatorError('ERR_REPLICATOR_VERSION', 'this member speaks protocol 1 only')
  }
  if (message.clusterId !== clusterId) {
    const text = `this member belongs to cluster ${JSON.stringify(clusterId)}`
    throw new ReplicatorError('ERR_REPLICATOR_CLUSTER', text)
  }
  if (message.logId === log.logId) {
    throw new ReplicatorError('ERR_REPLICATOR_SELF', 'this is the same log')
  }
  serving.onHello(message)
  const vector = log.vector()
  const theirs = new Map(message.vector.map((state) => [state.origin, state]))
  const knows = new Set<OriginId>()
  const told = vector.filter((state) => {
    const known = theirs.get(state.origin)
    const news = isNews(state, known)
    if (!news && known !== undefined) knows.add(state.origin)
    return news
  })
  greeted(serving, message, knows)
  return {
    versions: protocolVersions,
    clusterId,
    logId: log.logId,
    member,
    origin: vector.find((state) => state.own)?.origin ?? '',
    durable: log.durable,
    vector: told,
    vectorVersion: serving.versions.update(vector),
  }
}

function greeted({ pullers }: Serving, hello: HelloMessage, knows: ReadonlySet<OriginId>): void {
  const { logId, member, durable } = hello
  pullers.delete(logId)
  pullers.set(logId, { member, durable, knows, turn: 0 })
  for (const oldest of pullers.keys()) {
    if (pullers.size <= pullersMax) break
    pullers.delete(oldest)
  }
}

async function pull(
  serving: Serving,
  request: PullRequest,
  signal: AbortSignal,
): Promise<PullResponse> {
  assertOpen(serving)
  signal.throwIfAborted()
  const puller = serving.pullers.get(request.logId)
  if (puller === undefined) {
    throw new ReplicatorError('ERR_REPLICATOR_HELLO_NEEDED', 'this log has not said hello')
  }
  // An acknowledgement of a log that forgets at a crash is none.
  if (puller.durable && request.ack.size > 0) {
    const proven = await provenAcks(serving, request)
    if (proven.size > 0) {
      serving.log.acknowledged(request.logId, proven, puller.member, request.ackFrom)
    }
  }
  serving.onAck(request.logId, request.ack)
  const { clock } = serving
  const deadline = clock.now() + Math.min(request.maxWaitMs, wireLimits.waitMsMax)
  const origins = new Set(request.want.map((want) => want.origin))
  for (;;) {
    const { generation } = serving
    const answer = await collect(serving, puller, request)
    const data = answer.batches.length + answer.gaps.length + answer.forks.length > 0
    const announced = answer.vector.length > 0 && serving.announceDelayMs === 0
    if (data || announced || serving.closed || clock.now() >= deadline) return answer
    signal.throwIfAborted()
    if (serving.parked.size >= serving.parkedMax) return answer
    if (generation !== serving.generation) {
      // Committed while we read: it may be for this pull. Only news of others is worth parking.
      if (moved(serving, request.want)) continue
    }
    const unheardOf = serving.versions.newSince(request.vectorVersion)
    const news = answer.vector.length === 0 ? 'none' : unheardOf ? 'new' : 'known'
    const due = await park(serving, origins, news, deadline, signal)
    if (due) return collect(serving, puller, request)
  }
}

/**
 * Of origins that this log knows, or anybody could fill it with names; the puller says it again
 * once it hears that we know one. Of an origin that this log writes, or wrote since it was opened,
 * only those that show our history of it: whoever holds what a roll-back took from us has not
 * stored what we append since.
 */
async function provenAcks(
  { log, written }: Serving,
  { ack, ackChains }: PullRequest,
): Promise<ReadonlyMap<OriginId, number>> {
  const proven = new Map<OriginId, number>()
  for (const state of log.vector()) {
    const { origin, own, status } = state
    const next = ack.get(origin)
    const chain = ackChains?.get(origin)
    if (next === undefined) continue
    if (!own && !(log.appended?.(origin) ?? written.has(origin))) {
      proven.set(origin, next)
      continue
    }
    const ours =
      next === state.next
        ? state.chain
        : next < state.next
          ? await log.chainAt(origin, next).catch(() => undefined)
          : undefined
    if (status !== 'quarantined' && chain !== undefined && ours === chain) proven.set(origin, next)
  }
  return proven
}

function moved(serving: Serving, wants: readonly PullWant[]): boolean {
  const byOrigin = new Map(serving.log.vector().map((state) => [state.origin, state]))
  return wants.some((want) => judgeWant(byOrigin.get(want.origin), want).kind !== 'wait')
}

/**
 * Resolves true when the answer is due whatever it holds: the time is over, or news waited enough.
 */
function park(
  serving: Serving,
  origins: ReadonlySet<OriginId>,
  news: 'none' | 'known' | 'new',
  deadline: number,
  signal: AbortSignal,
): Promise<boolean> {
  const { clock } = serving
  return new Promise((resolve, reject) => {
    const waitMs = Math.max(0, deadline - clock.now())
    const told = news !== 'none'
    const delayMs = told ? Math.min(waitMs, newsDelayMs(serving, news === 'new')) : waitMs
    const leave = (): void => {
      serving.parked.delete(parked)
      cancel()
      parked.unannounce()
      signal.removeEventListener('abort', abort)
    }
    const finish = (due: boolean): void => {
      leave()
      resolve(due)
    }
    const parked: Parked = {
      origins,
      announcedAt: told ? clock.now() + delayMs : Infinity,
      unannounce: () => {},
      wake: () => finish(parked.announcedAt < Infinity),
    }
    const abort = (): void => {
      leave()
      reject(signal.reason as Error)
    }
    const cancel = clock.after(delayMs, () => finish(true))
    signal.addEventListener('abort', abort, { once: true })
    serving.parked.add(parked)
  })
}

interface Cursor {
  want: PullWant
}

/** One look at the log: batches round robin over the wants, until they are many enough bytes. */
async function collect(
  serving: Serving,
  puller: Puller,
  request: PullRequest,
): Promise<PullResponse> {
  const { log, versions, turns } = serving
  const vector = log.vector()
  const version = versions.update(vector)
  const batches: Uint8Array[] = []
  const gaps: PullGap[] = []
  const forks: PullFork[] = []
  const releases: (() => void)[] = []
  let cursors = readable(vector, request.want, forks)
  puller.turn += 1
  const first = puller.turn % Math.max(1, cursors.length)
  cursors = [...cursors.slice(first), ...cursors.slice(0, first)]
  let left = Math.min(request.bytesMax, wireLimits.pullBytesMax)
  while (cursors.length > 0 && left > 0) {
    const share = Math.min(turnBytes, Math.ceil(left / cursors.length))
    const unfinished: Cursor[] = []
    for (const cursor of cursors) {
      if (left <= 0) {
        unfinished.push(cursor)
        continue
      }
      const bytesMax = await turns.take(Math.min(share, left))
      const { origin } = cursor.want
      const verdict = await readWant(log, cursor.want, bytesMax, releases)
      const read = verdict.kind === 'batches' ? bytesOf(verdict.batches) : 0
      turns.give(bytesMax - read)
      if (verdict.kind === 'gap') gaps.push(verdict.gap)
      else if (verdict.kind === 'fork') forks.push(verdict.fork)
      else if (verdict.kind === 'batches' && verdict.batches.length > 0) {
        for (const batch of verdict.batches) batches.push(batch)
        left -= read
        cursor.want = { origin, next: verdict.next, chain: null }
        unfinished.push(cursor)
      }
    }
    cursors = unfinished
  }
  for (const fork of forks) serving.onFork(fork.origin, fork.sequence, puller.member)
  return {
    logId: log.logId,
    batches,
    gaps,
    forks,
    more: cursors.length > 0,
    vector: newsFor(serving, puller, request, vector),
    vectorVersion: version,
    release: () => {
      for (const release of releases.splice(0)) release()
    },
  }
}

/** What changed, and what it cannot know and has something of. */
function newsFor(
  { versions }: Serving,
  { knows }: Puller,
  { ack, vectorVersion }: PullRequest,
  vector: readonly OriginState[],
): readonly OriginState[] {
  const changed = versions.since(vectorVersion)
  const forgotten = recalled(vector, ack, knows)
  if (forgotten.length === 0) return changed
  const named = new Set(changed.map(({ origin }) => origin))
  return [...changed, ...forgotten.filter(({ origin }) => !named.has(origin))]
}

/**
 * Damage in one origin's batches, and a disk that does not give them, keep that origin back and let
 * the others go on (REP-19).
 */
async function readWant(
  log: ReplicaLog,
  want: PullWant,
  bytesMax: number,
  releases: (() => void)[],
): Promise<RunVerdict> {
  try {
    const { origin, next, chain } = want
    const run = await log.readBatches(origin, next, bytesMax)
    if (run.kind === 'batches' && run.release !== undefined) releases.push(run.release)
    const compared = run.kind === 'gap' && chain !== null
    return judgeRun(run, want, compared ? await log.chainAt(origin, next) : undefined)
  } catch (cause) {
    const held = isKithError(cause) && ['ERR_LOG_CORRUPT', 'ERR_LOG_IO'].includes(cause.code)
    if (held) return { kind: 'wait' }
    throw cause
  }
}

function readable(
  vector: ReturnType<ReplicaLog['vector']>,
  wants: readonly PullWant[],
  forks: PullFork[],
): Cursor[] {
  const byOrigin = new Map(vector.map((state) => [state.origin, state]))
  const cursors: Cursor[] = []
  for (const want of wants) {
    const verdict = judgeWant(byOrigin.get(want.origin), want)
    if (verdict.kind === 'fork') forks.push(verdict.fork)
    else if (verdict.kind === 'read') cursors.push({ want })
  }
  return cursors
}

async function chainAt(
  serving: Serving,
  origin: OriginId,
  sequences: readonly number[],
): Promise<readonly (Chain | null)[]> {
  assertOpen(serving)
  if (sequences.length > wireLimits.chainsMax) {
    const text = `at most ${wireLimits.chainsMax} sequences may be asked at once`
    throw new ReplicatorError('ERR_REPLICATOR_MALFORMED', text)
  }
  const chains: (Chain | null)[] = []
  for (const sequence of sequences) {
    // Each is a batch that is read.
    if (chains.length > 0) await turnOfLoop()
    chains.push((await serving.log.chainAt(origin, sequence)) ?? null)
  }
  return chains
}
