/** Two histories of one origin that end alike, because one of them passed over a loss (REP-46). */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OriginId, OriginState } from '@kith/interface'
import { createLog } from '@kith/log'
import { describe, expect, it, onTestFinished } from 'vitest'
import { chain, Core, originA, originB, originX, stateOf } from './core-support.ts'
import { bytes, until, Village } from './support.ts'

function asks(core: Core): readonly (readonly [string, OriginId, readonly number[]])[] {
  return core.of('askChains').map(({ member, origin, sequences }) => [member, origin, sequences])
}

/** The member tells its chains, and the log what it makes of the first of them. */
function told(core: Core, verdict: 'equal' | 'fork'): void {
  const asked = core.of('askChains').at(-1)
  if (asked === undefined) throw new Error('nothing was asked')
  const chains = asked.sequences.map(() => chain(99))
  core.input({ ...asked, kind: 'chainsAsked', chains })
  const compare = core.of('compare').at(-1)
  expect(compare).toMatchObject({ origin: asked.origin, chain: chain(99) })
  core.input({ kind: 'compared', compare: compare?.compare ?? -1, verdict })
}

function holed(origin: OriginId, next: number, ...from: readonly number[]): OriginState {
  return stateOf(origin, next, { holes: from.map((at) => ({ from: at, to: at + 3 })) })
}

describe('a hole of a member', () => {
  it('REP-46 where we hold the records its chain is asked for, and another one is a fork', () => {
    const core = new Core({}, [stateOf(originB, 12)])
    core.meet('b', [holed(originB, 12, 7)])
    expect(asks(core)).toEqual([['b', originB, [7]]])
    told(core, 'fork')
    expect(core.of('quarantine').map(({ origin }) => origin)).toEqual([originB])
    expect(core.events('fork')).toEqual([{ origin: originB, sequence: 7, member: 'b' }])
  })

  it('REP-46 is asked about when we come past it, once a session', () => {
    const core = new Core({}, [stateOf(originB, 5)])
    core.meet('b', [holed(originB, 12, 7)])
    expect(asks(core)).toEqual([])
    core.local([stateOf(originA, 1, { own: true }), stateOf(originB, 9)])
    core.pass(10)
    core.input({ kind: 'deadline' })
    expect(asks(core)).toEqual([['b', originB, [7]]])
    told(core, 'equal')
    core.answer('b', { vector: [holed(originB, 13, 7, 20)], vectorVersion: 2 })
    expect(asks(core).length).toBe(1)
    core.local([stateOf(originA, 1, { own: true }), stateOf(originB, 30)])
    core.input({ kind: 'deadline' })
    expect(asks(core).slice(1)).toEqual([['b', originB, [20]]])
    core.hello('b', [holed(originB, 30, 7)])
    expect(core.of('quarantine')).toEqual([])
  })

  it('REP-46 says nothing where ours begins there as well, and one call is under way at most', () => {
    const ours = [originB, originX].map((origin) => stateOf(origin, 12))
    const core = new Core({}, [...ours, stateOf('dd'.repeat(16), 12, { floor: 10 })])
    core.meet(
      'b',
      [originB, originX, 'dd'.repeat(16)].map((origin) => holed(origin, 12, 7)),
    )
    expect(asks(core)).toEqual([['b', originB, [7]]])
    const [asked] = core.of('askChains')
    if (asked === undefined) throw new Error('nothing was asked')
    core.input({ ...asked, kind: 'chainsAsked', chains: [] })
    expect(asks(core).slice(1)).toEqual([['b', originX, [7]]])
    core.input({ ...asked, ...core.of('askChains').at(-1), kind: 'chainsAsked', chains: [null] })
    expect(asks(core).length).toBe(2)
    expect(core.of('compare')).toEqual([])
  })

  it('REP-46 hides no fork where both sides end alike', async () => {
    const { origin, histories } = await twoHistories()
    const village = new Village()
    onTestFinished(() => village.stop())
    const b = await village.add('b')
    const c = await village.add('c')
    for (const [{ log }, batches] of [
      [b, histories[0]],
      [c, histories[1]],
    ] as const) {
      await log.applyBatches(batches ?? [])
    }
    const end = b.log.vector().find((state) => state.origin === origin)
    if (end === undefined) throw new Error('b holds nothing')
    await c.log.recordGap(origin, end.next, end.chain, 'nobody has it')
    for (const { replicator } of [b, c]) await replicator.start()
    village.join('b', 'c')
    const stopped = (): boolean =>
      b.log.vector().some((state) => state.origin === origin && state.status === 'quarantined')
    await until(stopped, 'b has stopped the origin')
    expect(b.replicator.status().forks).toMatchObject([{ origin, member: 'c' }])
  })
})

describe('our own origin, of which others hold more', () => {
  it.each([true, false])(
    'REP-13 is quarantined where we appended under it since the start: %s',
    (appended) => {
      const core = new Core()
      core.local([stateOf(originA, 4, { own: true })])
      core.meet('b', [stateOf(originA, 7, { floor: 7 })])
      expect(core.of('rotate').map(({ origin }) => origin)).toEqual([originA])
      core.local([stateOf(originA, 4, { status: 'sealed' }), stateOf(originX, 1, { own: true })])
      core.input({ kind: 'rotated', to: originX, appended, reason: '' })
      expect(core.of('quarantine').map(({ origin }) => origin)).toEqual(appended ? [originA] : [])
    },
  )

  it('REP-13 is quarantined also where the log may take another one later only', () => {
    const core = new Core()
    core.local([stateOf(originA, 4, { own: true })])
    core.meet('b', [stateOf(originA, 7, { floor: 7 })])
    core.input({ kind: 'rotated', to: undefined, appended: true, reason: 'too soon' })
    expect(core.of('quarantine')).toEqual([])
    core.local([stateOf(originA, 4, { status: 'sealed' }), stateOf(originX, 1, { own: true })])
    core.answer('b', {})
    expect(core.of('quarantine').map(({ origin }) => origin)).toEqual([originA])
  })
})

/** The batches of one origin as two logs wrote them that shared a disk: 12 and 6 records. */
async function twoHistories(): Promise<{
  readonly origin: OriginId
  readonly histories: readonly (readonly Uint8Array[])[]
}> {
  const [one, two] = ['one', 'two'].map(() => {
    const made = mkdtempSync(join(tmpdir(), 'kith-holes-'))
    onTestFinished(() => rmSync(made, { recursive: true, force: true }))
    return made
  }) as [string, string]
  let origin = ''
  const write = async (directory: string, text: string, batches: number) => {
    await using log = createLog({ directory, writer: 'inline' })
    await log.start()
    origin = log.origin
    for (let batch = 0; batch < batches; batch += 1) {
      await log.append(['x', 'y', 'z'].map((each) => ({ value: bytes(`${text} ${each}`) })))
    }
    const run = await log.readBatches(log.origin, 1, 1 << 20)
    return run.kind === 'batches' ? run.batches : []
  }
  await write(one, 'both', 1)
  cpSync(one, two, { recursive: true })
  const histories = [await write(one, 'one', 3), await write(two, 'two', 1)]
  return { origin, histories }
}
