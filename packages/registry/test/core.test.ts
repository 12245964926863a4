/** The core step by step: what it says, what it believes, and what it hands out. */
import { describe, expect, it } from 'vitest'
import { lookUp, nextEpoch, serviceNames, step } from '../src/core/index.ts'
import type { State } from '../src/core/index.ts'
import { decodeDigests, decodeRequest, encodeMessage } from '../src/wire/message.ts'
import {
  broadcastsOf,
  coreOf,
  handedOut,
  hear,
  outputsOf,
  planOf,
  registered,
  runUntil,
  sees,
  started,
  wallMs,
} from './support/core.ts'

const summaryKind = 3
const given = (state: State, service = 'web'): string[] => handedOut(lookUp(state, service).all)

/** An owner `a` with one instance and a member `b` that knows it. */
function pair(): { a: State; b: State } {
  const a = started(coreOf('a'))
  const b = started(coreOf('b'))
  sees(a, 'b', 'alive')
  sees(b, 'a', 'alive')
  for (const bytes of registered(a, planOf('web-1'), 10)) hear(b, 'a', bytes, 20)
  return { a, b }
}

/** Carries `b`'s fetches to `a` and back until `b` wants nothing more. */
function fetchAll(b: State, a: State, from: number, until: number): number {
  let fetches = 0
  for (let at = from; at <= until; at += 50) {
    for (const output of step(b, { kind: 'deadline' }, at)) {
      if (output.kind !== 'fetch') continue
      fetches += 1
      const replies = step(a, { kind: 'fetchRequest', from: 'b', bytes: output.request }, at)
      const bytes = outputsOf(replies, 'fetchReply')[0]?.bytes
      if (bytes === undefined) step(b, { kind: 'fetchFailed', id: output.id }, at)
      else step(b, { kind: 'fetched', id: output.id, bytes }, at)
    }
  }
  return fetches
}

describe('saying', () => {
  it('REG-1: changes within coalesceMs are one version, in as many parts as fit', () => {
    const a = started(coreOf('a', { coalesceMs: 10 }, wallMs, 300))
    for (let index = 0; index < 9; index += 1) {
      step(
        a,
        { kind: 'register', plan: planOf(`web-${index}`, { meta: { key: 'x'.repeat(40) } }) },
        5,
      )
    }
    const said = broadcastsOf(runUntil(a, 20).map(({ output }) => output))
    expect(said.length).toBeGreaterThan(1)
    for (const [part, message] of said.entries()) {
      expect(message).toMatchObject({ kind: 'delta', version: 1, part, parts: said.length })
      expect(encodeMessage(message).length).toBeLessThanOrEqual(300)
    }
    expect(lookUp(a, 'web').all.map(({ version }) => version)).toEqual(Array(9).fill(1))
  })

  it('REG-1: what came and went before it was said takes no version', () => {
    const a = started(coreOf('a'))
    step(a, { kind: 'register', plan: planOf('web-1') }, 1)
    step(a, { kind: 'deregister', id: 'web-1' }, 2)
    expect(broadcastsOf(runUntil(a, 100).map(({ output }) => output))).toEqual([])
    expect(a.own.replica.floor).toBe(0)
  })

  it('REG-6: says its epoch at the start, to someone who joined soon, and again every announceMs', () => {
    const a = coreOf('a', { announceMs: 60_000 })
    const first = broadcastsOf(step(a, { kind: 'start' }, 0))
    expect(first).toMatchObject([
      { kind: 'snapshot', member: 'a', version: 0, parts: 1, entries: [] },
    ])
    sees(a, 'b', 'alive', 1_000)
    const times = runUntil(a, 200_000)
      .filter(({ output }) => output.kind === 'broadcast')
      .map(({ at }) => at)
    expect(times[0]).toBeGreaterThanOrEqual(1_100)
    expect(times[0]).toBeLessThanOrEqual(1_100 + 2 * 250)
    const gaps = times.slice(1).map((at, index) => at - (times[index] ?? 0))
    expect(Math.max(...gaps)).toBeLessThanOrEqual(60_000)
    expect(times.length).toBeGreaterThanOrEqual(4)
  })

  it.each([10, 100, 1_000])(
    'REG-6: among %i members announces what there is, so seldom that all cost each little',
    (members) => {
      const a = started(coreOf('a'))
      for (let index = 0; index < 5; index += 1)
        step(a, { kind: 'register', plan: planOf(`i${index}`) }, 1)
      for (let index = 1; index < members; index += 1) sees(a, `m${index}`, 'alive', 2)
      runUntil(a, 1_000_000)
      const said = runUntil(a, 101_000_000).flatMap(({ output }) =>
        output.kind === 'broadcast' ? [output.bytes] : [],
      )
      expect(new Set(said.map((bytes) => bytes[1]))).toEqual(new Set([summaryKind]))
      // What gossip wraps around a broadcast, and how often each member sends each.
      const bytes = said.reduce((sum, { length }) => sum + length + 150, 0)
      const times = Math.min(2 * (members - 1), Math.ceil(Math.log(members)) + 10)
      const perSecond = (bytes * times * members) / 100_000
      expect(perSecond).toBeLessThanOrEqual(512 * 1.1)
      expect(perSecond).toBeGreaterThan(512 * 0.5)
    },
  )

  it('REG-6: among few members announces everything, again and again', () => {
    const a = started(coreOf('a'))
    step(a, { kind: 'register', plan: planOf('i1') }, 1)
    for (const name of ['b', 'c']) sees(a, name, 'alive', 2)
    runUntil(a, 10_000)
    const said = broadcastsOf(runUntil(a, 310_000).map(({ output }) => output))
    expect(said.length).toBeGreaterThanOrEqual(5)
    for (const message of said)
      expect(message).toMatchObject({ kind: 'snapshot', entries: [{ kind: 'put' }] })
  })

  it('REG-6: has its own turn, whenever it was made to speak', () => {
    const turns = (seed: number): number[] => {
      const a = started(coreOf('a', {}, wallMs, 800, seed))
      return runUntil(a, 200_000)
        .filter(({ output }) => output.kind === 'broadcast')
        .map(({ at }) => at % 60_000)
    }
    const places = Array.from({ length: 20 }, (_, seed) => new Set(turns(seed)))
    for (const place of places) expect(place.size).toBe(1)
    expect(new Set(places.flatMap((place) => [...place])).size).toBe(20)
  })

  it('REG-6: a long state is announced by a summary, and in all parts where somebody asks', () => {
    const a = started(coreOf('a', { announcePartsMax: 2 }, wallMs, 300))
    for (let index = 0; index < 30; index += 1)
      step(a, { kind: 'register', plan: planOf(`i${index}`) }, 1)
    expect(broadcastsOf(runUntil(a, 100).map(({ output }) => output))).toMatchObject([
      { kind: 'summary', version: 1 },
    ])
    const solicit = encodeMessage({ kind: 'solicit', member: 'a', epoch: wallMs, version: 1 })
    hear(a, 'b', solicit, 6_000)
    const said = broadcastsOf(runUntil(a, 15_000).map(({ output }) => output))
    expect(said.length).toBeGreaterThan(2)
    const b = started(coreOf('b'))
    sees(b, 'a', 'alive')
    for (const message of said.reverse()) hear(b, 'a', encodeMessage(message), 16_000)
    expect(given(b)).toHaveLength(30)
    expect(b.wants.size).toBe(0)
  })

  it('REG-13: flapping is paced, and its last state arrives', () => {
    const a = started(coreOf('a'))
    const b = started(coreOf('b'))
    sees(b, 'a', 'alive')
    let broadcasts = 0
    for (let at = 10; at <= 60_000; at += 20) {
      const port = 1 + (at % 60_000)
      step(a, { kind: 'register', plan: planOf('web-1', { port }) }, at)
      for (const { output } of runUntil(a, at + 19)) {
        if (output.kind !== 'broadcast') continue
        broadcasts += 1
        hear(b, 'a', output.bytes, at + 19)
      }
    }
    expect(broadcasts).toBeLessThanOrEqual(16 + 60 * 5 + 5)
    for (const { output } of runUntil(a, 62_000)) {
      if (output.kind === 'broadcast') hear(b, 'a', output.bytes, 62_000)
    }
    expect(lookUp(b, 'web').all[0]?.port).toBe(lookUp(a, 'web').all[0]?.port)
  })
})

describe('epochs', () => {
  it('REG-2: a start is past the stored epoch and past the wall clock', () => {
    expect(nextEpoch(undefined, 1_000.7)).toBe(1_000)
    expect(nextEpoch(999, 1_000)).toBe(1_000)
    expect(nextEpoch(1_000, 1_000)).toBe(1_001)
    expect(nextEpoch(5_000, 1_000)).toBe(5_001)
  })

  it('REG-2: an owner that finds its past ahead continues past it and says everything again', () => {
    const { a, b } = pair()
    const late = started(coreOf('a', {}, wallMs - 1_000))
    registered(late, planOf('web-2'), 30)
    const state = outputsOf(step(b, { kind: 'stateWanted' }, 40), 'localState')[0]?.bytes
    const outputs = step(late, { kind: 'state', from: 'b', bytes: state ?? new Uint8Array() }, 50)
    expect(outputsOf(outputs, 'epoch')).toEqual([{ kind: 'epoch', epoch: wallMs + 1 }])
    for (const { bytes } of outputsOf(outputs, 'broadcast')) hear(b, 'a', bytes, 60)
    expect(given(b)).toEqual(['a/web-2'])
    expect(late.counters.takeovers).toBe(1)
    expect(a.counters.takeovers).toBe(0)
  })

  it('REG-2: other content at the same epoch and version is a reason too', () => {
    const { b } = pair()
    const twin = started(coreOf('a'))
    registered(twin, planOf('other'), 30)
    const state = outputsOf(step(b, { kind: 'stateWanted' }, 40), 'localState')[0]?.bytes
    step(twin, { kind: 'state', from: 'b', bytes: state ?? new Uint8Array() }, 50)
    expect(twin.own.replica.epoch).toBe(wallMs + 1)
  })

  it('REG-2 and REG-14: epochs far ahead of any clock are not believed, also of oneself', () => {
    const { a, b } = pair()
    const epoch = wallMs + 11 * 365 * 86_400_000 + 2_000_000_000_000
    const lie = encodeMessage({ kind: 'summary', member: 'a', epoch, version: 9, hash: 0 })
    hear(b, 'a', lie, 30)
    expect(given(b)).toEqual(['a/web-1'])
    const digests = encodeMessage({
      kind: 'digests',
      digests: [{ member: 'a', epoch, version: 9, hash: 0, complete: true }],
    })
    step(a, { kind: 'state', from: 'b', bytes: digests }, 40)
    expect(a.own.replica.epoch).toBe(wallMs)
    expect([a.counters.futureEpochs + a.counters.takeovers, b.counters.futureEpochs]).toEqual([
      0, 1,
    ])
  })
})

describe('believing', () => {
  it('REG-14: only a member itself broadcasts about itself', () => {
    const { b } = pair()
    const gone = encodeMessage({
      kind: 'snapshot',
      member: 'a',
      epoch: wallMs,
      version: 9,
      part: 0,
      parts: 1,
      draining: false,
      after: '',
      upto: '',
      entries: [],
    })
    hear(b, 'c', gone, 30)
    expect([given(b), b.counters.foreign]).toEqual([['a/web-1'], 1])
  })

  it('REG-14: strangers are kept up to their bound and time, and served only once seen', () => {
    const b = started(coreOf('b', { strangersMax: 4, strangerMs: 60_000 }))
    for (let index = 0; index < 50; index += 1) {
      const a = started(coreOf(`s${index}`))
      for (const bytes of registered(a, planOf('web'), 10)) hear(b, `s${index}`, bytes, 20)
    }
    expect([b.replicas.size, serviceNames(b)]).toEqual([4, []])
    sees(b, 's49', 'alive', 30)
    expect(given(b)).toEqual(['s49/web'])
    runUntil(b, 70_000)
    expect([...b.replicas.keys()]).toEqual(['s49'])
  })

  it('REG-14: members and bytes over their limits are counted and kept out', () => {
    const b = started(coreOf('b', { membersMax: 3, bytesMax: 65_536 }))
    for (let index = 0; index < 5; index += 1) sees(b, `m${index}`, 'alive')
    const large = planOf('web', { meta: { a: 'x'.repeat(1_000) } })
    for (let index = 0; index < 5; index += 1) {
      const owner = started(coreOf(`m${index}`, {}, wallMs, 8_000))
      for (const bytes of registered(owner, large, 10)) hear(b, `m${index}`, bytes, 20)
    }
    expect([b.replicas.size, b.counters.refusedMembers]).toEqual([3, 2])
    const owner = started(coreOf('m0', {}, wallMs + 1, 400_000))
    for (let index = 0; index < 200; index += 1) {
      step(owner, { kind: 'register', plan: { ...large, id: `i${index}` } }, 30)
    }
    for (const { output } of runUntil(owner, 100)) {
      if (output.kind === 'broadcast') hear(b, 'm0', output.bytes, 110)
    }
    expect(b.bytes).toBeLessThanOrEqual(65_536)
    expect(b.counters.refusedInstances).toBeGreaterThan(0)
  })
})

describe('fetching', () => {
  it('REG-4: an instance too large for broadcasts is named and fetched from its owner', () => {
    const a = started(coreOf('a', {}, wallMs, 300))
    const b = started(coreOf('b'))
    sees(b, 'a', 'alive')
    const meta = { a: 'x'.repeat(900), b: 'x'.repeat(900) }
    const [named] = registered(a, planOf('web-1', { meta }), 10)
    hear(b, 'a', named ?? new Uint8Array(), 20)
    expect(given(b)).toEqual([])
    expect(fetchAll(b, a, 20, 2_000)).toBe(1)
    expect(given(b)).toEqual(['a/web-1'])
    expect([b.wants.size, b.fetches.size]).toEqual([0, 0])
  })

  it('REG-4: a gap waits gapMs for the late message, and then is fetched', () => {
    const a = started(coreOf('a'))
    const messages = [1, 2, 3].flatMap((n) => registered(a, planOf(`web-${n}`), n * 1_000))
    const late = started(coreOf('b', { gapMs: 300 }))
    sees(late, 'a', 'alive')
    hear(late, 'a', messages[2] ?? new Uint8Array(), 4_000)
    hear(late, 'a', messages[0] ?? new Uint8Array(), 4_010)
    expect(given(late)).toEqual(['a/web-1', 'a/web-3'])
    hear(late, 'a', messages[1] ?? new Uint8Array(), 4_200)
    expect(fetchAll(late, a, 4_200, 9_000)).toBe(0)

    const never = started(coreOf('b', { gapMs: 300 }))
    sees(never, 'a', 'alive')
    hear(never, 'a', messages[2] ?? new Uint8Array(), 4_000)
    expect(fetchAll(never, a, 4_000, 4_299)).toBe(0)
    expect(fetchAll(never, a, 4_300, 9_000)).toBe(1)
    expect(given(never)).toHaveLength(3)
  })

  it('REG-4 and REG-6: fails over from holder to owner, backs off, and solicits', () => {
    const { a, b: holder } = pair()
    const c = started(coreOf('c', { fetchBackoffMs: 4_000 }))
    sees(c, 'a', 'alive')
    sees(c, 'b', 'alive')
    const bytes = outputsOf(step(holder, { kind: 'stateWanted' }, 30), 'localState')[0]?.bytes
    step(c, { kind: 'state', from: 'b', bytes: bytes ?? new Uint8Array() }, 40)
    const asked: { at: number; member: string }[] = []
    const solicits: number[] = []
    for (let at = 40; at < 40_000; at += 20) {
      for (const output of step(c, { kind: 'deadline' }, at)) {
        if (output.kind !== 'fetch') continue
        asked.push({ at, member: output.member })
        const said = broadcastsOf(step(c, { kind: 'fetchFailed', id: output.id }, at))
        solicits.push(...said.filter(({ kind }) => kind === 'solicit').map(() => at))
      }
    }
    const own = asked.filter(({ at }) => at > 0)
    expect(
      own
        .slice(0, 2)
        .map(({ member }) => member)
        .sort(),
    ).toEqual(['a', 'b'])
    expect(own.length).toBeLessThan(30)
    expect(solicits.length).toBeGreaterThanOrEqual(2)
    expect(solicits.length).toBeLessThanOrEqual(5)
    // The owner hears one of them, and its announcement ends the search.
    const solicit = encodeMessage({ kind: 'solicit', member: 'a', epoch: wallMs, version: 1 })
    hear(a, 'c', solicit, 41_000)
    for (const { output } of runUntil(a, 47_000)) {
      if (output.kind === 'broadcast') hear(c, 'a', output.bytes, 47_000)
    }
    expect([given(c), c.wants.has('a')]).toEqual([['a/web-1'], false])
  })

  it('REG-4: a reply is taken only for what was asked, and hostile ones only cost an attempt', () => {
    const { a, b } = pair()
    hear(
      b,
      'a',
      encodeMessage({ kind: 'summary', member: 'a', epoch: wallMs, version: 5, hash: 1 }),
      30,
    )
    const fetch = runUntil(b, 2_000).flatMap(({ output }) =>
      output.kind === 'fetch' ? [output] : [],
    )[0]
    if (fetch === undefined) throw new Error('no fetch')
    const request = decodeRequest(fetch.request)
    expect(request).toMatchObject({ ok: true, message: { wants: [{ member: 'a', version: 5 }] } })
    const other = encodeMessage({
      kind: 'reply',
      snapshots: [
        {
          kind: 'snapshot',
          member: 'c',
          epoch: 1,
          version: 1,
          part: 0,
          parts: 1,
          draining: false,
          after: '',
          upto: '',
          entries: [],
        },
      ],
    })
    step(b, { kind: 'fetched', id: fetch.id, bytes: other }, 2_000)
    expect([b.replicas.has('c'), b.counters.foreign]).toEqual([false, 1])
    step(b, { kind: 'fetched', id: 999, bytes: other }, 2_000)
    step(b, { kind: 'fetchFailed', id: fetch.id }, 2_000)
    expect([b.fetches.size, b.wants.size]).toEqual([0, 1])
    expect(a.counters.malformed).toBe(0)
  })
})

describe('anti-entropy', () => {
  it('REG-5: a digest shows what is missing, and its sender is asked', () => {
    const { b } = pair()
    const c = started(coreOf('c'))
    sees(c, 'a', 'alive')
    sees(c, 'b', 'alive')
    const bytes = outputsOf(step(b, { kind: 'stateWanted' }, 30), 'localState')[0]?.bytes
    step(c, { kind: 'state', from: 'b', bytes: bytes ?? new Uint8Array() }, 40)
    const first = runUntil(c, 2_000).flatMap(({ output }) =>
      output.kind === 'fetch' ? [output] : [],
    )
    expect(first.map(({ member }) => member)).toContain('b')
    for (const { id, request } of first.filter(({ member }) => member === 'b')) {
      const reply = outputsOf(
        step(b, { kind: 'fetchRequest', from: 'c', bytes: request }, 50),
        'fetchReply',
      )
      step(c, { kind: 'fetched', id, bytes: reply[0]?.bytes ?? new Uint8Array() }, 60)
    }
    expect(given(c)).toEqual(['a/web-1'])
  })

  it('REG-5: digests stay under 64 KiB, own first, and turn until all were sent', () => {
    const b = started(coreOf('b'))
    const names = Array.from({ length: 900 }, (_, index) => `${index}-${'n'.repeat(120)}`)
    for (const name of names) {
      sees(b, name, 'alive')
      hear(
        b,
        name,
        encodeMessage({ kind: 'summary', member: name, epoch: 5, version: 0, hash: 0 }),
        1,
      )
    }
    const seen = new Set<string>()
    for (let round = 0; round < 3; round += 1) {
      const bytes = outputsOf(step(b, { kind: 'stateWanted' }, 10), 'localState')[0]?.bytes
      expect(bytes?.length).toBeLessThanOrEqual(65_536)
      const decoded = decodeDigests(bytes ?? new Uint8Array())
      if (!decoded.ok) throw new Error(decoded.failure)
      expect(decoded.message.digests[0]?.member).toBe('b')
      for (const { member } of decoded.message.digests) seen.add(member)
    }
    expect(seen.size).toBe(901)
  })
})

describe('members', () => {
  it('REG-7: a member that failed is not handed out from that moment', () => {
    const { b } = pair()
    const outputs = sees(b, 'a', 'failed', 30)
    expect(given(b)).toEqual([])
    expect(outputsOf(outputs, 'changed')).toEqual([{ kind: 'changed', service: 'web' }])
    expect(b.wants.size).toBe(0)
  })

  it('REG-7: a leaving member is not handed out either', () => {
    const { b } = pair()
    sees(b, 'a', 'leaving', 30)
    expect(given(b)).toEqual([])
  })

  it('REG-8: back from failure, it is handed out once it spoke', () => {
    const { a, b } = pair()
    sees(b, 'a', 'failed', 30)
    sees(b, 'a', 'alive', 5_000)
    expect(given(b)).toEqual([])
    expect(fetchAll(b, a, 5_000, 6_000)).toBe(1)
    expect(given(b)).toEqual(['a/web-1'])
  })

  it('REG-8: where it cannot speak, what was known is handed out after confirmMs', () => {
    const { b } = pair()
    sees(b, 'a', 'failed', 30)
    sees(b, 'a', 'alive', 5_000)
    runUntil(b, 7_999)
    expect(given(b)).toEqual([])
    runUntil(b, 8_000)
    expect(given(b)).toEqual(['a/web-1'])
  })

  it('REG-8: one that came back restarted is handed out as it is now', () => {
    const { b } = pair()
    sees(b, 'a', 'failed', 30)
    const again = started(coreOf('a', {}, wallMs + 60_000))
    sees(b, 'a', 'alive', 5_000)
    for (const bytes of registered(again, planOf('web-9'), 5_100)) hear(b, 'a', bytes, 5_200)
    expect(given(b)).toEqual(['a/web-9'])
  })

  it('REG-9: a member that left is forgotten, and nothing said before brings it back', () => {
    const { a, b } = pair()
    const earlier = registered(a, planOf('web-2'), 100)
    sees(b, 'a', 'left', 200)
    expect([given(b), b.bytes]).toEqual([[], 0])
    for (const bytes of earlier) hear(b, 'a', bytes, 300)
    expect([given(b), b.counters.stale]).toEqual([[], 1])
    // It joins again with the same registry: only what it says from now on counts.
    sees(b, 'a', 'alive', 400)
    for (const bytes of earlier) hear(b, 'a', bytes, 500)
    expect(given(b)).toEqual([])
    fetchAll(b, a, 500, 3_000)
    expect(given(b)).toEqual(['a/web-1', 'a/web-2'])
  })

  it('REG-9: a reaped member leaves no memory behind', () => {
    const { b } = pair()
    sees(b, 'a', 'failed', 30)
    step(b, { kind: 'memberGone', name: 'a' }, 40)
    expect([b.replicas.size, b.view.size, b.bytes, b.services.size]).toEqual([0, 0, 0, 0])
  })

  it('REG-10: a draining owner is handed out nowhere, and stays registered', () => {
    const { a, b } = pair()
    const outputs = step(a, { kind: 'drain' }, 100)
    expect([given(a), [...a.own.live.keys()]]).toEqual([[], ['web-1']])
    for (const { bytes } of outputsOf(outputs, 'broadcast')) hear(b, 'a', bytes, 110)
    expect(given(b)).toEqual([])
    // What it registers while it drains changes nothing about that, for late comers too.
    for (const bytes of registered(a, planOf('web-2'), 5_000)) hear(b, 'a', bytes, 5_100)
    const c = started(coreOf('c'))
    sees(c, 'a', 'alive', 5_000)
    sees(a, 'c', 'alive', 5_200)
    for (const { output } of runUntil(a, 20_000)) {
      if (output.kind === 'broadcast') hear(c, 'a', output.bytes, 20_000)
    }
    expect([given(a), given(b), given(c), c.replicas.get('a')?.entries.size]).toEqual([
      [],
      [],
      [],
      2,
    ])
  })
})
