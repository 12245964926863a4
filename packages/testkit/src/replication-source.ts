/** The clauses of a replication source (REP-25 to REP-31), for any way to reach another log. */
import type { Clock, HelloMessage, OriginId, PullRequest, ReplicationSource } from '@kith/interface'
import type { ConformanceCase } from './conformance.ts'
import { expectBytes, expectEqual, expectRejects, expectThat, pass, within } from './expect.ts'

export interface ReplicationSourceSubject {
  /** A fresh source over a fresh log, in cluster `kith`. */
  readonly source: ReplicationSource
  readonly clock: Clock
  /** The origin under which the log behind the source appends. */
  readonly origin: OriginId
  /** Appends records of 100 bytes to it, each in a batch of its own. */
  append(count: number): Promise<void>
  /** Answers what is parked, then ends: what the serving side does when it stops. */
  stopServing(): Promise<void>
}

const asker = '5a'.repeat(16)
const never: AbortSignal = new AbortController().signal
const originAt = 28
const countAt = 16
const firstAt = 20

function hello(more: Partial<HelloMessage> = {}): HelloMessage {
  return {
    versions: [1],
    clusterId: 'kith',
    logId: asker,
    member: 'asker',
    origin: '5b'.repeat(16),
    durable: true,
    vector: [],
    vectorVersion: 0,
    ...more,
  }
}

function request(subject: ReplicationSourceSubject, more: Partial<PullRequest> = {}): PullRequest {
  return {
    logId: asker,
    want: [{ origin: subject.origin, next: 1, chain: null }],
    bytesMax: 1024 * 1024,
    maxWaitMs: 0,
    ack: new Map(),
    vectorVersion: 0,
    ...more,
  }
}

function read(batch: Uint8Array): { origin: string; first: number; next: number } {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength)
  const origin = Array.from(batch.subarray(originAt, originAt + 16), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('')
  const first = view.getUint32(firstAt, true) + view.getUint16(firstAt + 4, true) * 2 ** 32
  return { origin, first, next: first + view.getUint32(countAt, true) }
}

/** Greets and pulls from `next` until the source has no more; the sequence reached. */
async function pullAll(subject: ReplicationSourceSubject, bytesMax: number): Promise<number> {
  let next = 1
  for (let round = 0; round < 1_000; round += 1) {
    const want = [{ origin: subject.origin, next, chain: null }]
    const answer = await subject.source.pull(request(subject, { want, bytesMax }), never)
    for (const batch of answer.batches) {
      const head = read(batch)
      expectEqual([head.origin, head.first], [subject.origin, next], 'the next batch')
      next = head.next
    }
    if (answer.batches.length === 0) return next
  }
  throw new Error('a source without an end')
}

const helloCases: readonly ConformanceCase<ReplicationSourceSubject>[] = [
  {
    id: 'REP-25',
    title: 'hello answers who it is and everything it holds',
    async run(subject) {
      await subject.append(3)
      const answer = await subject.source.hello(hello(), never)
      expectEqual(answer.clusterId, 'kith', 'cluster')
      expectEqual(answer.origin, subject.origin, 'origin')
      expectThat(answer.versions.includes(1), 'it speaks protocol 1')
      expectThat(answer.logId !== asker, 'it has a log id of its own')
      const own = answer.vector.find((state) => state.own)
      expectEqual([own?.origin, own?.next, own?.floor], [subject.origin, 4, 1], 'own state')
    },
  },
  {
    id: 'REP-25',
    title: 'another cluster, another protocol and its own log are refused by code',
    async run(subject) {
      const { logId } = await subject.source.hello(hello(), never)
      const cases = [
        [{ clusterId: 'other' }, 'ERR_REPLICATOR_CLUSTER'],
        [{ versions: [250] }, 'ERR_REPLICATOR_VERSION'],
        [{ logId }, 'ERR_REPLICATOR_SELF'],
      ] as const
      for (const [more, code] of cases) {
        const cause = await expectRejects(subject.source.hello(hello(more), never), code)
        expectEqual((cause as { code?: unknown }).code, code, 'code')
      }
    },
  },
  {
    id: 'REP-26',
    title: 'a pull before any hello is told to greet',
    async run(subject) {
      const cause = await expectRejects(subject.source.pull(request(subject), never), 'a pull')
      expectEqual((cause as { code?: unknown }).code, 'ERR_REPLICATOR_HELLO_NEEDED', 'code')
    },
  },
]

const pullCases: readonly ConformanceCase<ReplicationSourceSubject>[] = [
  {
    id: 'REP-27',
    title: 'pulls bring consecutive batches, at least one each, up to the end',
    async run(subject) {
      await subject.source.hello(hello(), never)
      await subject.append(20)
      expectEqual(await pullAll(subject, 1024 * 1024), 21, 'reached at once')
      expectEqual(await pullAll(subject, 1), 21, 'reached one by one')
    },
  },
  {
    id: 'REP-27',
    title: 'an answer passes the bytes asked for with its last batch only',
    async run(subject) {
      await subject.source.hello(hello(), never)
      await subject.append(20)
      const { batches, more } = await subject.source.pull(
        request(subject, { bytesMax: 500 }),
        never,
      )
      const bytes = batches.slice(0, -1).reduce((sum, batch) => sum + batch.length, 0)
      expectThat(batches.length > 0 && bytes < 500, `${bytes} bytes before the last`)
      expectThat(more, 'there is more')
    },
  },
  {
    id: 'REP-28',
    title: 'a parked pull is answered by the next commit, with its batch',
    async run(subject) {
      const { vectorVersion } = await subject.source.hello(hello(), never)
      const parked = subject.source.pull(
        request(subject, { maxWaitMs: 30_000, vectorVersion }),
        never,
      )
      await subject.append(1)
      const answer = await within(subject.clock, 5_000, parked, 'an answer')
      expectEqual(
        answer.batches.map((batch) => read(batch).first),
        [1],
        'batches',
      )
      expectEqual(
        answer.vector.map((state) => state.next),
        [2],
        'news of the vector',
      )
    },
  },
  {
    id: 'REP-28',
    title: 'a pull without news ends with its time, empty',
    async run(subject) {
      const { vectorVersion } = await subject.source.hello(hello(), never)
      const pull = subject.source.pull(request(subject, { maxWaitMs: 50, vectorVersion }), never)
      const answer = await within(subject.clock, 5_000, pull, 'an answer')
      const { batches, gaps, forks, vector } = answer
      expectEqual([batches, gaps, forks, vector], [[], [], [], []], 'nothing')
    },
  },
  {
    id: 'REP-31',
    title: 'a chain that is not its own is answered as a fork, its own is not',
    async run(subject) {
      await subject.source.hello(hello(), never)
      await subject.append(4)
      const { origin } = subject
      const [chain = null] = await subject.source.chainAt(origin, [3], never)
      expectThat(chain !== null, 'it knows its chain at 3')
      const good = { want: [{ origin, next: 3, chain }] }
      const answer = await subject.source.pull(request(subject, good), never)
      expectEqual([answer.batches.length, answer.forks], [2, []], 'its own chain')
      const bad = { want: [{ origin, next: 3, chain: '00'.repeat(32) }] }
      const forked = await subject.source.pull(request(subject, bad), never)
      expectEqual(forked.forks, [{ origin, sequence: 3, chain }], 'another chain')
      expectEqual(forked.batches, [], 'no batches beside it')
    },
  },
]

const otherCases: readonly ConformanceCase<ReplicationSourceSubject>[] = [
  {
    id: 'REP-30',
    title: 'chainAt answers in order, null for what is no boundary',
    async run(subject) {
      await subject.append(3)
      const { origin, source } = subject
      const chains = await source.chainAt(origin, [4, 2, 99], never)
      expectEqual(
        chains.map((chain) => chain?.length ?? null),
        [64, 64, null],
        'chains',
      )
      expectThat(chains[0] !== chains[1], 'they differ')
      expectEqual(await source.chainAt('00'.repeat(16), [1], never), [null], 'an unknown origin')
      const many = Array.from({ length: 257 }, (_, at) => at + 1)
      await expectRejects(source.chainAt(origin, many, never), 'more than 256 sequences')
    },
  },
  {
    id: 'REP-30',
    title: 'fetch answers the batch that a pull brings, undefined for anything else',
    async run(subject) {
      await subject.source.hello(hello(), never)
      await subject.append(3)
      const { origin, source } = subject
      const { batches } = await source.pull(request(subject), never)
      const fetched = await source.fetch(origin, 2, never)
      expectThat(fetched !== undefined, 'the batch at 2')
      expectBytes(fetched, batches[1] ?? new Uint8Array(0), 'the batch at 2')
      expectEqual(await source.fetch(origin, 77, never), undefined, 'nothing at 77')
    },
  },
  {
    id: 'REP-29',
    title: 'an aborted pull rejects soon, and the source works on',
    async run(subject) {
      const { vectorVersion } = await subject.source.hello(hello(), never)
      const controller = new AbortController()
      const more = { maxWaitMs: 30_000, vectorVersion }
      const pull = subject.source.pull(request(subject, more), controller.signal)
      const rejected = expectRejects(pull, 'the aborted pull')
      await pass(subject.clock, 20)
      controller.abort(new Error('no longer wanted'))
      await within(subject.clock, 2_000, rejected, 'the rejection')
      await subject.append(1)
      expectEqual(await pullAll(subject, 1024), 2, 'reached afterwards')
    },
  },
  {
    id: 'REP-29',
    title: 'a source that stops serving answers what is parked',
    async run(subject) {
      const { vectorVersion } = await subject.source.hello(hello(), never)
      const more = { maxWaitMs: 30_000, vectorVersion }
      const settled = subject.source.pull(request(subject, more), never).then(
        () => true,
        () => true,
      )
      await pass(subject.clock, 20)
      await within(subject.clock, 3_000, subject.stopServing(), 'the stop')
      await within(subject.clock, 3_000, settled, 'the parked pull')
    },
  },
  {
    id: 'REP-29',
    title: 'after close every call rejects, and closing again does nothing',
    async run(subject) {
      const { source, origin } = subject
      await source.close()
      await source.close()
      await expectRejects(source.hello(hello(), never), 'hello')
      await expectRejects(source.pull(request(subject), never), 'pull')
      await expectRejects(source.chainAt(origin, [1], never), 'chainAt')
      await expectRejects(source.fetch(origin, 1, never), 'fetch')
    },
  },
]

/** Run these by `runConformance` against every source there is. */
export const replicationSourceCases: readonly ConformanceCase<ReplicationSourceSubject>[] = [
  ...helloCases,
  ...pullCases,
  ...otherCases,
]
