/** Seeds and transcripts: a failure says how to see it again. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { expectHappened, runSeeds, Transcript } from '../src/index.ts'

const folders: string[] = []

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

describe('runSeeds', () => {
  it('adds the counters of all seeds up', async () => {
    const scenario = (seed: number) => ({ counters: { seeds: 1, sum: seed } })
    const result = await runSeeds({ name: 'sum', scenario, seeds: 4, first: 10 })
    expect(result).toEqual({ seeds: 4, counters: { seeds: 4, sum: 46 } })
  })

  it('stops at the first failure and names the one command that replays it', async () => {
    const seen: number[] = []
    const scenario = (seed: number) => {
      seen.push(seed)
      if (seed === 3) throw new Error('two leaders')
      return {}
    }
    await expect(runSeeds({ name: 'vote', scenario, seeds: 9 })).rejects.toMatchObject({
      code: 'ERR_SIM_SEED_FAILED',
      message:
        'vote failed with seed 3: two leaders\nreplay: npm run sim -- --scenario vote --seed 3',
      details: { name: 'vote', seed: 3 },
    })
    expect(seen).toEqual([1, 2, 3])
  })

  it('finds a scenario that does not do the same twice', async () => {
    let runs = 0
    const scenario = () => ({ digest: String((runs += 1)) })
    const twice = runSeeds({ name: 'dice', scenario, seeds: [7], twice: true })
    await expect(twice).rejects.toThrow('not deterministic: 1 first, then 2')
  })

  it('lets nobody claim a fault that never happened', () => {
    expect(() => expectHappened({ lost: 3, paused: 0 }, ['lost'])).not.toThrow()
    expect(() => expectHappened({ lost: 3, paused: 0 }, ['lost', 'paused', 'cut'])).toThrow(
      'never happened over all seeds: paused, cut',
    )
  })
})

describe('Transcript', () => {
  function twoLines(second = 'sees a'): Transcript {
    const transcript = new Transcript()
    transcript.add(0, 'a', 'joins\nthe cluster')
    transcript.add(1200.5, 'b', second)
    return transcript
  }

  it('writes one line for each thing that happened', () => {
    expect(twoLines().lines).toEqual([
      '       0.000 a        joins\\nthe cluster',
      '    1200.500 b        sees a',
    ])
  })

  it('compares with a golden file and shows the first difference', () => {
    const folder = mkdtempSync(join(tmpdir(), 'kith-sim-'))
    folders.push(folder)
    const file = join(folder, 'deep', 'golden.txt')
    expect(() => twoLines().expectGolden(file, false)).toThrow('in line 1')
    twoLines().expectGolden(file, true)
    expect(readFileSync(file, 'utf8')).toBe(twoLines().toString())
    twoLines().expectGolden(file, false)
    expect(() => twoLines('sees nobody').expectGolden(file, false)).toThrow(
      /differs from .* in line 2\n {2}golden: .*sees a\n {2}now: {4}.*sees nobody/,
    )
  })

  it('keeps a bounded number of lines and says how many more there were', () => {
    const echoed: string[] = []
    const transcript = new Transcript({ linesMax: 2, echo: (line) => echoed.push(line) })
    for (const what of ['one', 'two', 'three', 'four']) transcript.add(0, 'a', what)
    expect(transcript.lines).toHaveLength(2)
    expect(echoed).toHaveLength(4)
    expect(transcript.toString()).toMatch(/two\n\.\.\. and 2 more lines\n$/)
  })
})
