import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { originChain } from '../src/core/index.ts'
import { nodeDigests } from '@kith/interface/node'
import { allValues, codeOf, home, kinds, makeBatch, pulled, records, started } from './support.ts'

const stranger = 'ab'.repeat(16)

/** Five of them, in batches of one record each. */
async function megabytes(): Promise<readonly Uint8Array[]> {
  const source = await started()
  const value = new Uint8Array(60_000)
  for (let at = 0; at < 84; at += 1) await source.append({ value })
  return pulled(source)
}

describe.each(kinds)('a %s log as a replica', (kind) => {
  it('LOG-9 LOG-10 takes each batch once, in order, whatever order they come in', async () => {
    const source = await started()
    for (let index = 0; index < 5; index += 1) await source.append(records(2, index * 2))
    const batches = await pulled(source)
    expect(batches.length).toBe(5)
    const log = await started(home(kind))
    await log.append(records(1, 100))
    const [b0, b1, b2, b3, b4] = batches as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ]
    const first = await log.applyBatches([b1, b0, b0, b1], new Map([[source.origin, 'src']]))
    expect(first).toMatchObject({
      outcomes: ['ahead', 'applied', 'duplicate', 'applied'],
      records: 4,
      duplicateBytes: b0.length,
    })
    const [x, y] = await Promise.all([
      log.applyBatches([b2, b3, b4]),
      log.applyBatches([b2, b3, b4]),
    ])
    expect(x?.outcomes).toEqual(['applied', 'applied', 'applied'])
    expect(y?.outcomes).toEqual(['duplicate', 'duplicate', 'duplicate'])
    const own = source.vector()[0]
    expect(log.vector().find(({ origin }) => origin === source.origin)).toEqual({
      ...own,
      own: false,
      member: 'src',
    })
    expect(await pulled(log, source.origin)).toEqual(batches)
    expect((await allValues(log)).slice(1)).toEqual(await allValues(source))
    expect(await log.verify()).toMatchObject({ ok: true, records: 11 })
  })

  it('LOG-75 leaves the event loop its turns while it takes megabytes', async () => {
    const batches = await megabytes()
    const options = home(kind)
    let inTurn = 0
    const sha256 = (...parts: readonly Uint8Array[]): Uint8Array => {
      for (const { length } of parts) inTurn += length
      return nodeDigests.sha256(...parts)
    }
    const log = await started({ ...options, digests: { ...nodeDigests, sha256 } })
    let over = false
    inTurn = 0
    const taken = log.applyBatches(batches).finally(() => (over = true))
    const turns: number[] = []
    const appended: Promise<unknown>[] = []
    while (!over) {
      turns.push(inTurn)
      inTurn = 0
      // What comes in between stands between, and everything is whole.
      if (turns.length <= 3) appended.push(log.append(records(1, turns.length)))
      await setImmediate()
    }
    turns.push(inTurn)
    expect(turns.filter((bytes) => bytes > 0).length).toBeGreaterThanOrEqual(5)
    expect(Math.max(...turns)).toBeLessThan(1.1 * 1024 * 1024)
    const { outcomes } = await taken
    expect(new Set(outcomes)).toEqual(new Set(['applied']))
    await Promise.all(appended)
    const all = outcomes.length + 3
    expect(await log.verify()).toMatchObject({ ok: true, records: all })
    await log.stop()
    if (kind === 'memory') return
    expect(await (await started(options)).verify()).toMatchObject({ ok: true, records: all })
  })

  it('LOG-75 stores a megabyte while it looks at the next', async () => {
    const batches = await megabytes()
    const log = await started(home(kind))
    const flushes = (): number =>
      log.status().latency?.flush.counts.reduce((sum, count) => sum + count, 0) ?? 0
    const before = flushes()
    await log.applyBatches(batches)
    expect(flushes() - before).toBe(5)
    expect(await log.verify()).toMatchObject({ ok: true, records: batches.length })
  })

  it('LOG-75 a log that stops meanwhile says so, and has taken what came first', async () => {
    const batches = await megabytes()
    const options = home(kind)
    const log = await started(options)
    const taken = codeOf(log.applyBatches(batches))
    await setImmediate()
    await log.stop()
    expect(await taken).toBe('ERR_LOG_CLOSED')
    const again = await started(options)
    const { records: held } = again.status()
    expect(held).toBeGreaterThan(0)
    expect(held).toBeLessThan(batches.length)
    const { outcomes } = await again.applyBatches(batches)
    expect(outcomes.filter((outcome) => outcome === 'duplicate').length).toBe(held)
    expect(await again.verify()).toMatchObject({ ok: true, records: batches.length })
  })

  it('LOG-81 what was read for a member is freed, and nobody else notices', async () => {
    const log = await started(home(kind))
    for (let at = 0; at < 6; at += 1) await log.append({ value: new Uint8Array(50_000).fill(at) })
    const read = async (from = 1) => {
      const run = await log.readBatches(log.origin, from, 220_000)
      if (run.kind !== 'batches') throw new Error(run.kind)
      return run
    }
    // Only a truth is compared: bytes that differ would be shown one by one, for minutes.
    const same = (some: readonly Uint8Array[], others: readonly Uint8Array[]): boolean =>
      some.length === others.length &&
      some.every((bytes, at) => Buffer.compare(bytes, others[at] ?? Buffer.alloc(0)) === 0)
    const shown = async () => (await log.read({ limit: 1 })).records.map(({ value }) => value)
    // One that is kept already, as a reader of records left it.
    const values = (await shown()).map((value) => value.slice())
    const other = await read()
    const copies = other.batches.map((bytes) => bytes.slice())
    expect(copies.length).toBe(4)
    const run = await read()
    expect(same(run.batches, copies)).toBe(true)
    expect(run.release === undefined).toBe(kind === 'memory')
    run.release?.()
    run.release?.()
    if (kind !== 'memory') expect(run.batches.at(-1)?.length).toBe(0)
    expect(same(other.batches, copies)).toBe(true)
    expect(same((await read()).batches, copies)).toBe(true)
    expect(same(await shown(), values)).toBe(true)
    // Of a run in which no batch is kept all are freed, however often one like it is read.
    for (let times = 0; times < 2; times += 1) {
      const { batches, release } = await read(3)
      expect(same(batches.slice(0, 2), copies.slice(2))).toBe(true)
      release?.()
      if (kind !== 'memory') expect(batches.map(({ length }) => length)).toEqual([0, 0, 0, 0])
    }
    const texts = (await allValues(log)).map((value) => value.codePointAt(0))
    expect(texts).toEqual([0, 1, 2, 3, 4, 5])
  })

  it('LOG-11 quarantines a forked origin for good, and only that one', async () => {
    const options = home(kind)
    const log = await started(options)
    const one = makeBatch(stranger)
    const fork = makeBatch(stranger, one.next, 'cd'.repeat(32))
    const events: unknown[] = []
    log.on('quarantine', (event) => events.push(event))
    const report = await log.applyBatches([one.bytes, fork.bytes, one.bytes])
    expect(report.outcomes).toEqual(['applied', 'fork', 'quarantined'])
    expect(events).toMatchObject([{ origin: stranger }])
    expect(await log.readBatches(stranger, 1, 1_000)).toEqual({ kind: 'quarantined' })
    expect(await log.fetchBatch(stranger, 1)).toBe(undefined)
    await log.append(records(1))
    await log.stop()
    const again = await started(options)
    expect(again.vector().find(({ origin }) => origin === stranger)?.status).toBe('quarantined')
    expect((await again.applyBatches([one.bytes])).outcomes).toEqual(['quarantined'])
    expect((await again.append(records(1))).first).toBe(2)
    expect(await again.verify()).toMatchObject({ ok: true })
  })

  it('LOG-12 changes nothing for corrupt, newer or oversized batches', async () => {
    const log = await started(home(kind))
    const { bytes } = makeBatch(stranger)
    const corrupt = Uint8Array.from(bytes)
    corrupt[70] = (corrupt[70] ?? 0) ^ 4
    const newer = makeBatch(stranger).bytes
    newer[3] = 1
    const view = new DataView(newer.buffer)
    view.setUint32(4, 0, true)
    view.setUint32(4, nodeDigests.crc32(newer.subarray(0, 64)), true)
    const unsupported: unknown[] = []
    log.on('unsupported', (event) => unsupported.push(event))
    const before = log.vector()
    const report = await log.applyBatches([
      corrupt,
      newer,
      new Uint8Array(3_000_000),
      bytes.subarray(0, 80),
    ])
    expect(report.outcomes).toEqual(['corrupt', 'unsupported', 'corrupt', 'corrupt'])
    expect(unsupported).toEqual([{ why: 'a batch has an unknown flags' }])
    expect(log.vector()).toEqual(before)
  })

  it('LOG-13 gives up its origin when a member shows more of it than it holds', async () => {
    const options = home(kind)
    const log = await started({ ...options, member: 'me' })
    await log.append(records(3))
    const past = log.origin
    const mine = await pulled(log)
    // What this log wrote before its disk went back in time.
    const lost = makeBatch(past, 4, log.vector()[0]?.chain, records(2, 3))
    const rotations: unknown[] = []
    log.on('rotate', (event) => rotations.push(event))
    expect((await log.applyBatches(mine)).outcomes).toEqual(['duplicate'])
    expect(log.origin).toBe(past)
    expect((await log.applyBatches([lost.bytes])).outcomes).toEqual(['applied'])
    expect(log.origin).not.toBe(past)
    expect(rotations).toMatchObject([{ from: past, to: log.origin }])
    expect((await log.append(records(1, 5))).first).toBe(1)
    expect(log.vector().find(({ origin }) => origin === past)).toMatchObject({
      status: 'sealed',
      next: 6,
      own: false,
    })
    expect(await allValues(log)).toEqual(Array.from({ length: 6 }, (_, index) => `record ${index}`))
    await log.stop()
    const again = await started(options)
    expect(
      again
        .vector()
        .filter(({ own }) => own)
        .map(({ member }) => member),
    ).toEqual(['me'])
    expect(await again.verify()).toMatchObject({ ok: true, records: 6 })
  })

  it('LOG-70 retires an origin where it ends, until more of it comes', async () => {
    const options = home(kind)
    const log = await started(options)
    const one = makeBatch(stranger)
    await log.applyBatches([one.bytes], new Map([[stranger, 'gone']]))
    const events: unknown[] = []
    log.on('retire', (event) => events.push(event))
    log.on('revive', (event) => events.push(event))
    const refused = (origin: string, next: number): Promise<string> =>
      codeOf(log.retire(origin, next, 'its disk is gone'))
    expect(await refused(log.origin, 1)).toBe('ERR_LOG_RETIRE')
    expect(await refused('ef'.repeat(16), 1)).toBe('ERR_LOG_RETIRE')
    expect(await refused(stranger, one.next + 1)).toBe('ERR_LOG_RETIRE')
    await log.retire(stranger, one.next, 'its disk is gone')
    await log.retire(stranger, one.next, 'told twice')
    const ended = { origin: stranger, member: 'gone', next: one.next }
    expect(events).toEqual([{ ...ended, why: 'its disk is gone' }])
    await log.stop()
    const again = await started(options)
    again.on('revive', (event) => events.push(event))
    const statusOf = (): unknown => again.vector().find(({ origin }) => origin === stranger)?.status
    expect(statusOf()).toBe('retired')
    expect((await again.applyBatches([one.bytes])).outcomes).toEqual(['duplicate'])
    expect(await pulled(again, stranger)).toEqual([one.bytes])
    expect(statusOf()).toBe('retired')
    const two = makeBatch(stranger, one.next, one.chain)
    expect((await again.applyBatches([two.bytes])).outcomes).toEqual(['applied'])
    expect(statusOf()).toBe('live')
    expect(events.slice(1)).toEqual([ended])
    await again.quarantine(stranger, 'a test')
    expect(await codeOf(again.retire(stranger, two.next, 'no'))).toBe('ERR_LOG_RETIRE')
    expect(await again.verify()).toMatchObject({ ok: true })
  })

  it('LOG-11 LOG-13 rotates and quarantines when its own origin forked', async () => {
    const log = await started(home(kind))
    await log.append(records(3))
    const past = log.origin
    const other = makeBatch(past, 1, originChain(past, nodeDigests), records(4, 50))
    expect((await log.applyBatches([other.bytes])).outcomes).toEqual(['fork'])
    expect(log.origin).not.toBe(past)
    expect(log.vector().find(({ origin }) => origin === past)?.status).toBe('quarantined')
    expect((await log.append(records(1))).first).toBe(1)
  })

  it('LOG-79 says of a stopped origin why, and where its batches begin and end', async () => {
    const options = home(kind)
    const log = await started(options)
    const told: unknown[] = []
    log.on('quarantine', (event) => told.push(event))
    const one = makeBatch(stranger, 1, originChain(stranger, nodeDigests), records(3))
    const two = makeBatch(stranger, one.next, one.chain, records(2))
    await log.applyBatches([one.bytes, two.bytes])
    await log.quarantine(stranger, 'b holds another history')
    await log.quarantine(stranger, 'it parts at 4')
    expect(told).toEqual([{ origin: stranger, why: 'b holds another history' }])
    await log.stop()
    const again = await started(options)
    const state = again.vector().find(({ origin }) => origin === stranger)
    expect(state).toMatchObject({ status: 'quarantined', why: 'it parts at 4' })
    expect(again.vector().filter(({ why }) => why !== undefined).length).toBe(1)
    const start = originChain(stranger, nodeDigests)
    const first = { first: 1, next: 4, previousChain: start, chain: one.chain }
    const second = { first: 4, next: 6, previousChain: one.chain, chain: two.chain }
    const found = await Promise.all(
      [0, 1, 3, 4, 5, 6, 1.5].map((sequence) => again.batchBounds(stranger, sequence)),
    )
    expect(found).toEqual([undefined, first, first, second, second, undefined, undefined])
    expect(await again.batchBounds('00'.repeat(16), 1)).toBe(undefined)
  })

  it('LOG-79 of what was dropped or is lost there are no batches', async () => {
    const log = await started(home(kind))
    const one = makeBatch(stranger, 1, originChain(stranger, nodeDigests), records(3))
    const two = makeBatch(stranger, one.next, one.chain, records(3))
    await log.applyBatches([one.bytes, two.bytes])
    await log.recordGap(stranger, 10, '10'.repeat(32), 'a test')
    await log.applyBatches([makeBatch(stranger, 10, '10'.repeat(32), records(3)).bytes])
    await log.retain({ recordsMax: 6 })
    const found = await Promise.all(
      [3, 4, 7, 9, 10].map((sequence) => log.batchBounds(stranger, sequence)),
    )
    expect(found.map((bounds) => bounds?.next)).toEqual([undefined, 7, undefined, undefined, 13])
  })

  it('LOG-15 rotates once an hour, and appends nothing while another rotation is owed', async () => {
    let wall = 1_700_000_000_000
    const { systemClock } = await import('@kith/interface/node')
    const clock = { ...systemClock, wallNow: () => wall }
    const options = { ...home(kind), clock }
    const log = await started(options)
    await log.append(records(1))
    const second = await log.rotate('asked')
    expect(log.origin).toBe(second)
    expect((await log.append(records(1))).origin).toBe(second)
    expect(await codeOf(log.rotate('again'))).toBe('ERR_LOG_ROTATION_RATE')
    expect(await codeOf(log.append(records(1)))).toBe('ERR_LOG_ROTATION_RATE')
    expect(log.status().gate).toBe('refused')
    await log.stop()
    const again = await started(options)
    expect(await codeOf(again.append(records(1)))).toBe('ERR_LOG_ROTATION_RATE')
    wall += 3_600_000
    const result = await again.append(records(1))
    expect(result).toMatchObject({ first: 1, origin: again.origin })
    expect(again.origin).not.toBe(second)
    expect(again.status().gate).toBe('open')
  })

  it('LOG-15 a rotation asked for while one is under way is that one', async () => {
    let wall = 1_700_000_000_000
    const { systemClock } = await import('@kith/interface/node')
    const log = await started({ ...home(kind), clock: { ...systemClock, wallNow: () => wall } })
    await log.append(records(1))
    const [second, same] = await Promise.all([log.rotate('asked'), log.rotate('asked twice')])
    expect([second, same]).toEqual([log.origin, log.origin])
    expect((await log.append(records(1))).origin).toBe(second)
    expect(await codeOf(log.rotate('too soon'))).toBe('ERR_LOG_ROTATION_RATE')
    wall += 3_600_000
    const append = log.append(records(1))
    const third = await log.rotate('asked again, as the append rotates')
    expect(await append).toMatchObject({ first: 1, origin: third })
    expect(third).not.toBe(second)
    expect((await log.append(records(1))).origin).toBe(third)
    expect(log.status().gate).toBe('open')
  })

  it('LOG-33 keeps a floor where nothing was held, and a hole where something was lost', async () => {
    const options = home(kind)
    const log = await started(options)
    const gaps: unknown[] = []
    log.on('gap', (event) => gaps.push(event))
    const chain9 = '09'.repeat(32)
    const nine = makeBatch(stranger, 9, chain9)
    const far = makeBatch(stranger, 20, '20'.repeat(32))
    await log.recordGap(stranger, 9, chain9, 'never held')
    expect(log.vector().find(({ own }) => !own)).toMatchObject({ floor: 9, next: 9, holes: [] })
    await log.applyBatches([nine.bytes])
    await log.recordGap(stranger, 20, '20'.repeat(32), 'lost')
    await log.applyBatches([far.bytes])
    const expected = { floor: 9, next: 23, chain: far.chain, holes: [{ from: 12, to: 20 }] }
    expect(log.vector().find(({ own }) => !own)).toMatchObject(expected)
    expect(gaps).toMatchObject([
      { from: 1, to: 9 },
      { from: 12, to: 20, why: 'lost' },
    ])
    await log.stop()
    const again = await started(options)
    expect(again.vector().find(({ own }) => !own)).toMatchObject(expected)
    const gap9 = { kind: 'gap', resume: 9, chainBefore: chain9 }
    expect(await again.readBatches(stranger, 1, 9_999)).toEqual(gap9)
    expect(await again.readBatches(stranger, 15, 9_999)).toEqual({
      kind: 'gap',
      resume: 20,
      chainBefore: '20'.repeat(32),
    })
    expect(await again.readBatches(stranger, 9, 9_999)).toMatchObject({ kind: 'batches', next: 12 })
    expect(await again.chainAt(stranger, 9)).toBe(chain9)
    expect(await again.chainAt(stranger, 12)).toBe(nine.chain)
    expect(await again.chainAt(stranger, 15)).toBe(undefined)
    expect(await again.chainAt(stranger, 20)).toBe('20'.repeat(32))
    expect(await again.fetchBatch(stranger, 15)).toBe(undefined)
    expect(await again.verify()).toMatchObject({ ok: true })
    // Two losses in a row, and one at the very end.
    await again.recordGap(stranger, 30, '30'.repeat(32), 'lost')
    await again.recordGap(stranger, 35, '35'.repeat(32), 'lost')
    expect(await again.verify()).toMatchObject({ ok: true })
    const late = makeBatch(stranger, 35, '35'.repeat(32))
    expect((await again.applyBatches([late.bytes])).outcomes).toEqual(['applied'])
    expect(await again.verify()).toMatchObject({ ok: true })
    for (const [origin, resume, chain] of [
      [again.origin, 5, chain9],
      [stranger, 23, chain9],
      [stranger, 2.5, chain9],
      [stranger, 40, 'short'],
    ] as const) {
      expect(await codeOf(again.recordGap(origin, resume, chain, 'why'))).toBe('ERR_LOG_GAP')
    }
  })

  it('LOG-18 answers every question about an origin from what it durably holds', async () => {
    const log = await started(home(kind))
    await log.append(records(3))
    await log.append(records(4))
    const { origin } = log
    const state = log.vector()[0]
    expect(await log.readBatches(stranger, 1, 100)).toEqual({ kind: 'unknown' })
    expect(await log.readBatches(origin, 8, 100)).toEqual({
      kind: 'end',
      next: 8,
      chain: state?.chain,
    })
    expect(await log.readBatches(origin, 99, 100)).toMatchObject({ kind: 'end', next: 8 })
    const chain4 = await log.chainAt(origin, 4)
    expect(await log.readBatches(origin, 5, 100)).toEqual({
      kind: 'inside',
      first: 4,
      chain: chain4,
    })
    const one = await log.readBatches(origin, 1, 1)
    expect(one).toMatchObject({
      kind: 'batches',
      next: 4,
      previousChain: await log.chainAt(origin, 1),
    })
    const two = await log.readBatches(origin, 1, 100_000)
    expect(two).toMatchObject({ kind: 'batches', next: 8 })
    expect(await log.chainAt(origin, 1)).toBe(originChain(origin, nodeDigests))
    expect(await log.chainAt(origin, 8)).toBe(state?.chain)
    expect(await log.chainAt(origin, 2)).toBe(undefined)
    expect(await log.chainAt(origin, 9)).toBe(undefined)
    expect(await log.fetchBatch(origin, 4)).toEqual((await pulled(log))[1])
    expect(await log.fetchBatch(origin, 5)).toBe(undefined)
    expect(await log.fetchBatch(origin, 8)).toBe(undefined)
  })
})
