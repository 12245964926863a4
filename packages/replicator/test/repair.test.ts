/** Damaged batches of one member come back from another one. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CorruptRun } from '@kith/interface'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { ReplicatorEvents } from '../src/index.ts'
import { batchOf, Core, originB, stateOf } from './core-support.ts'
import { bytes, contents, positions, until, Village } from './support.ts'
import type { Place } from './support.ts'

const run: CorruptRun = { origin: originB, from: 4, to: 8, offset: 30, reason: 'flipped' }

describe('whom damaged batches are asked of', () => {
  it('REP-38 asks a member that holds all of them, one after the other, and once', () => {
    const core = new Core({}, [stateOf(originB, 9)])
    core.meet('b', [stateOf(originB, 7, { own: true })])
    core.meet('c', [stateOf(originB, 9, { holes: [{ from: 5, to: 8 }] })])
    core.meet('d', [stateOf(originB, 9)])
    core.meet('e', [stateOf(originB, 9)])
    core.input({ kind: 'corrupt', run })
    core.input({ kind: 'corrupt', run })
    const [asked, ...more] = core.of('fetch')
    expect(more).toEqual([])
    expect(asked).toMatchObject({ member: 'd', run })
    const { kind: _, ...call } = asked ?? core.of('fetch')[0]!
    // It has them no more.
    core.input({ kind: 'fetched', ...call, batches: [] })
    const { kind: __, ...second } = core.of('fetch').at(-1)!
    expect(second.member).toBe('e')
    // What comes late belongs to nobody.
    core.input({ kind: 'fetched', ...call, batches: [batchOf(originB, 4, 4)] })
    expect(core.of('repair')).toEqual([])
    core.input({ kind: 'fetched', ...second, batches: [batchOf(originB, 4, 4)] })
    expect(core.of('repair')).toMatchObject([{ run, member: 'e' }])
    core.input({ kind: 'repaired', repair: second.repair, outcome: 'repaired', reason: '' })
    expect(core.events('repaired')).toEqual([{ origin: originB, from: 4, to: 8, member: 'e' }])
    expect(core.state.repairs.size).toBe(0)
  })

  it('REP-38 waits longer each time nobody had them, and asks who comes', () => {
    const core = new Core({ backoffMinMs: 100, backoffMaxMs: 1_000 }, [stateOf(originB, 9)])
    core.input({ kind: 'corrupt', run })
    expect(core.of('fetch')).toEqual([])
    core.meet('b', [stateOf(originB, 9)])
    for (const wait of [100, 200, 400, 800, 1_000, 1_000]) {
      const { kind: _, ...call } = core.of('fetch').at(-1)!
      const failure = { code: 'ERR_REPLICATOR_UNAVAILABLE', reason: 'gone' } as const
      core.input({ kind: 'fetchFailed', ...call, ...failure })
      expect(core.events('repairFailed').at(-1)).toMatchObject({ retryInMs: wait })
      const before = core.of('fetch').length
      core.pass(wait - 1)
      expect(core.of('fetch').length).toBe(before)
      core.pass(1)
      expect(core.of('fetch').length).toBe(before + 1)
    }
  })

  it('REP-38 leaves a member that does not answer, and one whose bytes are refused', () => {
    const core = new Core({ pullTimeoutMs: 500 }, [stateOf(originB, 9)])
    core.meet('b', [stateOf(originB, 9)])
    core.meet('c', [stateOf(originB, 9)])
    core.meet('d', [stateOf(originB, 9)])
    core.input({ kind: 'corrupt', run })
    core.pass(501)
    const { kind: _, ...second } = core.of('fetch').at(-1)!
    expect(second.member).toBe('c')
    core.input({ kind: 'fetched', ...second, batches: [batchOf(originB, 4, 4)] })
    core.input({ kind: 'repaired', repair: second.repair, outcome: 'refused', reason: '' })
    const { kind: __, ...third } = core.of('fetch').at(-1)!
    expect(third.member).toBe('d')
    core.input({ kind: 'fetched', ...third, batches: [batchOf(originB, 4, 4)] })
    core.input({ kind: 'repaired', repair: third.repair, outcome: undefined, reason: 'full' })
    expect(core.events('repairRefused')).toMatchObject([{ from: 4, to: 8, reason: 'full' }])
    // Tried again later: a disk may have room by then.
    core.pass(60_000)
    expect(core.of('fetch').length).toBeGreaterThan(3)
  })
})

interface Pair {
  readonly village: Village
  readonly sick: Place
  readonly well: Place
  readonly directory: string
}

type Storage = 'sqlite' | 'segment'

/** The files in which a log keeps its batches. */
function filesOf(directory: string, storage: Storage): readonly string[] {
  if (storage === 'sqlite') return [join(directory, 'log.db')]
  const names = readdirSync(directory).filter((name) => name.endsWith('.seg'))
  return names.map((name) => join(directory, name))
}

/** Flips a bit where `text` is stored. */
function harm(directory: string, storage: Storage, text: string): void {
  const stored = filesOf(directory, storage).map((file) => ({ file, content: readFileSync(file) }))
  const found = stored.find(({ content }) => content.includes(text))
  if (found === undefined) throw new Error(`${text} is stored nowhere`)
  const at = found.content.indexOf(text)
  found.content[at] = (found.content[at] ?? 0) ^ 1
  writeFileSync(found.file, found.content)
}

/** Two members with the same content, of which one has a bit flipped where `text` is stored. */
async function pair(storage: Storage, text: string, length: number): Promise<Pair> {
  const directory = mkdtempSync(join(tmpdir(), 'kith-repair-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const village = new Village()
  onTestFinished(() => village.stop())
  const options = { directory, storage, writer: 'inline' } as const
  const first = await village.add('a', {}, options)
  const well = await village.add('b')
  await first.replicator.start()
  await well.replicator.start()
  village.join('a', 'b')
  for (let at = 0; at < 6; at += 1) {
    await first.log.append({ value: bytes(`from a ${at} ${'.'.repeat(length)}`) })
    await well.log.append({ value: bytes(`from b ${at} ${'.'.repeat(length)}`) })
  }
  await until(() => positions(first.log) === positions(well.log), 'both hold the same')
  await first.replicator.stop()
  await first.log.stop()
  harm(directory, storage, text)
  const sick = await village.add('a', {}, options)
  return { village, sick, well, directory }
}

function once<Kind extends keyof ReplicatorEvents>(
  { replicator }: Place,
  kind: Kind,
): Promise<ReplicatorEvents[Kind]> {
  return new Promise((resolve) => replicator.on(kind, resolve))
}

describe.each(['sqlite', 'segment'] as const)('a member with a flipped bit in %s', (storage) => {
  it.each([
    ['of another', 'from b 3', 20],
    ['of its own', 'from a 2', 40_000],
  ])('REP-38 REP-19 gets a batch %s back while it serves the rest', async (_, text, length) => {
    const { village, sick, well } = await pair(storage, text, length)
    const repaired = once(sick, 'repaired')
    await sick.replicator.start()
    village.join('a', 'b')
    // Found by the scrub, by whoever reads, or by whoever pulls it; here by a scrub.
    expect(await sick.log.scrub()).toMatchObject({ corrupt: 1 })
    const begun = performance.now()
    expect(await repaired).toMatchObject({ member: 'b' })
    expect(performance.now() - begun).toBeLessThan(60_000)
    expect((await contents(sick.log)).toSorted()).toEqual((await contents(well.log)).toSorted())
    expect(await sick.log.verify()).toMatchObject({ ok: true })
    expect(sick.log.corrupt()).toEqual([])
    expect(sick.replicator.status().counters.repairs).toBe(1)
  })

  it('REP-38 was found before anybody was there to ask', async () => {
    const { village, sick } = await pair(storage, 'from b 3', 20)
    expect((await sick.log.verify()).ok).toBe(false)
    await until(() => sick.log.corrupt().length === 1, 'the damage is known')
    const repaired = once(sick, 'repaired')
    await sick.replicator.start()
    village.join('a', 'b')
    await repaired
    expect(await sick.log.verify()).toMatchObject({ ok: true })
  })
})
