/** Runs vitest and counts what it reports, so that a run can end on one honest line. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { command } from './command.ts'

/** The parts of vitest's JSON report that are read here. */
interface Report {
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly startTime?: number
    readonly endTime?: number
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[]
  }[]
}

export interface TestCounts {
  readonly passed: number
  readonly failed: number
  readonly skipped: readonly string[]
  /** Per test file: its path and how long it took. */
  readonly files: readonly { readonly name: string; readonly ms: number }[]
}

/** A file that could not even be collected counts as one failure. */
export function countReport(report: Report): TestCounts {
  const tests = report.testResults.flatMap((file) => file.assertionResults)
  const broken = report.testResults.filter(
    (file) =>
      file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed'),
  )
  return {
    passed: tests.filter(({ status }) => status === 'passed').length,
    failed: tests.filter(({ status }) => status === 'failed').length + broken.length,
    skipped: tests
      .filter(({ status }) => status !== 'passed' && status !== 'failed')
      .map(({ fullName }) => fullName),
    files: report.testResults.map(({ name, startTime = 0, endTime = 0 }) => ({
      name,
      ms: Math.round(endTime - startTime),
    })),
  }
}

/** `N passed, N failed`, and `, N skipped` where there are any. */
export function countLine({ passed, failed, skipped }: TestCounts): string {
  const tail = skipped.length > 0 ? `, ${skipped.length} skipped` : ''
  return `${passed} passed, ${failed} failed${tail}`
}

/**
 * One vitest run, shown as it happens. A run that ended badly without a failing test (a crash, an
 * error outside every test, no test at all) counts as one failure: it never looks green.
 */
export async function runVitest(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<TestCounts> {
  const folder = mkdtempSync(join(tmpdir(), 'kith-report-'))
  const file = join(folder, 'report.json')
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
    const { code } = await command('vitest', ['run', ...reporters, ...args], {
      inherit: true,
      // Tests start hundreds of programs from the sources: each file is compiled once for all.
      env: { NODE_COMPILE_CACHE: join(folder, 'compiled'), ...env },
    })
    const counts = countReport(readReport(file))
    const red = code !== 0 || counts.passed === 0
    return red && counts.failed === 0 ? { ...counts, failed: 1 } : counts
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function readReport(file: string): Report {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Report
  } catch {
    // Vitest ended before it could report: nothing passed as far as anybody knows.
    return { testResults: [] }
  }
}
