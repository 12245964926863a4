/**
 * Tier 1: everything `npm test` promises, on one vitest run. Its projects (vitest.config.ts)
 * keep what starts processes apart from what only computes. The last line is the count.
 */
import { relative } from 'node:path'
import { root } from './support/command.ts'
import { countLine, runVitest } from './support/vitest.ts'

const startedAt = performance.now()
const counts = await runVitest(process.argv.slice(2))
const slowest = counts.files.toSorted((a, b) => b.ms - a.ms).slice(0, 5)
const out: string[] = ['', 'slowest files:']
for (const { name, ms } of slowest) {
  out.push(`  ${(ms / 1000).toFixed(1).padStart(6)} s  ${relative(root, name)}`)
}
if (counts.skipped.length > 0) out.push('', 'skipped:', ...counts.skipped.map((it) => `  ${it}`))
out.push('', `tests took ${((performance.now() - startedAt) / 1000).toFixed(0)} s`)
out.push(countLine(counts))
process.stdout.write(`${out.join('\n')}\n`)
process.exitCode = counts.failed > 0 ? 1 : 0
