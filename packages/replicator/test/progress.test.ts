import { describe, expect, it } from 'vitest'
import { lagsOf, progressAfterMs, progressEveryMs, progressMembersMax } from '../src/core/index.ts'
import type { MemberLag } from '../src/core/index.ts'
import { batchOf, Core, logOf, originB, originX, stateOf } from './core-support.ts'

const ahead = (next: number) => stateOf(originB, next, { own: true })

function lag(core: Core, member: string, origin = originB): MemberLag | undefined {
  const { pairs } = lagsOf(core.state, core.now, 1_024)
  return pairs.find((pair) => pair.member === member && pair.origin === origin)
}

/** Takes a batch of so many records of origin B from a member, and applies it. */
function take(core: Core, member: string, first: number, count: number, bytes: number): void {
  core.answer(member, { batches: [batchOf(originB, first, count, bytes)] })
  core.applied(['applied'], [stateOf(originB, first + count)])
}

describe('lag by origin and member', () => {
  it('REP-43 records, bytes by the mean of what came, and for how long', () => {
    const core = new Core()
    core.meet('b', [ahead(101), stateOf(originX, 1)])
    core.meet('c', [stateOf(originB, 11)])
    expect(lag(core, 'b')).toMatchObject({ records: 100, bytesEstimate: undefined, forMs: 0 })
    core.now += 400
    take(core, 'b', 1, 10, 1_000)
    expect(lag(core, 'b')).toMatchObject({ records: 90, bytesEstimate: 9_000, forMs: 400 })
    expect(lag(core, 'c')).toMatchObject({ records: 0, bytesEstimate: 0, forMs: 0 })
    expect(lag(core, 'b', originX)).toMatchObject({ records: 0, forMs: 0 })
  })

  it('REP-43 the time ends once all is here that was known then, whatever became known since', () => {
    const core = new Core()
    core.meet('b', [ahead(11)])
    core.now += 300
    core.answer('b', { vector: [ahead(101)], vectorVersion: 2 })
    expect(lag(core, 'b')?.forMs).toBe(300)
    core.now += 100
    take(core, 'b', 1, 10, 1_000)
    expect(lag(core, 'b')).toMatchObject({ records: 90, forMs: 0 })
    core.now += 50
    expect(lag(core, 'b')?.forMs).toBe(50)
  })

  it('REP-43 it goes on over a lost connection, unknown meanwhile, and not to another log', () => {
    const core = new Core()
    core.meet('b', [ahead(11)])
    core.now += 100
    core.input({ kind: 'member', member: 'b', standing: 'failed', locator: 'b' })
    expect(lag(core, 'b')).toBeUndefined()
    core.meet('b', [ahead(11)])
    expect(lag(core, 'b')?.forMs).toBe(100)
    core.input({ kind: 'member', member: 'b', standing: 'failed', locator: 'b' })
    core.meet('b', [ahead(11)], { logId: logOf('z') })
    expect(lag(core, 'b')?.forMs).toBe(0)
  })

  it('REP-43 whom nobody heard lately, and what is quarantined, has no lag', () => {
    const core = new Core({}, [stateOf(originX, 1, { status: 'quarantined' })])
    core.meet('b', [ahead(11), stateOf(originX, 9)])
    expect(lag(core, 'b', originX)).toBeUndefined()
    expect(lag(core, 'b')?.records).toBe(10)
    core.now += 3 * core.state.tuning.pullWaitMs + 1
    expect(lag(core, 'b')).toBeUndefined()
  })

  it('REP-43 where there is no room those that are behind come first, and the rest is counted', () => {
    const core = new Core({}, [stateOf(originX, 5)])
    core.meet('b', [stateOf(originX, 5), ahead(11)])
    core.meet('c', [stateOf(originX, 5)])
    const { pairs, leftOut } = lagsOf(core.state, core.now, 2)
    expect(pairs.map(({ origin }) => origin)).toEqual([originB, originX])
    expect(leftOut).toBe(1)
  })
})

describe('progress', () => {
  it('REP-44 is told when a catch-up is long, every few seconds, and at its end', () => {
    const core = new Core()
    core.meet('b', [ahead(10_001)])
    let first = 1
    const until = core.now + progressAfterMs + 2 * progressEveryMs + 500
    while (core.now < until) {
      core.now += 100
      take(core, 'b', first, 10, 1_000)
      first += 10
    }
    const told = core.events('progress')
    expect(told.map(({ stage }) => stage)).toEqual(['begun', 'underWay', 'underWay'])
    expect(told[0]).toMatchObject({ forMs: progressAfterMs, records: 0, remainingMs: undefined })
    expect(told[1]).toMatchObject({
      ...{ forMs: progressAfterMs + progressEveryMs, origins: 1, unknownOrigins: 0 },
      // Told of what has just come before it was applied.
      ...{ held: 690, missing: 9_310, missingBytesEstimate: 931_000, remainingMs: 93_100 },
      from: [{ member: 'b', records: 9_310 }],
    })
    take(core, 'b', first, 10_001 - first, 1_000)
    expect(core.events('caughtUp')).toHaveLength(1)
    expect(core.events('progress').at(-1)).toMatchObject({
      ...{ stage: 'ended', origins: 0, missing: 0, remainingMs: 0, from: [] },
    })
    core.forget()
    core.pass(60_000)
    expect(core.events('progress')).toEqual([])
  })

  it('REP-44 what is over sooner is not told of', () => {
    const core = new Core()
    core.meet('b', [ahead(11)])
    core.now += progressAfterMs - 1
    take(core, 'b', 1, 10, 1_000)
    expect(core.events('caughtUp')).toHaveLength(1)
    expect(core.events('progress')).toEqual([])
  })

  it('REP-44 a log that is always a moment behind is not catching up, and has caught up so', () => {
    const core = new Core()
    core.meet('b', [ahead(11)])
    let next = 1
    /** Each time more is known before what was known has come. */
    const live = (rounds: number): void => {
      for (let round = 0; round < rounds; round += 1) {
        core.now += 100
        core.answer('b', { vector: [ahead(next + 30)], vectorVersion: core.now })
        take(core, 'b', next, 10, 1_000)
        next += 10
      }
    }
    live(200)
    expect(core.events('progress')).toEqual([])
    core.answer('b', { vector: [ahead(next + 1_000)], vectorVersion: core.now + 1 })
    core.now += progressAfterMs + 400
    take(core, 'b', next, 10, 1_000)
    core.input({ kind: 'deadline' })
    expect(core.events('progress').map(({ stage }) => stage)).toEqual(['begun'])
    core.answer('b', { vector: [ahead(next + 1_030)], vectorVersion: core.now + 2 })
    take(core, 'b', next + 10, 990, 1_000)
    next += 1_000
    live(200)
    expect(core.events('caughtUp')).toEqual([])
    expect(core.events('progress').at(-1)?.stage).toBe('ended')
    expect(core.state.owed.size).toBe(1)
  })

  it('REP-44 losing the holder is no end, and what is missing then is unknown', () => {
    const core = new Core()
    core.meet('b', [ahead(101)])
    core.meet('c', [])
    core.now += progressAfterMs
    core.answer('c', {})
    expect(core.events('progress').map(({ stage }) => stage)).toEqual(['begun'])
    core.input({ kind: 'member', member: 'b', standing: 'failed', locator: 'b' })
    for (let look = 0; look < 3; look += 1) {
      core.now += progressEveryMs
      core.input({ kind: 'deadline' })
    }
    expect(core.events('progress')).toHaveLength(4)
    const last = core.events('progress').at(-1)
    expect(last).toMatchObject({ stage: 'underWay', missing: 'unknown', unknownOrigins: 1 })
    expect(last).toMatchObject({ missingBytesEstimate: undefined, remainingMs: undefined })
  })

  it('REP-44 names so many members at most, those with most first', () => {
    const core = new Core()
    for (let at = 0; at < progressMembersMax + 4; at += 1) {
      const origin = (at + 16).toString(16).repeat(16)
      core.meet(`${at}`, [stateOf(origin, at + 2, { own: true })], { logId: origin })
    }
    core.now += progressAfterMs
    core.input({ kind: 'deadline' })
    const from = core.events('progress')[0]?.from ?? []
    expect(from).toHaveLength(progressMembersMax)
    expect(from[0]?.records).toBe(progressMembersMax + 4)
  })
})
