/**
 * The replicator as a state machine: no clock, no socket, no log. `step` takes one input and
 * returns
 * what must be done, in order; `nextDeadline` says when it wants to be called again.
 */
import type { HelloMessage, OriginState } from '@kith/interface'
import { onApplied, settleApply } from './apply.ts'
import { begins, repickStalled, settleChoices, stallDeadline } from './choose.ts'
import {
  checkTheirs,
  exchanged,
  noticeRotation,
  onAcked,
  onCompared,
  onForked,
  onQuarantined,
  onRotated,
  retryRotation,
  settleGate,
} from './fork.ts'
import { gapDeadline, onGapRecorded } from './gap.ts'
import { onChainsAsked, settleHoles } from './holes.ts'
import {
  locateDeadline,
  locateDeadlinePassed,
  onLocated,
  onLocateFailed,
  settleForks,
} from './locate.ts'
import type { Call, Input, Output } from './messages.ts'
import { settleProgress } from './progress.ts'
import { onPulled, settlePulls } from './pull.ts'
import {
  onCorrupt,
  onFetched,
  onFetchFailed,
  onRepaired,
  repairDeadline,
  repairDeadlinePassed,
  settleRepairs,
} from './repair.ts'
import {
  dial,
  helloProblem,
  lose,
  onCallFailed,
  onHello,
  onHelloNeeded,
  onMember,
  rest,
} from './session.ts'
import type { Session, State, Turn } from './state.ts'

export function step(state: State, input: Input, now: number): readonly Output[] {
  const turn: Turn = { state, now, out: [] }
  // First: nothing may be decided on an origin that the log has given up.
  if (state.started && input.kind !== 'local') noticeRotation(turn)
  take(turn, input)
  if (state.started && input.kind !== 'local') settle(turn)
  return turn.out
}

function take(turn: Turn, input: Input): void {
  switch (input.kind) {
    case 'start':
      turn.state.started = true
      turn.state.logId = input.logId
      turn.state.durable = input.durable
      if (!input.expected) exchanged(turn)
      return
    case 'local':
      return onLocal(turn, input.states)
    case 'member':
      return onMember(turn, input)
    case 'hello':
    case 'helloFailed':
    case 'noSource':
    case 'pulled':
    case 'pullFailed':
    case 'chainsAsked':
      return onAnswer(turn, input)
    case 'applied':
      return onApplied(turn, input.apply, input.report, input.reason)
    case 'deadline':
      return onDeadline(turn)
    case 'compared':
    case 'rotated':
    case 'gapRecorded':
    case 'quarantined':
    case 'retired':
    case 'located':
    case 'locateFailed':
      return onLogAnswer(turn, input)
    case 'corrupt':
    case 'fetched':
    case 'fetchFailed':
    case 'repaired':
      return onRepair(turn, input)
    case 'heard':
    case 'acked':
    case 'servedFork':
      return onServed(turn, input)
  }
}

type RepairInput = Extract<Input, { kind: 'corrupt' | 'fetched' | 'fetchFailed' | 'repaired' }>

/** One repair is under way at most: what belongs to another one is dropped. */
function onRepair(turn: Turn, input: RepairInput): void {
  switch (input.kind) {
    case 'corrupt':
      return onCorrupt(turn, input.run)
    case 'fetched':
      return onFetched(turn, input)
    case 'fetchFailed':
      return onFetchFailed(turn, input)
    case 'repaired':
      return onRepaired(turn, input.repair, input.outcome, input.reason)
  }
}

/** What comes back from a member; anything of a session that ended is dropped. */
type Answer = Exclude<Extract<Input, Call>, RepairInput>

function onAnswer(turn: Turn, input: Answer): void {
  const session = turn.state.sessions.get(input.member)
  if (session === undefined || session.id !== input.session) return
  if (session.phase !== 'connected' && session.phase !== 'dialling') return
  switch (input.kind) {
    case 'hello':
      return onHello(turn, session, input.hello)
    case 'pulled':
      return onPulled(turn, session, input.pull, input.response)
    case 'chainsAsked':
      return onChainsAsked(turn, session, input)
    case 'helloFailed':
      return onCallFailed(turn, session, input)
    case 'noSource':
      return rest(turn, session)
    case 'pullFailed':
      if (input.code === 'ERR_REPLICATOR_HELLO_NEEDED') return onHelloNeeded(turn, session)
      return onCallFailed(turn, session, input)
  }
}

type LogAnswer = Extract<
  Input,
  {
    kind:
      | 'compared'
      | 'rotated'
      | 'gapRecorded'
      | 'quarantined'
      | 'retired'
      | 'located'
      | 'locateFailed'
  }
>

function onLogAnswer(turn: Turn, input: LogAnswer): void {
  switch (input.kind) {
    case 'compared':
      return onCompared(turn, input.compare, input.verdict)
    case 'rotated':
      return onRotated(turn, input)
    case 'gapRecorded':
      return onGapRecorded(turn, input.origin, input.reason)
    case 'quarantined':
      return onQuarantined(turn, input.origin)
    case 'located':
      return onLocated(turn, input)
    case 'locateFailed':
      return onLocateFailed(turn, input.locate)
    case 'retired':
      // What the log refused is told again with the next vector that says so.
      turn.state.retiring.delete(input.origin)
  }
}

type Served = Extract<Input, { kind: 'heard' | 'acked' | 'servedFork' }>

function onServed(turn: Turn, input: Served): void {
  const { state } = turn
  switch (input.kind) {
    case 'heard':
      if (helloProblem(state, input.hello) !== undefined) return
      checkTheirs(turn, input.hello.member, input.hello.vector, true)
      if (tellsOfOurs(state, input.hello)) exchanged(turn)
      return
    case 'acked':
      return onAcked(turn, input)
    case 'servedFork':
      // The puller stops the origin; only the one who writes under it must act as well.
      if (input.origin === state.own) onForked(turn, input.origin, input.sequence, input.member)
  }
}

/**
 * Who retired our origin says nothing of it before we do: whether others hold more of it only an
 * answer to our own hello tells (REP-34).
 */
function tellsOfOurs({ own, local }: State, { vector }: HelloMessage): boolean {
  const past = own === undefined ? 1 : (local.get(own)?.next ?? 1)
  return past === 1 || vector.some(({ origin }) => origin === own)
}

function onLocal(turn: Turn, states: readonly OriginState[]): void {
  const { state } = turn
  if (states === state.localList) return
  const before = state.local
  const after = new Map<string, OriginState>()
  for (const ours of states) {
    after.set(ours.origin, ours)
    const known = before.get(ours.origin)
    if (known?.next !== ours.next || known.status !== ours.status || known.own !== ours.own) {
      state.dirty.add(ours.origin)
    }
    if (ours.own) state.own = ours.origin
  }
  state.local = after
  state.localList = states
}

function onDeadline(turn: Turn): void {
  const { state, now } = turn
  for (const session of state.sessions.values()) sessionDeadline(turn, session)
  for (const [origin, view] of state.origins) {
    const deadline = gapDeadline(state, view)
    if (deadline === undefined || now < deadline) continue
    view.gapPatient = true
    state.dirty.add(origin)
  }
  for (const [origin, until] of state.waiting) {
    if (now < until) continue
    state.waiting.delete(origin)
    state.dirty.add(origin)
  }
  repickStalled(turn)
  retryRotation(turn)
  repairDeadlinePassed(turn)
  locateDeadlinePassed(turn)
  if (state.pausedUntil !== undefined && now >= state.pausedUntil) state.pausedUntil = undefined
}

function sessionDeadline(turn: Turn, session: Session): void {
  const { now } = turn
  session.due = true
  if (session.idleUntil !== undefined && now >= session.idleUntil) session.idleUntil = undefined
  if (session.heldUntil !== undefined && now >= session.heldUntil) {
    session.heldUntil = undefined
    begins(turn, session)
  }
  for (const pull of session.pulls.values()) {
    if (now >= pull.deadline) return lose(turn, session, 'a pull was not answered in time')
  }
  if (session.deadline === undefined || now < session.deadline) return
  if (session.phase === 'dialling') return lose(turn, session, 'the hello was not answered in time')
  if (session.phase === 'backoff' || session.phase === 'refused') dial(turn, session)
}

/** What every input may have made possible. The order matters: choose, then apply, then pull. */
function settle(turn: Turn): void {
  settleGate(turn)
  settleChoices(turn)
  settleApply(turn)
  settlePulls(turn)
  settleHoles(turn)
  settleRepairs(turn)
  settleForks(turn)
  settleProgress(turn)
}

/** When the shell must next pass a `deadline` input; undefined means never. */
export function nextDeadline(state: State): number | undefined {
  let earliest = Infinity
  const consider = (deadline: number | undefined): void => {
    if (deadline !== undefined && deadline < earliest) earliest = deadline
  }
  for (const session of state.sessions.values()) {
    if (session.phase !== 'connected' && session.phase !== 'unreachable') consider(session.deadline)
    for (const pull of session.pulls.values()) consider(pull.deadline)
    consider(session.idleUntil)
    consider(session.heldUntil)
  }
  for (const view of state.origins.values()) consider(gapDeadline(state, view))
  for (const origin of state.behind) {
    const view = state.origins.get(origin)
    if (view !== undefined) consider(stallDeadline(state, origin, view))
  }
  for (const until of state.waiting.values()) consider(until)
  consider(state.pausedUntil)
  consider(state.rotateRetryAt)
  consider(repairDeadline(state))
  consider(locateDeadline(state))
  return earliest === Infinity ? undefined : earliest
}
