import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from './support/command.ts'
import { type Files, repositoryFiles } from './tidy/files.ts'
import * as rules from './tidy/rules.ts'
import { oversized, sizeProblems } from './tidy/sizes.ts'
import { identifiers } from './tidy/words.ts'

interface Rule {
  readonly title: string
  readonly problems: (files: Files) => string[]
  /** A small repository that breaks the rule, and how often. */
  readonly planted: Readonly<Record<string, string>>
  readonly count: number
}

/** Split, so that the planted marks are not marks in this file. */
const mark = (...word: readonly string[]): string => `// ${word.join('')}: later\n`

const table: readonly Rule[] = [
  {
    title: 'every clause of a SPEC.md has a test, and every tested id is a clause',
    problems: rules.clauseProblems,
    planted: {
      'packages/gossip/SPEC.md':
        '- **GOS-1** probes. See LOG-9.\n| GOS-2 | acks |\n### GOS-3 nacks\n* `GOS-3` again\nGOS-5 x',
      'packages/gossip/test/a.test.ts':
        "it('GOS-1, GOS-5: probes', f)\nit('mentions GOS-2', f)\nit.each(x)('GOS-4 none', f)",
    },
    // GOS-2 and GOS-3 untested, GOS-3 twice, GOS-4 unknown.
    count: 4,
  },
  {
    title: 'error codes, their fragments and the index are one set',
    problems: rules.errorProblems,
    planted: {
      'packages/log/src/errors.ts':
        "/** x */\nexport type LogErrorCode =\n  // why\n  | 'ERR_LOG_A'\n  /** why */\n  | 'ERR_LOG_B'\n\nconst other = 'ERR_SIM_A'",
      'packages/log/src/x.ts': "throw new LogError('ERR_LOG_LOST', 'x')",
      'packages/sim/src/errors.ts': "export type SimErrorCode = 'ERR_SIM_A'",
      'docs/errors/log.md':
        '| `ERR_LOG_A` | a | no | | wait |\n| `ERR_LOG_C` | a | no | no | wait |',
      'docs/errors.md': '[gone](errors/gone.md)',
    },
    // B has no row, C no code, A an empty cell, log is not in the index, sim has no fragment, LOST,
    // and the index names what does not exist.
    count: 7,
  },
  {
    title: 'packages export names one by one',
    problems: rules.surfaceProblems,
    planted: {
      'packages/log/src/index.ts': "export * from './a.ts'\n// export * is fine here",
      'packages/log/src/b.ts': 'export default function b(): void {}',
      'packages/log/src/c.ts': "export type * from './a.ts'",
    },
    count: 3,
  },
  {
    title: 'no module has state',
    problems: rules.stateProblems,
    planted: {
      'packages/log/src/main.ts': 'let opened = 0',
      'packages/log/src/a.ts': 'let opened = 0\nexport function a(): void {\n  let b = 1\n}\n',
    },
    count: 1,
  },
  {
    title: 'files open with their purpose',
    problems: rules.purposeProblems,
    planted: { 'packages/log/src/a.ts': 'export const a = 1', 'packages/log/src/b.ts': '/** b */' },
    count: 1,
  },
  {
    title: 'lines have at most 100 columns',
    problems: rules.widthProblems,
    planted: {
      'tools/a.ts': `const a = ${'1 + '.repeat(25)}1\n// ${'x'.repeat(97)}\nconst b = '${'x'.repeat(97)}'`,
    },
    count: 1,
  },
  {
    title: 'identifiers use the words of the glossary',
    problems: rules.vocabularyProblems,
    planted: {
      'GLOSSARY.md':
        '## Banned\n| word | say | except in |\n|---|---|---|\n| `node` | member | `nodeDigests`, `packages/cli/`, `packages/sim/:node` |\n| `heartbeat` | probe | |\n',
      'packages/log/src/a.ts':
        "import { x } from 'node:fs'\nconst nodeDigests = 'node'\nconst deadNodes = `${heartbeatMs} node`",
      'packages/cli/src/a.ts': 'const node = 1',
      'packages/sim/src/a.ts': 'const node = nodes',
    },
    count: 3,
  },
  {
    title: 'nothing is marked as unfinished, switched off or alone',
    problems: rules.markProblems,
    planted: {
      'packages/log/src/a.ts': mark('TO', 'DO') + mark('FIX', 'ME'),
      'packages/log/test/a.test.ts': ['it', 'only(f)\ndescribe', `skip(f)`].join('.'),
    },
    count: 4,
  },
  {
    title: 'no path of a machine is written down',
    problems: rules.pathProblems,
    planted: { 'README.md': ['see ', 'work', 'main'].join('/'), 'a.ts': "'./work/x' 'framework/'" },
    count: 1,
  },
  {
    title: `tests sleep for at most ${rules.sleepMsMax} ms`,
    problems: rules.sleepProblems,
    planted: {
      'packages/log/test/a.test.ts':
        'await new Promise((r) => setTimeout(r, 1_000))\nawait new Promise((r) => setTimeout(r, 20))\nawait sleep(500)\nsetTimeout(() => reject(new Error()), 5_000)',
    },
    count: 2,
  },
]

describe('house rules', () => {
  const files = repositoryFiles()
  describe.each(table)('$title', ({ problems, planted, count }) => {
    it('holds', () => {
      expect(problems(files)).toEqual([])
    })
    it('is seen when it is broken', () => {
      expect(problems(new Map(Object.entries(planted)))).toHaveLength(count)
    })
  })

  it('reads the whole repository', () => {
    expect(files.size).toBeGreaterThan(100)
    expect(rules.bannedWords(files.get('GLOSSARY.md') ?? '').length).toBeGreaterThan(5)
  })
})

describe('sizes: functions of at most 70 lines in files of at most 500', () => {
  it('holds, but for a list of exceptions that shrinks', async () => {
    const allowed = JSON.parse(readFileSync(join(root, 'tools/tidy/exceptions.json'), 'utf8'))
    const folders = ['packages', 'apps', 'tools', 'bench']
    const found = (await oversized(root, folders)).filter(
      ({ file }) => !/\/test\/|\.test\.ts$/.test(file),
    )
    expect(sizeProblems(found, allowed)).toEqual([])
  })

  it('is seen when it is broken', async () => {
    const base = mkdtempSync(join(tmpdir(), 'kith-sizes-'))
    try {
      mkdirSync(join(base, 'src'))
      const long = (lines: number): string => `function f() {\n${'  f()\n'.repeat(lines - 2)}}\n`
      writeFileSync(join(base, 'src/fits.ts'), long(70))
      writeFileSync(join(base, 'src/function.ts'), long(71))
      writeFileSync(join(base, 'src/file.ts'), 'f()\n'.repeat(501))
      const found = await oversized(base, ['src'])
      expect(found.map(({ file }) => file).toSorted()).toEqual(['src/file.ts', 'src/function.ts'])
      expect(sizeProblems(found, { 'src/file.ts': 1 })).toHaveLength(1)
      expect(sizeProblems(found, { 'src/file.ts': 1, 'src/function.ts': 2 })).toHaveLength(1)
    } finally {
      rmSync(base, { recursive: true, force: true })
    }
  })
})

describe('the reader of identifiers', () => {
  it('skips strings, comments, templates and regular expressions, and reads what is inside ${}', () => {
    const text = [
      "const aBc = 'no\\'t' // not",
      '/* not */ const d = `not ${inner(`not ${deeper}`)} not`',
      "const r = /not'[/]not/.test(x) / y / z",
    ].join('\n')
    const names = identifiers(text).map(({ name }) => name)
    for (const name of ['aBc', 'd', 'inner', 'deeper', 'r', 'test', 'x', 'y', 'z']) {
      expect(names).toContain(name)
    }
    expect(names).not.toContain('not')
    expect(names).not.toContain('no')
  })

  it('splits names into words', () => {
    expect(identifiers('const parseHTTPNodeName2_x = 1')[1]?.words).toEqual([
      'parse',
      'http',
      'node',
      'name',
      'x',
    ])
  })
})
