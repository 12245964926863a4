/** The stores of this package under the faults of `@kith/testkit`. */
import { appendFileSync } from 'node:fs'
import {
  logStoreFaultCases,
  missingForLogStoreFaults,
  runCase,
  runConformance,
  runLogStoreFaults,
} from '@kith/testkit'
import type { LogStoreFaultOptions } from '@kith/testkit'
import { describe, expect, it, vi } from 'vitest'

const full = process.env['KITH_TIER'] === '2'
vi.setConfig({ testTimeout: full ? 3_600_000 : 120_000 })

/** What was reported. */
const figures: string[] = []

/** A figure for the evidence of `npm run prove`; outside it does nothing. */
function report(figure: string): void {
  const file = process.env['KITH_EVIDENCE']
  if (file) appendFileSync(file, `${figure}\n`)
}

const options: LogStoreFaultOptions = {
  extent: full ? 'full' : 'short',
  seed: Number(process.env['KITH_SEED'] ?? 1),
}
const missing = missingForLogStoreFaults(options)

describe.skipIf(process.env['CI'] === undefined)('on a machine that has everything', () => {
  it('LOG-55 LOG-58 no fault is left out', () => {
    expect(missing).toEqual({})
  })
})

const module = new URL('./fault-store.ts', import.meta.url)

function telling(name: string): LogStoreFaultOptions {
  return {
    ...options,
    report(figure) {
      figures.push(`${name}: ${figure}`)
      report(`${name}: ${figure}`)
    },
  }
}

const runner = { describe, it }
runLogStoreFaults('sqlite store under faults', { module }, runner, telling('sqlite'))
const segments = { module, export: 'openSegments' }
runLogStoreFaults('segment store under faults', segments, runner, telling('segment'))

// Its files are those of the first. What is different is who writes and flushes them, and when:
// kills, failing calls and power cuts tell.
const managed = { module, export: 'openManaged' }
const ofManaged = logStoreFaultCases(telling('sqlite, managed')).filter(({ id }) =>
  ['LOG-55', 'LOG-58', 'LOG-59'].includes(id),
)
const title = 'sqlite store with checkpoints of a thread beside, under faults'
runConformance(title, ofManaged, runner, () => managed, { absent: missing })

describe.skipIf(!full || 'strace' in missing)('failing system calls', () => {
  it('LOG-58 met a write or a flush of the two stores in 1,000 lives', () => {
    const lives = figures.map((figure) => {
      const found = /^(?:sqlite|segment): .* (\d+) of them at a write or a flush/.exec(figure)
      return Number(found?.[1] ?? 0)
    })
    const sum = lives.reduce((all, one) => all + one, 0)
    report(`ENOSPC and EIO at writes and flushes: ${sum} lives of both stores, nothing lost`)
    expect(sum).toBeGreaterThanOrEqual(1_000)
  })
})

// In the short form they are too few to tell which thread they meet.
describe.skipIf(!full || 'strace' in missing)('faults of managed checkpoints', () => {
  it('LOG-28 LOG-55 LOG-58 met the thread that copies the write-ahead log', () => {
    const said = figures.join('\n')
    expect(said).toMatch(/managed: kill -9 at system calls: .*[1-9]\d* killed in a thread beside/)
    expect(said).toMatch(/managed: failing system calls: .*[1-9]\d* of them in threads beside/)
  })
})

describe.skipIf(!full || 'disks' in missing)('the rig of power cuts', () => {
  it('LOG-28 LOG-59 sees a write-ahead log that is started over too early', async () => {
    const cuts = logStoreFaultCases(options).find(({ title }) => /power is cut/.test(title))
    if (cuts === undefined) throw new Error('there is no such case')
    const early = runCase(cuts, () => ({ module, export: 'openUnsynced' }))
    const cause = await early.catch((thrown: unknown) => thrown)
    expect(cause).toBeInstanceOf(Error)
    report(`planted, checkpoints that do not flush: power cuts found: ${(cause as Error).message}`)
  })
})
