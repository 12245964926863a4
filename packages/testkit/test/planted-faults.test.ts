/** The fault suite passes a store that keeps its promises, and catches each that breaks one. */
import { appendFileSync } from 'node:fs'
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  logStoreFaultCases,
  missingForLogStoreFaults,
  runCase,
  runConformance,
} from '../src/index.ts'
import type { LogStoreFaultOptions } from '../src/index.ts'
import type { StoreFault } from './tiny-store.ts'

const module = new URL('./tiny-store.ts', import.meta.url)
const full = process.env['KITH_TIER'] === '2'
const options: LogStoreFaultOptions = { extent: full ? 'full' : 'short' }
const missing = missingForLogStoreFaults(options)

/** A figure for the evidence of `npm run prove`; outside it does nothing. */
function report(figure: string): void {
  const file = process.env['KITH_EVIDENCE']
  if (file) appendFileSync(file, `${figure}\n`)
}

vi.setConfig({ testTimeout: full ? 3_600_000 : 120_000 })

// In the short form what the log's own tests run on a larger store is left to them.
const passes = logStoreFaultCases(options).filter((it) => full || it.needs === undefined)
runConformance('tiny store under faults', passes, { describe, it }, () => ({ module }))

/** The clause, and which of its cases, from 0. */
const caught: Readonly<Record<StoreFault, readonly [id: string, index: number]>> = {
  'answers before it writes': ['LOG-55', 0],
  'writes a commit in two': ['LOG-56', 0],
  'refuses a torn tail': ['LOG-56', 0],
  'takes a torn tail': ['LOG-56', 0],
  'has no checksums': ['LOG-57', 0],
  'ignores failures': ['LOG-58', 0],
  'keeps what it refused': ['LOG-58', 0],
  // Nothing but a power cut tells, which only the long form makes.
  'never syncs': ['LOG-59', 0],
}

describe('a store that breaks a promise', () => {
  afterEach(() => void delete process.env['KITH_TINY_FAULT'])

  const cases = logStoreFaultCases(options)
  for (const [fault, [id, index]] of Object.entries(caught)) {
    const one = cases.filter((it) => it.id === id)[index]
    if (one === undefined) continue
    it.skipIf(one.needs?.some((need) => need in missing))(`${fault}: ${id}`, async () => {
      process.env['KITH_TINY_FAULT'] = fault
      const cause = await runCase(one, () => ({ module })).catch((thrown: unknown) => thrown)
      expect(cause).toBeInstanceOf(Error)
      report(`planted, a store that ${fault}: ${id} found: ${(cause as Error).message}`)
    })
  }
})
