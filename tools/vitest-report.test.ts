import { describe, expect, it } from 'vitest'
import { countLine, countReport } from './support/vitest.ts'

const file = (status: string, ...tests: readonly string[]) => ({
  name: 'a.test.ts',
  status,
  assertionResults: tests.map((it) => ({ status: it, fullName: `a ${it}` })),
})

describe('the last line of a test run', () => {
  it('adds up the files', () => {
    const counts = countReport({
      testResults: [file('passed', 'passed', 'passed'), file('failed', 'passed', 'failed')],
    })
    expect(countLine(counts)).toBe('3 passed, 1 failed')
  })

  it('counts a file that could not be collected as a failure', () => {
    const counts = countReport({ testResults: [file('passed', 'passed'), file('failed')] })
    expect(countLine(counts)).toBe('1 passed, 1 failed')
  })

  it('counts a file whose hooks failed after its tests passed as a failure', () => {
    expect(countReport({ testResults: [file('failed', 'passed')] }).failed).toBe(1)
  })

  it('names what was skipped', () => {
    const counts = countReport({ testResults: [file('passed', 'passed', 'skipped', 'pending')] })
    expect(countLine(counts)).toBe('1 passed, 0 failed, 2 skipped')
    expect(counts.skipped).toEqual(['a skipped', 'a pending'])
  })
})
