import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { command, root } from './support/command.ts'

const text = {
  'packages/gossip/src/core/impure.ts': `
    import { hostname } from 'node:os'
    export const impure = [Date.now(), Math.random(), performance.now(), hostname(), process.pid]
    export const timers = [setTimeout, setInterval, setImmediate, queueMicrotask]
    export const others = [Buffer, console, crypto, fetch]`,
  'packages/gossip/src/wire/impure.ts': 'export const now: number = Date.now()',
  'packages/gossip/src/runtime/pure.ts': 'export const now: number = Date.now()',
  'packages/gossip/src/runtime/talk.ts': 'export function talk(): void { console.log(1) }',
  'packages/gossip/src/runtime/default.ts': 'export default 1',
  'packages/gossip/src/runtime/promise.ts': `
    async function work(): Promise<void> {}
    export function forget(): void { work() }
    export function misuse(list: number[]): void { list.forEach(async () => { await work() }) }
    export function declared(): void { void work() }`,
  'packages/gossip/src/runtime/switch.ts': `
    export function read(kind: 'a' | 'b'): number {
      switch (kind) { case 'a': return 1 }
      return 2
    }
    export function covered(kind: 'a' | 'b'): number {
      switch (kind) { case 'a': return 1; default: return 2 }
    }`,
  'packages/gossip/src/runtime/any.ts': 'export const it: any = 1',
  'packages/gossip/src/runtime/bang.ts':
    'export const first = (list: string[]): string => list[0]!',
  'packages/gossip/src/runtime/a.ts': "import type { B } from './b.ts'\nexport type A = B | 1",
  'packages/gossip/src/runtime/b.ts': "import type { A } from './a.ts'\nexport type B = A[]",
  'packages/gossip/test/a.test.ts': `import { it } from 'vitest'\nit.${'only'}('x', () => {})`,
}

interface Diagnostics {
  readonly diagnostics: readonly { readonly code: string; readonly filename: string }[]
}

describe('the linter', () => {
  const base = mkdtempSync(join(tmpdir(), 'kith-lint-'))
  const found = new Map<string, string[]>()
  beforeAll(async () => {
    copyFileSync(join(root, '.oxlintrc.json'), join(base, '.oxlintrc.json'))
    const compilerOptions = { strict: true, noEmit: true, lib: ['ES2023', 'DOM'], target: 'ES2023' }
    writeFileSync(join(base, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
    for (const [file, code] of Object.entries(text)) {
      mkdirSync(join(base, dirname(file)), { recursive: true })
      writeFileSync(join(base, file), code)
    }
    const oxlint = join(root, 'node_modules/.bin/oxlint')
    const args = ['--type-aware', '-f', 'json', 'packages']
    const { output } = await command(oxlint, args, { folder: base })
    const { diagnostics } = JSON.parse(output.slice(output.indexOf('{'))) as Diagnostics
    for (const { filename, code } of diagnostics) {
      const rule = code.replace(/^.*\((.*)\)$/, '$1')
      found.set(filename, [...(found.get(filename) ?? []), rule].toSorted())
    }
  }, 60_000)
  afterAll(() => rmSync(base, { recursive: true, force: true }))

  it('keeps time, chance, timers and Node.js out of a core', () => {
    const rules = found.get('packages/gossip/src/core/impure.ts') ?? []
    expect(rules.filter((rule) => rule === 'no-restricted-globals')).toHaveLength(11)
    expect(rules).toContain('no-restricted-properties')
    expect(rules).toContain('no-restricted-imports')
    expect(found.get('packages/gossip/src/wire/impure.ts')).toEqual(['no-restricted-globals'])
    expect(found.get('packages/gossip/src/runtime/pure.ts')).toBeUndefined()
  })

  it.each([
    ['runtime/talk.ts', ['no-console']],
    ['runtime/default.ts', ['no-default-export']],
    ['runtime/promise.ts', ['no-floating-promises', 'no-misused-promises']],
    ['runtime/switch.ts', ['switch-exhaustiveness-check']],
    ['runtime/any.ts', ['no-explicit-any']],
    ['runtime/bang.ts', ['no-non-null-assertion']],
    ['runtime/a.ts', ['no-cycle']],
  ])('finds what is wrong in %s, and nothing else', (file, rules) => {
    expect(found.get(`packages/gossip/src/${file}`)).toEqual(rules)
  })

  it('finds a test that runs alone', () => {
    expect(found.get('packages/gossip/test/a.test.ts')).toEqual(['no-focused-tests'])
  })
})
