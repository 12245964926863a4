/** Alive, suspect and dead against every state: a total table, then the clauses one by one. */
import { packBytes } from '../../src/wire/codec.ts'
import { describe, expect, it } from 'vitest'
import { incarnationEvidenceMax } from '../../src/core/refute.ts'
import type { PacketMessage } from '../../src/wire/message.ts'
import { alive, Core, dead, meta, selfName, suspect } from './support.ts'

type Before = 'unknown' | 'alive' | 'suspect' | 'dead' | 'left'
type Message =
  | 'alive lower'
  | 'alive same'
  | 'alive higher'
  | 'suspect lower'
  | 'suspect same'
  | 'suspect higher'
  | 'dead lower'
  | 'dead same'
  | 'dead higher'
  | 'left lower'
  | 'left same'
  | 'left higher'
/** State and incarnation afterwards, then the events. The incarnation before is 5. */
type Expected = readonly [after: string, ...events: readonly string[]]

const none: Expected = ['none']
const unknown: Record<Message, Expected> = {
  'alive lower': ['alive 4', 'join'],
  'alive same': ['alive 5', 'join'],
  'alive higher': ['alive 6', 'join'],
  'suspect lower': none,
  'suspect same': none,
  'suspect higher': none,
  'dead lower': none,
  'dead same': none,
  'dead higher': none,
  'left lower': none,
  'left same': none,
  'left higher': none,
}

const table: Record<Before, Record<Message, Expected>> = {
  unknown,
  alive: {
    'alive lower': ['alive 5'],
    'alive same': ['alive 5'],
    'alive higher': ['alive 6'],
    'suspect lower': ['alive 5'],
    'suspect same': ['suspect 5', 'suspect'],
    'suspect higher': ['suspect 6', 'suspect'],
    'dead lower': ['alive 5'],
    'dead same': ['dead 5', 'fail'],
    'dead higher': ['dead 6', 'fail'],
    'left lower': ['alive 5'],
    'left same': ['left 5', 'leave'],
    'left higher': ['left 6', 'leave'],
  },
  suspect: {
    'alive lower': ['suspect 5'],
    'alive same': ['suspect 5'],
    'alive higher': ['alive 6'],
    'suspect lower': ['suspect 5'],
    'suspect same': ['suspect 5'],
    'suspect higher': ['suspect 5'],
    'dead lower': ['suspect 5'],
    'dead same': ['dead 5', 'fail'],
    'dead higher': ['dead 6', 'fail'],
    'left lower': ['suspect 5'],
    'left same': ['left 5', 'leave'],
    'left higher': ['left 6', 'leave'],
  },
  dead: {
    'alive lower': ['dead 5'],
    'alive same': ['dead 5'],
    'alive higher': ['alive 6', 'join'],
    'suspect lower': ['dead 5'],
    'suspect same': ['dead 5'],
    'suspect higher': ['dead 5'],
    'dead lower': ['dead 5'],
    'dead same': ['dead 5'],
    'dead higher': ['dead 5'],
    'left lower': ['dead 5'],
    'left same': ['dead 5'],
    'left higher': ['dead 5'],
  },
  left: {
    'alive lower': ['left 5'],
    'alive same': ['left 5'],
    'alive higher': ['alive 6', 'join'],
    'suspect lower': ['left 5'],
    'suspect same': ['left 5'],
    'suspect higher': ['left 5'],
    'dead lower': ['left 5'],
    'dead same': ['left 5'],
    'dead higher': ['left 5'],
    'left lower': ['left 5'],
    'left same': ['left 5'],
    'left higher': ['left 5'],
  },
}

const shift = { lower: 4, same: 5, higher: 6 } as const

function build(name: Message): PacketMessage {
  const [kind, level] = name.split(' ') as [
    'alive' | 'suspect' | 'dead' | 'left',
    keyof typeof shift,
  ]
  const incarnation = shift[level]
  if (kind === 'alive') return alive('m', { incarnation })
  if (kind === 'suspect') return suspect('m', 'other', incarnation)
  return dead('m', kind === 'left' ? 'm' : 'other', incarnation)
}

function prepared(before: Before): Core {
  const core = new Core()
  core.know('a', 'b', 'c')
  if (before === 'unknown') return core
  core.tell(alive('m', { incarnation: 5 }))
  if (before === 'suspect') core.tell(suspect('m', 'a', 5))
  if (before === 'dead') core.tell(dead('m', 'a', 5))
  if (before === 'left') core.tell(dead('m', 'm', 5))
  return core
}

describe('the state of another member', () => {
  for (const [before, row] of Object.entries(table)) {
    for (const [message, [after, ...events]] of Object.entries(row)) {
      it(`GOS-78 ${before}, told ${message}, is ${after}`, () => {
        const core = prepared(before as Before)
        const seen = core.events.length
        core.tell(build(message as Message))
        const entry = core.entry('m')
        expect(entry === undefined ? 'none' : `${entry.state} ${entry.incarnation}`).toBe(after)
        expect(core.events.slice(seen).map(({ event }) => event.kind)).toEqual(events)
      })
    }
  }

  it('GOS-50 news is passed on, and what is no news is not', () => {
    const core = prepared('alive')
    core.tell(alive('m', { incarnation: 6 }))
    expect(core.queuedAbout('m')).toMatchObject({ kind: 'alive', incarnation: 6 })
    core.tell(suspect('m', 'a', 6))
    expect(core.queuedAbout('m')).toMatchObject({ kind: 'suspect', from: 'a' })
    core.tell(alive('m', { incarnation: 6 }))
    expect(core.queuedAbout('m')).toMatchObject({ kind: 'suspect', from: 'a' })
  })

  it('GOS-50 the same incarnation changes no tags; a higher one does', () => {
    const core = prepared('alive')
    core.tell(alive('m', { incarnation: 5, meta: meta({ zone: 'b' }) }))
    expect(core.eventsOf('update')).toEqual([])
    core.tell(alive('m', { incarnation: 6, meta: meta({ zone: 'b' }) }))
    expect(core.eventsOf('update').map(({ member }) => member.tags)).toEqual([{ zone: 'b' }])
  })

  it('GOS-50 an alive without a port means our own', () => {
    const core = new Core()
    core.tell(alive('m', { port: 0 }))
    expect(core.state.entries.get('m')?.address.port).toBe(7946)
  })

  it('GOS-51 a suspicion comes with who said it', () => {
    const core = prepared('alive')
    core.tell(suspect('m', 'a', 5))
    expect(core.eventsOf('suspect')).toEqual([
      { kind: 'suspect', name: 'm', from: 'a', incarnation: 5, via: 'gossip' },
    ])
  })

  it('GOS-65 a second address for a living name is reported once and changes nothing', () => {
    for (const before of ['alive', 'suspect', 'dead'] as const) {
      const core = prepared(before)
      const stranger = alive('m', { incarnation: 9, port: 1 })
      core.tell(stranger)
      core.tell(stranger)
      expect(core.eventsOf('conflict')).toHaveLength(1)
      expect(core.counter('conflicts')).toBe(2)
      expect(core.entry('m')).toEqual({ state: before, incarnation: 5 })
    }
  })

  it('GOS-65 the two forms of one IPv4 are two addresses', () => {
    const core = prepared('alive')
    const mapped = new Uint8Array([...new Uint8Array(10), 255, 255, ...alive('m').address])
    core.tell(alive('m', { incarnation: 9, address: mapped }))
    expect(core.eventsOf('conflict')).toHaveLength(1)
  })

  it('GOS-65 a name that left may come from elsewhere at once, whatever its incarnation', () => {
    const core = prepared('left')
    core.tell(alive('m', { incarnation: 1, port: 1 }))
    expect(core.entry('m')).toEqual({ state: 'alive', incarnation: 1 })
    expect(core.status('m')).toBe('alive')
  })

  it('GOS-65 a dead name moves only after the reclaim time, where there is one', () => {
    const core = new Core({ timings: { deadMemberReclaimMs: 5000 } })
    core.tell(alive('m'))
    core.tell(dead('m', 'a'))
    core.advanceTo(4000)
    core.tell(alive('m', { port: 1 }))
    expect(core.entry('m')?.state).toBe('dead')
    core.advanceTo(6000)
    core.tell(alive('m', { port: 1 }))
    expect(core.entry('m')?.state).toBe('alive')
  })
})

describe('what is said of ourselves', () => {
  it('GOS-53 a suspicion and a death are refuted above the accused incarnation', () => {
    const core = new Core()
    core.tell(suspect(selfName, 'a', 1))
    expect(core.entry(selfName)).toEqual({ state: 'alive', incarnation: 2 })
    core.now = 600
    core.tell(dead(selfName, 'a', 77))
    expect(core.entry(selfName)).toEqual({ state: 'alive', incarnation: 78 })
    expect(core.queuedAbout(selfName)).toMatchObject({ kind: 'alive', incarnation: 78 })
    expect(core.eventsOf('refute').map(({ accused }) => accused)).toEqual([1, 77])
    expect(core.state.awareness).toBe(2)
  })

  it('GOS-53 an alive of ours that we did not send is refuted, our own is not', () => {
    const core = new Core()
    const own = core.queuedAbout(selfName)
    if (own === undefined) throw new Error('the start is not announced')
    core.tell(own)
    expect(core.eventsOf('refute')).toEqual([])
    core.tell(alive(selfName, { incarnation: 1, meta: meta({ stolen: 'yes' }) }))
    core.now = 600
    core.tell(alive(selfName, { incarnation: 7 }))
    expect(core.eventsOf('refute').map(({ incarnation }) => incarnation)).toEqual([2, 8])
    expect(core.state.entries.get(selfName)?.metaPacked).toBe(packBytes(core.state.meta))
  })

  it('GOS-53 evidence near the end of the counter is refused and counted, never wrapped', () => {
    const core = new Core()
    core.know('m')
    for (const incarnation of [incarnationEvidenceMax, 2 ** 32 - 1]) {
      core.tell(suspect(selfName, 'a', incarnation))
      core.tell(dead(selfName, 'a', incarnation))
      core.tell(suspect('m', 'a', incarnation))
      core.tell(dead('m', 'm', incarnation))
    }
    core.tell(alive('m', { incarnation: 2 ** 32 - 1 }))
    expect(core.counter('incarnationAbsurd')).toBe(9)
    expect(core.entry(selfName)).toEqual({ state: 'alive', incarnation: 1 })
    expect(core.entry('m')).toEqual({ state: 'alive', incarnation: 1 })
  })

  it('GOS-53 the highest believable accusation can be refuted, and the refutation is believed', () => {
    const accused = new Core()
    accused.tell(suspect(selfName, 'a', incarnationEvidenceMax - 1))
    const refutation = accused.queuedAbout(selfName)
    if (refutation?.kind !== 'alive') throw new Error('not refuted')
    const other = new Core()
    other.tell(alive('m'))
    other.tell(suspect('m', 'a', incarnationEvidenceMax - 1))
    other.tell(alive('m', { incarnation: refutation.incarnation }))
    expect(other.entry('m')).toEqual({ state: 'alive', incarnation: incarnationEvidenceMax })
    // And natural suspicions at what it announced itself still work from there.
    other.tell(suspect('m', 'a', incarnationEvidenceMax))
    expect(other.entry('m')?.state).toBe('suspect')
  })

  it('GOS-53 an accusation of an older incarnation is answered with the present one', () => {
    const core = new Core()
    core.tell(suspect(selfName, 'a', 3))
    core.know('m')
    core.advanceTo(20_000)
    expect(core.queuedAbout(selfName)).toBeUndefined()
    core.tell(suspect(selfName, 'm', 1))
    expect(core.queuedAbout(selfName)).toMatchObject({ kind: 'alive', incarnation: 4 })
    expect(core.entry(selfName)).toEqual({ state: 'alive', incarnation: 4 })
  })
})

describe('who is not let in', () => {
  const refused: Readonly<Record<string, readonly [string, PacketMessage]>> = {
    'more than 512 bytes of meta': ['metaTooLarge', alive('m', { meta: new Uint8Array(513) })],
    'incarnation 0': ['incarnationZero', alive('m', { incarnation: 0 })],
    'versions that make no sense': ['versionsUnfit', alive('m', { versions: [3, 2, 2, 2, 5, 5] })],
    'versions we do not speak': ['versionsUnfit', alive('m', { versions: [99, 99, 99, 2, 5, 5] })],
    'a plain memberlist': ['versionsUnfit', alive('m', { versions: [1, 5, 2, 0, 0, 0] })],
  }
  for (const [title, [counter, message]] of Object.entries(refused)) {
    it(`GOS-75 ${title}`, () => {
      const core = new Core()
      core.tell(message)
      expect(core.counter(counter)).toBe(1)
      expect(core.state.entries.size).toBe(1)
      expect(core.state.members.size).toBe(1)
    })
  }

  it.each([
    '',
    'a\nb',
    '\u001b[2J',
    'a\u202eb',
    'a\u200bb',
    'a\u2028b',
    'x'.repeat(129),
    '\u00e9'.repeat(65),
  ])('GOS-185 the name %j, by no message', (name) => {
    const core = new Core()
    core.know('m')
    core.tell(alive(name))
    core.tell(suspect('m', name, 1))
    expect(core.counter('nameUnfit')).toBe(2)
    expect([...core.state.entries.keys()].toSorted()).toEqual(['m', 'self'])
    expect(core.entry('m')?.state).toBe('alive')
  })

  it.each(['web-1.example', '__proto__', '../../x', 'a lost one', 'caf\u00e9', 'x'.repeat(128)])(
    'GOS-185 the name %j is one that Serf takes, and so do we',
    (name) => {
      const core = new Core()
      core.tell(alive(name))
      expect(core.state.members.has(name)).toBe(true)
    },
  )

  it('GOS-75 members beyond the limit', () => {
    const core = new Core({ timings: { membersMax: 3 } })
    core.know('a', 'b', 'c', 'd')
    expect([...core.state.entries.keys()].toSorted()).toEqual(['a', 'b', 'self'])
    expect(core.counter('membersFull')).toBe(2)
  })
})
