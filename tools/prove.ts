/**
 * Tier 2: the tests that look longer when asked to, and a file about what they found.
 * `npm run prove -- [--name NAME] [path filters]`; without filters, every test that reads the tier.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { root } from './support/command.ts'
import { countLine, runVitest, type TestCounts } from './support/vitest.ts'
import { filesIn, repositoryFiles } from './tidy/files.ts'

function git(...args: readonly string[]): string {
  return execFileSync('git', args, { cwd: root }).toString().trim()
}

/** Test files that read the tier, themselves or through the helper. */
function takingPart(): string[] {
  return filesIn(repositoryFiles(), /^(?:packages|apps|tests)\/.*\.test\.ts$/)
    .filter(([, text]) => /KITH_TIER|support\/tier\.ts/.test(text))
    .map(([name]) => name)
}

interface Run {
  readonly counts: TestCounts
  readonly figures: string
  readonly startedAt: Date
  readonly minutes: number
  readonly loads: readonly [before: number, after: number]
}

function report(name: string, { counts, figures, startedAt, minutes, loads }: Run): string {
  const changed = git('status', '--porcelain') === '' ? '' : ', with uncommitted changes'
  const [before, after] = loads.map((load) => load.toFixed(2))
  const memory = (totalmem() / 2 ** 30).toFixed(0)
  const files = counts.files.toSorted((a, b) => b.ms - a.ms)
  return [
    `# ${name}`,
    '',
    `- result: ${countLine(counts)}`,
    `- date: ${startedAt.toISOString()}`,
    `- commit: ${git('rev-parse', 'HEAD')}${changed}`,
    `- machine: ${cpus().length} x ${cpus()[0]?.model.trim()}, ${memory} GiB, Linux ${release()}`,
    `- runtime: Node.js ${process.version}`,
    `- load (1 minute): ${before} before, ${after} after`,
    `- duration: ${minutes.toFixed(1)} minutes`,
    '',
    '## Figures the tests reported',
    '',
    figures.trim() === '' ? 'none' : figures.trim().replaceAll(/^/gm, '- '),
    '',
    '## Files',
    '',
    '| file | seconds |',
    '|---|---|',
    ...files.map((file) => `| ${relative(root, file.name)} | ${(file.ms / 1000).toFixed(1)} |`),
    ...(counts.skipped.length > 0
      ? ['', '## Skipped', '', ...counts.skipped.map((it) => `- ${it}`)]
      : []),
    '',
  ].join('\n')
}

const { values, positionals } = parseArgs({
  options: { name: { type: 'string', default: 'prove' } },
  allowPositionals: true,
})
if (!/^[a-z0-9-]+$/.test(values.name)) throw new Error('--name takes small letters, digits and -')
const filters = positionals.length > 0 ? positionals : takingPart()
const folder = mkdtempSync(join(tmpdir(), 'kith-evidence-'))
const figuresFile = join(folder, 'figures')
writeFileSync(figuresFile, '')
try {
  const startedAt = new Date()
  const [before = 0] = loadavg()
  const env = { KITH_TIER: '2', KITH_EVIDENCE: figuresFile }
  const counts = await runVitest(filters, env)
  const minutes = (Date.now() - startedAt.getTime()) / 60_000
  const figures = readFileSync(figuresFile, 'utf8')
  const loads = [before, loadavg()[0] ?? 0] as const
  const file = `docs/evidence/${startedAt.toISOString().slice(0, 10)}-${values.name}.md`
  const run = { counts, figures, startedAt, minutes, loads }
  writeFileSync(join(root, file), report(values.name, run))
  process.stdout.write(`\nwritten to ${file}\n${countLine(counts)}\n`)
  process.exitCode = counts.failed > 0 ? 1 : 0
} finally {
  rmSync(folder, { recursive: true, force: true })
}
