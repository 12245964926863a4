/**
 * Tier 2: what would be published, installed by npm in an empty folder, on every line of Node.js
 * that is maintained: the example of the README and the first of each guide.
 */
import { cpSync, readdirSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { guides, readExamples } from '../../tools/examples.ts'
import type { Example } from '../../tools/examples.ts'
import { root } from '../../tools/support/command.ts'
import { publishedPackages } from '../../tools/support/packages.ts'
import { strangersProject } from '../../tools/support/stranger.ts'
import type { Project } from '../../tools/support/stranger.ts'
import { evidence, tier } from '../support/tier.ts'

const lines = ['22', '24', '26']
const installMs = 600_000
const exampleMs = 60_000

/** As plain JavaScript: the oldest Node.js of ours runs no TypeScript. */
function write({ folder }: Project, { file, line, code }: Example): string {
  const script = `${file.replaceAll(/\W+/g, '-')}-${line}.mjs`
  writeFileSync(join(folder, script), stripTypeScriptTypes(code))
  return script
}

describe.skipIf(tier === 1)('a project of a stranger (tier 2: npm run prove)', () => {
  let project: Project
  const binaries = new Map<string, string>()

  beforeAll(async () => {
    project = await strangersProject()
    for (const line of lines) {
      const prefix = join(project.folder, `node-${line}`)
      await project.npm('install', '--no-audit', '--no-fund', '--prefix', prefix, `node@${line}`)
      binaries.set(line, join(prefix, 'node_modules/node/bin/node'))
    }
  }, installMs)
  // Some ten thousand files.
  afterAll(() => project[Symbol.dispose](), installMs)

  const first = (file: string): readonly Example[] =>
    readExamples(file)
      .filter((example) => example.needs === undefined)
      .slice(0, 1)
  const examples = ['README.md', ...guides()].flatMap(first)
  for (const version of lines) {
    it.each(examples)(
      `runs $file:$line on Node.js ${version}`,
      { timeout: 2 * exampleMs },
      async (example) => {
        const binary = binaries.get(version) ?? ''
        const { output } = await project.run(binary, ['--version'])
        expect(output).toMatch(new RegExp(`^v${version}\\.`))
        const outcome = await project.run(binary, [write(project, example)], exampleMs)
        expect(outcome).toMatchObject({ code: 0 })
        evidence('stranger', `${example.file}:${example.line} on Node.js ${output.trim()}`)
      },
    )
  }

  describe.each([
    {
      name: 'log-store-node-sqlite',
      tests: ['conformance', 'faults', 'log'],
      needed: /^kith-(interface|log|testkit)-\d/,
    },
    {
      name: 'agent-plugin-shared-folder',
      tests: ['conformance', 'agents'],
      // Those that an agent needs: they come from no registry yet.
      needed: /^kith-(?!cli|consul|dns|grpc|sim|undici)/,
    },
  ])('$name, written from the guides alone', ({ name, tests, needed }) => {
    const suites = tests.map((test) => `dist/test/${test}.test.js`)
    let example: string

    beforeAll(async () => {
      example = join(project.folder, name)
      cpSync(join(root, 'examples', name), example, { recursive: true })
      const packed = join(project.folder, 'packed')
      const tarballs = readdirSync(packed).filter((file) => needed.test(file))
      const paths = tarballs.map((file) => join(packed, file))
      await project.npm('--prefix', example, 'install', '--no-audit', '--no-fund', ...paths)
      await project.npm('--prefix', example, 'run', 'build')
    }, installMs)

    it.each(lines)('passes its suites on Node.js %s', { timeout: installMs }, async (version) => {
      const args = ['--test', '--test-reporter=tap', ...suites.map((it) => join(example, it))]
      const { code, output } = await project.run(binaries.get(version) ?? '', args)
      expect(output).toMatch(/^# fail 0$/m)
      expect(code).toBe(0)
      const [passed] = /^# pass \d+$/m.exec(output) ?? []
      evidence(`${name} of a stranger`, `Node.js ${version} ${passed}`)
    })
  })

  it('is told of every part by a list of materials', async () => {
    const text = await project.npm('sbom', '--sbom-format', 'cyclonedx', '--omit', 'dev')
    const { bomFormat, components } = JSON.parse(text) as {
      readonly bomFormat: string
      readonly components: readonly { readonly name: string; readonly version: string }[]
    }
    expect(bomFormat).toBe('CycloneDX')
    const names = new Set(components.map(({ name }) => name))
    for (const { name } of publishedPackages()) expect(names).toContain(name)
    for (const { version } of components) expect(version).toMatch(/^\d/)
    evidence('stranger', `${components.length} components in the list of materials`)
  })
})
