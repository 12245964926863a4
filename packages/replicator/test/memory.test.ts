/** Whose memory an answer is: who gives it back, when, and how often (REP-47). */
import { setImmediate } from 'node:timers/promises'
import { releaseBytes } from '@kith/interface'
import type { PullRequest, PullResponse, ReplicaLog, ReplicationSource } from '@kith/interface'
import { createLog } from '@kith/log'
import type { Log } from '@kith/log'
import { afterEach, describe, expect, it } from 'vitest'
import { createReplicationHandler } from '../src/http/index.ts'
import type { ReplicationReply } from '../src/http/index.ts'
import { createReplicator } from '../src/index.ts'
import type { Replicator, ReplicatorTuning } from '../src/index.ts'
import { createCodec } from '../src/wire/codec.ts'
import { contents, hello, joined, positions, until } from './support.ts'

const never = new AbortController().signal

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

async function openLog(records = 0, recordBytes = 10_000): Promise<Log> {
  const log = createLog()
  await log.start()
  cleanups.push(() => log.stop())
  const valueOf = (at: number): Uint8Array => new Uint8Array(recordBytes).fill(at + 1)
  for (let at = 0; at < records; at += 1) await log.append({ value: valueOf(at) })
  return log
}

async function replicatorOf(
  log: ReplicaLog,
  source: () => ReplicationSource | undefined = () => undefined,
  tuning: Partial<ReplicatorTuning> = {},
): Promise<Replicator> {
  const replicator = createReplicator({ log, member: 'm', source, tuning })
  await replicator.start()
  cleanups.push(() => replicator.stop())
  return replicator
}

/** Each answer lies in memory of its own, which is gone once it was given back. */
class Lender {
  readonly given: Uint8Array[] = []
  readonly back: Uint8Array[] = []

  source(of: ReplicationSource, bytesMax: number): ReplicationSource {
    return {
      ...of,
      pull: async (request, signal) => {
        const response = await of.pull({ ...request, bytesMax }, signal)
        const memory = Uint8Array.from(Buffer.concat(response.batches))
        let at = 0
        const batches = response.batches.map(({ length }) => memory.subarray(at, (at += length)))
        if (batches.length > 0) this.given.push(memory)
        const release = (): void => {
          this.back.push(memory)
          releaseBytes(memory)
        }
        return { ...response, batches, release }
      },
      close: async () => {},
    }
  }

  async everythingBack(): Promise<void> {
    await until(() => this.back.length >= this.given.length, 'all memory came back')
    expect(this.back.length).toBe(this.given.length)
    expect(this.given.filter((memory) => !this.back.includes(memory)).length).toBe(0)
  }
}

/** Looks at what it should apply a turn later, as a log does that is busy. */
function late(log: Log, refusals = 0): ReplicaLog {
  const busy = Object.create(log) as ReplicaLog
  let left = refusals
  busy.applyBatches = async (...of) => {
    await setImmediate()
    left -= 1
    if (left >= 0) throw new Error('no room')
    return log.applyBatches(...of)
  }
  return busy
}

describe('memory of what was pulled', () => {
  it('REP-47 gives the memory of every answer back, once, and reads nothing in it after', async () => {
    const [from, to] = [await openLog(60), await openLog()]
    const lender = new Lender()
    const { local } = await replicatorOf(from)
    // Six batches a transaction, of answers with seven.
    const tuning = { applyBytesMax: 64 * 1024 }
    const source = (): ReplicationSource => lender.source(local, 65_000)
    const replicator = await replicatorOf(late(to), source, tuning)
    replicator.memberChanged(joined('a'))
    await until(() => positions(from) === positions(to), 'equal positions')
    expect(lender.given.length).toBeGreaterThan(4)
    await lender.everythingBack()
    expect(await contents(to)).toEqual(await contents(from))
    const { counters, members } = replicator.status()
    expect(counters).toMatchObject({ corrupt: 0, applied: 60 })
    // Of what is counted by its length nothing is left either.
    expect(members.map(({ bufferedBytes }) => bufferedBytes)).toEqual([0])
  })

  it('REP-47 also that of what the log refused', async () => {
    const [from, to] = [await openLog(5), await openLog()]
    const lender = new Lender()
    const { local } = await replicatorOf(from)
    const tuning = { backoffMinMs: 1 }
    const source = (): ReplicationSource => lender.source(local, 100_000)
    const replicator = await replicatorOf(late(to, 2), source, tuning)
    replicator.memberChanged(joined('a'))
    await until(() => positions(from) === positions(to), 'equal positions')
    expect(lender.given.length).toBe(3)
    await lender.everythingBack()
  })
})

describe('memory of what is served', () => {
  it('REP-47 an answer gives back all that was read for it, when it is told to, once', async () => {
    const log = await openLog(30, 60_000)
    const released: number[] = []
    const lending = Object.create(log) as ReplicaLog
    lending.readBatches = async (...of) => {
      const run = await log.readBatches(...of)
      if (run.kind !== 'batches') return run
      const at = released.push(0) - 1
      return { ...run, release: () => (released[at] = (released[at] ?? 0) + 1) }
    }
    const { local } = await replicatorOf(lending)
    const { vectorVersion } = await local.hello(hello, never)
    const want = [{ origin: log.origin, next: 1, chain: null }]
    const request = { logId: hello.logId, want, bytesMax: 1_500_000, maxWaitMs: 0, vectorVersion }
    const answer = await local.pull({ ...request, ack: new Map() }, never)
    expect(answer.batches.length).toBeGreaterThan(20)
    expect(released.length).toBeGreaterThan(1)
    expect(new Set(released)).toEqual(new Set([0]))
    answer.release?.()
    answer.release?.()
    expect(new Set(released)).toEqual(new Set([1]))
  })

  it('REP-47 the handler copies, gives back, and writes over no answer on its way', async () => {
    const log: string[] = []
    let fill = 0
    const source: ReplicationSource = {
      ...(await replicatorOf(await openLog())).local,
      async pull(): Promise<PullResponse> {
        const batch = new Uint8Array(100_000).fill((fill += 1))
        const release = (): void => {
          log.push(`released ${batch[0]}`)
          batch.fill(0xff)
        }
        const rest = { gaps: [], forks: [], more: false, vector: [], vectorVersion: 0 }
        return { logId: hello.logId, batches: [batch], ...rest, release }
      },
    }
    const handler = createReplicationHandler({ source })
    cleanups.push(() => handler.stop())
    const codec = createCodec()
    const ask = async (): Promise<ReplicationReply> => {
      const wanted = { want: [], bytesMax: 1, maxWaitMs: 0, ack: new Map(), vectorVersion: 0 }
      const request: PullRequest = { logId: hello.logId, ...wanted }
      const reply = await handler.handle('pull', bodyOf(codec.pullRequest.encode(request)), never)
      log.push('answered')
      return reply
    }
    const shows = ({ body }: ReplicationReply): readonly number[] => {
      const decoded = codec.pullResponse.decode(body)
      if (!decoded.ok) throw new Error(decoded.problem)
      return [...new Set(decoded.value.batches[0])]
    }
    const [first, second] = [await ask(), await ask()]
    expect([shows(first), shows(second)]).toEqual([[1], [2]])
    const used = first.body.buffer
    first.release()
    // Again it is nothing, also where another answer is in that memory by now.
    first.release()
    const third = await ask()
    first.release()
    const fourth = await ask()
    // As a truth: a hundred kilobytes that differ would be shown one by one.
    expect(third.body.buffer === used).toBe(true)
    expect([shows(second), shows(third), shows(fourth)]).toEqual([[2], [3], [4]])
    const order = [1, 2, 3, 4].flatMap((at) => [`released ${at}`, 'answered'])
    expect(log).toEqual(order)
  })
})

async function* bodyOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
