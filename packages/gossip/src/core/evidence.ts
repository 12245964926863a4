/**
 * Why a member is doubted or was given up: who says so, since when, and what of our own stayed
 * unanswered. Nothing here decides anything; it keeps what others decide from. Times are counted
 * back from the event that tells of them, so that they need no clock of the reader's.
 */
import type { Address } from '@kith/interface'
import type { Accusation, FailureReport, KeptAccusation, ProbeReport } from './reports.ts'
import type { Probe, State, Suspicion } from './state.ts'

/** Accusers of one member that are kept for the record; later ones count, and are not named. */
const accusationsMax = 16
/** Of the reason why a stream failed; it may quote the far side. */
const reasonLengthMax = 200

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
