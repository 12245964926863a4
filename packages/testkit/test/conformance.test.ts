/** Running suites: under vitest, under node:test, with and without features. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { expectEqual, failingCases, runCase, runConformance } from '../src/index.ts'
import type { ConformanceCase, TestRunner } from '../src/index.ts'

interface Subject {
  readonly value: number
  [Symbol.asyncDispose]?(): Promise<void>
}

const cases: readonly ConformanceCase<Subject>[] = [
  { id: 'X-1', title: 'is one', run: ({ value }) => expect(value).toBe(1) },
  { id: 'X-2', title: 'flies', needs: ['wings'], run: () => Promise.reject(new Error('fell')) },
]

/** A runner that only writes down what it was asked. */
function recorder() {
  const lines: string[] = []
  const bodies: (() => Promise<void>)[] = []
  const runner: TestRunner = {
    describe: (name, body) => {
      lines.push(`describe ${name}`)
      body()
    },
    it: Object.assign(
      (name: string, body: () => Promise<void>) => {
        lines.push(`it ${name}`)
        bodies.push(body)
      },
      { skip: (name: string) => void lines.push(`skip ${name}`) },
    ),
  }
  return { lines, bodies, runner }
}

describe('runConformance', () => {
  it('titles tests with their clause and skips what is absent with the reason', () => {
    const { lines, runner } = recorder()
    const absent = { wings: 'a stone' }
    runConformance('stone', cases, runner, () => ({ value: 1 }), { absent })
    expect(lines).toEqual([
      'describe stone',
      'it X-1 is one',
      'skip X-2 flies (absent: wings, a stone)',
    ])
  })

  it('refuses an excuse that no case needs', () => {
    const { runner } = recorder()
    const absent = { fins: 'a stone' }
    expect(() => runConformance('stone', cases, runner, () => ({ value: 1 }), { absent })).toThrow(
      'stone: absent features that no case needs: fins',
    )
  })

  it('opens a subject for each case and disposes of it, also when the case failed', async () => {
    const log: string[] = []
    const open = (): Subject => {
      log.push('open')
      return { value: 2, [Symbol.asyncDispose]: async () => void log.push('dispose') }
    }
    const failures = await failingCases(cases, open)
    expect([...failures.keys()]).toEqual(['X-1', 'X-2'])
    expect(log).toEqual(['open', 'dispose', 'open', 'dispose'])
    const [first] = cases as [ConformanceCase<Subject>]
    await runCase(first, () => ({ value: 1 }))
  })

  it('works with node:test as it does with vitest', async () => {
    const script = fileURLToPath(new URL('under-node-test.ts', import.meta.url))
    const args = ['--conditions=@kith/source', '--test', '--test-reporter=tap', script]
    const env = { ...process.env, NODE_TEST_CONTEXT: undefined, NODE_OPTIONS: '' }
    const { stdout } = await promisify(execFile)(process.execPath, args, { env })
    expect(stdout).toContain('TRA-6 a packet arrives whole')
    expect(stdout).toMatch(/# SKIP/)
    expect(stdout).toMatch(/# fail 0/)
    expect(stdout).toMatch(/# pass 1[0-9]/)
  })
})

describe('expectEqual', () => {
  it('compares all of what it shows a part of', () => {
    const long = Array.from({ length: 1_000 }, (_, index) => index)
    expectEqual(long, [...long], 'the same')
    const other = [...long.slice(0, -1), 0]
    expect(() => expectEqual(other, long, 'all')).toThrow(/^all: expected \[0,1,.{380,400}\.\.\./)
  })

  it('takes fields in any order, and bytes by content', () => {
    expectEqual({ a: 1, b: Uint8Array.of(1) }, { b: Uint8Array.of(1), a: 1 }, 'rows')
    expect(() => expectEqual({ a: [1, 2] }, { a: [2, 1] }, 'lists')).toThrow('lists: expected')
  })
})
