/** A member that lives and is at another address: it says so, others follow, nobody is in doubt. */
import type { Address } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { member, tagsProblem } from '../../src/core/index.ts'
import { decodeTags, encodeState, encodeTags } from '../../src/wire/codec.ts'
import type { AliveMessage } from '../../src/wire/message.ts'
import { addressOf, alive, bytesOf, Core, dead, decodeStream, meta } from './support.ts'
import { pushPull, row, selfAddress, selfName, suspect } from './support.ts'

const second: Address = { host: '10.0.0.2', port: 7946 }
const third: Address = { host: '10.0.0.3', port: 8000 }

function move(core: Core, address: Address, id = 1): void {
  core.command({ kind: 'setAdvertise', id, address })
}

/** What a core says of itself to everybody. */
function said(core: Core): AliveMessage {
  const message = core.queuedAbout(selfName)
  if (message?.kind !== 'alive') throw new Error('it says nothing of itself')
  return message
}

/** Another core to which that one is a member like any other. */
function observer(...messages: readonly AliveMessage[]): Core {
  const core = new Core({ name: 'observer', address: { host: '10.0.9.9', port: 7946 } })
  for (const message of messages) core.tell(message)
  return core
}

function at(core: Core, name: string): Address | undefined {
  return member(core.state, name)?.address
}

describe('a member that moves', () => {
  it('GOS-210 says so at a higher incarnation, and speaks as who is there from then on', () => {
    const core = new Core()
    core.know('m')
    const before = said(core)
    move(core, second)
    expect(said(core)).toMatchObject({
      incarnation: before.incarnation + 1,
      address: bytesOf(second),
    })
    expect([at(core, selfName), core.state.address]).toEqual([second, second])
    expect(core.eventsOf('update').map((event) => event.member.address)).toEqual([second])
    expect(core.counter('moves')).toBe(1)
    core.advanceTo(3000)
    const sources = core.sentOf('ping').map(({ message }) => message.sourceAddress)
    expect(sources.at(-1)).toEqual(bytesOf(second))
  })

  it('GOS-210 is done when others had time to hear of it, at once where it is alone or was there', () => {
    const alone = new Core()
    move(alone, second, 7)
    expect(alone.outputs).toContainEqual({ kind: 'done', id: 7 })
    const core = new Core()
    core.know('m')
    move(core, second, 8)
    expect(core.outputs).not.toContainEqual({ kind: 'done', id: 8 })
    core.advanceTo(core.state.timings.broadcastTimeoutMs)
    expect(core.outputs).toContainEqual({ kind: 'done', id: 8 })
    const { incarnation } = core.state
    move(core, second, 9)
    expect(core.outputs).toContainEqual({ kind: 'done', id: 9 })
    expect(core.state.incarnation).toBe(incarnation)
  })

  it('GOS-210 no longer does once it leaves', () => {
    const core = new Core()
    core.command({ kind: 'leave', id: 1 })
    move(core, second, 2)
    expect(core.outputs).toContainEqual({ kind: 'done', id: 2 })
    expect(core.state.address).toEqual(selfAddress)
  })

  it('GOS-210 tells its last four addresses in its meta, and shows them to nobody', () => {
    const core = new Core()
    for (const last of [11, 12, 13, 14, 11, 15]) move(core, { host: `10.0.0.${last}`, port: 1 })
    const tags = decodeTags(said(core).meta)
    const was = ['10.0.0.11:1', '10.0.0.14:1', '10.0.0.13:1', '10.0.0.12:1']
    expect(tags?.get('kith.was')).toBe(was.join(','))
    expect({ ...member(core.state, selfName)?.tags }).toEqual({ role: 'web', 'kith.v': '1' })
    core.command({ kind: 'setTags', id: 2, tags: { role: 'db' } })
    expect(decodeTags(said(core).meta)?.get('kith.was')).toBe(was.join(','))
    const other = observer(said(core))
    expect({ ...member(other.state, selfName)?.tags }).toEqual({ role: 'db', 'kith.v': '1' })
    expect(tagsProblem({ 'kith.was': 'x' })?.field).toBe('tags.kith.was')
  })

  it('GOS-210 tells fewer where its tags leave no room', () => {
    const core = new Core()
    core.command({ kind: 'setTags', id: 1, tags: { fill: 'x'.repeat(460) } })
    move(core, second)
    move(core, third)
    const told = decodeTags(said(core).meta)
    expect(told?.get('kith.was')).toBe('10.0.0.2:7946')
    core.command({ kind: 'setTags', id: 2, tags: { fill: 'x'.repeat(485) } })
    expect(decodeTags(said(core).meta)?.has('kith.was')).toBe(false)
    expect(said(core).meta.length).toBeLessThanOrEqual(512)
  })

  it('GOS-210 takes what tells of its former addresses for the past, and says where it is', () => {
    const core = new Core()
    core.know('m')
    const before = said(core)
    move(core, second)
    core.advanceTo(20_000)
    expect(core.queuedAbout(selfName)).toBeUndefined()
    core.tell(before)
    expect(said(core)).toMatchObject({ address: bytesOf(second), incarnation: 2 })
    core.tell(before)
    expect([core.counter('alivesOutdated'), core.counter('conflicts')]).toEqual([2, 0])
    expect([core.counter('votes'), core.eventsOf('refute').length]).toEqual([0, 0])
    // There it is a conflict as ever: nobody of this life said that.
    core.tell({ ...before, incarnation: 9 })
    expect(core.counter('conflicts')).toBe(1)
    core.tell({ ...before, address: bytesOf(third) })
    expect(core.counter('conflicts')).toBe(2)
  })

  it('GOS-210 nobody else moves it, and whoever believed that takes it back', () => {
    const core = new Core()
    core.know('m')
    const other = observer(said(core))
    const was = meta({ 'kith.v': '1', 'kith.was': `${selfAddress.host}:${selfAddress.port}` })
    for (const [address, incarnation] of [
      [second, 5],
      [third, 9],
    ] as const) {
      const place = { address: bytesOf(address), port: address.port }
      const forged = alive(selfName, { incarnation, ...place, meta: was })
      other.tell(forged)
      expect(at(other, selfName)).toEqual(address)
      core.advanceTo(core.now + core.state.timings.probeIntervalMs)
      core.tell(forged)
      expect([core.state.address, at(core, selfName)]).toEqual([selfAddress, selfAddress])
      other.tell(said(core))
      expect(at(other, selfName)).toEqual(selfAddress)
    }
    expect([core.counter('movesUndone'), core.counter('conflicts')]).toEqual([2, 0])
    expect([other.counter('conflicts'), other.eventsOf('fail')]).toEqual([0, []])
  })
})

describe('a member that others see moving', () => {
  /** Its announcements at the first, second and third address. */
  function announcements(): readonly [AliveMessage, AliveMessage, AliveMessage] {
    const core = new Core()
    const first = said(core)
    move(core, second)
    const then = said(core)
    move(core, third)
    return [first, then, said(core)]
  }

  it.each(['alive', 'suspect', 'dead', 'left'])(
    'GOS-211 is taken where it is now, and was %s',
    (before) => {
      const [first, then] = announcements()
      const core = observer(first)
      if (before === 'suspect') core.tell(suspect(selfName, 'a'))
      if (before === 'dead') core.tell(dead(selfName, 'a'))
      if (before === 'left') core.tell(dead(selfName, selfName))
      core.tell(then)
      expect(core.entry(selfName)).toEqual({ state: 'alive', incarnation: 2 })
      expect(at(core, selfName)).toEqual(second)
      const came = before === 'alive' || before === 'suspect' ? 'update' : 'join'
      expect(core.eventsOf(came).at(-1)?.member.address).toEqual(second)
      expect([core.counter('conflicts'), core.eventsOf('fail').length]).toEqual([
        0,
        before === 'dead' ? 1 : 0,
      ])
      expect(core.queuedAbout(selfName)).toEqual(then)
    },
  )

  it('GOS-211 also by an exchange, and where moves between were missed', () => {
    const [first, , last] = announcements()
    const core = observer(first)
    const { incarnation, address, port, meta: tags } = last
    const moved = row(selfName, { incarnation, address, port, meta: tags })
    const message = pushPull([moved])
    core.input({ kind: 'streamMessage', id: 1, from: addressOf('x'), message })
    expect(at(core, selfName)).toEqual(third)
    expect(core.counter('conflicts')).toBe(0)
  })

  it('GOS-211 what tells where it was is the past, and no conflict', () => {
    const [first, then, last] = announcements()
    const core = observer(last, then, first, then)
    expect(at(core, selfName)).toEqual(third)
    expect([core.counter('alivesOutdated'), core.counter('conflicts')]).toEqual([3, 0])
    expect(core.eventsOf('conflict')).toEqual([])
  })

  it('GOS-211 a second member of its name is a conflict, whatever its incarnation', () => {
    const core = observer(alive('m'))
    core.tell(alive('m', { incarnation: 50, address: bytesOf(second) }))
    const elsewhere = meta({ 'kith.v': '1', 'kith.was': '10.9.9.9:7946,10.9.9.8:7946' })
    core.tell(alive('m', { incarnation: 51, address: bytesOf(third), meta: elsewhere }))
    // Nor does the same claim move it without being news.
    const was = `${addressOf('m').host}:7946`
    const stale = meta({ 'kith.v': '1', 'kith.was': was })
    core.tell(alive('m', { incarnation: 1, address: bytesOf(third), meta: stale }))
    expect(at(core, 'm')).toEqual(addressOf('m'))
    expect(core.counter('conflicts')).toBe(3)
    const five = [1, 2, 3, 4, 5].map((last) => `10.9.9.${last}:1`)
    const long = meta({ 'kith.v': '1', 'kith.was': [...five, was].join(',') })
    core.tell(alive('m', { incarnation: 52, address: bytesOf(third), meta: long }))
    expect(core.counter('conflicts')).toBe(4)
  })

  it('GOS-211 not outside of the allowed networks', () => {
    const core = new Core({ policy: { allows: ([first]) => first === 10 } })
    core.know('m')
    const was = meta({ 'kith.v': '1', 'kith.was': `${addressOf('m').host}:7946` })
    const outside = bytesOf({ host: '192.168.0.1', port: 7946 })
    core.tell(alive('m', { incarnation: 2, address: outside, meta: was }))
    expect([at(core, 'm'), core.counter('addressNotAllowed')]).toEqual([addressOf('m'), 1])
  })

  it('GOS-211 a conflict that was noted is over', () => {
    const [first, then] = announcements()
    const core = observer(first)
    core.tell({ ...first, port: 1 })
    expect(core.state.health.notes.size).toBe(1)
    core.tell(then)
    expect(core.state.health.notes.size).toBe(0)
  })

  it('GOS-211 meta that cannot be read moves nobody', () => {
    const core = observer(alive('m'))
    for (const bytes of [new Uint8Array(0), Uint8Array.of(0xff, 0xc1), encodeTags(new Map())]) {
      core.tell(alive('m', { incarnation: 2, address: bytesOf(second), meta: bytes }))
    }
    expect(at(core, 'm')).toEqual(addressOf('m'))
  })
})

describe('telling real Serf members of a move', () => {
  const serfMeta = meta({ role: 'old' })

  /** Rows about the core itself in the exchange that it last began or answered. */
  function ownRows(bytes: Uint8Array | undefined): readonly unknown[] {
    const message = decodeStream(bytes ?? new Uint8Array(0))
    if (message.kind !== 'pushPull') throw new Error('no exchange')
    const own = [...message.rows].filter(({ name }) => name === selfName)
    return own.map(({ state, incarnation, port }) => [state, incarnation, port])
  }

  it('GOS-212 each is told in an exchange an interval later, and no Kith member is', () => {
    const core = new Core()
    core.tell(alive('serf', { meta: serfMeta }), alive('kith'), alive('other', { meta: serfMeta }))
    core.advanceTo(500)
    move(core, { host: '10.0.0.2', port: 8000 })
    core.advanceTo(1600)
    const told = core.requests().filter(({ message }) => message.kind === 'pushPull')
    expect(told.map(({ to }) => to).toSorted((a, b) => (a.host < b.host ? -1 : 1))).toEqual(
      [addressOf('other'), addressOf('serf')].toSorted((a, b) => (a.host < b.host ? -1 : 1)),
    )
    const requests = core.outputs.filter((output) => output.kind === 'request')
    for (const { to, bytes } of requests) {
      if (decodeStream(bytes).kind !== 'pushPull') continue
      const serf = to.host !== addressOf('kith').host
      expect(ownRows(bytes)[0]).toEqual(serf ? ['left', 1, 7946] : ['alive', 2, 8000])
      if (serf) expect(ownRows(bytes)).toContainEqual(['alive', 2, 8000])
    }
  })

  it('GOS-212 whoever asks is told, where it is a Serf', () => {
    const core = new Core()
    core.know('m')
    const asked = (userState: Uint8Array): readonly unknown[] => {
      const message = pushPull([row('m')], { userState })
      const [answer] = core.input({ kind: 'streamMessage', id: 1, from: addressOf('m'), message })
      return ownRows(answer?.kind === 'respond' ? answer.bytes : undefined)
    }
    const times = { lamportTime: 1n, eventLamportTime: 1n, queryLamportTime: 1n }
    const rest = { statusTimes: new Map(), leftMembers: [], events: [] }
    const serf = (): Uint8Array => encodeState({ ...times, ...rest, extensions: new Map() })
    const lineage = new Map([['@lineage', new Uint8Array(16)]])
    const kith = (): Uint8Array => encodeState({ ...times, ...rest, extensions: lineage })
    expect(asked(serf())).toEqual([['alive', 1, 7946]])
    move(core, second)
    expect(asked(serf())).toEqual([
      ['left', 1, 7946],
      ['alive', 2, 7946],
    ])
    expect(asked(kith())).toEqual([['alive', 2, 7946]])
  })

  it('GOS-212 the good-bye is the past to whoever knows where the member is now', () => {
    const core = new Core()
    const before = said(core)
    move(core, second)
    const other = observer(before, said(core))
    other.tell(dead(selfName, selfName, before.incarnation))
    expect(other.entry(selfName)).toEqual({ state: 'alive', incarnation: 2 })
    expect([other.eventsOf('leave'), other.eventsOf('join').length]).toEqual([[], 2])
  })
})
