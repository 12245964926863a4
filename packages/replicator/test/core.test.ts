import type { OriginState } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { lagOf } from '../src/core/index.ts'
import type { ReplicatorTuning } from '../src/options.ts'
import { wireLimits } from '../src/wire/limits.ts'
import { batchOf, chain, Core, logOf, originA, originB, originX, stateOf } from './core-support.ts'

describe('choosing sources', () => {
  it('REP-32 asks the origin itself where it is connected, and nobody else', () => {
    const core = new Core()
    core.meet('c', [stateOf(originB, 50)])
    expect(core.wants('c')).toEqual([{ origin: originB, next: 1, chain: null }])
    core.meet('b', [stateOf(originB, 40, { own: true })])
    expect(core.wants('b').map((want) => want.origin)).toEqual([originB])
    core.answer('c', { vector: [stateOf(originX, 3)], vectorVersion: 2 })
    expect(core.wants('c').map((want) => want.origin)).toEqual([originX])
  })

  it('REP-32 takes another source after a stall, and comes back only later', () => {
    const core = new Core({ stallMs: 1_000 })
    core.meet('b', [stateOf(originB, 40, { own: true })])
    core.meet('c', [stateOf(originB, 30)])
    core.forget()
    core.pass(999)
    expect(core.of('pull')).toEqual([])
    core.pass(2)
    expect(core.wants('c')).toEqual([{ origin: originB, next: 1, chain: null }])
    expect(core.state.counters.repicks).toBe(1)
    core.answer('c', { batches: [batchOf(originB, 1, 10)] })
    core.applied(['applied'], [stateOf(originB, 11)])
    expect(core.wants('c')).toEqual([{ origin: originB, next: 11, chain: null }])
  })

  it('REP-32 moves to another source when its own is lost', () => {
    const core = new Core()
    core.meet('b', [stateOf(originB, 40, { own: true })])
    core.meet('c', [stateOf(originB, 30)])
    core.forget()
    const failure = { code: 'ERR_REPLICATOR_UNAVAILABLE', reason: 'gone' } as const
    const { session } = core.of('pull')[0] ?? { session: core.session('b') }
    core.input({ kind: 'pullFailed', member: 'b', session, pull: 0, ...failure })
    expect(core.wants('c').map((want) => want.origin)).toEqual([originB])
  })
})

describe('sessions', () => {
  it('REP-33 waits longer after each failure, jittered and bounded, and never gives up', () => {
    const core = new Core({ backoffMinMs: 100, backoffMaxMs: 1_000 })
    core.up('b')
    const waits: number[] = []
    for (let round = 0; round < 12; round += 1) {
      const failure = { code: 'ERR_REPLICATOR_UNAVAILABLE', reason: 'refused' } as const
      core.input({ kind: 'helloFailed', member: 'b', session: core.session('b'), ...failure })
      waits.push(core.events('memberDisconnected').at(-1)?.retryInMs ?? -1)
      const before = core.of('dial').length
      core.pass(1_000)
      expect(core.of('dial').length).toBe(before + 1)
    }
    expect(waits[0]).toBeGreaterThanOrEqual(50)
    expect(waits[0]).toBeLessThanOrEqual(100)
    for (const wait of waits.slice(5)) {
      expect(wait).toBeGreaterThanOrEqual(500)
      expect(wait).toBeLessThanOrEqual(1_000)
    }
    expect(new Set(waits.slice(5)).size).toBeGreaterThan(3)
  })

  it('REP-33 backs off on fail, dials at once on join, never after leave', () => {
    const core = new Core({ backoffMaxMs: 10_000 })
    core.meet('b', [])
    core.input({ kind: 'member', member: 'b', standing: 'failed', locator: 'b' })
    expect(core.of('close').length).toBe(1)
    expect(core.events('memberDisconnected').at(-1)?.retryInMs).toBeGreaterThanOrEqual(5_000)
    core.up('b')
    expect(core.of('dial').length).toBe(2)
    core.hello('b', [])
    core.input({ kind: 'member', member: 'b', standing: 'left', locator: 'b' })
    expect(core.of('close').length).toBe(2)
    core.pass(100_000)
    expect(core.of('dial').length).toBe(2)
    expect(core.state.sessions.size).toBe(0)
  })

  it('REP-18 repeated and late events neither dial again nor touch what is under way', () => {
    const core = new Core()
    core.meet('b', [stateOf(originB, 9, { own: true })])
    core.forget()
    for (let round = 0; round < 5; round += 1) core.up('b')
    core.input({ kind: 'member', member: 'nobody', standing: 'failed', locator: 'x' })
    core.input({ kind: 'member', member: 'nobody', standing: 'left', locator: 'x' })
    core.input({ kind: 'member', member: 'me', standing: 'up', locator: 'me' })
    expect(core.outputs).toEqual([])
    core.up('b', 'elsewhere')
    expect(core.outputs.map(({ kind }) => kind)).toEqual(['close', 'dial'])
  })

  it('REP-33 a member that serves no log is left alone until there is news of it', () => {
    const core = new Core({ gapPolicy: 'skip' }, [stateOf(originB, 5)])
    core.up('serf')
    core.input({ kind: 'noSource', member: 'serf', session: core.session('serf') })
    core.pass(100_000)
    expect(core.of('dial').length).toBe(1)
    expect(core.events('memberDisconnected')).toEqual([])
    core.meet('b', [stateOf(originB, 40, { own: true, floor: 20 })])
    const gap = { origin: originB, asked: 5, resume: 20, chainBefore: chain(9) }
    core.answer('b', { gaps: [gap] })
    expect(core.of('recordGap').length).toBe(1)
    core.up('serf')
    expect(core.of('dial').length).toBe(3)
  })

  it('REP-18 answers of a closed session are dropped', () => {
    const core = new Core()
    core.meet('b', [stateOf(originB, 9, { own: true })])
    const old = core.session('b')
    const { pull } = core.lastPull('b')
    core.up('b', 'elsewhere')
    core.forget()
    const response = {
      logId: logOf('b'),
      batches: [batchOf(originB, 1, 8)],
      gaps: [],
      forks: [],
      more: false,
      vector: [],
      vectorVersion: 1,
    }
    core.input({ kind: 'pulled', member: 'b', session: old, pull, response })
    expect(core.outputs).toEqual([])
  })

  it.each([
    ['another cluster', { clusterId: 'other' }, 'ERR_REPLICATOR_CLUSTER'],
    ['our own log', { logId: logOf('m') }, 'ERR_REPLICATOR_SELF'],
    ['another protocol', { versions: [9] }, 'ERR_REPLICATOR_VERSION'],
  ] as const)('REP-25 refuses %s, tells it once, and tries again much later', (_, more, code) => {
    const core = new Core({ refusedRetryMs: 60_000 })
    core.meet('b', [stateOf(originB, 9)], more)
    expect(core.events('memberRefused').map((event) => event.code)).toEqual([code])
    expect(core.of('pull')).toEqual([])
    core.pass(59_000)
    expect(core.of('dial').length).toBe(1)
    core.pass(2_000)
    expect(core.of('dial').length).toBe(2)
    core.hello('b', [], more)
    expect(core.events('memberRefused').length).toBe(1)
  })

  it('REP-26 greets again at once when the source does not know us, but not in a circle', () => {
    const core = new Core({ backoffMinMs: 100 })
    core.meet('b', [])
    core.pass(500)
    const needed = { code: 'ERR_REPLICATOR_HELLO_NEEDED', reason: 'who are you' } as const
    const fail = (): void => {
      const { pull, session } = core.lastPull('b')
      core.input({ kind: 'pullFailed', member: 'b', session, pull, ...needed })
    }
    fail()
    expect(core.of('dial').length).toBe(2)
    core.hello('b', [])
    fail()
    expect(core.of('dial').length).toBe(2)
    expect(core.events('memberDisconnected').length).toBe(1)
  })

  it('REP-33 a hello or a pull that is not answered in time ends the session', () => {
    const core = new Core({ helloTimeoutMs: 1_000, pullWaitMs: 1_000, pullTimeoutMs: 500 })
    core.up('b')
    core.pass(1_001)
    expect(core.events('memberDisconnected').at(-1)?.reason).toContain('hello')
    core.pass(200)
    core.hello('b', [])
    core.pass(1_501)
    expect(core.events('memberDisconnected').at(-1)?.reason).toContain('pull')
  })

  it('REP-34 opens the gate after the first hello, in either direction, and not before', () => {
    const core = new Core()
    expect(core.of('openGate')).toEqual([])
    core.meet('b', [])
    expect(core.of('openGate').length).toBe(1)
    const heard = new Core()
    heard.input({
      kind: 'heard',
      hello: {
        versions: [1],
        clusterId: 'kith',
        logId: logOf('c'),
        member: 'c',
        origin: originX,
        durable: true,
        vector: [],
        vectorVersion: 0,
      },
    })
    expect(heard.of('openGate').length).toBe(1)
  })
})

describe('credit and pace', () => {
  const mebibyte = 1024 * 1024

  it('REP-15 never has more than the credit in memory and on the way', () => {
    const core = new Core({ pullBytesMax: 2 * mebibyte, creditBytesMax: 6 * mebibyte })
    core.meet('b', [stateOf(originB, 100_000, { own: true })])
    let next = 1
    let most = 0
    for (let round = 0; round < 40; round += 1) {
      const session = core.state.sessions.get('b')
      const open = [...(session?.pulls.values() ?? [])]
      const used = open.reduce((sum, pull) => sum + pull.reserved, session?.bufferedBytes ?? 0)
      most = Math.max(most, used)
      expect(open.length).toBeLessThanOrEqual(2)
      if (open.length === 0) {
        // Full: only the log gives credit back.
        core.applied(
          core
            .of('apply')
            .at(-1)
            ?.batches.map(() => 'applied') ?? [],
          [stateOf(originB, next)],
        )
        continue
      }
      const batches = []
      for (let bytes = 0; bytes < core.lastPull('b').request.bytesMax; bytes += 65_536) {
        batches.push(batchOf(originB, next, 60, 65_536))
        next += 60
      }
      core.answer('b', { batches, more: true })
    }
    expect(most).toBeGreaterThan(4 * mebibyte)
    expect(most).toBeLessThanOrEqual(6 * mebibyte)
    expect(core.of('apply').length).toBeGreaterThan(3)
  })

  it('REP-15 a source that sends more than asked for is dropped', () => {
    const core = new Core()
    core.meet('b', [stateOf(originB, 10_000, { own: true })])
    const bytes = wireLimits.batchBytesMax
    const batches = [1, 2, 3].map((first) => batchOf(originB, first, 1, bytes))
    core.answer('b', { batches })
    expect(core.of('apply')).toEqual([])
    expect(core.events('memberDisconnected').at(-1)?.reason).toContain('more than')
  })

  /**
   * What two members that hold the same bring, each at once whatever it is asked for, in batches of
   * `size` bytes.
   */
  function brought(
    tuning: Partial<ReplicatorTuning>,
    ms: number,
    size: number,
  ): { bytes: number; repicks: number } {
    const core = new Core(tuning)
    for (const name of ['b', 'c']) core.meet(name, [stateOf(originB, 1_000_000)])
    const end = core.now + ms
    let [next, bytes] = [1, 0]
    while (core.now < end) {
      for (const name of ['b', 'c']) {
        for (const pull of core.pulls(name)) {
          const asked = core.state.sessions.get(name)?.pulls.get(pull)
          if (asked?.wants.get(originB)?.next !== next) continue
          const batches = []
          for (let sent = 0; sent < asked.bytesMax; sent += size) {
            batches.push(batchOf(originB, next, 1, size))
            next += 1
          }
          bytes += batches.length * size
          core.answer(name, { batches, more: true }, pull)
          const outcomes = core.state.applying?.items.map(() => 'applied' as const) ?? []
          core.applied(outcomes, [stateOf(originB, next)])
        }
      }
      core.pass(50)
    }
    return { bytes, repicks: core.state.counters.repicks }
  }

  it('REP-39 takes no more in a minute than it is allowed, and little less', () => {
    const rate = mebibyte / 4
    expect(brought({}, 2_000, 65_536).bytes).toBeGreaterThan(20 * mebibyte)
    for (const tuning of [{ bytesPerSecondMax: rate }, { memberBytesPerSecondMax: rate }]) {
      for (const size of [65_536, mebibyte]) {
        const { bytes, repicks } = brought(tuning, 60_000, size)
        // A second's worth at once, and the answers to the pulls that were under way.
        expect(bytes).toBeLessThanOrEqual(60 * rate + rate + 2 * (rate + size))
        expect(bytes).toBeGreaterThanOrEqual(60 * rate)
        // To wait is our own doing, however long a large batch makes it: nobody is left for it.
        expect(repicks).toBe(0)
      }
    }
  })

  it('REP-39 asks for no more at once than comes in a second, nor for less than a window', () => {
    const asked = (tuning: Partial<ReplicatorTuning>): number => {
      const core = new Core(tuning)
      core.meet('b', [stateOf(originB, 10_000, { own: true })])
      for (let round = 0; round < 8; round += 1) {
        const next = 1 + round * 200
        const size = core.lastPull('b').request.bytesMax
        core.answer('b', { batches: [batchOf(originB, next, 200, Math.min(size, mebibyte))] })
        core.applied(['applied'], [stateOf(originB, next + 200)])
        while (core.pulls('b').length === 0) core.pass(50)
      }
      return core.lastPull('b').request.bytesMax
    }
    expect(asked({})).toBeGreaterThan(mebibyte)
    expect(asked({ bytesPerSecondMax: mebibyte / 2 })).toBe(mebibyte / 2)
    expect(asked({ memberBytesPerSecondMax: mebibyte / 4 })).toBe(mebibyte / 4)
  })

  it('REP-37 pauses when the log takes nothing, and asks again from where the log stands', () => {
    const core = new Core({ backoffMinMs: 100 })
    core.meet('b', [stateOf(originB, 50, { own: true })])
    core.answer('b', { batches: [batchOf(originB, 1, 20)] })
    const apply = core.of('apply').at(-1)?.apply ?? -1
    core.forget()
    core.input({ kind: 'applied', apply, report: undefined, reason: 'disk full' })
    expect(core.events('applyFailed')).toEqual([{ reason: 'disk full', retryInMs: 100 }])
    core.pass(99)
    expect(core.of('pull')).toEqual([])
    core.pass(2)
    expect(core.wants('b')).toEqual([{ origin: originB, next: 1, chain: null }])
    expect(core.state.sessions.get('b')?.bufferedBytes).toBe(0)
  })

  it('REP-27 asks ahead of what is applied, and returns when that was not taken', () => {
    const core = new Core()
    core.meet('b', [stateOf(originB, 50, { own: true })])
    core.answer('b', { batches: [batchOf(originB, 1, 20)], more: true })
    expect(core.wants('b')).toEqual([{ origin: originB, next: 21, chain: null }])
    core.answer('b', { batches: [batchOf(originB, 21, 20)], more: true })
    core.applied(['ahead'], [])
    core.applied(['ahead'], [])
    core.pass(6_000)
    core.answer('b', {})
    core.pass(200)
    expect(core.wants('b')).toEqual([{ origin: originB, next: 1, chain: null }])
  })

  it('REP-6 acknowledges with the pull after the apply, and only what changed', () => {
    const core = new Core()
    core.meet('b', [stateOf(originB, 21, { own: true })])
    expect([...core.lastPull('b').request.ack]).toEqual([[originA, 1]])
    core.answer('b', { batches: [batchOf(originB, 1, 20)] })
    core.forget()
    core.applied(['applied'], [stateOf(originB, 21)])
    expect([...core.lastPull('b').request.ack]).toEqual([[originB, 21]])
  })

  it('REP-6 says from where on it stored what it acknowledges', () => {
    const states: OriginState[] = [
      stateOf(originB, 21, { floor: 9, holes: [{ from: 12, to: 15 }] }),
      { ...stateOf(originX, 21, { floor: 9 }), storedFrom: 4 },
    ]
    const core = new Core({}, states)
    core.meet('b', [])
    const { ack, ackFrom } = core.lastPull('b').request
    expect([...ack.keys()].toSorted()).toEqual([originA, originB, originX].toSorted())
    expect(ackFrom).toEqual(
      new Map([
        [originA, 1],
        [originB, 15],
        [originX, 4],
      ]),
    )
  })

  it('REP-6 shows the chain at what the member may have written, and of nothing else', () => {
    const core = new Core()
    core.meet('b', [stateOf(originB, 21, { own: true }), stateOf(originX, 5)])
    // Of ours nobody has told us that it is not theirs.
    expect([...(core.lastPull('b').request.ackChains ?? [])]).toEqual([[originA, chain(1)]])
    core.answer('b', { batches: [batchOf(originB, 1, 20), batchOf(originX, 1, 4)] })
    core.forget()
    core.applied(['applied', 'applied'], [stateOf(originB, 21), stateOf(originX, 5)])
    const { ack, ackChains = [] } = core.lastPull('b').request
    expect([...ack.keys()].toSorted()).toEqual([originB, originX].toSorted())
    expect([...ackChains]).toEqual([[originB, chain(21)]])
  })

  it('REP-15 what waits to be applied counts over all connections of a member', () => {
    const batchBytes = 160 * 1024
    const core = new Core({ creditBytesMax: 8 * 1024 * 1024 })
    core.up('b')
    let sent = 0
    for (let connection = 0; connection < 6; connection += 1) {
      core.hello('b', [stateOf(originB, 1_000_000, { own: true })])
      for (let answer = 0; answer < 40 && core.pulls('b').length > 0; answer += 1) {
        const [pull = -1] = core.pulls('b')
        const { request } = core.of('pull').find((output) => output.pull === pull)!
        const first = request.want[0]!.next
        const count = Math.floor(request.bytesMax / batchBytes)
        const batches = Array.from({ length: count }, (_, at) =>
          batchOf(originB, first + at, 1, batchBytes),
        )
        sent += count * batchBytes
        core.answer('b', { batches }, pull)
      }
      core.up('b', `b${connection}`)
    }
    expect(sent).toBeGreaterThan(4 * 1024 * 1024)
    expect(sent).toBeLessThanOrEqual(8 * 1024 * 1024)
    const applying = core.state.applying?.items ?? []
    const held = [...applying, ...core.state.queue].reduce(
      (sum, { bytes }) => sum + bytes.length,
      0,
    )
    expect(held).toBe(sent)
    // Once all of it was taken there is credit again.
    core.hello('b', [stateOf(originB, 1_000_000, { own: true })])
    const before = core.of('pull').length
    while (core.state.applying !== undefined) {
      const { items } = core.state.applying
      const outcomes = items.map(() => 'duplicate' as const)
      core.applied(outcomes, [stateOf(originB, 1_000)])
    }
    expect(core.of('pull').length).toBeGreaterThan(before)
    expect(core.state.sessions.get('b')?.bufferedBytes).toBe(0)
  })

  it('REP-6 says again what it holds of an origin that a member learned of meanwhile', () => {
    const core = new Core({}, [stateOf(originX, 5)])
    core.meet('b', [])
    expect(core.lastPull('b').request.ack.get(originX)).toBe(5)
    core.answer('b', {})
    core.pass(300)
    expect(core.lastPull('b').request.ack.has(originX)).toBe(false)
    core.answer('b', { vector: [stateOf(originX, 5)], vectorVersion: 2 })
    core.pass(300)
    expect(core.lastPull('b').request.ack.get(originX)).toBe(5)
  })

  it('REP-15 a member that names more origins than a log may have is closed', () => {
    const core = new Core()
    core.meet('b', [])
    const many = Array.from({ length: wireLimits.vectorEntriesMax + 1 }, (_, at) =>
      stateOf(at.toString(16).padStart(32, '0'), 2),
    )
    core.answer('b', { vector: many, vectorVersion: 2 })
    expect(core.events('memberDisconnected')).toMatchObject([{ member: 'b' }])
  })
})

describe('damage', () => {
  it('REP-19 a damaged batch is asked of another member, a second one ends the session', () => {
    const core = new Core()
    core.meet('b', [stateOf(originB, 40, { own: true })])
    core.meet('c', [stateOf(originB, 40)])
    core.answer('b', { batches: [batchOf(originB, 1, 5)] })
    core.forget()
    core.applied(['corrupt'], [])
    expect(core.wants('c')).toEqual([{ origin: originB, next: 1, chain: null }])
    expect(core.events('corrupt')).toEqual([{ member: 'b', origin: originB }])
    expect(core.events('memberDisconnected')).toEqual([])
    const other = new Core()
    other.meet('b', [stateOf(originB, 40, { own: true })])
    other.answer('b', { batches: [batchOf(originX, 1, 5), new Uint8Array(3)] })
    expect(other.of('apply')).toEqual([])
    expect(other.events('memberDisconnected').length).toBe(1)
  })

  it('REP-11 whoever sent a damaged batch still counts as holding what others dropped', () => {
    for (const gapPolicy of ['halt', 'skip'] as const) {
      const held = gapPolicy === 'halt' ? [] : [stateOf(originX, 3)]
      const next = held[0]?.next ?? 1
      const core = new Core({ gapPolicy }, held)
      core.meet('b', [stateOf(originX, 10)])
      core.meet('c', [stateOf(originX, 10, { floor: 5 })])
      core.answer('b', { batches: [batchOf(originX, next, 1)] })
      core.forget()
      core.applied(['corrupt'], held)
      core.pass(90_000)
      expect(core.of('recordGap')).toEqual([])
      expect(core.wants('b').map(({ origin }) => origin)).toEqual([originX])
    }
  })

  it('REP-9 whoever sent a damaged batch is the last choice, not none', () => {
    const core = new Core()
    core.meet('b', [stateOf(originX, 10)])
    core.meet('c', [stateOf(originX, 10)])
    core.answer('b', { batches: [batchOf(originX, 1, 1)] })
    core.applied(['corrupt'], [])
    expect(core.state.origins.get(originX)?.eager).toBe('c')
    core.forget()
    core.input({ kind: 'member', member: 'c', standing: 'left', locator: undefined })
    expect(core.wants('b')).toEqual([{ origin: originX, next: 1, chain: null }])
  })

  it('REP-5 what the log took and lost again is asked for from where it stands', () => {
    const core = new Core()
    core.meet('b', [stateOf(originB, 3, { own: true })])
    core.answer('b', { batches: [batchOf(originB, 1, 1), batchOf(originB, 2, 1)] })
    core.forget()
    core.applied(['applied', 'applied'], [])
    expect(core.wants('b')).toEqual([{ origin: originB, next: 1, chain: null }])
  })

  it('REP-19 a batch of our own origin is never applied', () => {
    const core = new Core()
    core.meet('b', [stateOf(originB, 40, { own: true })])
    core.answer('b', { batches: [batchOf(originA, 1, 5)] })
    expect(core.of('apply')).toEqual([])
    expect(core.state.counters.unwanted).toBe(1)
  })

  it('REP-19 an origin with batches of a newer version waits, the others go on', () => {
    const core = new Core({ refusedRetryMs: 60_000 })
    core.meet('b', [stateOf(originB, 40, { own: true }), stateOf(originX, 5)])
    core.answer('b', { batches: [batchOf(originB, 1, 5), batchOf(originX, 1, 4)] })
    core.applied(['unsupported', 'applied'], [stateOf(originX, 5)])
    expect(core.events('unsupported').map((event) => event.origin)).toEqual([originB])
    core.pass(300)
    core.answer('b', {})
    core.pass(300)
    expect(core.wants('b').map((want) => want.origin)).toEqual([originX])
    core.pass(60_000)
    core.up('b', 'elsewhere')
    core.hello('b', [stateOf(originB, 40, { own: true }), stateOf(originX, 5)])
    expect(core.wants('b').map((want) => want.origin)).toContain(originB)
  })
})

describe('gaps', () => {
  const gap = { origin: originB, asked: 5, resume: 20, chainBefore: chain(9) }

  it('REP-11 is not believed while a connected member may have the records', () => {
    const core = new Core({}, [stateOf(originB, 5)])
    core.meet('b', [stateOf(originB, 40, { own: true, floor: 20 })])
    core.meet('c', [stateOf(originB, 30)])
    expect(core.wants('c')).toEqual([{ origin: originB, next: 5, chain: chain(5) }])
    expect(core.events('gap')).toEqual([])
  })

  it('REP-11 halts by default, tells it once, and goes on when somebody has the records', () => {
    const core = new Core({}, [stateOf(originB, 5)])
    core.meet('b', [stateOf(originB, 40, { own: true, floor: 20 })])
    core.answer('b', { gaps: [gap] })
    expect(core.events('gap')).toEqual([
      { origin: originB, asked: 5, resume: 20, action: 'halted' },
    ])
    expect(core.of('recordGap')).toEqual([])
    core.pass(200_000)
    expect(core.events('gap').length).toBe(1)
    core.meet('c', [stateOf(originB, 30)])
    expect(core.wants('c')).toEqual([{ origin: originB, next: 5, chain: chain(5) }])
  })

  it('REP-11 waits for members that were not heard, until patience ends', () => {
    const core = new Core({ gapPolicy: 'skip', gapPatienceMs: 30_000 }, [stateOf(originB, 5)])
    core.up('c')
    core.meet('b', [stateOf(originB, 40, { own: true, floor: 20 })])
    core.answer('b', { gaps: [gap] })
    expect(core.of('recordGap')).toEqual([])
    const hold = { pullWaitMs: 5_000 }.pullWaitMs
    for (let waited = 0; waited < 35_000; waited += hold) {
      core.pass(hold - 1)
      core.answer('b', {})
    }
    expect(core.of('recordGap').map(({ resume }) => resume)).toEqual([20])
    expect(core.events('gap').at(-1)?.action).toBe('skipped')
  })

  it('REP-11 begins later again where nothing was ever held, and halts where all was dropped', () => {
    for (const neverHeld of [true, undefined]) {
      const local = stateOf(originB, 5, { floor: 5, ...(neverHeld && { neverHeld }) })
      const core = new Core({ gapPolicy: 'halt' }, [local])
      core.up('b')
      core.hello('b', [stateOf(originB, 30, { floor: 20 })])
      core.answer('b', { gaps: [gap] })
      expect(core.events('gap')[0]?.action).toBe(neverHeld ? 'floor' : 'halted')
      expect(core.of('recordGap').length).toBe(neverHeld ? 1 : 0)
    }
  })

  it('REP-11 an impossible gap is not believed, and not asked for in a circle', () => {
    const core = new Core({ gapPolicy: 'skip' }, [stateOf(originB, 5)])
    core.meet('b', [stateOf(originB, 10, { own: true, floor: 7 })])
    core.forget()
    core.answer('b', { gaps: [{ ...gap, resume: 5_000 }] }, core.pulls('b')[0])
    expect(core.of('recordGap')).toEqual([])
    expect(core.of('pull')).toEqual([])
    core.pass(150)
    expect(core.of('pull').length).toBe(1)
  })

  it('REP-11 skips to the nearest offer, once', () => {
    const core = new Core({ gapPolicy: 'skip' }, [stateOf(originB, 5)])
    core.meet('b', [stateOf(originB, 40, { own: true, floor: 20 })])
    core.meet('c', [stateOf(originB, 30, { holes: [{ from: 3, to: 12 }] })])
    core.answer('b', { gaps: [gap] })
    core.answer('c', { gaps: [{ ...gap, resume: 12, chainBefore: chain(7) }] })
    expect(core.of('recordGap')).toEqual([
      {
        kind: 'recordGap',
        origin: originB,
        resume: 12,
        chainBefore: chain(7),
        why: 'held by nobody',
      },
    ])
    core.local([stateOf(originA, 1, { own: true }), stateOf(originB, 12, { chain: chain(7) })])
    core.input({ kind: 'gapRecorded', origin: originB, reason: undefined })
    expect(core.wants('c').concat(core.wants('b'))).toContainEqual({
      origin: originB,
      next: 12,
      chain: chain(7),
    })
  })

  it('REP-11 a log that holds nothing of the origin records its floor, whatever the policy', () => {
    const core = new Core()
    core.meet('b', [stateOf(originB, 40, { own: true, floor: 20 })])
    core.answer('b', { gaps: [{ ...gap, asked: 1 }] })
    expect(core.events('gap').at(-1)?.action).toBe('floor')
    expect(core.of('recordGap').length).toBe(1)
  })
})

describe('forks', () => {
  it('REP-12 another chain at the same place stops that origin and no other', () => {
    const core = new Core({}, [stateOf(originB, 5), stateOf(originX, 3)])
    core.meet('b', [stateOf(originB, 5, { chain: chain(99) }), stateOf(originX, 9)])
    expect(core.of('quarantine').map(({ origin }) => origin)).toEqual([originB])
    expect(core.events('fork')).toEqual([{ origin: originB, sequence: 5, member: 'b' }])
    expect(core.wants('b').map((want) => want.origin)).toEqual([originX])
  })

  it('REP-12 a shorter history is looked up, and stopped where it is another one', () => {
    const core = new Core({}, [stateOf(originB, 50)])
    core.meet('b', [stateOf(originB, 5)])
    const compare = core.of('compare')[0]
    expect(compare).toMatchObject({ origin: originB, sequence: 5, chain: chain(5) })
    core.input({ kind: 'compared', compare: compare?.compare ?? -1, verdict: 'unknown' })
    expect(core.of('quarantine')).toEqual([])
    core.input({ kind: 'compared', compare: compare?.compare ?? -1, verdict: 'fork' })
    expect(core.of('quarantine')).toEqual([])
    const again = new Core({}, [stateOf(originB, 50)])
    again.meet('b', [stateOf(originB, 5)])
    again.input({
      kind: 'compared',
      compare: again.of('compare')[0]?.compare ?? -1,
      verdict: 'fork',
    })
    expect(again.of('quarantine').length).toBe(1)
  })

  it('REP-12 believes a fork answer only where it contradicts the chain that was shown', () => {
    const core = new Core({}, [stateOf(originB, 5)])
    core.meet('b', [stateOf(originB, 9, { own: true })])
    core.answer('b', { forks: [{ origin: originX, sequence: 5, chain: chain(1) }] })
    core.pass(200)
    core.answer('b', { forks: [{ origin: originB, sequence: 5, chain: chain(5) }] })
    expect(core.of('quarantine')).toEqual([])
    core.pass(200)
    core.answer('b', { forks: [{ origin: originB, sequence: 5, chain: chain(6) }] })
    expect(core.of('quarantine').length).toBe(1)
  })

  it('REP-13 our own origin known further elsewhere: rotate first, then open the gate', () => {
    const core = new Core()
    core.meet('b', [stateOf(originA, 7)])
    expect(core.of('rotate').length).toBe(1)
    expect(core.of('openGate')).toEqual([])
    core.local([stateOf(originA, 1, { status: 'sealed' }), stateOf(originX, 1, { own: true })])
    core.input({ kind: 'rotated', to: originX, appended: false, reason: '' })
    expect(core.events('rotate')).toMatchObject([{ from: originA, to: originX }])
    expect(core.of('openGate').length).toBe(1)
    expect(core.wants('b').map((want) => want.origin)).toEqual([originA])
  })

  it('REP-13 a refused rotation keeps the gate shut and is asked for again', () => {
    const core = new Core()
    core.meet('b', [stateOf(originA, 7)])
    core.input({ kind: 'rotated', to: undefined, appended: false, reason: 'too soon' })
    expect(core.events('rotateRefused').length).toBe(1)
    for (let round = 0; round < 13; round += 1) {
      core.pass(4_999)
      core.answer('b', {})
    }
    expect(core.of('openGate')).toEqual([])
    expect(core.of('rotate').length).toBe(2)
  })

  it('REP-13 a log that rotated by itself after it had refused to is not asked for one more', () => {
    const core = new Core()
    core.meet('b', [stateOf(originA, 7)])
    core.input({ kind: 'rotated', to: undefined, appended: false, reason: 'too soon' })
    core.local([stateOf(originA, 1, { status: 'sealed' }), stateOf(originX, 1, { own: true })])
    core.answer('b', {})
    core.pass(200)
    expect(core.events('rotate')).toMatchObject([{ from: originA, to: originX }])
    expect(core.of('openGate').length).toBe(1)
    expect(core.wants('b').map((want) => want.origin)).toEqual([originA])
    for (let round = 0; round < 13; round += 1) {
      core.pass(4_999)
      core.answer('b', {})
    }
    expect(core.of('rotate').length).toBe(1)
  })

  it('REP-13 another chain of our own origin, at our end or below, rotates too', () => {
    const core = new Core()
    core.local([stateOf(originA, 5, { own: true })])
    core.meet('b', [stateOf(originA, 5, { chain: chain(77) })])
    expect(core.of('rotate').length).toBe(1)
    const below = new Core()
    below.local([stateOf(originA, 5, { own: true })])
    below.meet('b', [stateOf(originA, 3)])
    expect(below.of('openGate')).toEqual([])
    const compare = below.of('compare')[0]?.compare ?? -1
    below.input({ kind: 'compared', compare, verdict: 'fork' })
    expect(below.of('rotate').length).toBe(1)
  })

  it('REP-13 an acknowledgement past our end, and a fork served, rotate', () => {
    const core = new Core()
    core.input({ kind: 'acked', logId: logOf('b'), ack: new Map([[originA, 3]]) })
    expect(core.of('rotate').length).toBe(1)
    const served = new Core()
    served.input({ kind: 'servedFork', origin: originB, sequence: 3, member: 'b' })
    expect(served.of('rotate')).toEqual([])
    served.input({ kind: 'servedFork', origin: originA, sequence: 3, member: 'b' })
    expect(served.of('rotate').length).toBe(1)
  })
})

describe('lag', () => {
  it('REP-21 is a number only where somebody who would know was heard lately', () => {
    const core = new Core({ pullWaitMs: 5_000, pullTimeoutMs: 60_000 }, [stateOf(originB, 5)])
    const lag = (origin: string): unknown => lagOf(core.state, core.now).get(origin)
    expect(lag(originA)).toBe(0)
    expect(lag(originB)).toBe('unknown')
    core.meet('b', [stateOf(originB, 9, { own: true }), stateOf(originX, 4)])
    expect([lag(originB), lag(originX)]).toEqual([4, 3])
    core.pass(15_001)
    expect(lag(originB)).toBe('unknown')
    core.answer('b', { vector: [stateOf(originB, 9, { own: true })], vectorVersion: 2 })
    expect(lag(originB)).toBe(4)
    core.input({ kind: 'member', member: 'b', standing: 'failed', locator: 'b' })
    expect(lag(originB)).toBe('unknown')
  })

  it('REP-21 forgets what another log under the same name said', () => {
    const core = new Core({}, [stateOf(originB, 5)])
    core.meet('b', [stateOf(originB, 9, { own: true })])
    core.answer('b', { logId: logOf('z') })
    expect(lagOf(core.state, core.now).get(originB)).toBe('unknown')
    core.pass(200)
    core.hello('b', [stateOf(originX, 1, { own: true })], { logId: logOf('z') })
    expect(lagOf(core.state, core.now).get(originB)).toBe('unknown')
  })

  it('REP-21 losing the holder is not catching up', () => {
    const core = new Core()
    core.meet('b', [stateOf(originB, 9, { own: true })])
    core.up('b', 'elsewhere')
    expect(core.events('caughtUp')).toEqual([])
    core.hello('b', [stateOf(originB, 9, { own: true })])
    core.answer('b', { batches: [batchOf(originB, 1, 8)] })
    core.applied(['applied'], [stateOf(originB, 9)])
    expect(core.events('caughtUp')).toEqual([{ origins: 2 }])
  })

  it('REP-21 is unknown for a quarantined origin', () => {
    const core = new Core({}, [stateOf(originB, 5, { status: 'quarantined' })])
    core.meet('b', [stateOf(originB, 5)])
    expect(lagOf(core.state, core.now).get(originB)).toBe('unknown')
  })
})
