/**
 * Tier 2: the tests that look longer when asked to, and a file about what they found.
 * `npm run prove -- [--name NAME] [path filters]`; without filters, every test that reads the tier.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { root } from './support/command.ts'
import { beginEvidence, evidenceName } from './support/evidence.ts'
import { countLine, runVitest, type TestCounts } from './support/vitest.ts'
import { filesIn, repositoryFiles } from './tidy/files.ts'

/** Test files that read the tier, themselves or through the helper. */
function takingPart(): string[] {
  return filesIn(repositoryFiles(), /^(?:packages|apps|tests)\/.*\.test\.ts$/)
    .filter(([, text]) => /KITH_TIER|support\/tier\.ts/.test(text))
    .map(([name]) => name)
}

function report(counts: TestCounts, figures: string): string[] {
  const files = counts.files.toSorted((a, b) => b.ms - a.ms)
  return [
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
  ]
}

const { values, positionals } = parseArgs({
  options: { name: { type: 'string', default: 'prove' } },
  allowPositionals: true,
})
const name = evidenceName(values.name, '--name')
const filters = positionals.length > 0 ? positionals : takingPart()
const folder = mkdtempSync(join(tmpdir(), 'kith-evidence-'))
const figuresFile = join(folder, 'figures')
writeFileSync(figuresFile, '')
try {
  const run = beginEvidence(name)
  const env = { KITH_TIER: '2', KITH_EVIDENCE: figuresFile }
  const counts = await runVitest(filters, env)
  const file = run.write(countLine(counts), report(counts, readFileSync(figuresFile, 'utf8')))
  process.stdout.write(`\nwritten to ${file}\n${countLine(counts)}\n`)
  process.exitCode = counts.failed > 0 ? 1 : 0
} finally {
  rmSync(folder, { recursive: true, force: true })
}
