// What can be counted, what is said about it, and what is counted are the same.
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')

const sources = ['wire', 'core', 'runtime'].flatMap((room) =>
  readdirSync(new URL(`../src/${room}/`, import.meta.url), { recursive: true })
    .map((name) => `src/${room}/${String(name)}`)
    .filter((name) => name.endsWith('.ts')),
)
const declaring = ['src/core/counters.ts', 'src/runtime/counters.ts']

const problems = 'src/wire/problem.ts'

function quoted(text: string): readonly string[] {
  return [...text.matchAll(/'([A-Za-z]+)'/g)].map(([, name = '']) => name)
}

/** The names in unions of these files. */
function declared(files: readonly string[]): ReadonlySet<string> {
  const names = files.flatMap((file) =>
    [...read(file).matchAll(/(?:\||=)\s*'([A-Za-z]+)'/g)].map(([, name = '']) => name),
  )
  return new Set(names)
}

/** The first column of every table. */
function described(text: string): readonly string[] {
  return [...text.matchAll(/^\| `([A-Za-z.]+)`\s*\|/gm)].map(([, name = '']) => name)
}

function different(a: Iterable<string>, b: Iterable<string>): readonly string[] {
  const [first, second] = [new Set(a), new Set(b)]
  return [...first, ...second].filter((name) => first.has(name) !== second.has(name))
}

describe('counters', () => {
  const kinds = /CoordinateProblem = ([^\n]+)/.exec(read('src/wire/coordinate.ts'))?.[1] ?? ''
  const all = new Set([...declared([...declaring, problems]), ...quoted(kinds)])

  it('GOS-188 each is described, once, and nothing else is', () => {
    const rows = described(read('COUNTERS.md'))
    expect(different(all, rows)).toEqual([])
    expect(rows.length).toBe(new Set(rows).size)
    expect(rows.length).toBeGreaterThan(100)
  })

  it('GOS-188 each is counted somewhere', () => {
    const code = sources
      .filter((file) => !declaring.includes(file) && file !== problems)
      .map(read)
      .join('\n')
    expect([...all].filter((name) => !code.includes(`'${name}'`))).toEqual([])
  })

  it('GOS-188 a name that is missing or too many is seen', () => {
    expect(different(['a', 'b'], ['b', 'c'])).toEqual(['a', 'c'])
    expect(described('| `nobody` | x |\n| nothing | y |')).toEqual(['nobody'])
  })
})
