/** The replicator as it runs: the core between a log, a membership view and sources. */
import { showValue, silentLogger } from '@kith/interface'
import type {
  Clock,
  EventSource,
  Logger,
  LogId,
  Member,
  MemberEvent,
  MembershipHandler,
  MembershipView,
  OriginId,
  Random,
  ReplicaLog,
  ReplicationSource,
} from '@kith/interface'
import { createChannelEmitter, systemClock, systemRandom } from '@kith/interface/node'
import { lagOf, lagsOf } from '../core/lag.ts'
import type { MemberLags } from '../core/lag.ts'
import { forkStandings } from '../core/locate.ts'
import type { ForkStanding, Input, ReplicatorEvents } from '../core/messages.ts'
import { retireProblem } from '../core/retire.ts'
import { createState, localNext } from '../core/state.ts'
import type { Counters, Session, SessionPhase, State } from '../core/state.ts'
import { nextDeadline, step } from '../core/step.ts'
import { ReplicatorError } from '../errors.ts'
import { resolveNames, resolveTuning } from '../options.ts'
import type { ReplicatorTuning } from '../options.ts'
import { createEffects } from './effects.ts'
import type { Effects } from './effects.ts'
import { createLocalSource } from './local-source.ts'
import type { LocalSource } from './local-source.ts'
import { locatorOf, standingOf } from './standing.ts'

export interface ReplicatorOptions {
  readonly log: ReplicaLog
  /** This member's name; events about it are ignored. */
  readonly member: string
  /** Equal on all members of one cluster, 1 to 128 bytes; default `kith`. */
  readonly clusterId?: string
  /** Where members come from; without one the owner calls `memberChanged`. */
  readonly membership?: MembershipView
  /** How to reach a member; undefined: not now. Called for every dial. */
  readonly source: (member: Member) => ReplicationSource | undefined
  /**
   * A member is dialled anew when this text changes. Default: the tag `kith.http`, else the
   * address.
   */
  readonly locator?: (member: Member) => string | undefined
  /**
   * True where somebody is known to come, for example because seeds are configured: then the log's
   * append gate waits for a first hello. Default: false; it waits anyway where membership already
   * names somebody else at `start`.
   */
  readonly expectMembers?: boolean
  readonly tuning?: Partial<ReplicatorTuning>
  readonly clock?: Clock
  readonly random?: Random
  readonly logger?: Logger
}

export interface MemberReplication {
  readonly member: string
  readonly phase: SessionPhase
  readonly locator: string | undefined
  readonly logId: LogId | undefined
  readonly retryInMs: number | undefined
  /** Milliseconds since it last answered; undefined before the first hello. */
  readonly heardAgoMs: number | undefined
  readonly attempt: number
  readonly roundTripMs: number
  /** Received from it and not applied yet. */
  readonly bufferedBytes: number
  /** Origins whose data is asked of it. */
  readonly eagerFor: readonly OriginId[]
  readonly counters: Readonly<Session['counters']>
}

export interface ReplicatorStatus {
  readonly logId: LogId
  readonly clusterId: string
  readonly running: boolean
  readonly gate: 'waiting' | 'open'
  /**
   * False while this log lacks what some member was known to hold, also after that one was lost.
   */
  readonly caughtUp: boolean
  /** Pulls of others that wait here for something new. */
  readonly parked: number
  readonly counters: Readonly<Counters>
  /** Forks met since this replicator began, 256 at most, and where the histories part. */
  readonly forks: readonly ForkStanding[]
  readonly members: readonly MemberReplication[]
}

export interface Replicator
  extends MembershipHandler, AsyncDisposable, EventSource<ReplicatorEvents> {
  /** Begins to dial members. A second call does nothing; after `stop` it rejects. */
  start(signal?: AbortSignal): Promise<void>
  /** Answers parked pulls, ends all calls, waits for the transaction under way. Idempotent. */
  stop(): Promise<void>
  /** This log as a source: what the HTTP handler serves. */
  readonly local: ReplicationSource
  /**
   * Records behind the best known holder; `unknown` where nobody who would know was heard lately.
   */
  lag(): ReadonlyMap<OriginId, number | 'unknown'>
  /**
   * How far this log is behind each member that was heard lately, in each origin that it holds:
   * `pairsMax` pairs at most (default 1,024), those first in which it is behind. What is not known
   * is no pair.
   */
  lags(pairsMax?: number): MemberLags
  /**
   * Says that nothing is expected of an origin any more, because the log that wrote it is gone. The
   * other members take it over; once nothing of it is held it leaves vectors, lag and status. A
   * record that comes after all is taken, and makes it live again, with an event of the log.
   * Rejects with `ERR_REPLICATOR_RETIRE` where a connected member writes it or holds more of it.
   */
  retire(origin: OriginId): Promise<void>
  status(): ReplicatorStatus
}

interface Running {
  readonly options: ReplicatorOptions
  readonly clock: Clock
  readonly logger: Logger
  readonly state: State
  readonly effects: Effects
  readonly source: LocalSource
  /** Inputs that arrived while another one was handled: handled after it, in order. */
  readonly inbox: Input[]
  draining: boolean
  phase: 'idle' | 'running' | 'stopped'
  timer: { readonly at: number; readonly cancel: () => void } | undefined
}

/** Pairs of an origin and a member that `lags` tells of. */
const lagPairsDefault = 1_024
/** How long `stop` waits for calls and for the transaction under way. */
const stopMsMax = 2_000

/** Bad options throw here, all at once; nothing happens before `start`. */
export function createReplicator(options: ReplicatorOptions): Replicator {
  const running = assemble(options, () => replicator)
  const { effects, state, clock } = running
  let unsubscribe = (): void => {}
  const memberChanged = (event: MemberEvent): void => onMemberEvent(running, event)
  const end = async (): Promise<void> => {
    running.phase = 'stopped'
    unsubscribe()
    running.timer?.cancel()
    // Whoever is parked here learns what there is and is not left to a timeout.
    await running.source.close()
    // A disk that hangs in a flush must not hang whoever stops us.
    const late = new Promise<void>((resolve) => void clock.after(stopMsMax, resolve))
    await Promise.race([effects.stop(), late])
  }
  let stopping: Promise<void> | undefined
  const stop = (): Promise<void> => (stopping ??= end())
  const replicator: Replicator = {
    async start(signal) {
      signal?.throwIfAborted()
      if (running.phase === 'stopped') {
        throw new ReplicatorError('ERR_REPLICATOR_STOPPED', 'a stopped replicator stays stopped')
      }
      if (running.phase === 'running') return
      running.phase = 'running'
      unsubscribe = begin(running, memberChanged)
    },
    stop,
    memberChanged,
    local: running.source,
    lag() {
      step(state, { kind: 'local', states: options.log.vector() }, clock.now())
      return lagOf(state, clock.now())
    },
    lags(pairsMax = lagPairsDefault) {
      step(state, { kind: 'local', states: options.log.vector() }, clock.now())
      return lagsOf(state, clock.now(), pairsMax)
    },
    retire: (origin) => retire(running, origin),
    status: () => statusOf(running),
    on: effects.events.on,
    [Symbol.asyncDispose]: stop,
  }
  return replicator
}

async function retire(running: Running, origin: OriginId): Promise<void> {
  const { options, clock, state, source, phase } = running
  const { log, member } = options
  if (phase !== 'running') {
    throw new ReplicatorError('ERR_REPLICATOR_STOPPED', 'this replicator does not run')
  }
  step(state, { kind: 'local', states: log.vector() }, clock.now())
  const problem = retireProblem(state, origin)
  if (problem !== undefined) {
    const text = `${showValue(origin)} cannot be retired: ${problem}`
    throw new ReplicatorError('ERR_REPLICATOR_RETIRE', text)
  }
  await log.retire(origin, localNext(state, origin), `retired by the operator at ${member}`)
  source.changed()
}

function assemble(options: ReplicatorOptions, replicator: () => Replicator): Running {
  const tuning = resolveTuning(options.tuning)
  const { clusterId, member } = resolveNames(options)
  const clock = options.clock ?? systemClock
  const random = options.random ?? systemRandom()
  const logger = options.logger ?? silentLogger
  const { log } = options
  const events = createChannelEmitter<ReplicatorEvents>(
    'kith:replicator:event',
    () => ({ source: replicator(), member }),
    (cause) => logger.error({ cause }, 'a replicator listener threw'),
  )
  const state = createState({
    tuning,
    random,
    clusterId,
    member,
  })
  const source = createLocalSource({
    log,
    clusterId,
    member,
    clock,
    versionBase: Math.floor(random.float() * 2 ** 48),
    announceDelayMs: tuning.announceDelayMs,
    parkedMax: tuning.parkedMax,
    onHello: (hello) => dispatch(running, { kind: 'heard', hello }),
    onAck: (logId, ack) => dispatch(running, { kind: 'acked', logId, ack }),
    onFork: (origin, sequence, puller) =>
      dispatch(running, { kind: 'servedFork', origin, sequence, member: puller }),
  })
  const effects = createEffects({
    log,
    logger,
    events,
    source: options.source,
    changed: () => source.changed(),
    dispatch: (input) => dispatch(running, input),
  })
  const running: Running = {
    options,
    clock,
    logger,
    state,
    effects,
    source,
    inbox: [],
    draining: false,
    phase: 'idle',
    timer: undefined,
  }
  return running
}

function begin(running: Running, memberChanged: (event: MemberEvent) => void): () => void {
  const { membership } = running.options
  const unsubscribe = membership?.subscribe({ memberChanged }) ?? (() => {})
  const { logId, durable } = running.options.log
  // First of all: who we are decides what a member that says hello is to us.
  const early = running.inbox.splice(0)
  dispatch(running, { kind: 'start', logId, durable, expected: expectsMembers(running, early) })
  for (const input of early) dispatch(running, input)
  const { log } = running.options
  const deaf = log.onCorrupt?.((run) => dispatch(running, { kind: 'corrupt', run }))
  for (const run of log.corrupt?.() ?? []) dispatch(running, { kind: 'corrupt', run })
  for (const member of membership?.members() ?? []) {
    onMemberEvent(running, { kind: 'join', member })
  }
  return () => {
    unsubscribe()
    deaf?.()
  }
}

function expectsMembers({ options }: Running, early: readonly Input[]): boolean {
  const others = options.membership?.members().some(({ name }) => name !== options.member)
  return options.expectMembers === true || others === true || early.length > 0
}

function onMemberEvent(running: Running, event: MemberEvent): void {
  const { member } = event
  const standing = standingOf(event)
  if (standing === 'left') running.effects.forget(member.name)
  else running.effects.remember(member)
  const locator = (running.options.locator ?? locatorOf)(member)
  dispatch(running, { kind: 'member', member: member.name, standing, locator })
}

function dispatch(running: Running, input: Input): void {
  if (running.phase === 'stopped') return
  if (running.phase === 'idle') {
    // Members may be told before `start`; pullers that come so early are looked at when they
    // return.
    if (input.kind === 'member') running.inbox.push(input)
    return
  }
  running.inbox.push(input)
  if (running.draining) return
  running.draining = true
  try {
    for (let next = running.inbox.shift(); next; next = running.inbox.shift()) handle(running, next)
  } catch (cause) {
    // A broken invariant is ours: replication ends visibly rather than go on wrongly.
    running.phase = 'stopped'
    running.logger.error({ cause }, 'the replicator stopped on an internal error')
    void running.source.close().then(() => running.effects.stop())
  } finally {
    running.draining = false
  }
  arm(running)
}

function handle(running: Running, input: Input): void {
  const { state, clock, effects, options } = running
  const now = clock.now()
  step(state, { kind: 'local', states: options.log.vector() }, now)
  for (const output of step(state, input, now)) effects.run(output)
}

/** One timer, moved only when something is due earlier; firing too early costs one empty step. */
function arm(running: Running): void {
  if (running.phase !== 'running') return
  const at = nextDeadline(running.state)
  if (at === undefined || (running.timer !== undefined && running.timer.at <= at)) return
  running.timer?.cancel()
  const delayMs = Math.max(0, at - running.clock.now())
  const cancel = running.clock.after(delayMs, () => {
    running.timer = undefined
    dispatch(running, { kind: 'deadline' })
  })
  running.timer = { at, cancel }
}

function statusOf(running: Running): ReplicatorStatus {
  const { state, clock } = running
  const now = clock.now()
  const eager = new Map<string, OriginId[]>()
  for (const [origin, view] of state.origins) {
    if (view.eager === undefined) continue
    eager.set(view.eager, [...(eager.get(view.eager) ?? []), origin])
  }
  return {
    logId: state.logId,
    clusterId: state.clusterId,
    running: running.phase === 'running',
    gate: state.gate === 'open' ? 'open' : 'waiting',
    caughtUp: state.owed.size === 0,
    parked: running.source.parked(),
    counters: { ...state.counters },
    forks: forkStandings(state),
    members: [...state.sessions.values()].map((session) => ({
      member: session.member,
      phase: session.phase,
      locator: session.locator,
      logId: session.logId,
      retryInMs:
        session.phase === 'backoff' || session.phase === 'refused'
          ? Math.max(0, Math.round((session.deadline ?? now) - now))
          : undefined,
      heardAgoMs: session.helloAt === undefined ? undefined : Math.round(now - session.heardAt),
      attempt: session.attempt,
      roundTripMs: session.roundTripMs,
      bufferedBytes: session.bufferedBytes,
      eagerFor: eager.get(session.member) ?? [],
      counters: { ...session.counters },
    })),
  }
}
