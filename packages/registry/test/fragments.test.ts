/** Entries that fill a broadcast, and those that take several: which travel, and their bounds. */
import { describe, expect, it } from 'vitest'
import { lookUp, step } from '../src/core/index.ts'
import type { InstancePlan, State } from '../src/core/index.ts'
import { Fragments } from '../src/wire/fragments.ts'
import { instanceBytes } from '../src/wire/instance.ts'
import { broadcastInstanceBytesMax } from '../src/wire/limits.ts'
import { encodeMessage, type Fragment, type Message } from '../src/wire/message.ts'
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

/** What gossip leaves of 1,024 bytes to members whose names have one byte, and 128. */
const roomOfShortName = 869
const roomOfLongName = 740
const longId = (end: string): string => 'i'.repeat(128 - end.length) + end

function bytesOf(plan: InstancePlan, member: string): number {
  return instanceBytes({ ...plan, member, checks: [], status: 'passing', version: 1 })
}

/** A plan whose instance takes exactly so many bytes: from 500 to some 2,000. */
function planOfBytes(id: string, bytes: number): InstancePlan {
  const plan = (length: number, odd = ''): InstancePlan => {
    const meta = { odd, first: 'x'.repeat(length >> 1), second: 'y'.repeat(length - (length >> 1)) }
    return planOf(id, { meta })
  }
  const near = bytes - bytesOf(plan(400), '') + 400
  // The length of a longer text takes a byte more, so that one byte is not always one byte.
  const found = [plan(near), plan(near - 1, 'o'), plan(near - 2, 'o'), plan(near - 1)].find(
    (made) => bytesOf(made, '') === bytes,
  )
  if (found === undefined) throw new Error(`no instance takes ${bytes} bytes`)
  return found
}

/** Everything that `owner` announces to somebody who comes at `now`. */
function announced(owner: State, now: number): Uint8Array[] {
  sees(owner, 'new', 'alive', now)
  const outputs = runUntil(owner, now + 5_000).map(({ output }) => output)
  return outputsOf(outputs, 'broadcast').map(({ bytes }) => bytes)
}

function listener(): State {
  const state = started(coreOf('b'))
  sees(state, 'a', 'alive')
  return state
}

function wants(state: State): number {
  return state.wants.size
}

describe('an entry', () => {
  it.each([
    ['a', roomOfShortName],
    ['m'.repeat(128), roomOfLongName],
  ])('REG-31: of up to 1,024 bytes travels by broadcasts alone, of %s', (name, room) => {
    for (let bytes = 601; bytes <= broadcastInstanceBytesMax; bytes += 3) {
      const owner = started(coreOf(name, {}, wallMs, room))
      const changed = started(coreOf('b'))
      const came = started(coreOf('b'))
      for (const state of [changed, came]) sees(state, name, 'alive')
      // Neighbours with the longest ids leave the least room to what stands between them.
      const plans = [planOf(longId('0')), planOfBytes(longId('1'), bytes), planOf(longId('2'))]
      for (const plan of plans) step(owner, { kind: 'register', plan }, 10)
      const change = runUntil(owner, 30).flatMap(({ output }) => {
        return output.kind === 'broadcast' ? [output.bytes] : []
      })
      for (const said of change.reverse()) hear(changed, name, said, 40)
      const all = announced(owner, 1_000)
      for (const said of all.reverse()) hear(came, name, said, 7_000)
      for (const said of [...change, ...all]) expect(said.length).toBeLessThanOrEqual(room)
      for (const state of [changed, came]) {
        expect(handedOut(lookUp(state, 'web').all)).toEqual(plans.map(({ id }) => `${name}/${id}`))
        expect([wants(state), state.fragments.size]).toEqual([0, 0])
      }
    }
  })

  it('REG-31: of more is named, and fetched', () => {
    const owner = started(coreOf('a', {}, wallMs, roomOfShortName))
    const plan = planOfBytes('web-1', broadcastInstanceBytesMax + 1)
    const change = registered(owner, plan, 10)
    const b = listener()
    for (const said of change) hear(b, 'a', said, 20)
    expect(change).toHaveLength(1)
    expect([handedOut(lookUp(b, 'web').all), wants(b)]).toEqual([[], 1])
  })

  it('REG-31: between ids of any length never makes a broadcast too long', () => {
    for (let bytes = 501; bytes <= 801; bytes += 2) {
      const owner = started(coreOf('a', {}, wallMs, roomOfShortName))
      for (const plan of [planOf('0'.repeat(128)), planOfBytes('1', bytes), planOf('2')]) {
        step(owner, { kind: 'register', plan }, 10)
      }
      for (const said of announced(owner, 1_000)) {
        expect(said.length).toBeLessThanOrEqual(roomOfShortName)
      }
    }
  })

  it('REG-31: of which a fragment is lost is fetched after gapMs', () => {
    const owner = started(coreOf('a', {}, wallMs, roomOfShortName))
    const change = registered(owner, planOfBytes('web-1', broadcastInstanceBytesMax), 10)
    expect(broadcastsOf(change.map((bytes) => ({ kind: 'broadcast', bytes })))).toMatchObject([
      { kind: 'fragment', version: 1, index: 0, count: 2 },
      { kind: 'fragment', version: 1, index: 1, count: 2 },
    ])
    const b = listener()
    hear(b, 'a', change[1] ?? new Uint8Array(), 20)
    const fetches = runUntil(b, 1_000).filter(({ output }) => output.kind === 'fetch')
    expect(fetches).toHaveLength(1)
    expect(fetches[0]?.at).toBeGreaterThanOrEqual(320)
    hear(b, 'a', change[0] ?? new Uint8Array(), 1_000)
    expect([handedOut(lookUp(b, 'web').all), wants(b)]).toEqual([['a/web-1'], 0])
  })
})

const summary: Message = { kind: 'summary', member: 'a', epoch: wallMs, version: 1, hash: 7 }

/** A message cut in two by hand. */
function cut(message: Message, changes: Partial<Fragment> = {}): Uint8Array[] {
  const bytes = encodeMessage(message)
  let hash = 0x811c9dc5
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193)
  return [0, 1].map((index) => {
    const piece = index === 0 ? bytes.subarray(0, 9) : bytes.subarray(9)
    const head = { epoch: wallMs, version: 1, hash: hash >>> 0, index, count: 2, piece }
    return encodeMessage({ kind: 'fragment', ...head, ...changes })
  })
}

const delta: Message = {
  kind: 'delta',
  member: 'a',
  epoch: wallMs,
  version: 1,
  part: 0,
  parts: 1,
  draining: false,
  entries: [{ kind: 'remove', id: 'web-1' }],
}

describe('fragments', () => {
  it('REG-31: are believed only of a change or a state that their sender says of itself', () => {
    const heard = (pieces: readonly Uint8Array[]): string => {
      const b = listener()
      for (const piece of pieces) hear(b, 'a', piece, 10)
      const { malformed, foreign } = b.counters
      return `${malformed} malformed, ${foreign} foreign, at ${b.replicas.get('a')?.floor}`
    }
    expect(heard(cut(delta))).toBe('0 malformed, 0 foreign, at 1')
    expect(heard(cut({ ...delta, member: 'c' }))).toBe('0 malformed, 1 foreign, at 0')
    expect(heard(cut({ ...delta, version: 2 }))).toBe('1 malformed, 0 foreign, at 0')
    expect(heard(cut(summary))).toBe('1 malformed, 0 foreign, at 0')
    expect(heard(cut(delta, { hash: 1 }))).toBe('1 malformed, 0 foreign, at 0')
    expect(heard(cut(delta, { count: 1 }))).toBe('2 malformed, 0 foreign, at undefined')
    expect(heard(cut(delta, { count: 5 }))).toBe('2 malformed, 0 foreign, at undefined')
    expect(heard(cut(delta, { piece: new Uint8Array(0) }))).toBe(
      '2 malformed, 0 foreign, at undefined',
    )
  })

  it('REG-14: of messages that never get whole are held up to a bound, of each and of all', () => {
    const fragments = new Fragments()
    const piece = new Uint8Array(1_024)
    const add = (from: string, hash: number, index = 0): unknown =>
      fragments.add(from, { kind: 'fragment', epoch: 1, version: 1, hash, index, count: 4, piece })
    for (let index = 0; index < 100; index += 1) expect(add('a', index)).toBe('incomplete')
    expect(fragments.size).toBe(16)
    for (let index = 0; index < 1_000; index += 1) add(`m${index}`, index)
    expect(fragments.size).toBe(256)
  })

  it('REG-31: twice, in another order and beside those of others make one message', () => {
    const b = listener()
    sees(b, 'c', 'alive')
    const [first, second] = cut(delta)
    const [foreign] = cut({ ...delta, member: 'c' })
    const order = [
      ['a', second],
      ['c', foreign],
      ['a', second],
      ['a', first],
      ['a', first],
    ] as const
    for (const [from, bytes] of order) hear(b, from, bytes ?? new Uint8Array(), 10)
    expect(b.replicas.get('a')?.floor).toBe(1)
    // What is known already is not collected once more.
    expect(b.fragments.size).toBe(1)
  })
})

describe('a member that came back before it was missed', () => {
  it('REG-6: is told everything again, but nobody is made to speak all the time', () => {
    const a = started(coreOf('a'))
    sees(a, 'b', 'alive')
    registered(a, planOf('web-1'), 10)
    const spoken: number[] = []
    const again = (epoch: number, now: number, until: number): void => {
      const reborn = coreOf('b', {}, wallMs + epoch)
      const said = outputsOf(step(reborn, { kind: 'start' }, 0), 'broadcast')
      for (const { bytes } of said) hear(a, 'b', bytes, now)
      const outputs = runUntil(a, until)
      const whole = outputs.filter(({ output }) => {
        return broadcastsOf([output]).some(({ kind }) => kind === 'snapshot')
      })
      spoken.push(...whole.map(({ at }) => at))
    }
    again(0, 11, 1_000)
    const before = spoken.length
    again(1, 20_000, 21_000)
    expect(spoken.length).toBe(before + 1)
    for (let life = 2; life < 60; life += 1) {
      again(life, 21_000 + life * 100, 21_000 + life * 100 + 99)
    }
    expect(spoken.length).toBeLessThanOrEqual(before + 3)
  })
})
