/** Retention: what goes, what stays, and what everybody sees of it. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import {
  assert as assertProperty,
  constantFrom,
  integer,
  option,
  property,
  record,
} from 'fast-check'
import { describe, expect, it } from 'vitest'
import { judgeOldest } from '../src/core/retain.ts'
import type { RetentionPolicy } from '../src/core/retain.ts'
import type { Log, LogOptions } from '../src/index.ts'
import {
  all,
  allValues,
  codeOf,
  durableKinds,
  home,
  kinds,
  makeBatch,
  manualClock,
  pulled,
  records,
  started,
} from './support.ts'

const stranger = 'ab'.repeat(16)
const replica = (mark: number): string => mark.toString(16).padStart(2, '0').repeat(16)

/** Appends `count` batches of `each` records. */
async function fill(log: Log, count: number, each = 2): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    await log.append(records(each, log.status().next))
  }
}

function bytesHeld(log: Log): number {
  return log.status().bytes
}

describe('the rule of retention', () => {
  it('LOG-42 LOG-43 lets go of what a bound says and enough others have, or the hard bound says', () => {
    const bound = option(integer({ min: 0, max: 10 }), { nil: undefined })
    assertProperty(
      property(
        record({ bytesMax: bound, recordsMax: bound, ageMsMax: bound, hardBytesMax: bound }),
        record({ bytes: integer({ min: 1, max: 12 }), records: integer({ min: 1, max: 12 }) }),
        integer({ min: 0, max: 12 }),
        constantFrom(0, 1, 2),
        constantFrom(0, 1, 2),
        (bounds, held, age, minReplicas, replicas) => {
          const policy = { ...bounds, minReplicas } as RetentionPolicy
          const batch = { storedAt: 100 - age }
          const over = (value: number, limit: number | undefined): boolean =>
            limit !== undefined && value > limit
          const hard = over(held.bytes, bounds.hardBytesMax)
          const due =
            hard ||
            over(held.bytes, bounds.bytesMax) ||
            over(held.records, bounds.recordsMax) ||
            over(age, bounds.ageMsMax)
          const free = replicas >= minReplicas
          const wanted = !due ? 'keep' : free ? 'drop' : hard ? 'force' : 'held'
          expect(judgeOldest(policy, held, batch, () => replicas, 100)).toBe(wanted)
        },
      ),
    )
  })
})

describe.each(kinds)('retention of a %s log', (kind) => {
  it('LOG-42 drops whole batches from the front until each bound holds', async () => {
    const log = await started(home(kind))
    await fill(log, 10)
    expect(await log.retain({})).toMatchObject({ batches: 0, floor: 0, heldBy: undefined })
    // Five records at most are two batches of two: a batch goes whole or not at all.
    const byCount = await log.retain({ recordsMax: 5 })
    expect(byCount).toMatchObject({ batches: 8, records: 16, floor: 16, forced: 0 })
    expect(log.status()).toMatchObject({ records: 4, floor: 16, next: 20 })
    expect(log.vector()).toMatchObject([{ floor: 17, next: 21 }])
    const left = bytesHeld(log)
    const bySize = await log.retain({ bytesMax: left - 1 })
    expect(bySize).toMatchObject({ batches: 1, floor: 18, bytes: left - bytesHeld(log) })
    expect(await allValues(log)).toEqual(['record 18', 'record 19'])
    expect(await log.verify()).toMatchObject({ ok: true, records: 2 })
    expect(await log.retain({ recordsMax: 0 })).toMatchObject({ floor: 20, records: 2 })
    expect(log.status()).toMatchObject({ records: 0, bytes: 0, floor: 20, next: 20 })
    expect(log.vector()).toMatchObject([{ floor: 21, next: 21 }])
    expect(await log.verify()).toMatchObject({ ok: true, records: 0 })
    expect(await log.append(records(1))).toMatchObject({ first: 21, offset: 20 })
    expect(log.status().metrics).toMatchObject({ droppedBatches: 10, droppedRecords: 20 })
  })

  it('LOG-42 drops by the age of storing, not by what records say of themselves', async () => {
    const clock = manualClock()
    const log = await started({ ...home(kind), clock })
    await fill(log, 2)
    clock.advance(1_000)
    await log.applyBatches([makeBatch(stranger).bytes])
    await fill(log, 1)
    clock.advance(500)
    expect(await log.retain({ ageMsMax: 1_500 })).toMatchObject({ batches: 0 })
    expect(await log.retain({ ageMsMax: 1_499 })).toMatchObject({ batches: 2, floor: 4 })
    expect(await log.retain({ ageMsMax: 499 })).toMatchObject({ batches: 2, floor: 9 })
  })

  it('LOG-42 is as it was left after a restart, and goes on from there', async () => {
    const options = home(kind)
    const log = await started(options)
    await fill(log, 4)
    await log.applyBatches([makeBatch(stranger).bytes], new Map([[stranger, 'elsewhere']]))
    await fill(log, 2)
    await log.retain({ recordsMax: 8 })
    const { origin } = log
    const [vector, values] = [log.vector(), await allValues(log)]
    expect(log.status()).toMatchObject({ floor: 8, next: 15 })
    await log.stop()
    const again = await started(options)
    expect(again.vector()).toEqual(vector)
    expect(await allValues(again)).toEqual(values)
    expect(again.status()).toMatchObject({ floor: 8, records: 7, gate: 'open' })
    expect(await again.verify()).toMatchObject({ ok: true, records: 7 })
    await again.retain({ recordsMax: 0 })
    await again.stop()
    const empty = await started(options)
    expect(empty.status()).toMatchObject({ floor: 15, next: 15, records: 0, gate: 'open' })
    expect(await empty.append(records(1))).toMatchObject({ origin, first: 13, offset: 15 })
    expect(await empty.verify()).toMatchObject({ ok: true, records: 1 })
  })

  it('LOG-43 waits for enough other logs, and for none where the origin is quarantined', async () => {
    const log = await started(home(kind))
    await fill(log, 3)
    const policy = { recordsMax: 0, minReplicas: 2 }
    expect(await log.retain(policy)).toMatchObject({ batches: 0, heldBy: 'replicas' })
    log.acknowledged(replica(1), new Map([[log.origin, 7]]), '', all(log))
    log.acknowledged(replica(2), new Map([[log.origin, 4]]), '', all(log))
    // The second batch ends at 5, past what the second log has.
    expect(await log.retain(policy)).toMatchObject({ batches: 1, floor: 2, heldBy: 'replicas' })
    expect(log.status().metrics['retentionHeld']).toBe(1)
    log.acknowledged(replica(2), new Map([[log.origin, 7]]), '', all(log))
    await log.applyBatches([makeBatch(stranger).bytes])
    await log.quarantine(stranger, 'two histories')
    expect(await log.retain(policy)).toMatchObject({ batches: 3, floor: 9, heldBy: undefined })
    expect(log.status().metrics['retentionHeld']).toBe(0)
  })

  it('LOG-41 LOG-43 does not count a log that its member replaced', async () => {
    const log = await started(home(kind))
    await fill(log, 1)
    log.acknowledged(replica(1), new Map([[log.origin, 3]]), 'b', all(log))
    log.acknowledged(replica(2), new Map([[log.origin, 1]]), 'b', all(log))
    const policy = { recordsMax: 0, minReplicas: 1 }
    expect(await log.retain(policy)).toMatchObject({ batches: 0, heldBy: 'replicas' })
    log.acknowledged(replica(2), new Map([[log.origin, 3]]), 'b', all(log))
    expect(await log.retain(policy)).toMatchObject({ batches: 1 })
  })

  it('LOG-43 does not count a log for batches from before it began to store them', async () => {
    const log = await started(home(kind))
    await fill(log, 3)
    const policy = { recordsMax: 0, minReplicas: 1 }
    const acknowledge = (mark: number, from: number, next: number): void => {
      const [end, begin] = [new Map([[log.origin, next]]), new Map([[log.origin, from]])]
      log.acknowledged(replica(mark), end, '', begin)
    }
    acknowledge(1, 3, 7)
    acknowledge(2, 2, 7)
    expect(await log.retain(policy)).toMatchObject({ batches: 0, heldBy: 'replicas' })
    // Before and behind what a log passed over: the part before is not remembered.
    acknowledge(3, 1, 3)
    acknowledge(3, 5, 7)
    expect(await log.retain(policy)).toMatchObject({ batches: 0, heldBy: 'replicas' })
    acknowledge(4, 1, 3)
    expect(await log.retain(policy)).toMatchObject({ batches: 3, heldBy: undefined })
  })

  it('LOG-74 knows from where on it stored an origin, whatever it dropped since', async () => {
    const options = home(kind)
    let log = await started(options)
    const [whole, late, holed] = ['aa'.repeat(16), 'bb'.repeat(16), 'cc'.repeat(16)] as const
    const lost = '09'.repeat(32)
    const said = (): unknown =>
      [whole, late, holed].map((origin) => {
        const state = log.vector().find((one) => one.origin === origin)
        return [state?.storedFrom, state?.floor]
      })
    await log.recordGap(late, 9, lost, 'lost')
    await log.applyBatches([makeBatch(holed).bytes])
    await log.recordGap(holed, 9, lost, 'lost')
    const batches = [makeBatch(whole), makeBatch(late, 9, lost), makeBatch(holed, 9, lost)]
    await log.applyBatches(batches.map((batch) => batch.bytes))
    expect(said()).toEqual([
      [undefined, 1],
      [undefined, 9],
      [undefined, 1],
    ])
    await log.retain({ recordsMax: 3 })
    // The hole went with what was before it, and all but the last batch.
    expect(said()).toEqual([
      [1, 4],
      [9, 12],
      [undefined, 9],
    ])
    await log.retain({ recordsMax: 0 })
    expect(said()).toEqual([
      [1, 4],
      [9, 12],
      [9, 12],
    ])
    if (kind !== 'memory') {
      await log.stop()
      log = await started(options)
      expect(said()).toEqual([
        [1, 4],
        [9, 12],
        [9, 12],
      ])
    }
    // Where something is passed over again, nothing before it counts.
    await log.recordGap(late, 20, lost, 'lost')
    expect(said()).toEqual([
      [1, 4],
      [undefined, 12],
      [9, 12],
    ])
    await log.applyBatches([makeBatch(late, 20, lost).bytes])
    await log.retain({ recordsMax: 0 })
    expect(said()).toEqual([
      [1, 4],
      [20, 23],
      [9, 12],
    ])
    expect(await log.verify()).toMatchObject({ ok: true })
  })

  it('LOG-43 goes past the acknowledgements only for the hard bound, and says so', async () => {
    const log = await started(home(kind))
    await fill(log, 4)
    const events: unknown[] = []
    log.on('retained', (event) => events.push(event))
    log.on('retentionForced', (event) => events.push(event))
    const batch = bytesHeld(log) / 4
    const policy = { bytesMax: 0, minReplicas: 1, hardBytesMax: Math.floor(2.5 * batch) }
    const report = await log.retain(policy)
    expect(report).toMatchObject({ batches: 2, forced: 2, floor: 4, heldBy: 'replicas' })
    expect(events).toEqual([
      { floor: 4, batches: 2, records: 4, bytes: report.bytes },
      { floor: 4, batches: 2, minReplicas: 1 },
    ])
    expect(log.status().metrics['forcedBatches']).toBe(2)
  })

  it('LOG-44 names the floor to whoever asks for less, and begins there by default', async () => {
    const log = await started(home(kind))
    await fill(log, 5)
    const late = log.tail({ from: 0 })[Symbol.asyncIterator]()
    expect((await late.next()).value).toMatchObject({ offset: 0 })
    await log.retain({ recordsMax: 4 })
    const error = await log.read({ from: 5 }).catch((cause: unknown) => cause)
    expect(error).toMatchObject({
      code: 'ERR_LOG_DROPPED',
      details: { from: 5, floor: 6, next: 10 },
    })
    expect(String(error)).toContain('6 to 10')
    expect((await log.read()).records[0]).toMatchObject({ offset: 6 })
    expect(log.cursor('new').get()).toEqual({ next: 6, revision: 0 })
    const tail = log.tail()[Symbol.asyncIterator]()
    expect((await tail.next()).value).toMatchObject({ offset: 6 })
    expect(await codeOf(log.tail({ from: 0 })[Symbol.asyncIterator]().next())).toBe(
      'ERR_LOG_DROPPED',
    )
    expect(await codeOf(log.read({ from: 11 }))).toBe('ERR_LOG_OFFSET_OUT_OF_RANGE')
    // A tail that was overtaken has the page it read before, and then the error: nothing is
    // passed over.
    const seen: number[] = []
    const rest = (async () => {
      for (let next = await late.next(); next.done !== true; next = await late.next()) {
        seen.push(next.value.offset)
        if (seen.length === 9)
          await log.append(records(1)).then(() => log.retain({ recordsMax: 0 }))
        if (seen.length === 9) await log.append(records(1))
      }
    })()
    expect(await codeOf(rest)).toBe('ERR_LOG_DROPPED')
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  it('LOG-46 answers what was dropped as a gap, and is not confused by its return', async () => {
    const log = await started(home(kind))
    await fill(log, 3)
    const mine = await pulled(log)
    const one = makeBatch(stranger)
    await log.applyBatches([one.bytes])
    await log.retain({ recordsMax: 5 })
    const run = await log.readBatches(log.origin, 1, 1_000)
    expect(run).toMatchObject({ kind: 'gap', resume: 5 })
    expect(await log.readBatches(log.origin, 5, 1_000)).toMatchObject({
      kind: 'batches',
      previousChain: run.kind === 'gap' ? run.chainBefore : '',
    })
    expect(await log.chainAt(log.origin, 3)).toBe(undefined)
    expect(await log.chainAt(log.origin, 5)).toBe(run.kind === 'gap' ? run.chainBefore : '')
    expect(await log.fetchBatch(log.origin, 1)).toBe(undefined)
    // Our own dropped batches are no sign that our past was lost.
    const { origin } = log
    expect((await log.applyBatches(mine)).outcomes).toEqual(['duplicate', 'duplicate', 'duplicate'])
    expect(log.origin).toBe(origin)
    await log.retain({ recordsMax: 0 })
    const chain = log.vector().find((state) => state.origin === stranger)?.chain
    expect(await log.readBatches(stranger, 1, 1_000)).toEqual({
      kind: 'gap',
      resume: 4,
      chainBefore: chain,
    })
    expect((await log.applyBatches([one.bytes])).outcomes).toEqual(['duplicate'])
    const next = makeBatch(stranger, 4, one.chain)
    expect((await log.applyBatches([next.bytes])).outcomes).toEqual(['applied'])
    expect(await log.verify()).toMatchObject({ ok: true, records: 3 })
  })

  it('LOG-46 declares a loss behind what it dropped as a hole, and a beginning as a floor', async () => {
    const options = home(kind)
    const log = await started(options)
    await log.applyBatches([makeBatch(stranger).bytes])
    await log.retain({ recordsMax: 0 })
    await log.recordGap(stranger, 9, '09'.repeat(32), 'lost')
    const state = (): unknown => log.vector().find(({ origin }) => origin === stranger)
    expect(state()).toMatchObject({ floor: 4, next: 9, holes: [{ from: 4, to: 9 }] })
    const gap = { kind: 'gap', resume: 9, chainBefore: '09'.repeat(32) }
    expect(await log.readBatches(stranger, 1, 1_000)).toEqual(gap)
    expect(await log.readBatches(stranger, 6, 1_000)).toEqual(gap)
    expect(await log.chainAt(stranger, 4)).toBe(undefined)
    expect(await log.verify()).toMatchObject({ ok: true })
    await log.applyBatches([makeBatch(stranger, 9, '09'.repeat(32)).bytes])
    await log.stop()
    const again = await started(options)
    expect(again.status()).toMatchObject({ gate: 'open', floor: 3, records: 3 })
    expect(await again.verify()).toMatchObject({ ok: true, records: 3 })
    await again.retain({ recordsMax: 0 })
    const left = again.vector().find(({ origin }) => origin === stranger)
    expect(left).toMatchObject({ floor: 12, next: 12, holes: [] })
    await again.recordGap('cd'.repeat(16), 5, '05'.repeat(32), 'never held')
    expect(again.vector().find(({ origin }) => origin === 'cd'.repeat(16))).toMatchObject({
      floor: 5,
      holes: [],
    })
  })

  it('LOG-42 passes a hole between what it drops', async () => {
    const log = await started(home(kind))
    await log.applyBatches([makeBatch(stranger).bytes])
    await log.recordGap(stranger, 9, '09'.repeat(32), 'lost')
    await log.applyBatches([makeBatch(stranger, 9, '09'.repeat(32)).bytes])
    await fill(log, 1)
    expect(await log.retain({ recordsMax: 5 })).toMatchObject({ batches: 1, floor: 3 })
    expect(log.vector().find(({ origin }) => origin === stranger)).toMatchObject({
      floor: 9,
      holes: [],
    })
    expect(await log.retain({ recordsMax: 2 })).toMatchObject({ batches: 1, heldBy: undefined })
    expect(await log.verify()).toMatchObject({ ok: true, records: 2 })
  })

  it('LOG-47 retains by itself every checkMs', async () => {
    const clock = manualClock()
    const options: LogOptions = {
      ...home(kind),
      clock,
      retention: { recordsMax: 4, checkMs: 1_000 },
    }
    const log = await started(options)
    await fill(log, 4)
    for (const floor of [4, 8]) {
      const retained = new Promise((resolve) => log.on('retained', resolve))
      clock.advance(1_000)
      expect(await retained).toMatchObject({ floor, batches: 2 })
      // The next look is due only once this one has ended.
      await new Promise((resolve) => setImmediate(resolve))
      await fill(log, 2)
    }
    await log.stop()
    clock.advance(10_000)
  })

  it('LOG-8 refuses bounds that cannot be, all at once', async () => {
    const log = await started(home(kind))
    const bad = { bytesMax: -1, keepMs: 5, hardBytesMax: 3, minReplicas: 0.5 }
    const error = await log.retain(bad as RetentionPolicy).catch((cause: unknown) => cause)
    expect(error).toMatchObject({ code: 'ERR_LOG_OPTIONS' })
    for (const field of ['bytesMax', 'keepMs', 'minReplicas']) {
      expect(String(error)).toContain(field)
    }
  })
})

describe.each(durableKinds)('retention of a %s log in a directory', (kind) => {
  it.skipIf(kind === 'segment')('LOG-42 uses the space of what it dropped again', async () => {
    const options = home(kind)
    const log = await started(options)
    const value = new Uint8Array(60_000).fill(9)
    const sizes: number[] = []
    for (let round = 0; round < 6; round += 1) {
      await Promise.all(Array.from({ length: 40 }, () => log.append({ value })))
      await log.retain({ bytesMax: 1_500_000 })
      sizes.push(log.status().bytes)
    }
    expect(Math.max(...sizes)).toBeLessThan(1_500_001)
    await log.stop()
    // Six rounds of 2.4 MB went through a file that never held more than one and a half.
    expect(statSync(join(options.directory ?? '', 'log.db')).size).toBeLessThan(6_000_000)
  })

  it('LOG-42 LOG-44 readers, replicas and verification go on while it drops', async () => {
    const log = await started(home(kind))
    await fill(log, 400, 1)
    let running = true
    const outcomes = new Set<string>()
    const reading = (async () => {
      while (running) {
        outcomes.add(await codeOf(log.read({ from: log.status().floor, limit: 3 })))
        outcomes.add(await codeOf(log.readBatches(log.origin, 1, 500)))
        outcomes.add((await log.verify()).damage.map(({ reason }) => reason).join())
      }
    })()
    for (let left = 390; left >= 0; left -= 10) {
      await Promise.all([log.retain({ recordsMax: left }), log.append(records(1))])
    }
    running = false
    await reading
    outcomes.delete('ERR_LOG_DROPPED')
    expect([...outcomes].toSorted()).toEqual(['', 'resolved'])
  })
})
