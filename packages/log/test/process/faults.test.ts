/** The stores of this package under the faults of `@kith/testkit`. */
import { appendFileSync } from 'node:fs'
import { missingForLogStoreFaults, runLogStoreFaults } from '@kith/testkit'
import type { LogStoreFaultOptions } from '@kith/testkit'
import { describe, expect, it, vi } from 'vitest'

const full = process.env['KITH_TIER'] === '2'
vi.setConfig({ testTimeout: full ? 3_600_000 : 120_000 })

/** A figure for the evidence of `npm run prove`; outside it does nothing. */
function report(figure: string): void {
  const file = process.env['KITH_EVIDENCE']
  if (file) appendFileSync(file, `${figure}\n`)
}

const options: LogStoreFaultOptions = {
  extent: full ? 'full' : 'short',
  seed: Number(process.env['KITH_SEED'] ?? 1),
  report,
}

describe.skipIf(process.env['CI'] === undefined)('on a machine that has everything', () => {
  it('LOG-55 LOG-58 no fault is left out', () => {
    expect(missingForLogStoreFaults(options)).toEqual({})
  })
})

const module = new URL('./fault-store.ts', import.meta.url)
runLogStoreFaults('sqlite store under faults', { module }, { describe, it }, options)
runLogStoreFaults(
  'segment store under faults',
  { module, export: 'openSegments' },
  { describe, it },
  options,
)
