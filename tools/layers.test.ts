import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Cruise, cruise, unread } from './layers.ts'
import { root } from './support/command.ts'

/** One planted violation for each rule: where it stands and what it imports. */
const planted: readonly (readonly [rule: string, from: string, to: string])[] = [
  ['interface-is-the-floor', 'packages/interface/src/bad.ts', '../../testkit/src/index.ts'],
  ['testkit-stands-on-interface', 'packages/testkit/src/bad.ts', '../../sim/src/index.ts'],
  ['libraries-meet-in-interface', 'packages/gossip/src/bad.ts', '../../log/src/index.ts'],
  ['libraries-meet-in-interface', 'packages/transport-udp/src/bad.ts', '../../log/src/index.ts'],
  [
    'msgpack-is-for-the-wires-of-serf',
    'packages/replicator/src/bad.ts',
    '../../msgpack/src/index.ts',
  ],
  ['libraries-meet-in-interface', 'packages/msgpack/src/bad.ts', '../../gossip/src/index.ts'],
  [
    'library-tests-use-the-test-packages-only',
    'packages/gossip/test/bad.ts',
    '../../log/src/index.ts',
  ],
  [
    'replicator-tests-may-use-a-log',
    'packages/replicator/test/bad.ts',
    '../../gossip/src/index.ts',
  ],
  ['nothing-shipped-uses-test-packages', 'packages/agent/src/bad.ts', '../../sim/src/index.ts'],
  ['cli-stands-on-agent', 'packages/cli/src/bad.ts', '../../gossip/src/index.ts'],
  ['nothing-stands-on-cli', 'packages/agent/src/cli.ts', '../../cli/src/index.ts'],
  ['runtime-on-top', 'packages/gossip/src/core/bad.ts', '../runtime/udp.ts'],
  ['wire-below-core', 'packages/gossip/src/wire/bad.ts', '../core/step.ts'],
  ['no-deep-imports', 'packages/agent/src/deep.ts', '../../gossip/src/core/step.ts'],
  ['no-deep-imports-from-outside', 'apps/demo/src/deep.ts', '../../../packages/log/src/row.ts'],
  ['fuzz-reaches-into-wire-rooms-only', 'tests/fuzz/deep.ts', '../../packages/log/src/row.ts'],
  ['packages-know-no-applications', 'packages/agent/src/app.ts', '../../../apps/demo/src/main.ts'],
  ['no-cycles', 'packages/gossip/src/a.ts', './b.ts'],
  ['no-unresolved', 'packages/gossip/src/lost.ts', './nothing-there.ts'],
]

/** What the planted files import, and one allowed import of each kind beside them. */
const honest: readonly (readonly [file: string, text: string])[] = [
  ...['interface', 'testkit', 'sim', 'msgpack', 'gossip', 'log', 'cli'].map(
    (name) => [`packages/${name}/src/index.ts`, 'export type Face = string\n'] as const,
  ),
  ['packages/gossip/src/runtime/udp.ts', "export type { Step } from '../core/step.ts'\n"],
  ['packages/gossip/src/core/step.ts', 'export type Step = number\n'],
  ['packages/gossip/src/core/index.ts', "export type { Step } from './step.ts'\n"],
  ['packages/gossip/src/b.ts', "export type * from './a.ts'\n"],
  ['packages/log/src/row.ts', 'export type Row = number\n'],
  [
    'packages/gossip/src/wire/good.ts',
    "export type { Face } from '../../../msgpack/src/index.ts'\n",
  ],
  ['packages/agent/src/good.ts', "export type { Step } from '../../gossip/src/core/index.ts'\n"],
  ['packages/replicator/test/good.ts', "export type { Face } from '../../log/src/index.ts'\n"],
  ['tests/fuzz/good.ts', "export type * from '../../packages/gossip/src/wire/good.ts'\n"],
  ['apps/demo/src/main.ts', "export type { Face } from '../../../packages/log/src/index.ts'\n"],
]

describe('the import rules', () => {
  const base = mkdtempSync(join(tmpdir(), 'kith-layers-'))
  let result: Cruise
  beforeAll(async () => {
    const write = (file: string, text: string): void => {
      mkdirSync(join(base, dirname(file)), { recursive: true })
      writeFileSync(join(base, file), text)
    }
    for (const [file, text] of honest) write(file, text)
    // Type-only on purpose: a cruiser that skips types would miss most of our imports.
    for (const [, from, to] of planted) write(from, `export type * from '${to}'\n`)
    result = await cruise(base, ['packages', 'apps', 'tests'])
  }, 60_000)
  afterAll(() => rmSync(base, { recursive: true, force: true }))

  it.each(planted)('%s catches %s', (rule, from) => {
    expect(result.violations).toContainEqual(expect.objectContaining({ rule, from }))
  })

  it('each have a planted violation', async () => {
    const config = pathToFileURL(join(root, '.dependency-cruiser.js')).href
    const loaded = (await import(config)) as { default: { forbidden: { name: string }[] } }
    const tried = new Set(planted.map(([rule]) => rule))
    expect(loaded.default.forbidden.map(({ name }) => name).toSorted()).toEqual(
      [...tried].toSorted(),
    )
  })

  it('let what is allowed pass', () => {
    const accused = result.violations.map(({ from }) => from)
    const files = honest.map(([file]) => file).filter((file) => !file.endsWith('gossip/src/b.ts'))
    expect(accused.filter((file) => files.includes(file))).toEqual([])
  })

  it('notice a source file that was never read', () => {
    expect(unread(result.modules, base)).toEqual([])
    expect(unread([], base)).toContain('packages/gossip/src/core/step.ts')
  })
})
