/** Members, the detector of failures, and what gossip dropped. */
import { counter, gauge, type Part, type Put, tally } from './family.ts'
import type { GossipSource } from './sources.ts'

const members = gauge('kith_gossip_members', 'Members known, this one included.', 'status')
const probed = gauge('kith_gossip_probed_members', 'Members that are probed in turn.')
const health = gauge(
  'kith_gossip_health_score',
  'How much this member doubts itself; 0 is healthy, each step stretches its timeouts.',
)
const stall = gauge(
  'kith_gossip_longest_stall_seconds',
  'The longest time of late for which this member did not run.',
)
const queue = gauge('kith_gossip_queue_length', 'Broadcasts that wait to be sent.', 'queue')
const streamsOpen = gauge('kith_gossip_streams_open', 'Streams that others opened, now.')
const streamBytes = gauge(
  'kith_gossip_stream_held_bytes',
  'Bytes of messages on streams that did not arrive whole yet.',
)
const broadcastsDropped = counter(
  'kith_gossip_broadcasts_dropped_total',
  'Broadcasts dropped because their queue was full, or because they became too old in it.',
  'reason',
)
const packets = counter(
  'kith_gossip_packets_total',
  'Packets of gossip, without those dropped by their label or key.',
  'direction',
)
const packetBytes = counter(
  'kith_gossip_packet_bytes_total',
  'Bytes of packets of gossip.',
  'direction',
)
const streams = counter('kith_gossip_streams_total', 'Streams opened.', 'direction')
const probes = counter('kith_gossip_probes_total', 'Members probed.')
const probesFailed = counter(
  'kith_gossip_probes_failed_total',
  'Probes without an ack in their time.',
)
const indirectProbes = counter(
  'kith_gossip_indirect_probes_total',
  'Probes for which other members were asked.',
)
const suspicions = counter(
  'kith_gossip_suspicions_total',
  'Suspicions begun or confirmed, by whomever.',
)
const pushPulls = counter('kith_gossip_push_pulls_total', 'Exchanges of state begun.')
const pushPullsFailed = counter(
  'kith_gossip_push_pulls_failed_total',
  'Exchanges of state that failed.',
)
const dropped = counter(
  'kith_gossip_dropped_total',
  'What arrived or waited and was dropped, left out or refused, by the names of COUNTERS.md.',
  'reason',
)
const occurrences = counter(
  'kith_gossip_occurrences_total',
  'Everything else that gossip counts, by the names of COUNTERS.md.',
  'kind',
)

/** Metrics of their own, and the counters that they show. */
const named = [
  [packets, 'packetsIn', 'in'],
  [packets, 'packetsOut', 'out'],
  [packetBytes, 'bytesIn', 'in'],
  [packetBytes, 'bytesOut', 'out'],
  [streams, 'streamsIn', 'in'],
  [streams, 'streamsOut', 'out'],
  [probes, 'probes'],
  [probesFailed, 'probesFailed'],
  [indirectProbes, 'indirectProbes'],
  [suspicions, 'suspicions'],
  [pushPulls, 'pushPulls'],
  [pushPullsFailed, 'pushPullsFailed'],
] as const

/** Counters of what happened; every other one is of something that was dropped. */
const occurrenceKinds: ReadonlySet<string> = new Set([
  'accusationsStale',
  'conflicts',
  'coordinateResets',
  'deathsDoubted',
  'discoveryFailures',
  'entriesForgotten',
  'eventsCoalesced',
  'fetches',
  'fetchesAnswered',
  'gossipPackets',
  'gossipPutOff',
  'lastWords',
  'leavesStale',
  'looks',
  'looksAnswered',
  'looksBroken',
  'lostAnswered',
  'lostExchanges',
  'lostProbes',
  'moves',
  'movesUndone',
  'packetsFromStrangers',
  'pauses',
  'plaintextTaken',
  'stream.plaintextTaken',
  'probesPutOff',
  'queryResponsesStreamed',
  'reconnects',
  'rejoins',
  'snapshotRewrites',
  'snapshotWritesFailed',
  'streamsOutFailed',
  'suspicionsUnconfirmed',
  'vetoesThrown',
  'votes',
  'votesLost',
  'votesPutOff',
  'votesUndecided',
  'votesWon',
])
const namedKinds: ReadonlySet<string> = new Set(named.map(([, kind]) => kind))
const statuses = ['alive', 'leaving', 'left', 'failed'] as const

/** Where a counter of gossip is shown. */
export function placeOf(kind: string): 'named' | 'occurrence' | 'dropped' {
  if (namedKinds.has(kind)) return 'named'
  return occurrenceKinds.has(kind) || /^(?:keys|warning)\./.test(kind) ? 'occurrence' : 'dropped'
}

export function gossipPart(source: GossipSource): Part {
  return {
    name: 'gossip',
    families: [
      members,
      probed,
      health,
      stall,
      queue,
      streamsOpen,
      streamBytes,
      broadcastsDropped,
      ...new Set(named.map(([family]) => family)),
      dropped,
      occurrences,
    ],
    read(put) {
      const stats = source.stats()
      const known = tally(
        statuses,
        source.members().map(({ status }) => status),
      )
      for (const [status, count] of known) put(members, count, status)
      put(probed, stats.probeList)
      put(health, stats.awareness)
      put(stall, stats.longestStallMs / 1000)
      for (const [name, length] of Object.entries(stats.queues)) put(queue, length, name)
      put(streamsOpen, stats.streamsOpen)
      put(streamBytes, stats.streamBytesHeld)
      put(broadcastsDropped, stats.broadcastsDropped, 'full')
      put(broadcastsDropped, stats.broadcastsShed, 'old')
      readCounters(stats.counters, put)
    },
  }
}

function readCounters(counters: Readonly<Record<string, number>>, put: Put): void {
  for (const [family, kind, ...labels] of named) put(family, counters[kind] ?? 0, ...labels)
  for (const [kind, count] of Object.entries(counters)) {
    const place = placeOf(kind)
    if (place !== 'named') put(place === 'dropped' ? dropped : occurrences, count, kind)
  }
}
