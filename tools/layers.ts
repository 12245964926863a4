/**
 * Who may import whom, over every source file there is. A cruiser that cannot read TypeScript sees
 * nothing and finds nothing wrong, so the files it saw are held against the files on disk.
 */
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { command, root } from './support/command.ts'

/** Fewer than this and the check looked at the wrong place, whatever it says. */
export const modulesMin: number = 60

export interface Violation {
  readonly rule: string
  readonly from: string
  readonly to: string
}

export interface Cruise {
  readonly modules: readonly string[]
  readonly violations: readonly Violation[]
}

interface CruiserOutput {
  readonly modules: readonly { readonly source: string }[]
  readonly summary: {
    readonly violations: readonly {
      readonly rule: { readonly name: string }
      readonly from: string
      readonly to: string
    }[]
  }
}

/** Reads the given folders below `base` under the rules of this repository. */
export async function cruise(base: string, folders: readonly string[]): Promise<Cruise> {
  const config = join(root, '.dependency-cruiser.js')
  const { output } = await command(
    join(root, 'node_modules/.bin/depcruise'),
    ['--config', config, '--output-type', 'json', ...folders],
    { folder: base },
  )
  const start = output.indexOf('{')
  if (start < 0) throw new Error(`dependency-cruiser answered no JSON:\n${output}`)
  const { modules, summary } = JSON.parse(output.slice(start)) as CruiserOutput
  return {
    modules: modules.map(({ source }) => source),
    violations: summary.violations.map(({ rule, from, to }) => ({ rule: rule.name, from, to })),
  }
}

/** Source files below `packages` that the cruise did not read. */
export function unread(modules: readonly string[], base: string = root): readonly string[] {
  const seen = new Set(modules)
  return globSync('packages/*/src/**/*.ts', { cwd: base }).filter((file) => !seen.has(file))
}

/** All that is wrong, one line each. */
export async function layerProblems(): Promise<readonly string[]> {
  const { modules, violations } = await cruise(root, [
    'packages',
    'apps',
    'tests',
    'bench',
    'tools',
  ])
  const problems = violations.map(({ rule, from, to }) => `${rule}: ${from} -> ${to}`)
  for (const file of unread(modules)) problems.push(`not read by dependency-cruiser: ${file}`)
  if (modules.length < modulesMin) {
    problems.push(`only ${modules.length} modules read, at least ${modulesMin} are expected`)
  }
  return problems
}
