/**
 * `npm run check`: everything CI asks besides the tests. One line per step with its time; what
 * failed is shown in full at the end. `npm run check -- lint types` runs only those steps (and the
 * build, on which most of them stand).
 */
import { existsSync, globSync } from 'node:fs'
import { join } from 'node:path'
import { layerProblems, modulesMin } from './layers.ts'
import { command, root } from './support/command.ts'

interface Step {
  readonly name: string
  readonly title: string
  run(): Promise<{ readonly code: number; readonly output: string }>
}

/** A step that is one command, found in `node_modules/.bin`. */
function tool(name: string, title: string, file: string, ...args: readonly string[]): Step {
  const path = file === 'node' ? process.execPath : join(root, 'node_modules/.bin', file)
  return { name, title, run: () => command(path, args, { env: { TURBO_TELEMETRY_DISABLED: '1' } }) }
}

async function checkTypes(): Promise<{ code: number; output: string }> {
  // What `tsc -b` leaves out: cores without ambient types, and code that is never shipped.
  const projects = [
    ...globSync('packages/*/tsconfig.{core,test}.json', { cwd: root }),
    ...globSync('{apps/*,tests,bench}/tsconfig.test.json', { cwd: root }),
    'tools/tsconfig.json',
  ]
  const results: { code: number; output: string }[] = []
  for (const project of projects.toSorted()) {
    results.push(
      await command(join(root, 'node_modules/.bin/tsc'), ['-p', project, '--pretty', 'false']),
    )
  }
  return {
    code: Math.max(...results.map(({ code }) => code)),
    output: [...new Set(results.flatMap(({ output }) => output.split('\n')))].join('\n').trim(),
  }
}

async function checkLayers(): Promise<{ code: number; output: string }> {
  const problems = await layerProblems()
  return { code: problems.length > 0 ? 1 : 0, output: problems.join('\n') }
}

const build = tool('build', 'every package compiles', 'tsc', '-b', '--pretty', 'false')
const steps: readonly Step[] = [
  tool('format', 'oxfmt has nothing to change', 'oxfmt', '--check', '.'),
  tool('lint', 'oxlint with types', 'oxlint', '--type-aware', '--deny-warnings', '--quiet'),
  { name: 'types', title: 'cores, tests, bench, apps and tools compile', run: checkTypes },
  { name: 'layers', title: `import rules over at least ${modulesMin} modules`, run: checkLayers },
  tool(
    'unused',
    'knip finds no dead file, export or dependency',
    'knip',
    '--no-progress',
    '--no-config-hints',
  ),
  tool('manifests', 'sherif finds the manifests alike', 'sherif', '--fail-on-warnings'),
  tool('api', 'the reports in etc/ are current', 'node', 'tools/api.ts', '--check'),
  tool(
    'pack',
    'publint and attw accept every tarball',
    'turbo',
    'run',
    'check:pack',
    '--continue',
    '--output-logs=errors-only',
    '--concurrency=2',
  ),
]

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`.padStart(8)
}

/** Prints the step's line; returns its name and output where it failed. */
async function perform(step: Step): Promise<string | undefined> {
  const startedAt = performance.now()
  const { code, output } = await step.run().catch((cause: unknown) => ({
    code: 1,
    output: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause),
  }))
  const mark = code === 0 ? 'ok  ' : 'FAIL'
  process.stdout.write(`${mark} ${step.name.padEnd(10)}${seconds(startedAt)}  ${step.title}\n`)
  return code === 0 ? undefined : `\n--- ${step.name} ---\n${output.trim()}\n`
}

const asked = process.argv.slice(2)
const unknown = asked.filter((it) => !steps.some(({ name }) => name === it))
if (unknown.length > 0) {
  const names = steps.map(({ name }) => name).join(', ')
  process.stderr.write(`no step named ${unknown.join(', ')}; there are: ${names}\n`)
  process.exit(2)
}
if (!existsSync(join(root, 'node_modules'))) throw new Error('run this through npm run check')

const startedAt = performance.now()
const failures: string[] = []
const queue = steps.filter(({ name }) => asked.length === 0 || asked.includes(name))
// First and alone: linting with types, the reports and the tarballs read what it writes.
const broken = await perform(build)
if (broken) failures.push(broken)
async function work(): Promise<void> {
  for (let step = queue.shift(); step; step = queue.shift()) {
    const failure = await perform(step)
    if (failure) failures.push(failure)
  }
}
await Promise.all([work(), work()])
for (const failure of failures) process.stdout.write(failure)
const verdict = failures.length > 0 ? `${failures.length} steps failed` : 'all checks passed'
process.stdout.write(`${verdict}, ${seconds(startedAt).trim()}\n`)
process.exitCode = failures.length > 0 ? 1 : 0
