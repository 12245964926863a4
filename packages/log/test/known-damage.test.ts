/** What was known to be damaged is told again in the next life, whoever looks (LOG-83). */
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CorruptRun } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import type { Log, LogOptions } from '../src/index.ts'
import { bytes, codeOf, home, manualClock, pulled, started, temporaryDirectory } from './support.ts'

// A worker writes the same file as `inline`.
const kinds = ['inline', 'segment'] as const

/** Flips a bit of a record where it is stored, in whatever file that is. */
function harm({ directory = '' }: LogOptions, text: string): void {
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    if (!/\.(db|seg)$/.test(name) || name.includes('index')) continue
    const file = join(directory, name)
    const content = readFileSync(file)
    const at = content.indexOf(text)
    if (at < 0) continue
    content[at] = (content[at] ?? 0) ^ 1
    writeFileSync(file, content)
    return
  }
  throw new Error(`${text} is stored nowhere`)
}

/** What a process that is killed now leaves behind. */
function killed(options: LogOptions): LogOptions {
  const directory = temporaryDirectory()
  cpSync(options.directory ?? '', directory, {
    recursive: true,
    filter: (from) => !from.endsWith('-shm'),
  })
  return { ...options, directory }
}

interface Filled {
  readonly options: LogOptions
  readonly batches: readonly Uint8Array[]
}

/** A log of eight batches of one record, of which the named ones were damaged after its end. */
async function filled(
  kind: (typeof kinds)[number],
  damaged: readonly number[],
  length = 10,
): Promise<Filled> {
  const options = home(kind)
  const log = await started(options)
  for (let at = 0; at < 8; at += 1) {
    await log.append({ value: bytes(`value ${at} ${'.'.repeat(length)}`) })
  }
  const batches = await pulled(log)
  await log.stop()
  for (const at of damaged) harm(options, `value ${at} `)
  return { options, batches }
}

async function knows(log: Log, offsets: readonly number[]): Promise<void> {
  const known = (): readonly number[] => log.corrupt().map(({ offset }) => offset)
  await expect.poll(known, { timeout: 20_000 }).toEqual(offsets)
}

async function repairAt(log: Log, offset: number, batches: readonly Uint8Array[]): Promise<void> {
  const run = log.corrupt().find((known) => known.offset === offset) as CorruptRun
  expect(await log.repair(run, batches.slice(run.from - 1, run.to - 1))).toBe('repaired')
}

describe.each(kinds)('damage of a %s log that is known', (kind) => {
  it('LOG-83 is told again by the next life until it is repaired', async () => {
    const { options, batches } = await filled(kind, [1, 5])
    const first = await started(options)
    expect(await first.scrub()).toMatchObject({ corrupt: 2 })
    await knows(first, [1, 5])
    await first.stop()
    // Nobody reads, verifies or scrubs.
    const second = await started(options)
    await knows(second, [1, 5])
    expect(await codeOf(second.read({ from: 5, limit: 1 }))).toBe('ERR_LOG_CORRUPT')
    await repairAt(second, 1, batches)
    await second.stop()
    const third = await started(options)
    await knows(third, [5])
    await repairAt(third, 5, batches)
    expect(await third.verify()).toMatchObject({ ok: true })
    await third.stop()
    const fourth = await started(options)
    expect(await fourth.scrub()).toMatchObject({ from: 0, batches: 8, corrupt: 0 })
    expect(fourth.corrupt()).toEqual([])
  })

  it('LOG-83 is told again where a reader met it and the process was killed', async () => {
    const { options, batches } = await filled(kind, [2, 6])
    const first = await started(options)
    expect(await codeOf(first.read({ from: 6 }))).toBe('ERR_LOG_CORRUPT')
    await knows(first, [6])
    // What is known is written down before what is asked for later.
    await first.append({ value: bytes('later') })
    const image = killed(options)
    const second = await started(image)
    await knows(second, [6])
    await repairAt(second, 6, batches)
    await second.append({ value: bytes('later') })
    const third = await started(killed(image))
    expect(await third.scrub()).toMatchObject({ from: 0, corrupt: 1 })
  })

  it('LOG-83 LOG-53 is told again where the scrub that found it was cut off behind it', async () => {
    const { options } = await filled(kind, [0], 60_000)
    const clock = manualClock()
    const first = await started({ ...options, clock })
    const cut = first.scrub({ bytesPerSecond: 1_024 })
    const ended = codeOf(cut)
    // Longer than it takes until the place is written down.
    for (let ms = 0; ms < 200_000; ms += 1_000) {
      clock.advance(1_000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(first.status().metrics['scrubOffset']).toBeGreaterThan(1)
    await first.append({ value: bytes('later') })
    const second = await started({ ...killed(options), scrub: {} })
    await first.stop()
    expect(await ended).toBe('ERR_LOG_CLOSED')
    await knows(second, [0])
  })

  it('LOG-83 is met by the opening of the log', async () => {
    const { options, batches } = await filled(kind, [7])
    const log = await started(options)
    await knows(log, [7])
    await repairAt(log, 7, batches)
    expect(await log.verify()).toMatchObject({ ok: true })
  })

  it('LOG-83 LOG-18 is not served, and found again, where it was not written down', async () => {
    const { options, batches } = await filled(kind, [3])
    const first = await started(options)
    const image = new Promise<LogOptions>((resolve) => {
      first.onCorrupt(() => resolve(killed(options)))
    })
    expect(await codeOf(first.read({ from: 3, limit: 1 }))).toBe('ERR_LOG_CORRUPT')
    const second = await started(await image)
    expect(await codeOf(second.read({ from: 3, limit: 1 }))).toBe('ERR_LOG_CORRUPT')
    await knows(second, [3])
    await repairAt(second, 3, batches)
    expect(await second.verify()).toMatchObject({ ok: true })
  })
})

it('LOG-27 verify lists what the opening met and refuses appends for', async () => {
  const options = home('segment')
  const log = await started(options)
  for (const text of ['one', 'two', 'three']) await log.append({ value: bytes(text) })
  const image = killed(options)
  await log.stop()
  harm(image, 'one')
  const damaged = await started(image)
  expect(await codeOf(damaged.append({ value: bytes('four') }))).toBe('ERR_LOG_CORRUPT')
  const report = await damaged.verify()
  expect(report.ok).toBe(false)
  expect(report.damage.map(({ table }) => table)).toEqual(['file'])
})
