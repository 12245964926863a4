/**
 * Why a member is doubted or was given up: who says so, since when, and what of our own stayed
 * unanswered. Nothing here decides anything; it keeps what others decide from. Times are counted
 * back from the event that tells of them, so that they need no clock of the reader's.
 */
import type { Address } from '@kith/interface'
import type { Probe, State, Suspicion } from './state.ts'

/** Accusers of one member that are kept for the record; later ones count, and are not named. */
const accusationsMax = 16
/** Of the reason why a stream failed; it may quote the far side. */
const reasonLengthMax = 200

/** A member asked to probe another one for us. */
export interface HelperReport {
  readonly name: string
  /** `nack`: it answered us, and got no answer itself. `silent`: we heard nothing from it. */
  readonly answer: 'nack' | 'silent'
}

/**
 * What stood behind a suspicion of our own: each way that was tried, in the order of trying, and
 * how it ended. Times are milliseconds before the end of the probe.
 */
export interface ProbeReport {
  /** When the first ping left, straight to the member. */
  readonly startedAgoMs: number
  /** `refused`: the packet came back; else nothing did. */
  readonly direct: 'silent' | 'refused'
  /** When helpers and the stream were asked, after the first ping had its time. */
  readonly askedAgoMs: number
  /** Through whom it was pinged. */
  readonly helpers: readonly HelperReport[]
  /** Helpers asked. */
  readonly indirect: number
  /**
   * Nacks of those who could have sent one; fewer than `nacksExpected` speaks against ourselves.
   */
  readonly nacks: number
  readonly nacksExpected: number
  /** The ping over TCP. `pending`: it had not failed yet; `unused`: it is off, or not understood. */
  readonly stream: 'unused' | 'failed' | 'pending'
  /** When and why it failed. */
  readonly streamFailedAgoMs?: number
  readonly streamReason?: string
}

/** One who says that a member does not answer. */
export interface Accusation {
  /** Who says so; this member itself for its own probes and for what it heard in an exchange. */
  readonly from: string
  /** When this member heard it, or found it out. */
  readonly agoMs: number
  /** Own probes, a packet, or a state exchanged in which the member was dead. */
  readonly via: 'probe' | 'gossip' | 'exchange'
  /** Where it was our own probe. */
  readonly probe?: ProbeReport
}

/** What stood behind a `fail` event. */
export interface FailureReport {
  /** Who gave the member up: this member, because its suspicion ran out, or another one. */
  readonly by: string
  /** When this member began to suspect it; absent where the verdict of another one came first. */
  readonly suspectedAgoMs?: number
  /** Who accused it, the first one first, each once; at most 16. */
  readonly accusations: readonly Accusation[]
  /** Independent confirmations, and how many of them make the suspicion as short as it gets. */
  readonly confirmations: number
  readonly confirmationsNeeded: number
  /** The shortest and the longest time for which this member would have suspected it. */
  readonly suspicionMinMs?: number
  readonly suspicionMaxMs?: number
}

/** As it is kept: with the core's own time. */
export interface KeptAccusation extends Omit<Accusation, 'agoMs'> {
  readonly at: number
}

/** Keeps an accusation, each accuser's first one; a probe of ours replaces what we only heard. */
export function keepAccusation(suspicion: Suspicion, accusation: KeptAccusation): void {
  const { kept } = suspicion
  const index = kept.findIndex(({ from }) => from === accusation.from)
  if (index < 0 && kept.length < accusationsMax) kept.push(accusation)
  const known = kept[index]
  if (known?.via === 'exchange' && accusation.via === 'probe') kept[index] = accusation
}

export function accusationsOf(suspicion: Suspicion, now: number): readonly Accusation[] {
  return suspicion.kept.map(({ at, ...said }) => ({ ...said, agoMs: ago(now, at) }))
}

export function failureReport(
  by: string,
  suspicion: Suspicion | undefined,
  now: number,
): FailureReport {
  if (suspicion === undefined) {
    return { by, accusations: [], confirmations: 0, confirmationsNeeded: 0 }
  }
  return {
    by,
    suspectedAgoMs: ago(now, suspicion.kept[0]?.at ?? suspicion.startedAt),
    accusations: accusationsOf(suspicion, now),
    confirmations: suspicion.confirmations,
    confirmationsNeeded: suspicion.needed,
    suspicionMinMs: suspicion.minMs,
    suspicionMaxMs: suspicion.maxMs,
  }
}

/** The report of a probe that ends now without an answer. */
export function probeReport(state: State, probe: Probe): ProbeReport {
  const { now } = state
  const { helpers, nacks, nacksExpected, stream, streamFailed } = probe
  const failed = stream === 'acked' ? 'unused' : stream
  return {
    startedAgoMs: ago(now, probe.startedAt),
    direct: probe.refused ? 'refused' : 'silent',
    askedAgoMs: ago(now, probe.askedAt),
    helpers: helpers.map(({ name, nacked }) => ({ name, answer: nacked ? 'nack' : 'silent' })),
    indirect: helpers.length,
    nacks,
    nacksExpected,
    stream: failed,
    ...(streamFailed === undefined
      ? {}
      : { streamFailedAgoMs: ago(now, streamFailed.at), streamReason: streamFailed.reason }),
  }
}

/** Which of our helpers a nack came from; the message itself does not say. */
export function noteNack(probe: Probe, from: Address): void {
  for (const helper of probe.helpers) {
    const { host, port } = helper.address
    if (host === from.host && port === from.port) helper.nacked = true
  }
}

export function streamFailure(at: number, reason: string): NonNullable<Probe['streamFailed']> {
  return { at, reason: reason.slice(0, reasonLengthMax) }
}

/** Whole milliseconds: nobody can act on less. */
function ago(now: number, at: number): number {
  return Math.round(now - at)
}
