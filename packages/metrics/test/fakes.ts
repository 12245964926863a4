/** Parts that say what a test wants them to have counted. */
import { channel } from 'node:diagnostics_channel'
import type { MetricSources } from '../src/index.ts'

export type Fakes = Required<MetricSources>

/** Every part, with something in every metric. */
export function fakes(): Fakes {
  return {
    gossip: {
      members: () => [{ status: 'alive' }, { status: 'alive' }, { status: 'failed' }],
      stats: () => ({
        counters: { probes: 3, packetsIn: 7, crcMismatch: 2, reconnects: 1 },
        queues: { members: 1, intents: 0, queries: 0, events: 0 },
        broadcastsDropped: 1,
        broadcastsShed: 2,
        probeList: 3,
        awareness: 1,
        longestStallMs: 1500,
        streamsOpen: 0,
        streamBytesHeld: 0,
      }),
    },
    transports: {
      udp: () => ({
        packetsIn: 5,
        packetsOut: 6,
        bytesIn: 500,
        bytesOut: 600,
        receiveBufferBytes: 4096,
        sendsDropped: 0,
        sendsFailed: 1,
        socketErrors: 0,
        handlerErrors: 0,
      }),
      tcp: () => ({
        connections: 1,
        accepted: 2,
        connected: 3,
        bytesIn: 20,
        bytesOut: 30,
        connectionsRefused: 0,
        connectionsSilent: 0,
        connectsFailed: 4,
        handshakesFailed: 0,
        socketErrors: 0,
        handlerErrors: 0,
      }),
    },
    registry: {
      instances: () => [{ status: 'passing' }, { status: 'critical' }],
      checks: () => [{ status: 'warning' }],
      stats: () => ({
        members: 2,
        wanted: 0,
        broadcastsSent: 1,
        broadcastsReceived: 2,
        announcements: 1,
        fetches: 1,
        fetchesFailed: 0,
        fetchesServed: 0,
        solicits: 0,
        takeovers: 0,
        checkRuns: 9,
        checkTimeouts: 1,
        malformed: 1,
        unsupported: 0,
        foreign: 0,
        stale: 2,
        futureEpochs: 0,
        refusedInstances: 0,
        refusedMembers: 0,
      }),
    },
    log: {
      status: () => ({
        records: 10,
        bytes: 1000,
        floor: 0,
        next: 10,
        gate: 'open',
        origins: [
          { origin: 'a1', member: 'ada' },
          { origin: 'b1', member: 'ben' },
          { origin: 'b2', member: 'ben' },
        ],
        metrics: {
          ...{ transactions: 4, flushes: 4, records: 10, bytes: 1000, batches: 4, failures: 0 },
          ...{ queuedBytes: 0, retentionHeld: 0, droppedRecords: 0, droppedBytes: 0 },
          ...{ droppedBatches: 0, forcedBatches: 0, corruptRuns: 0, repairedBatches: 0 },
          ...{ scrubbedBytes: 0, scrubOffset: 0, scrubPasses: 0 },
          ...{ walBytes: 16_408, checkpointLagBytes: 8_204, checkpoints: 2 },
          ...{ lastCheckpointMs: 1_500, oldestReaderMs: 250 },
        },
        latency: {
          append: { boundsMs: [0.1, 2.5, 10_000], counts: [3, 4, 0, 1], sumMs: 12_000 },
          flush: { boundsMs: [0.1, 2.5, 10_000], counts: [0, 2, 0, 0], sumMs: 2.5 },
        },
      }),
    },
    replicator: {
      status: () => ({
        caughtUp: false,
        parked: 1,
        members: [session('ben')],
        counters: {
          applied: 2,
          records: 5,
          bytes: 50,
          duplicates: 1,
          ahead: 0,
          corrupt: 0,
          unwanted: 0,
          forks: 0,
          gaps: 0,
          repicks: 0,
          rotations: 0,
          dials: 1,
          refusals: 0,
        },
      }),
      lag: () =>
        new Map([
          ['a1', 0],
          ['b1', 2],
          ['b2', 3],
        ]),
      lags: () => ({
        leftOut: 0,
        pairs: [
          { origin: 'b2', member: 'ben', records: 3, bytesEstimate: 30, forMs: 1500 },
          { origin: 'b1', member: 'ben', records: 2, bytesEstimate: undefined, forMs: 20 },
        ],
      }),
    },
    server: {
      stats: () => ({
        requests: 9,
        badRequests: 3,
        unauthorized: 1,
        forbidden: 1,
        certificatesRefused: 1,
        handshakesFailed: 1,
        failures: 0,
        bodyBytes: 11,
        bodyBytesReserved: 0,
        recordsAppended: 1,
        recordsRead: 1,
        readers: 3,
        followers: 2,
        watchers: 1,
      }),
    },
    rpc: () => ({
      connections: 2,
      counters: { accepted: 5, requests: 7, 'command.event': 4, keysWrong: 1, recordsDropped: 3 },
    }),
    dns: () => ({
      udpQueries: 8,
      tcpQueries: 1,
      malformed: 2,
      overloaded: 0,
      truncated: 1,
      connections: 1,
      answers: { SRV: { found: 6, unknown: 1 }, other: { empty: 2 } },
    }),
    consul: () => ({ requests: 9, refused: 2, failures: 1, parked: 3 }),
    handlers: () => ({ succeeded: 4, failed: 1, timedOut: 2, dropped: 3, late: 1, waiting: 5 }),
  }
}

export function session(member: string): ReturnType<Fakes['replicator']['status']>['members'][0] {
  return { member, phase: 'connected', heardAgoMs: 250, roundTripMs: 2, bufferedBytes: 0 }
}

/** As the libraries tell it. */
export function tell(source: object, kind: string, event: object = {}): void {
  const name = kind === 'check' ? 'kith:registry:event' : 'kith:gossip:event'
  channel(name).publish({ source, member: 'ada', kind, event })
}

/** As the server tells it. */
export function request(source: object, given: object = {}): void {
  const message = { method: 'GET', route: '/v1/status', status: 200, durationMs: 20, ...given }
  channel('kith:server:request').publish({ source, member: 'ada', ...message })
}
