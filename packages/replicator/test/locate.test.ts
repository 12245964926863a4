/** Where two histories of one origin part: found by bisection, whatever the other side answers. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Chain } from '@kith/interface'
import { createLog } from '@kith/log'
import type { Log } from '@kith/log'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { BoundaryAnswer } from '../src/core/index.ts'
import { chain, Core, originA, originB, originX, stateOf } from './core-support.ts'
import { bytes, left, positions, until, Village } from './support.ts'
import type { Place } from './support.ts'

type Located = Parameters<Core['input']>[0] & { readonly kind: 'located' }
type Asked = ReturnType<typeof lastAsked>

const other = chain(99)

function lastAsked(core: Core) {
  const asked = core.of('locate').at(-1)
  if (asked === undefined) throw new Error('nothing was asked')
  return asked
}

/** We and b hold another history of one origin each, ours up to `next`. */
function forked(next: number, theirs = next): Core {
  const core = new Core({}, [stateOf(originB, next)])
  core.meet('b', [stateOf(originB, theirs, { chain: other })])
  if (theirs < next) {
    const compare = core.of('compare')[0]?.compare ?? -1
    core.input({ kind: 'compared', compare, verdict: 'fork' })
  }
  stop(core, next)
  return core
}

/** The log has written that the origin is stopped. */
function stop(core: Core, next: number): void {
  core.local([
    stateOf(originA, 1, { own: true }),
    stateOf(originB, next, { status: 'quarantined' }),
  ])
  core.input({ kind: 'quarantined', origin: originB })
}

function answer(
  core: Core,
  boundaries: readonly BoundaryAnswer[],
  more: Partial<Located> = {},
): void {
  const { locate } = lastAsked(core)
  core.input({ kind: 'located', locate, boundaries, adjacent: false, ...more })
}

const equal = (sequence: number): BoundaryAnswer => at(sequence, chain(1), chain(1))
const differs = (sequence: number): BoundaryAnswer => at(sequence, chain(1), other)
const none = (sequence: number): BoundaryAnswer => at(sequence, chain(1), null)
const at = (sequence: number, ours: Chain, theirs: Chain | null): BoundaryAnswer => ({
  ...{ sequence, ours, theirs },
})

/** Both histories in batches of `size`, parting at `parted`: what a truthful runtime finds. */
function truth(asked: Asked, size: number, parted: number): readonly BoundaryAnswer[] {
  const found = new Map<number, BoundaryAnswer>()
  for (let each = 1; each <= asked.boundariesMax; each += 1) {
    const target = asked.from + ((asked.to - asked.from) * each) / (asked.boundariesMax + 1)
    const first = 1 + Math.floor((target - 1) / size) * size
    const sequence = first > asked.from ? first : first + size
    if (sequence >= asked.to) continue
    found.set(sequence, sequence <= parted ? equal(sequence) : differs(sequence))
  }
  if (asked.withEnd) found.set(asked.to, differs(asked.to))
  return [...found.values()]
}

describe('where two histories part', () => {
  it.each([
    [1, 6, 3],
    [1, 1_000_001, 1],
    [1, 1_000_001, 1_000_000],
    [100, 100_001, 45_601],
    [997, 2 ** 47, 997 * 123_456_789 + 1],
  ])('REP-45 batches of %d up to %d that part at %d', (size, end, parted) => {
    const next = 1 + Math.floor((end - 1) / size) * size
    const core = forked(next)
    expect(lastAsked(core)).toMatchObject({ member: 'b', from: 1, to: next, withEnd: true })
    let rounds = 1
    for (; core.events('forkLocated').length === 0; rounds += 1) {
      const asked = lastAsked(core)
      answer(core, truth(asked, size, parted), { adjacent: asked.from + size === asked.to })
      expect(rounds).toBeLessThan(17)
    }
    const found = { origin: originB, member: 'b', from: parted, to: parted + size, exact: true }
    expect(core.events('forkLocated')).toEqual([found])
    // Nothing more is asked, now or later.
    expect(core.of('locate').length).toBe(rounds - 1)
    core.pass(120_000)
    expect(core.of('locate').length).toBe(rounds - 1)
    const why = `b holds another history at ${next}, which parts from ours in the batch from `
    expect(core.of('note')).toEqual([
      { kind: 'note', origin: originB, why: `${why}${parted} to ${parted + size - 1}` },
    ])
  })

  it('REP-45 is not looked for before the origin was stopped, and one at a time', () => {
    const core = new Core({}, [stateOf(originB, 5), stateOf(originX, 5)])
    core.meet('b', [stateOf(originB, 5, { chain: other }), stateOf(originX, 5, { chain: other })])
    expect(core.of('quarantine').length).toBe(2)
    expect(core.of('locate')).toEqual([])
    core.input({ kind: 'quarantined', origin: originX })
    expect(core.of('locate').map(({ origin }) => origin)).toEqual([originX])
    stop(core, 5)
    expect(core.of('locate').length).toBe(1)
    answer(core, [differs(5)], { adjacent: true })
    expect(core.of('locate').map(({ origin }) => origin)).toEqual([originX, originB])
  })

  it('REP-45 a missing boundary says something where the records are held, else nothing', () => {
    const core = forked(50)
    answer(core, [equal(10), none(20), none(30), differs(50)])
    expect(lastAsked(core)).toMatchObject({ from: 10, to: 20, withEnd: false })
    const dropped = new Core({}, [stateOf(originB, 50)])
    dropped.meet('b', [stateOf(originB, 50, { chain: other, floor: 25 })])
    stop(dropped, 50)
    answer(dropped, [none(10), none(20), none(30), differs(50)])
    expect(lastAsked(dropped)).toMatchObject({ from: 1, to: 30 })
    answer(dropped, [none(10), none(20)])
    const found = { origin: originB, member: 'b', from: 1, to: 30, exact: false }
    expect(dropped.events('forkLocated')).toEqual([found])
  })

  it('REP-45 a shorter history of the other is another one past its end', () => {
    const core = forked(50, 9)
    answer(core, [equal(5), none(20), none(50)])
    expect(lastAsked(core)).toMatchObject({ from: 5, to: 20 })
  })

  it.each([
    ['equal behind a difference', [differs(10), equal(20), differs(50)]],
    ['equal where they met', [equal(10), equal(50)]],
    ['nothing it was asked for', [equal(60), equal(1), equal(-5), differs(0)]],
    ['nothing', []],
  ])('REP-45 answers that are %s end it, with what was known', (_, boundaries) => {
    const core = forked(50)
    answer(core, boundaries)
    const found = { origin: originB, member: 'b', from: 1, to: 50, exact: false }
    expect(core.events('forkLocated')).toEqual([found])
    core.pass(120_000)
    expect(core.of('locate').length).toBe(1)
  })

  it('REP-45 who lets it move by one boundary a call for ever is not asked for ever', () => {
    const core = forked(1_000)
    for (let call = 1; core.events('forkLocated').length === 0; call += 1) {
      answer(core, [equal(call + 1), ...(call === 1 ? [differs(1_000)] : [])])
    }
    expect(core.of('locate').length).toBe(16)
    expect(core.events('forkLocated')).toMatchObject([{ from: 17, to: 1_000, exact: false }])
  })

  it('REP-45 an answer that does not come in time is given up, and dropped when it comes', () => {
    const core = forked(50)
    const { locate } = lastAsked(core)
    core.meet('c', [stateOf(originX, 9)])
    expect(core.wants('c').length).toBe(1)
    core.pass(5_000)
    expect(core.of('endLocate')).toEqual([{ kind: 'endLocate', locate }])
    expect(core.events('forkLocated')).toMatchObject([{ from: 1, to: 50, exact: false }])
    answer(core, [equal(10), differs(50)])
    core.input({ kind: 'locateFailed', locate })
    expect(core.events('forkLocated').length).toBe(1)
    expect(core.of('locate').length).toBe(1)
  })

  it('REP-45 a failed call ends it; a session that ended is waited for, not for ever', () => {
    const failed = forked(50)
    failed.input({ kind: 'locateFailed', locate: lastAsked(failed).locate })
    expect(failed.events('forkLocated')).toMatchObject([{ from: 1, to: 50, exact: false }])

    const core = forked(50)
    const { locate } = lastAsked(core)
    core.input({ kind: 'member', member: 'b', standing: 'failed', locator: undefined })
    core.input({ kind: 'locateFailed', locate })
    expect(core.events('forkLocated')).toEqual([])
    core.meet('b', [stateOf(originB, 50, { chain: other })])
    answer(core, [differs(50)], { adjacent: true })
    expect(core.events('forkLocated')).toMatchObject([{ from: 1, to: 50, exact: true }])

    const gone = forked(50)
    gone.input({ kind: 'member', member: 'b', standing: 'left', locator: undefined })
    gone.input({ kind: 'locateFailed', locate: lastAsked(gone).locate })
    gone.pass(60_000)
    expect(gone.events('forkLocated')).toMatchObject([{ exact: false }])
  })

  it('REP-45 of the own origin its puller is asked', () => {
    const core = new Core()
    core.local([stateOf(originA, 9, { own: true })])
    core.meet('b', [])
    core.input({ kind: 'servedFork', origin: originA, sequence: 4, member: 'b' })
    expect(core.events('fork')).toEqual([{ origin: originA, sequence: 4, member: 'b' }])
    expect(lastAsked(core)).toMatchObject({ member: 'b', origin: originA, from: 1, to: 9 })
  })

  it('REP-45 met again after a rotation it is not asked again, and noted once stopped', () => {
    const core = new Core()
    core.local([stateOf(originA, 9, { own: true })])
    core.meet('b', [stateOf(originA, 9, { chain: other })])
    answer(core, [differs(9)], { adjacent: true })
    expect(core.events('forkLocated').length).toBe(1)
    core.local([stateOf(originA, 9, { status: 'sealed' }), stateOf(originX, 1, { own: true })])
    core.input({ kind: 'rotated', to: originX, appended: false, reason: '' })
    expect(core.events('fork').length).toBe(2)
    expect(core.of('note')).toEqual([])
    core.local([stateOf(originA, 9, { status: 'quarantined' }), stateOf(originX, 1, { own: true })])
    core.input({ kind: 'quarantined', origin: originA })
    core.input({ kind: 'deadline' })
    expect(core.of('note').map(({ origin }) => origin)).toEqual([originA])
    expect(core.of('locate').length).toBe(1)
  })
})

function temporary(): string {
  const made = mkdtempSync(join(tmpdir(), 'kith-locate-'))
  onTestFinished(() => rmSync(made, { recursive: true, force: true }))
  return made
}

/** As many batches of so many records each. */
async function append(log: Log, batches: number, count: number, text: string): Promise<void> {
  const records = Array.from({ length: count }, (_, each) => ({ value: bytes(`${text} ${each}`) }))
  for (let batch = 0; batch < batches; batch += 1) await log.append(records)
}

interface Copies {
  readonly village: Village
  readonly origin: string
  /** Where each of them keeps its log. */
  readonly directories: ReadonlyMap<string, string>
  readonly b: Place
  readonly c: Place
  /** The first sequence that is another record in both. */
  readonly parted: number
}

/** A disk was copied, and both copies wrote on: b holds what the one wrote, c the other one's. */
async function copies({ batches = 30, disk = true } = {}): Promise<Copies> {
  const village = new Village()
  onTestFinished(() => village.stop())
  const [one, two] = [temporary(), temporary()]
  const first = createLog({ member: 'a', directory: one, writer: 'inline' })
  await first.start()
  await append(first, batches, 3, 'both')
  await append(first, 10, 1, 'both')
  await first.stop()
  cpSync(one, two, { recursive: true })
  const directories = new Map(['b', 'c'].map((name) => [name, temporary()]))
  const follow = async (copy: string, name: string, count: number): Promise<Place> => {
    const wrote = await village.add('a', {}, { directory: copy, writer: 'inline' })
    const directory = directories.get(name) ?? ''
    const place = disk ? { directory, writer: 'inline' as const } : {}
    const holds = await village.add(name, {}, place)
    for (const { replicator } of [wrote, holds]) await replicator.start()
    village.join('a', name)
    await append(wrote.log, batches, count, name)
    await until(() => positions(wrote.log) === positions(holds.log), `${name} has all of a`)
    await wrote.replicator.stop()
    await wrote.log.stop()
    village.places.delete('a')
    holds.replicator.memberChanged(left('a'))
    return holds
  }
  const b = await follow(one, 'b', 2)
  const c = await follow(two, 'c', 5)
  const [origin = ''] = b.log.vector().flatMap((state) => (state.next > 1 ? [state.origin] : []))
  return { village, origin, directories, b, c, parted: 1 + batches * 3 + 10 }
}

describe('two logs that share the beginning of an origin', () => {
  it('REP-45 say where it goes on differently, and still do after a restart', async () => {
    const { village, origin, directories, b, c, parted } = await copies()
    const told: unknown[] = []
    for (const { replicator, log } of [b, c]) {
      replicator.on('forkLocated', (detail) => told.push([log.status().logId, detail]))
    }
    village.join('b', 'c')
    await until(() => told.length === 2, 'both know where')
    const at = (member: string, size: number) => ({
      ...{ origin, member, from: parted, to: parted + size, exact: true },
    })
    expect(told).toContainEqual([b.log.logId, at('c', 2)])
    expect(told).toContainEqual([c.log.logId, at('b', 5)])
    expect(b.replicator.status().forks).toMatchObject([{ ...at('c', 2), searching: false }])
    const whyOf = ({ log }: { readonly log: Log }): string =>
      log.status().origins.find((state) => state.origin === origin)?.why ?? ''
    await until(() => [b, c].every((one) => whyOf(one).includes('parts')), 'both wrote it down')
    expect(whyOf(c)).toMatch(/^b holds another history at .*in the batch from 101 to 105$/)
    // What others pull goes on meanwhile and afterwards.
    await append(b.log, 1, 1, 'more')
    const own = b.log.origin
    const more = () => c.log.vector().find((state) => state.origin === own)?.next
    await until(() => more() === 2, 'c has what b wrote itself')
    const written = [b, c].map(whyOf)
    await village.stop()
    for (const [index, directory] of [...directories.values()].entries()) {
      await using log = createLog({ directory, writer: 'inline' })
      await log.start()
      expect(whyOf({ log })).toBe(written[index])
    }
  })

  it('REP-12 a quarantine that a kill kept from the disk is found again at the next contact', async () => {
    const { village, origin, directories, b, c } = await copies({ batches: 2 })
    const killed = new Map<string, string>()
    for (const { name, log } of [b, c]) {
      const quarantine = log.quarantine.bind(log)
      log.quarantine = async (...of) => {
        if (!killed.has(name)) {
          // The disk as a kill before the flush leaves it. Of both: one that wrote it down has
          // stopped the origin, and does not show its history any more.
          killed.set(name, temporary())
          cpSync(directories.get(name) ?? '', killed.get(name) ?? '', { recursive: true })
        }
        return quarantine(...of)
      }
    }
    village.join('b', 'c')
    const statusOf = ({ log }: Place) => log.vector().find((one) => one.origin === origin)?.status
    await until(() => [b, c].every((one) => statusOf(one) === 'quarantined'), 'both stopped it')
    await village.stop()
    const again: Place[] = []
    const told: string[] = []
    for (const [name, directory] of killed) {
      const place = await village.add(name, {}, { directory, writer: 'inline' })
      place.replicator.on('quarantine', (detail) => told.push(`${name} ${detail.origin}`))
      await place.replicator.start()
      again.push(place)
    }
    expect(again.map(statusOf)).toEqual(['live', 'live'])
    village.join('b', 'c')
    await until(() => told.length === 2, 'both found it again')
    expect(told.toSorted()).toEqual([`b ${origin}`, `c ${origin}`])
    expect(again.map(statusOf)).toEqual(['quarantined', 'quarantined'])
  })

  it.each([
    ['with nothing', () => []],
    ['with chains of nobody', (asked) => asked.map(() => 'ab'.repeat(32))],
    ['never', () => new Promise<never>(() => {})],
  ] as const satisfies readonly (readonly [string, NonNullable<Village['answers']>])[])(
    'REP-45 a member that answers %s keeps nothing else from going on',
    async (when, answers) => {
      const { village, origin, b, c } = await copies({ batches: 2, disk: false })
      village.answers = answers
      const next = b.log.vector().find((state) => state.origin === origin)?.next
      const found = new Promise((resolve) => b.replicator.on('forkLocated', resolve))
      village.join('b', 'c')
      await until(() => b.replicator.status().forks.length > 0, 'b met it')
      if (when !== 'never') expect(await found).toMatchObject({ origin, member: 'c', from: 1 })
      await append(c.log, 1, 1, 'more')
      const own = c.log.origin
      const more = () => b.log.vector().find((state) => state.origin === own)?.next
      await until(() => more() === 2, 'b has what c wrote itself')
      expect(b.replicator.status().forks).toMatchObject([{ searching: when === 'never' }])
      expect(b.log.vector().find((state) => state.origin === origin)?.next).toBe(next)
    },
  )
})
