import { setImmediate } from 'node:timers/promises'
import { KithError } from '@kith/interface'
import type {
  HelloMessage,
  OriginId,
  OriginState,
  PullRequest,
  PullResponse,
  ReplicaLog,
} from '@kith/interface'
import { createLog } from '@kith/log'
import type { Log } from '@kith/log'
import { createVirtualClock } from '@kith/sim'
import type { VirtualClock } from '@kith/sim'
import { afterEach, describe, expect, it } from 'vitest'
import { createReplicator } from '../src/index.ts'
import type { Replicator } from '../src/index.ts'
import { readBatchHead } from '../src/wire/head.ts'

const never = new AbortController().signal
const asker = '5a'.repeat(16)

/** A log with records of its own and of another member, behind a source on virtual time. */
class Serving {
  readonly clock: VirtualClock = createVirtualClock()
  readonly log: Log = createLog({ clock: this.clock })
  readonly other: Log = createLog({ clock: this.clock })
  replicator: Replicator | undefined
  version = 0

  async start(wrap: (log: Log) => ReplicaLog = (log) => log, parkedMax = 10): Promise<void> {
    await this.log.start()
    await this.other.start()
    const tuning = { announceDelayMs: 300, parkedMax }
    const options = { member: 'm', source: () => undefined, clock: this.clock, tuning }
    this.replicator = createReplicator({ log: wrap(this.log), ...options })
    await this.replicator.start()
  }

  get local(): Replicator['local'] {
    if (this.replicator === undefined) throw new Error('start first')
    return this.replicator.local
  }

  async hello(vector: readonly OriginState[] = []): Promise<void> {
    const message: HelloMessage = {
      versions: [1],
      clusterId: 'kith',
      logId: asker,
      member: 'asker',
      origin: '5b'.repeat(16),
      durable: true,
      vector,
      vectorVersion: 0,
    }
    this.version = (await this.local.hello(message, never)).vectorVersion
  }

  pull(origins: readonly OriginId[], more: Partial<PullRequest> = {}): Promise<PullResponse> {
    const want = origins.map((origin) => ({ origin, next: 1, chain: null }))
    const request = { logId: asker, want, bytesMax: 1 << 20, ack: new Map(), maxWaitMs: 60_000 }
    return this.local.pull({ ...request, vectorVersion: this.version, ...more }, never)
  }

  /** `count` records of another member, each in a batch of its own. */
  async foreign(count: number): Promise<void> {
    for (let at = 0; at < count; at += 1) await this.other.append({ value: new Uint8Array(1_000) })
    const run = await this.other.readBatches(this.other.origin, 1, 1 << 20)
    if (run.kind === 'batches') await this.log.applyBatches(run.batches)
  }

  async own(count: number): Promise<void> {
    for (let at = 0; at < count; at += 1) await this.log.append({ value: new Uint8Array(1_000) })
  }
}

let serving = new Serving()
afterEach(async () => {
  await serving.replicator?.stop()
  await serving.log.stop()
  await serving.other.stop()
  serving = new Serving()
})

/** Resolves with the virtual milliseconds that a call took. */
async function took(call: Promise<unknown>): Promise<number> {
  const began = serving.clock.now()
  let ended: number | undefined
  void call.then(() => (ended = serving.clock.now()))
  await serving.clock.run({ until: began + 120_000, stopWhen: () => ended !== undefined })
  return (ended ?? Number.NaN) - began
}

describe('a source over its log', () => {
  it('REP-42 reads a large answer over several turns of the event loop', async () => {
    let inTurn = 0
    await serving.start((log) => {
      const counting: ReplicaLog = Object.create(log) as ReplicaLog
      counting.readBatches = async (...of) => {
        const run = await log.readBatches(...of)
        if (run.kind === 'batches') for (const { length } of run.batches) inTurn += length
        return run
      }
      return counting
    })
    const value = new Uint8Array(60_000)
    for (let at = 0; at < 84; at += 1) await serving.log.append({ value })
    await serving.hello()
    let over = false
    const ask = (): Promise<PullResponse> =>
      serving.pull([serving.log.origin], { bytesMax: 4 << 20 })
    // Whoever else pulls meanwhile.
    const pulled = Promise.all([ask(), ask()]).finally(() => (over = true))
    const turns: number[] = []
    while (!over) {
      turns.push(inTurn)
      inTurn = 0
      await setImmediate()
    }
    turns.push(inTurn)
    for (const { batches } of await pulled) expect(batches.length).toBeGreaterThan(60)
    expect(turns.filter((bytes) => bytes > 0).length).toBeGreaterThanOrEqual(8)
    expect(Math.max(...turns)).toBeLessThan(1.1 * 1024 * 1024)
  })

  it('REP-42 many who pull little are answered in one turn', async () => {
    await serving.start()
    await serving.own(3)
    await serving.hello()
    let turns = 0
    let over = false
    const asked = Array.from({ length: 50 }, () =>
      serving.pull([serving.log.origin], { bytesMax: 4 << 20 }),
    )
    const pulled = Promise.all(asked).finally(() => (over = true))
    for (; !over; turns += 1) await setImmediate()
    for (const { batches } of await pulled) expect(batches.length).toBe(3)
    expect(turns).toBeLessThanOrEqual(2)
  })

  it('REP-28 parks for 30 s at most, whatever is asked for', async () => {
    await serving.start()
    await serving.hello()
    expect(await took(serving.pull([]))).toBe(30_000)
    expect(await took(serving.pull([], { maxWaitMs: 700 }))).toBe(700)
  })

  it('REP-28 wakes at once for what is wanted, a little later for other news', async () => {
    await serving.start()
    await serving.hello()
    const wanting = serving.pull([serving.log.origin])
    const announced = serving.pull([serving.other.origin])
    await serving.clock.run({ until: 10 })
    await serving.own(1)
    expect(await took(wanting)).toBe(0)
    expect(await took(announced)).toBe(300)
    expect((await announced).vector.map(({ origin }) => origin)).toEqual([serving.log.origin])
    expect((await announced).batches).toEqual([])
  })

  it('REP-28 tells of an origin that was never named within 50 ms, whatever else waits', async () => {
    await serving.start()
    await serving.hello()
    const parked = serving.pull([])
    await serving.clock.run({ until: 10 })
    await serving.own(1)
    await serving.clock.run({ until: 110 })
    await serving.foreign(1)
    expect(await took(parked)).toBe(50)
    const { vector, vectorVersion } = await parked
    expect(vector.length).toBe(2)
    // Also to whoever was not waiting when it came.
    expect(await took(serving.pull([]))).toBe(50)
    await serving.own(1)
    expect(await took(serving.pull([], { vectorVersion }))).toBe(300)
  })

  it('REP-28 answers at once when too many are parked already', async () => {
    await serving.start((log) => log, 2)
    await serving.hello()
    const parked = [serving.pull([]), serving.pull([])]
    await serving.clock.run({ until: 10 })
    expect(await took(serving.pull([]))).toBe(0)
    expect(serving.replicator?.status().parked).toBe(2)
    await Promise.all([...parked, serving.replicator?.stop()])
  })

  it('REP-27 shares the bytes of an answer among the wants', async () => {
    await serving.start()
    await serving.own(20)
    await serving.foreign(20)
    await serving.hello()
    const origins = [serving.log.origin, serving.other.origin]
    const { batches, more } = await serving.pull(origins, { bytesMax: 10_000 })
    const counts = origins.map(
      (origin) => batches.filter((batch) => readBatchHead(batch)?.origin === origin).length,
    )
    expect(more).toBe(true)
    expect(Math.abs((counts[0] ?? 0) - (counts[1] ?? 0))).toBeLessThanOrEqual(2)
    expect(batches.length).toBeGreaterThan(8)
  })

  it.each([
    ['damaged', 'ERR_LOG_CORRUPT'],
    ['unreadable', 'ERR_LOG_IO'],
  ])('REP-19 keeps an origin back that is %s and serves the others (%s)', async (_, code) => {
    await serving.start((log) => withheld(log, serving.other.origin, code))
    const { origin } = serving.other
    await serving.foreign(2)
    await serving.own(3)
    await serving.hello()
    const { batches } = await serving.pull([origin, serving.log.origin])
    expect(batches.map((batch) => readBatchHead(batch)?.origin)).toEqual(
      Array.from({ length: 3 }, () => serving.log.origin),
    )
  })

  it('REP-31 another chain where a loss of ours begins is a fork, not a gap', async () => {
    await serving.start()
    await serving.foreign(3)
    const { origin } = serving.other
    const ours = await serving.log.chainAt(origin, 4)
    await serving.log.recordGap(origin, 9, 'c'.repeat(64), 'nobody has it')
    await serving.hello()
    const asked = async (chain: string | null) => {
      return serving.pull([origin], { want: [{ origin, next: 4, chain }] })
    }
    const another = await asked('d'.repeat(64))
    expect(another.forks).toEqual([{ origin, sequence: 4, chain: ours }])
    expect(another.gaps).toEqual([])
    for (const chain of [ours ?? '', null]) {
      const { forks, gaps } = await asked(chain)
      expect(forks).toEqual([])
      expect(gaps).toEqual([{ origin, asked: 4, resume: 9, chainBefore: 'c'.repeat(64) }])
    }
  })

  it('REP-41 who has something of a forgotten origin after its hello is told how it ended', async () => {
    await serving.start()
    await serving.foreign(2)
    const { origin } = serving.other
    await serving.log.retire(origin, 3, 'its disk is gone')
    await serving.log.retain({ recordsMax: 0 })
    const row = serving.log.vector().find((state) => state.origin === origin)
    expect(row).toMatchObject({ status: 'retired', floor: 3, next: 3 })
    await serving.hello()
    const told = await asked(origin)
    expect(told).toEqual({ tookMs: 300, vector: [row] })
    // Who acknowledges nothing of it, or knows it already, hears nothing.
    expect((await asked('77'.repeat(16))).vector).toEqual([])
    await serving.hello(row === undefined ? [] : [{ ...row, floor: 1 }])
    expect(await asked(origin)).toEqual({ tookMs: 5_000, vector: [] })
  })

  it('REP-6 acknowledgements of a log that forgets are not passed on', async () => {
    const acked: string[] = []
    await serving.start((log) =>
      Object.assign(Object.create(log) as Log, {
        acknowledged: (logId: string) => acked.push(logId),
      }),
    )
    const hello = { versions: [1], clusterId: 'kith', logId: asker, member: 'x', vector: [] }
    const more = { origin: '5b'.repeat(16), vectorVersion: 0 }
    // Of an origin that somebody else wrote, numbers are enough.
    await serving.foreign(1)
    const ack = new Map([[serving.other.origin, 1]])
    await serving.local.hello({ ...hello, ...more, durable: false }, never)
    await serving.pull([], { ack, maxWaitMs: 0 })
    expect(acked).toEqual([])
    await serving.local.hello({ ...hello, ...more, durable: true }, never)
    await serving.pull([], { ack, maxWaitMs: 0 })
    expect(acked).toEqual([asker])
  })

  it('REP-6 passes on from where on a log stored what it acknowledges', async () => {
    const passed: (ReadonlyMap<OriginId, number> | undefined)[] = []
    type Acknowledged = Parameters<Log['acknowledged']>
    await serving.start((log) =>
      Object.assign(Object.create(log) as Log, {
        acknowledged: (...[, , , from]: Acknowledged) => passed.push(from),
      }),
    )
    await serving.foreign(1)
    await serving.hello()
    const ack = new Map([[serving.other.origin, 9]])
    const ackFrom = new Map([[serving.other.origin, 4]])
    await serving.pull([], { ack, ackFrom, maxWaitMs: 0 })
    // An earlier version says none: then the log counts none of it.
    await serving.pull([], { ack, maxWaitMs: 0 })
    expect(passed).toEqual([ackFrom, undefined])
  })

  it('REP-6 an acknowledgement of another history of an origin that we wrote is none', async () => {
    const passed: ReadonlyMap<OriginId, number>[] = []
    await serving.start((log) =>
      Object.assign(Object.create(log) as Log, {
        acknowledged: (_: string, ack: ReadonlyMap<OriginId, number>) => passed.push(ack),
      }),
    )
    await serving.own(3)
    await serving.hello()
    const { log } = serving
    const { origin } = log
    const acknowledge = async (
      next: number,
      chain: string | undefined,
    ): Promise<(number | undefined)[]> => {
      passed.splice(0)
      const ackChains = new Map(chain === undefined ? [] : [[origin, chain]])
      await serving.pull([], { ack: new Map([[origin, next]]), ackChains, maxWaitMs: 0 })
      return passed.map((ack) => ack.get(origin))
    }
    const another = 'ab'.repeat(32)
    for (const next of [4, 2]) {
      expect(await acknowledge(next, another)).toEqual([])
      expect(await acknowledge(next, await log.chainAt(origin, next))).toEqual([next])
    }
    expect(await acknowledge(4, undefined)).toEqual([])
    // Past our end, as after a roll-back here: we take another origin, and it stays none.
    const rotated = new Promise((resolve) => log.on('rotate', resolve))
    expect(await acknowledge(9, another)).toEqual([])
    await rotated
    expect(await acknowledge(9, another)).toEqual([])
  })

  it('REP-6 an acknowledgement of an origin that nobody here knows fills no memory', async () => {
    const passed: ReadonlyMap<OriginId, number>[] = []
    await serving.start((log) =>
      Object.assign(Object.create(log) as Log, {
        acknowledged: (_: string, ack: ReadonlyMap<OriginId, number>) => passed.push(ack),
      }),
    )
    await serving.hello()
    const { origin } = serving.other
    const ack = new Map([[origin, 2], ...madeUp(1_000)])
    await serving.pull([], { ack, maxWaitMs: 0 })
    await serving.foreign(1)
    await serving.pull([], { ack, maxWaitMs: 0 })
    expect(passed).toEqual([new Map([[origin, 2]])])
  })

  it('REP-6 what was appended before there was a source is proven too', async () => {
    await serving.log.start()
    const { origin } = serving.log
    const appended = serving.log.append({ value: new Uint8Array(1) }, { replicas: 1 })
    await new Promise((resolve) => serving.log.onCommit(resolve))
    await serving.log.rotate('disputed')
    const options = { member: 'm', source: () => undefined, clock: serving.clock }
    serving.replicator = createReplicator({ log: serving.log, ...options })
    await serving.replicator.start()
    await serving.hello()
    const ackFrom = new Map([[origin, 1]])
    const ack = new Map([[origin, 2]])
    const wrong = new Map([[origin, 'ff'.repeat(32)]])
    await serving.pull([], { ack, ackFrom, ackChains: wrong, maxWaitMs: 0 })
    let copied = false
    void appended.then(() => (copied = true))
    await setImmediate()
    expect(copied).toBe(false)
    const ours = await serving.log.chainAt(origin, 2)
    const ackChains = new Map([[origin, ours ?? '']])
    await serving.pull([], { ack, ackFrom, ackChains, maxWaitMs: 0 })
    expect((await appended).replicas).toMatchObject({ acked: 1 })
  })
})

/** What a pull is answered that wants nothing and acknowledges something of one origin. */
async function asked(
  origin: OriginId,
): Promise<{ readonly tookMs: number; readonly vector: readonly OriginState[] }> {
  const pulled = serving.pull([], { ack: new Map([[origin, 2]]), maxWaitMs: 5_000 })
  const tookMs = await took(pulled)
  return { tookMs, vector: (await pulled).vector }
}

function madeUp(count: number): [OriginId, number][] {
  return Array.from({ length: count }, (_, at) => [at.toString(16).padStart(32, '0'), 9])
}

/** A log that cannot give the batches of one origin. */
function withheld(log: Log, origin: OriginId, code: string): ReplicaLog {
  return Object.assign(Object.create(log) as Log, {
    readBatches: async (asked: OriginId, from: number, bytesMax: number) => {
      if (asked === origin) throw new KithError(code, 'a bit flipped, or the disk is gone')
      return log.readBatches(asked, from, bytesMax)
    },
  })
}
