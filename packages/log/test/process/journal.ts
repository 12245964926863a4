/** What a process that appends (`append-child.ts`) was seen to do, and what its log must hold. */
import type { LogRecord } from '@kith/interface'
import { expect } from 'vitest'
import { started } from '../support.ts'

export interface Journal {
  /** `producer:sequence` to how many records. */
  readonly sent: Map<string, number>
  /** `producer:sequence` to the sequence of the first record, as acknowledged. */
  readonly acked: Map<string, number>
}

export function createJournal(): Journal {
  return { sent: new Map(), acked: new Map() }
}

/** Takes one line of the process; false where it is not one of these. */
export function noteLine(journal: Journal, line: string): boolean {
  const [kind, producer, sequence, count, place] = line.split(' ')
  if (kind === 'sent') journal.sent.set(`${producer}:${sequence}`, Number(count))
  else if (kind === 'acked') journal.acked.set(`${producer}:${sequence}`, Number(place))
  else return false
  return true
}

export interface Found {
  /** Lowest sequence held. */
  readonly floor: number
  /** Every record of the log, by `producer:sequence`. */
  readonly records: Map<string, LogRecord[]>
}

export async function recordsOf(directory: string): Promise<Found> {
  const log = await started({ directory, writer: 'inline' })
  const report = await log.verify()
  expect(report.damage).toEqual([])
  expect(report.ok).toBe(true)
  const found = new Map<string, LogRecord[]>()
  const end = log.status().next
  for (let from = log.status().floor; from < end;) {
    const page = await log.read({ from, limit: 100_000, bytesMax: 100_000_000 })
    for (const record of page.records) {
      const [producer, sequence] = (record.headers?.['of'] ?? '').split(':')
      const key = `${producer}:${sequence}`
      found.set(key, [...(found.get(key) ?? []), record])
    }
    from = page.next
  }
  const floor = log.vector()[0]?.floor ?? 1
  await log.stop()
  return { floor, records: found }
}

export function check(journal: Journal, { floor, records: found }: Found): void {
  for (const [key, records] of found) {
    const [producer = '', sequence = ''] = key.split(':')
    // Retention drops whole batches, and an append may be in two.
    if (records[0]?.sequence === floor && records[0].headers?.['of']?.split(':')[2] !== '0') {
      continue
    }
    // None other than those sent, and each append whole or not at all.
    expect(records.length, key).toBe(journal.sent.get(key))
    for (const [index, { value, headers }] of records.entries()) {
      expect(headers?.['of']).toBe(`${key}:${index}:${records.length}`)
      const size = 20 + ((Number(sequence) * 7_919 + index * 104_729) % 3_000)
      const wanted = Buffer.alloc(size, `${producer}-${sequence}-${index};`)
      expect(wanted.equals(value), `${key} record ${index}`).toBe(true)
    }
  }
  for (const [key, first] of journal.acked) {
    if (first < floor) continue
    expect(found.get(key)?.[0]?.sequence, `acknowledged ${key}`).toBe(first)
  }
}
