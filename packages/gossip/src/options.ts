/**
 * Timings and limits of one member: four frozen profiles, and what a caller changes of them. The
 * values of `lan` are memberlist's and Serf's; the others are written as differences from it, and
 * `fast` is our own.
 */
import type { OptionProblem } from '@kith/interface'
import { optionsError } from './errors.ts'

export type Profile = 'lan' | 'wan' | 'local' | 'fast'

/** Defaults, bounds and the values of each profile stand in OPTIONS.md; a test compares. */
export interface GossipTimings {
  /** Milliseconds between two probes of one member. Less finds failures sooner and sends more. */
  readonly probeIntervalMs: number
  /**
   * Milliseconds until a silent probe asks others for help. More forgives slow links, and leaves
   * the helpers less of the probe interval, which it must stay below.
   */
  readonly probeTimeoutMs: number
  /** Members asked to probe a silent one. More costs packets, and forgives lossy links. */
  readonly indirectProbesMax: number
  /** Probes a silent member over a stream as well. Off: members behind a UDP filter are failed. */
  readonly streamProbe: boolean
  /** Scales how long a suspicion lasts. Less declares sooner, and wrongly more often. */
  readonly suspicionFactor: number
  /** Longest suspicion as a multiple of the shortest. 1 ignores what other members confirm. */
  readonly suspicionMaxFactor: number
  /** A member in doubt of itself probes up to this many times slower. 1 never slows down. */
  readonly awarenessFactorMax: number
  /** Milliseconds between two rounds of gossip. Less spreads news sooner in more packets. */
  readonly gossipIntervalMs: number
  /** Members a round of gossip goes to. More spreads news sooner in more packets. */
  readonly gossipFanout: number
  /**
   * Scales the least number of times each broadcast is sent, also when the queue is full. In calm
   * it is sent as often as it takes for everybody to hear it.
   */
  readonly retransmitFactor: number
  /** Milliseconds for which a failed member still gets gossip, and stays in the probe list. */
  readonly gossipToTheDeadMs: number
  /**
   * Milliseconds between two exchanges of whole state, before scaling by the size of the cluster.
   */
  readonly pushPullIntervalMs: number
  /** Bound in milliseconds on one stream exchange. */
  readonly streamTimeoutMs: number
  /**
   * Milliseconds after which a failed name may come from another address: time enough for whoever
   * was called failed and lives to say so. 0: never by itself, as with Serf.
   */
  readonly deadMemberReclaimMs: number
  /** Bound in milliseconds on waiting until an own broadcast was sent. */
  readonly broadcastTimeoutMs: number
  /** Milliseconds a leaving member stays up after its leave was sent, so that it spreads. */
  readonly leavePropagateDelayMs: number
  /** Milliseconds between two looks for members to forget. */
  readonly reapIntervalMs: number
  /** Milliseconds a failed member is remembered and tried again. */
  readonly reconnectTimeoutMs: number
  /** Milliseconds a member that left is remembered. */
  readonly tombstoneTimeoutMs: number
  /**
   * Milliseconds between two attempts to exchange state with a failed member; and the longest time
   * in which none of the others asks it whether it is back.
   */
  readonly reconnectIntervalMs: number
  /** Milliseconds a join or leave of an unknown member is remembered. */
  readonly recentIntentTimeoutMs: number
  /** Slots of the user event buffer; events older than this many are dropped. Serf's is 512. */
  readonly eventBufferMax: number
  /** Slots of the query buffer. Serf's is 512. */
  readonly queryBufferMax: number
  /** Broadcasts waiting in one queue; beyond it those sent most often are dropped. */
  readonly queueDepthMax: number
  /** Members known at once; further ones are ignored and counted. */
  readonly membersMax: number
  /** Unknown members whose join or leave is remembered. */
  readonly recentIntentsMax: number
  /** Probes made for other members at one time; further requests are ignored and counted. */
  readonly helperProbesMax: number
  /**
   * A user event of ours in bytes, name and payload and once more when encoded. Serf's is 512. What
   * fits no packet, from about 1,390 on, reaches others only with their next exchange of state.
   */
  readonly userEventBytesMax: number
  /** A query in bytes, encoded. Serf's is 1,024; all members should have the same. */
  readonly queryBytesMax: number
  /** An answer to a query in bytes, encoded, up to which it goes by packet. Serf's is 1,024. */
  readonly queryResponseBytesMax: number
  /** An answer to a query in bytes, encoded; above the limit of packets it goes over a stream. */
  readonly queryStreamBytesMax: number
  /** Own queries at one time; one more is refused. */
  readonly queriesRunningMax: number
  /** Queries of others that wait for an answer; one more is neither shown nor acknowledged. */
  readonly queriesPendingMax: number
  /**
   * Milliseconds for which events that allow it are held back, so that only the latest of each name
   * is delivered. 0 delivers all at once; Serf's agent has 3,000.
   */
  readonly eventCoalesceMs: number
  /** Milliseconds without a new one after which events held back are delivered early. */
  readonly eventQuietMs: number
}

/** Member meta on the wire; memberlist's limit. */
export const metaBytesMax = 512
/** Own names; those of other members may have other characters (GOS-185), but no more. */
export const nameBytesMax = 128
/** Name and payload of a user event; Serf's own hard limit, for those of others too. */
export const userEventBytesHardMax = 9216
/** An encoded broadcast of an extension; it travels as a query, and this is Serf's limit. */
export const extensionBytesMax = 1024
/** Anti-entropy state of one extension. */
export const extensionStateBytesMax = 65_536

/** Packets that may leave within one probe interval: when each of them left is kept. */
const packetsPerProbeLimit = 1_048_576

const lan: GossipTimings = Object.freeze({
  probeIntervalMs: 1000,
  probeTimeoutMs: 500,
  indirectProbesMax: 3,
  streamProbe: true,
  suspicionFactor: 4,
  suspicionMaxFactor: 6,
  awarenessFactorMax: 8,
  gossipIntervalMs: 200,
  gossipFanout: 3,
  retransmitFactor: 4,
  gossipToTheDeadMs: 30_000,
  pushPullIntervalMs: 30_000,
  streamTimeoutMs: 10_000,
  deadMemberReclaimMs: 10_000,
  broadcastTimeoutMs: 5000,
  leavePropagateDelayMs: 1000,
  reapIntervalMs: 15_000,
  reconnectTimeoutMs: 86_400_000,
  tombstoneTimeoutMs: 86_400_000,
  reconnectIntervalMs: 30_000,
  recentIntentTimeoutMs: 300_000,
  eventBufferMax: 512,
  queryBufferMax: 512,
  queueDepthMax: 4096,
  membersMax: 16_384,
  recentIntentsMax: 4096,
  helperProbesMax: 1024,
  userEventBytesMax: 512,
  queryBytesMax: 1024,
  queryResponseBytesMax: 1024,
  queryStreamBytesMax: 1_048_576,
  queriesRunningMax: 256,
  queriesPendingMax: 1024,
  eventCoalesceMs: 0,
  eventQuietMs: 1000,
})

const wan: GossipTimings = Object.freeze({
  ...lan,
  streamTimeoutMs: 30_000,
  suspicionFactor: 6,
  pushPullIntervalMs: 60_000,
  probeTimeoutMs: 3000,
  probeIntervalMs: 5000,
  gossipFanout: 4,
  gossipIntervalMs: 500,
  gossipToTheDeadMs: 60_000,
  deadMemberReclaimMs: 50_000,
})

const local: GossipTimings = Object.freeze({
  ...lan,
  streamTimeoutMs: 1000,
  indirectProbesMax: 1,
  retransmitFactor: 2,
  suspicionFactor: 3,
  pushPullIntervalMs: 15_000,
  probeTimeoutMs: 200,
  gossipIntervalMs: 100,
  gossipToTheDeadMs: 15_000,
})

/**
 * Finds a crash within 3 s at the median in clusters of up to 200 members: the first probe that
 * meets it ends about 1.6 intervals after it, on average, and the suspicion lasts 4 log10(N) of
 * them. It forgives a member 1 s of silence, and costs four times the packets of `lan`.
 */
const fast: GossipTimings = Object.freeze({
  ...lan,
  probeIntervalMs: 250,
  probeTimeoutMs: 125,
  gossipIntervalMs: 100,
  gossipToTheDeadMs: 15_000,
  pushPullIntervalMs: 15_000,
  deadMemberReclaimMs: 5000,
})

/** Serf's profiles by name, and `fast`. */
export const profiles: Readonly<Record<Profile, GossipTimings>> = Object.freeze({
  lan,
  wan,
  local,
  fast,
})

/** Smallest and largest legal value of every numeric field; both ends included. */
const ranges: Readonly<Record<Exclude<keyof GossipTimings, 'streamProbe'>, [number, number]>> = {
  probeIntervalMs: [10, 3_600_000],
  probeTimeoutMs: [1, 3_600_000],
  indirectProbesMax: [0, 64],
  suspicionFactor: [1, 100],
  suspicionMaxFactor: [1, 100],
  awarenessFactorMax: [1, 100],
  gossipIntervalMs: [1, 3_600_000],
  gossipFanout: [1, 64],
  retransmitFactor: [1, 100],
  gossipToTheDeadMs: [0, 86_400_000],
  pushPullIntervalMs: [100, 86_400_000],
  streamTimeoutMs: [10, 3_600_000],
  deadMemberReclaimMs: [0, 86_400_000],
  broadcastTimeoutMs: [10, 3_600_000],
  leavePropagateDelayMs: [0, 3_600_000],
  reapIntervalMs: [10, 86_400_000],
  reconnectTimeoutMs: [0, 31_536_000_000],
  tombstoneTimeoutMs: [0, 31_536_000_000],
  reconnectIntervalMs: [10, 86_400_000],
  recentIntentTimeoutMs: [10, 86_400_000],
  eventBufferMax: [1, 65_536],
  queryBufferMax: [1, 65_536],
  queueDepthMax: [16, 1_048_576],
  membersMax: [2, 1_048_576],
  recentIntentsMax: [16, 1_048_576],
  helperProbesMax: [1, 1_048_576],
  userEventBytesMax: [1, userEventBytesHardMax],
  queryBytesMax: [128, 1300],
  queryResponseBytesMax: [128, 1300],
  queryStreamBytesMax: [1300, 4_194_304],
  queriesRunningMax: [1, 65_536],
  queriesPendingMax: [1, 65_536],
  eventCoalesceMs: [0, 3_600_000],
  eventQuietMs: [1, 3_600_000],
}

/**
 * The timings of a profile with the caller's changes, frozen. Throws one error that names every
 * field that is wrong (`ERR_GOSSIP_OPTIONS`). Never writes into the caller's object.
 */
export function resolveOptions(
  profile: Profile = 'lan',
  overrides: Partial<GossipTimings> = {},
): GossipTimings {
  const problems: OptionProblem[] = []
  const base = Object.hasOwn(profiles, profile) ? profiles[profile] : undefined
  if (base === undefined) {
    problems.push({ field: 'profile', got: shown(profile), want: 'lan, wan, local or fast' })
  }
  const resolved: Record<string, unknown> = { ...(base ?? lan) }
  for (const [field, value] of Object.entries(overrides)) {
    if (value === undefined) continue
    const problem = fieldProblem(field, value)
    if (problem === undefined) resolved[field] = value
    else problems.push({ field: `overrides.${field}`, got: shown(value), want: problem })
  }
  const timings = resolved as unknown as GossipTimings
  problems.push(...relationProblems(timings))
  const error = optionsError(problems)
  if (error !== undefined) throw error
  return Object.freeze(timings)
}

function fieldProblem(field: string, value: unknown): string | undefined {
  if (field === 'streamProbe') return typeof value === 'boolean' ? undefined : 'true or false'
  if (!Object.hasOwn(ranges, field))
    return `one of ${['streamProbe', ...Object.keys(ranges)].join(', ')}`
  const [least, most] = ranges[field as keyof typeof ranges]
  const fits = Number.isInteger(value) && (value as number) >= least && (value as number) <= most
  return fits ? undefined : `an integer from ${least} to ${most}`
}

/** Fields that are each legal and make no sense together. */
function relationProblems(timings: GossipTimings): OptionProblem[] {
  const problems: OptionProblem[] = []
  if (timings.probeTimeoutMs >= timings.probeIntervalMs) {
    problems.push({
      field: 'overrides.probeTimeoutMs',
      got: String(timings.probeTimeoutMs),
      want: `less than probeIntervalMs (${timings.probeIntervalMs})`,
    })
  }
  const { gossipFanout, gossipIntervalMs, probeIntervalMs } = timings
  if ((gossipFanout * probeIntervalMs) / gossipIntervalMs > packetsPerProbeLimit) {
    problems.push({
      field: 'overrides.gossipIntervalMs',
      got: String(gossipIntervalMs),
      want:
        `at least gossipFanout (${gossipFanout}) times probeIntervalMs (${probeIntervalMs}) ` +
        `by ${packetsPerProbeLimit}`,
    })
  }
  return problems
}

/** A value as it stands in a message: short, and never a throw. */
function shown(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

/** What is wrong with an own name; undefined where nothing is. */
export function nameProblem(name: unknown): OptionProblem | undefined {
  if (typeof name === 'string' && /^[A-Za-z0-9._-]{1,128}$/.test(name)) return undefined
  return { field: 'name', got: shown(name), want: '1 to 128 of A-Z a-z 0-9 . _ -' }
}
