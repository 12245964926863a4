/** Joined, or cut off for a while: what a member makes of whom it meets first. */
import { describe, expect, it } from 'vitest'
import { decodeLineage, foundedTogetherMs } from '../../src/core/lineage.ts'
import { encodeState, openState } from '../../src/wire/codec.ts'
import type { BufferedEvents, StreamMessage } from '../../src/wire/message.ts'
import { addressOf, Core, pushPull, row } from './support.ts'

interface Other {
  readonly id?: bigint
  readonly ageMs?: number
  /** What it says instead of an age. */
  readonly bytes?: Uint8Array
  readonly events?: readonly BufferedEvents[]
  readonly time?: bigint
}

function newcomer(): Core {
  const core = new Core({ start: false })
  core.advanceTo(1000)
  core.command({ kind: 'start', ignoreOld: true })
  return core
}

function lineage(id: bigint, ageMs: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(16))
  view.setBigUint64(0, id)
  view.setFloat64(8, ageMs)
  return new Uint8Array(view.buffer)
}

/** Somebody exchanges state with `core`; `id` undefined: a Serf. */
function meets(core: Core, other: Other): void {
  const from = addressOf('a')
  core.input({ kind: 'streamMessage', id: 1, from, message: exchangeOf(other) })
}

function exchangeOf({ id, ageMs = 0, bytes, events = [], time = 1n }: Other): StreamMessage {
  const says = bytes ?? (id === undefined ? undefined : lineage(id, ageMs))
  const userState = encodeState({
    lamportTime: 1n,
    eventLamportTime: time,
    queryLamportTime: 1n,
    statusTimes: new Map(),
    leftMembers: [],
    events,
    extensions: says === undefined ? new Map() : new Map([['@lineage', says]]),
  })
  return pushPull([row('a')], { userState })
}

function slot(lamportTime: bigint, name: string): BufferedEvents {
  return { lamportTime, events: [{ name, payload: new Uint8Array(0) }] }
}

const heard = (core: Core): readonly string[] => core.eventsOf('event').map(({ name }) => name)

const hour = 3_600_000

describe('the first exchanges of a newcomer', () => {
  it('GOS-113 with one that began after it are not its join: the next brings nothing old', () => {
    const core = newcomer()
    core.advanceTo(3000)
    meets(core, { id: 7n, ageMs: 500 })
    meets(core, { id: 9n, ageMs: hour, events: [slot(5n, 'old')], time: 6n })
    meets(core, { id: 9n, ageMs: hour, events: [slot(6n, 'missed')], time: 7n })
    expect(heard(core)).toEqual(['missed'])
  })

  it('GOS-113 with one that began just before it neither: who is much older is joined', () => {
    const core = newcomer()
    meets(core, { id: 7n, ageMs: 500 })
    meets(core, { id: 9n, ageMs: hour, events: [slot(5n, 'old')], time: 6n })
    meets(core, { id: 9n, ageMs: hour, events: [slot(6n, 'missed')], time: 7n })
    expect(heard(core)).toEqual(['missed'])
  })

  it('GOS-113 who joins one that began just before it has joined, however late the answer', () => {
    const core = newcomer()
    core.command({ kind: 'join', id: 3, addresses: [addressOf('a')] })
    const id = core.requests().at(-1)?.id ?? 0
    core.advanceTo(1500)
    // It said so at 1,000 ms, when it was 1 ms old.
    core.input({ kind: 'reply', id, message: exchangeOf({ id: 7n, ageMs: 1 }) })
    meets(core, { events: [slot(5n, 'missed')], time: 6n })
    expect(heard(core)).toEqual(['missed'])
  })

  it('GOS-113 founders of one cluster owe each other what was missed', () => {
    const core = newcomer()
    meets(core, { id: 7n, ageMs: 500 })
    meets(core, { id: 9n, ageMs: foundedTogetherMs, events: [slot(5n, 'missed')], time: 6n })
    expect(heard(core)).toEqual(['missed'])
  })

  it('GOS-113 the eldest hears what it missed of who came after it', () => {
    const core = newcomer()
    core.advanceTo(hour)
    meets(core, { id: 7n, ageMs: hour / 2, events: [slot(5n, 'missed')], time: 6n })
    expect(heard(core)).toEqual(['missed'])
  })

  it('GOS-113 in a cluster where nobody ever spoke, nothing said later is taken for old', () => {
    const core = newcomer()
    meets(core, { id: 9n, ageMs: hour, time: 0n })
    core.advanceTo(core.now + hour)
    meets(core, { id: 9n, ageMs: 2 * hour, events: [slot(1n, 'missed')], time: 2n })
    expect(heard(core)).toEqual(['missed'])
  })

  it('GOS-113 with a Serf is a join, the next with a Serf is not', () => {
    const core = newcomer()
    meets(core, { events: [slot(5n, 'old')], time: 6n })
    meets(core, { events: [slot(6n, 'missed')], time: 7n })
    expect(heard(core)).toEqual(['missed'])
  })

  it('GOS-113 who wants all of it, or was of the cluster before, hears all of it', () => {
    const core = new Core({ start: false })
    core.command({ kind: 'start', ignoreOld: false })
    meets(core, { id: 9n, ageMs: hour, events: [slot(5n, 'old')], time: 6n })
    expect(heard(core)).toEqual(['old'])
  })
})

describe('what is said of a cluster', () => {
  it('GOS-113 goes on from member to member, with its age', () => {
    const core = newcomer()
    meets(core, { id: 9n, ageMs: hour })
    core.advanceTo(core.now + 500)
    core.command({ kind: 'join', id: 3, addresses: [addressOf('b')] })
    const sent = core.requests().at(-1)?.message
    if (sent?.kind !== 'pushPull') throw new Error('no exchange was begun')
    let said: Uint8Array | undefined
    openState(sent.userState)?.eachExtension((name, bytes) => {
      if (name === '@lineage') said = bytes
    })
    expect(said).toEqual(lineage(9n, hour + 500))
  })

  it('GOS-113 differs in every life', () => {
    const ids = [1, 2, 3].map((seed) => new Core({ seed }).state.talk.lineage.own.id)
    expect(new Set(ids).size).toBe(3)
  })

  it('GOS-113 in another form is counted, and is no reason for anything', () => {
    const core = newcomer()
    const wrong = [lineage(9n, -1), lineage(9n, Number.NaN), lineage(9n, 1e15), new Uint8Array(15)]
    for (const bytes of wrong) {
      expect(decodeLineage(bytes, 0)).toBeUndefined()
      meets(core, { bytes, events: [slot(5n, 'old')], time: 6n })
    }
    expect(core.counter('lineageMalformed')).toBe(4)
    expect(heard(core)).toEqual([])
  })
})
