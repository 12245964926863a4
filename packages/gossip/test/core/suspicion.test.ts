/** How long a suspicion lasts, against times measured at real agents. */
import { describe, expect, it } from 'vitest'
import { confirmationsNeeded, suspicionMinMs, suspicionMs } from '../../src/core/suspicion.ts'
import { addressOf, Core, dead, suspect } from './support.ts'

interface Row {
  readonly title: string
  /** Seconds, who, and at which incarnation. */
  readonly told: readonly (readonly [at: number, from: string, incarnation?: number])[]
  readonly members: number
  readonly deadAfter: number
}

const table: readonly Row[] = [
  { title: 'one accuser', told: [[0, 'f1']], members: 5, deadAfter: 24 },
  {
    title: 'the same accuser three times',
    told: [
      [0, 'f1'],
      [1, 'f1'],
      [2, 'f1'],
    ],
    members: 5,
    deadAfter: 24,
  },
  {
    title: 'two more with a lower incarnation',
    told: [
      [0, 'f1'],
      [1, 'f2', 4],
      [2, 'f3', 4],
    ],
    members: 5,
    deadAfter: 24,
  },
  {
    title: 'a second accuser after 1 s',
    told: [
      [0, 'f1'],
      [1, 'f2'],
    ],
    members: 5,
    deadAfter: 11.381,
  },
  {
    title: 'two more after 1 s and 2 s',
    told: [
      [0, 'f1'],
      [1, 'f2'],
      [2, 'f3'],
    ],
    members: 5,
    deadAfter: 4,
  },
  {
    title: 'two more after 6 s and 7 s, which ends it at once',
    told: [
      [0, 'f1'],
      [6, 'f2'],
      [7, 'f3'],
    ],
    members: 5,
    deadAfter: 7,
  },
  {
    title: 'two names nobody knows',
    told: [
      [0, 'f1'],
      [1, 'nobody'],
      [1.2, 'noone'],
    ],
    members: 5,
    deadAfter: 4,
  },
  {
    title: 'the suspect itself as second accuser',
    told: [
      [0, 'f1'],
      [1, 'm'],
    ],
    members: 5,
    deadAfter: 11.381,
  },
  {
    title: 'two more in a cluster of 4',
    told: [
      [0, 'f1'],
      [1, 'f2'],
      [1.1, 'f3'],
    ],
    members: 4,
    deadAfter: 4,
  },
  { title: 'one accuser in a cluster of 3', told: [[0, 'f1']], members: 3, deadAfter: 4 },
]

/** A core that knows `m` at incarnation 5, and others up to the size; its own probes stay away. */
function cluster(members: number): Core {
  const core = new Core({ timings: { probeIntervalMs: 1000 } })
  const others = Array.from({ length: members - 2 }, (_, index) => `f${index + 1}`)
  core.know(...others, 'm')
  core.tell(suspect('m', 'x', 0))
  const entry = core.state.entries.get('m')
  if (entry !== undefined) entry.incarnation = 5
  return core
}

describe('a suspicion', () => {
  for (const { title, told, members, deadAfter } of table) {
    it(`GOS-54 ${title}: dead after ${deadAfter} s`, () => {
      const core = cluster(members)
      // Its own probes would confirm or refute: here only what is told counts.
      core.state.deadlines.heap.length = 0
      for (const [at, from, incarnation = 5] of told) {
        core.advanceTo(at * 1000)
        core.tell(suspect('m', from, incarnation))
      }
      core.advanceTo(deadAfter * 1000 - 1)
      expect(core.entry('m')?.state).toBe('suspect')
      // The news is out within one round of gossip.
      core.advanceTo(deadAfter * 1000 + 200)
      expect(core.entry('m')).toEqual({ state: 'dead', incarnation: 5 })
      expect(core.queuedAbout('m')).toMatchObject({ kind: 'dead', from: 'self' })
      expect(core.status('m')).toBe('failed')
    })
  }

  const sizes = [
    [2, 0, 4],
    [3, 0, 4],
    [4, 2, 4],
    [10, 2, 4],
    [100, 2, 8],
    [1000, 2, 12],
    [10_000, 2, 16],
  ] as const
  for (const [members, needed, seconds] of sizes) {
    it(`GOS-54 in a cluster of ${members} it is ${seconds} s at least`, () => {
      expect(suspicionMinMs(4, members, 1000)).toBe(seconds * 1000)
      expect(confirmationsNeeded(4, members)).toBe(needed)
    })
  }

  it('GOS-54 shrinks with each confirmation and never below the least', () => {
    expect([0, 1, 2].map((n) => suspicionMs(4000, 24_000, n, 2))).toEqual([24_000, 11_381, 4000])
    expect(suspicionMs(4000, 24_000, 0, 0)).toBe(4000)
  })

  it('GOS-54 a new accuser is passed on under its own name, a known one is not', () => {
    const core = cluster(6)
    core.tell(suspect('m', 'f1', 5))
    core.tell(suspect('m', 'f2', 5))
    expect(core.queuedAbout('m')).toMatchObject({ kind: 'suspect', from: 'f2' })
    core.tell(suspect('m', 'f1', 5))
    expect(core.queuedAbout('m')).toMatchObject({ kind: 'suspect', from: 'f2' })
  })

  it('GOS-54 the suspect has the last word: it is told once more, straight, before the end', () => {
    const core = cluster(5)
    core.state.deadlines.heap.length = 0
    core.tell(suspect('m', 'f1', 5))
    core.advanceTo(24_000)
    const [asked] = core.sent.filter(({ messages }) => messages[0]?.kind === 'suspect')
    expect(asked?.at).toBe(23_500)
    expect(asked?.to).toEqual(addressOf('m'))
    expect(asked?.messages.map(({ kind }) => kind)).toEqual(['suspect', 'ping'])
  })

  it('GOS-52 a death of one who is dead already says nothing new', () => {
    const core = cluster(5)
    core.tell(dead('m', 'f1', 5))
    const seen = core.events.length
    core.tell(dead('m', 'f2', 5))
    expect(core.events.slice(seen)).toEqual([])
    expect(core.queuedAbout('m')).toMatchObject({ from: 'f1' })
  })
})
