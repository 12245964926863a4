/** One member from dial to refusal: hello, loss, back-off, and what membership says about it. */
import type { HelloMessage, OriginState } from '@kith/interface'
import type { Failure, Input } from './messages.ts'
import { checkTheirs, exchanged } from './fork.ts'
import { newBucket } from './rate.ts'
import { helloOf, nextId, protocolVersions } from './state.ts'
import type { Session, State, Turn } from './state.ts'

const firstWindowBytes = 256 * 1024

export function onMember(turn: Turn, input: Extract<Input, { kind: 'member' }>): void {
  const { state } = turn
  if (input.member === state.member) return
  const session = state.sessions.get(input.member)
  if (input.standing === 'left') {
    if (session === undefined) return
    close(turn, session)
    state.sessions.delete(input.member)
    return
  }
  if (input.standing === 'failed') {
    // A failure of somebody unknown is no news: there is nothing to back off from.
    if (session !== undefined) memberFailed(turn, session)
    return
  }
  memberUp(turn, session ?? addSession(state, input.member), input.locator)
}

function addSession(state: State, member: string): Session {
  const session: Session = {
    member,
    id: 0,
    phase: 'unreachable',
    locator: undefined,
    failed: false,
    attempt: 0,
    deadline: undefined,
    helloAt: undefined,
    heardAt: -Infinity,
    logId: undefined,
    theirs: new Map(),
    vectorVersion: 0,
    pulls: new Map(),
    reached: new Map(),
    gaps: new Map(),
    avoid: new Set(),
    stalled: new Map(),
    fruitless: new Map(),
    idleUntil: undefined,
    holesDue: new Set(),
    holesAsked: new Map(),
    asking: undefined,
    heldUntil: undefined,
    bucket: newBucket(),
    acked: new Map(),
    marks: new Map(),
    corrupt: 0,
    due: false,
    bufferedBytes: queuedBytes(state, member),
    roundTripMs: 0,
    windowBytes: firstWindowBytes,
    refusal: undefined,
    counters: { pulls: 0, batches: 0, bytes: 0, duplicateBytes: 0, corrupt: 0, failures: 0 },
  }
  state.sessions.set(member, session)
  return session
}

/** A member that left and came back still has what it sent before in the queue. */
function queuedBytes({ queue, applying }: State, member: string): number {
  const own = [...queue, ...(applying?.items ?? [])].filter((item) => item.member === member)
  return own.reduce((sum, { bytes }) => sum + bytes.length, 0)
}

function memberUp(turn: Turn, session: Session, locator: string | undefined): void {
  const moved = session.locator !== locator
  const revived = session.failed
  session.locator = locator
  session.failed = false
  if (locator === undefined) {
    rest(turn, session)
    return
  }
  // Statements repeat: only news is a reason to dial, or a loop of updates would be a loop of
  // dials.
  if (session.phase === 'unreachable' || moved || revived) {
    if (!moved && (session.phase === 'connected' || session.phase === 'dialling')) return
    session.attempt = 0
    close(turn, session)
    dial(turn, session)
  }
}

/** Nothing to dial until membership has news of it. */
export function rest(turn: Turn, session: Session): void {
  close(turn, session)
  session.phase = 'unreachable'
  session.deadline = undefined
}

function memberFailed(turn: Turn, session: Session): void {
  if (session.failed) return
  session.failed = true
  if (session.phase === 'connected' || session.phase === 'dialling') {
    lose(turn, session, 'membership says it failed')
  }
}

export function dial(turn: Turn, session: Session): void {
  const { state, now, out } = turn
  session.id = nextId(state)
  session.phase = 'dialling'
  session.deadline = now + state.tuning.helloTimeoutMs
  state.counters.dials += 1
  out.push({ kind: 'dial', member: session.member, session: session.id, hello: helloOf(state) })
}

/** Forgets what was only true of the connection and tells the shell to close it. */
export function close(turn: Turn, session: Session): void {
  const { state, out } = turn
  if (session.phase === 'connected' || session.phase === 'dialling') {
    out.push({ kind: 'close', member: session.member, session: session.id })
  }
  session.phase = 'backoff'
  session.pulls.clear()
  session.reached.clear()
  session.gaps.clear()
  session.avoid.clear()
  session.stalled.clear()
  session.fruitless.clear()
  session.holesDue.clear()
  session.holesAsked.clear()
  session.asking = undefined
  session.idleUntil = undefined
  session.heldUntil = undefined
  session.corrupt = 0
  // Whatever it was the source of needs another one.
  for (const origin of session.theirs.keys()) state.dirty.add(origin)
}

/** The connection is gone or useless: close it, and dial again after a jittered, growing wait. */
export function lose(turn: Turn, session: Session, reason: string): void {
  const { state, now, out } = turn
  close(turn, session)
  session.counters.failures += 1
  const { backoffMinMs, backoffMaxMs } = state.tuning
  const grown = Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(session.attempt, 30))
  const delayMs = (session.failed ? backoffMaxMs : grown) * (0.5 + state.random.float() / 2)
  session.attempt += 1
  session.phase = 'backoff'
  session.deadline = now + delayMs
  out.push({
    kind: 'event',
    event: {
      kind: 'memberDisconnected',
      detail: { member: session.member, reason, retryInMs: Math.round(delayMs) },
    },
  })
}

/** Talking on would be wrong, not just useless. Told once, tried again after a long while. */
export function refuse(turn: Turn, session: Session, failure: Failure): void {
  const { state, now, out } = turn
  close(turn, session)
  session.phase = 'refused'
  session.deadline = now + state.tuning.refusedRetryMs
  session.theirs = new Map()
  session.marks.clear()
  if (session.refusal === failure.code) return
  session.refusal = failure.code
  state.counters.refusals += 1
  out.push({
    kind: 'event',
    event: { kind: 'memberRefused', detail: { member: session.member, ...failure } },
  })
}

export function onHello(turn: Turn, session: Session, hello: HelloMessage): void {
  const { state, now, out } = turn
  const failure = helloProblem(state, hello)
  if (failure !== undefined) return refuse(turn, session, failure)
  const started = (session.deadline ?? now) - state.tuning.helloTimeoutMs
  session.phase = 'connected'
  session.due = true
  session.deadline = undefined
  session.refusal = undefined
  session.helloAt = now
  session.heardAt = now
  session.roundTripMs = Math.max(0, now - started)
  session.windowBytes = firstWindowBytes
  session.vectorVersion = hello.vectorVersion
  session.acked = new Map()
  // Another log under the same name, or the same one after a while: nothing remembered counts.
  for (const origin of session.theirs.keys()) state.dirty.add(origin)
  if (session.logId !== hello.logId) session.marks.clear()
  session.logId = hello.logId
  session.theirs = new Map()
  takeVector(turn, session, hello.vector)
  checkTheirs(turn, session.member, hello.vector, true)
  exchanged(turn)
  // A member just heard may be the last one a suspected gap waited for.
  for (const [origin, view] of state.origins) {
    if (view.gapSince !== undefined) state.dirty.add(origin)
  }
  out.push({
    kind: 'event',
    event: { kind: 'memberConnected', detail: { member: session.member, logId: hello.logId } },
  })
}

export function helloProblem(state: State, hello: HelloMessage): Failure | undefined {
  if (!hello.versions.some((version) => protocolVersions.includes(version))) {
    const reason = `speaks only protocol ${hello.versions.join(', ')}`
    return { code: 'ERR_REPLICATOR_VERSION', reason }
  }
  if (hello.clusterId !== state.clusterId) {
    const reason = `belongs to cluster ${JSON.stringify(hello.clusterId)}`
    return { code: 'ERR_REPLICATOR_CLUSTER', reason }
  }
  if (hello.logId === state.logId) {
    return { code: 'ERR_REPLICATOR_SELF', reason: 'has the log id of this log' }
  }
  return undefined
}

export function takeVector(turn: Turn, session: Session, states: readonly OriginState[]): void {
  for (const theirs of states) {
    // Of an origin that it did not know it took no acknowledgement: said again.
    if (!session.theirs.has(theirs.origin)) session.acked.delete(theirs.origin)
    session.theirs.set(theirs.origin, theirs)
    session.fruitless.delete(theirs.origin)
    turn.state.dirty.add(theirs.origin)
  }
}

export function onCallFailed(turn: Turn, session: Session, failure: Failure): void {
  switch (failure.code) {
    case 'ERR_REPLICATOR_CLUSTER':
    case 'ERR_REPLICATOR_SELF':
    case 'ERR_REPLICATOR_VERSION':
      return refuse(turn, session, failure)
    default:
      return lose(turn, session, failure.reason)
  }
}

/** A source that restarted asks for a hello: dialled at once, unless it keeps asking. */
export function onHelloNeeded(turn: Turn, session: Session): void {
  const { state, now } = turn
  const fresh = now - (session.helloAt ?? -Infinity) < state.tuning.backoffMinMs
  if (fresh) return lose(turn, session, 'asks for a hello again and again')
  close(turn, session)
  dial(turn, session)
}
