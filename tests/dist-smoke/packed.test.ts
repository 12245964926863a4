/**
 * What would be published, used as a stranger would: every package packed, unpacked beside its real
 * dependencies, and imported without the sources' condition.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, globSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { realpathSync } from 'node:fs'
import { rmSync } from 'node:fs'
import { existsSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const packages = readdirSync(join(root, 'packages')).filter((name) =>
  existsSync(join(root, 'packages', name, 'package.json')),
)

interface Manifest {
  readonly name: string
  readonly exports: Readonly<Record<string, unknown>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest
}

/** Links what a package of the workspace depends on from outside, as an install would. */
function linkDependencies(name: string, into: string): void {
  const own = join(root, 'packages', name)
  const { dependencies, peerDependencies, peerDependenciesMeta } = manifestOf(own)
  const peers = Object.keys(peerDependencies ?? {})
  const needed = peers.filter((peer) => peerDependenciesMeta?.[peer]?.optional !== true)
  for (const dependency of [...Object.keys(dependencies ?? {}), ...needed]) {
    const link = join(into, dependency)
    if (dependency.startsWith('@kith/') || existsSync(link)) continue
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(realpathSync(join(own, 'node_modules', dependency)), link)
  }
}

/** Packages that an install of `folder` brings and that hold, or build, a native module. */
function nativeModules(folder: string, seen = new Set<string>()): readonly string[] {
  if (seen.has(folder)) return []
  seen.add(folder)
  const { name, dependencies, optionalDependencies } = manifestOf(folder)
  const isNative = existsSync(join(folder, 'binding.gyp'))
  const needed = Object.keys({ ...dependencies, ...optionalDependencies })
  const below = needed.flatMap((it) => {
    const found = dependencyOf(folder, it)
    return found === undefined ? [] : nativeModules(found, seen)
  })
  return isNative ? [name, ...below] : below
}

/** Where the package in `folder` finds that one; undefined where it was left out. */
function dependencyOf(folder: string, name: string): string | undefined {
  for (let at = folder; at !== dirname(at); at = dirname(at)) {
    const found = join(at, 'node_modules', name)
    if (existsSync(found)) return realpathSync(found)
  }
  return undefined
}

function run(folder: string, args: readonly string[]): string {
  // Without the runner's own options, among them the condition that leads to the sources.
  const env = { ...process.env, NODE_OPTIONS: '' }
  return execFileSync(process.execPath, args, { cwd: folder, env, timeout: 60_000 }).toString()
}

describe('the packed packages', () => {
  const project = mkdtempSync(join(tmpdir(), 'kith-packed-'))
  const modules = join(project, 'node_modules')
  beforeAll(() => {
    const pack = ['--filter', './packages/*', 'pack', '--pack-destination', project]
    execFileSync(join(root, 'node_modules/.bin/pnpm'), pack, { cwd: root, stdio: 'pipe' })
    writeFileSync(join(project, 'package.json'), '{ "type": "module" }')
    for (const name of packages) {
      const folder = join(modules, '@kith', name)
      mkdirSync(folder, { recursive: true })
      const tarball = readdirSync(project).find((it) => new RegExp(`^kith-${name}-\\d`).test(it))
      const from = join(project, tarball ?? `no tarball of ${name}`)
      execFileSync('tar', ['-xzf', from, '--strip-components=1', '-C', folder])
      linkDependencies(name, modules)
    }
    const types = join(modules, '@types')
    mkdirSync(types, { recursive: true })
    symlinkSync(join(root, 'packages/testkit/node_modules/@types/node'), join(types, 'node'))
  }, 120_000)
  afterAll(() => rmSync(project, { recursive: true, force: true }))

  it.each(packages)('@kith/%s names real versions and no leftovers of the workspace', (name) => {
    const text = readFileSync(join(modules, '@kith', name, 'package.json'), 'utf8')
    expect(text).not.toMatch(/workspace:|catalog:/)
    const files = readdirSync(join(modules, '@kith', name), { recursive: true }) as string[]
    expect(files.filter((file) => /tsbuildinfo|\.test\.|(^|\/)node_modules/.test(file))).toEqual([])
    expect(files).toContain('README.md')
  })

  it.each(packages)('@kith/%s can be imported by every entry it declares', (name) => {
    const { exports } = manifestOf(join(modules, '@kith', name))
    const entries = Object.keys(exports).filter((it) => it !== './package.json')
    const lines = entries.map(
      (it) => `console.log(Object.keys(await import('@kith/${name}${it.slice(1)}')).length)`,
    )
    const script = join(project, `import-${name}.mjs`)
    writeFileSync(script, lines.join('\n'))
    const counts = run(project, [script]).trim().split('\n')
    expect(counts).toHaveLength(entries.length)
    for (const count of counts) expect(Number(count)).toBeGreaterThan(0)
  })

  it('no package but those with a log brings a native module', () => {
    const found = packages.map((name) => [name, nativeModules(join(root, 'packages', name))])
    const withOne = found.filter(([, natives]) => (natives?.length ?? 0) > 0)
    expect(Object.fromEntries(withOne)).toEqual({
      agent: ['better-sqlite3'],
      cli: ['better-sqlite3'],
      log: ['better-sqlite3'],
    })
  })

  it('the command answers', () => {
    const bin = join(modules, '@kith/cli/bin/kith.js')
    expect(run(project, [bin, '--version'])).toMatch(/^\d+\.\d+\.\d+/)
    expect(run(project, [bin, '--help'])).toContain('agent')
  })

  it('an agent starts, keeps a record on disk from its worker, and stops', () => {
    const script = join(project, 'agent.mjs')
    writeFileSync(
      script,
      `import { createAgent } from '@kith/agent'
      const agent = createAgent({ name: 'packed', data: ${JSON.stringify(join(project, 'data'))} })
      await agent.start()
      const { first } = await agent.log.append({ value: new TextEncoder().encode('x') })
      await agent.stop()
      console.log(first)`,
    )
    expect(run(project, [script]).trim()).toBe('1')
  })

  describe('what was written outside', () => {
    const examples = join(project, 'examples')
    it('fits the declarations', () => {
      cpSync(join(root, 'examples'), examples, { recursive: true })
      // All of them at once: most of the work is reading the declarations. They have one form.
      const [first = '', ...others] = globSync('*/tsconfig.json', { cwd: examples }).map((file) =>
        readFileSync(join(examples, file), 'utf8'),
      )
      expect(others).toEqual([first])
      const all = first.replaceAll('"src", "test"', '"*/src", "*/test"')
      writeFileSync(join(examples, 'tsconfig.json'), all)
      execFileSync(join(root, 'node_modules/.bin/tsc'), ['--noEmit'], { cwd: examples })
    })

    it.each([
      ['log-store-node-sqlite', ['conformance', 'log'], /^# pass 1[0-9]$/m],
      ['agent-plugin-shared-folder', ['conformance', 'agents'], /^# pass 1[6-9]$/m],
    ])('%s passes its suites', (name, tests, passed) => {
      const files = tests.map((test) => `test/${test}.test.ts`)
      const output = run(join(examples, name), ['--test', '--test-reporter=tap', ...files])
      expect(output).toMatch(passed)
      expect(output).toMatch(/^# fail 0$/m)
    })
  })
})
