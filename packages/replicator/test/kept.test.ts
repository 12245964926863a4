/** What stays where it is, and what may go: offsets, and the copies that retention waits for. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isKithError } from '@kith/interface'
import type { Log } from '@kith/log'
import { describe, expect, it, onTestFinished } from 'vitest'
import { bytes, positions, until, Village } from './support.ts'

function directory(): string {
  const made = mkdtempSync(join(tmpdir(), 'kith-kept-'))
  onTestFinished(() => rmSync(made, { recursive: true, force: true }))
  return made
}

function village(): Village {
  const made = new Village()
  onTestFinished(() => made.stop())
  return made
}

async function append(log: Log, from: number, count: number): Promise<void> {
  for (let at = from; at < from + count; at += 1) await log.append({ value: bytes(`record ${at}`) })
}

/** Reads every offset there ever was; what an earlier look found must be there, or dropped. */
async function look(log: Log, seen: Map<number, string>): Promise<number> {
  let dropped = 0
  for (let from = 0; from < log.status().next; from += 1) {
    try {
      const [record] = (await log.read({ from, limit: 1 })).records
      const { origin, sequence, value } = record ?? { origin: '', sequence: 0, value: bytes('') }
      const said = `${origin}:${sequence}=${new TextDecoder().decode(value)}`
      expect(said, `offset ${from}`).toBe(seen.get(from) ?? said)
      seen.set(from, said)
    } catch (cause) {
      expect(isKithError(cause) && cause.code).toBe('ERR_LOG_DROPPED')
      dropped += 1
    }
  }
  return dropped
}

describe.each(['sqlite', 'segment'] as const)('a log that keeps its records by %s', (storage) => {
  it('REP-14 an offset gives the same record for ever, or says that it was dropped', async () => {
    const place = { directory: directory(), writer: 'inline' as const, storage }
    const seen = new Map<number, string>()
    const members = village()
    const b = await members.add('b')
    await b.replicator.start()
    for (let round = 0; round < 3; round += 1) {
      // The same log in another life each time: own records and others' take turns.
      const a = await members.add('a', {}, place)
      await a.replicator.start()
      members.join('a', 'b')
      await append(a.log, round * 10, 3)
      await append(b.log, round * 10 + 5, 3)
      await until(() => positions(a.log) === positions(b.log), 'both hold the same')
      const dropped = await look(a.log, seen)
      expect(dropped).toBe(round * 2)
      await a.log.retain({ recordsMax: a.log.status().records - 2 })
      await look(a.log, seen)
      await a.replicator.stop()
      await a.log.stop()
    }
    expect(seen.size).toBe(18)
  })
})

it('REP-22 nothing goes that fewer than minReplicas other logs have stored', async () => {
  const members = village()
  const guarded = { recordsMax: 0, minReplicas: 2 }
  const durable = (): { directory: string; writer: 'inline' } => ({
    directory: directory(),
    writer: 'inline',
  })
  const a = await members.add('a', {}, durable())
  const b = await members.add('b', {}, durable())
  const c = await members.add('c', {}, durable())
  const forced: unknown[] = []
  a.log.on('retentionForced', (event) => forced.push(event))
  for (const { replicator } of [a, b, c]) await replicator.start()
  await append(a.log, 0, 5)
  expect(await a.log.retain(guarded)).toMatchObject({ records: 0, heldBy: 'replicas' })
  members.join('a', 'b')
  await until(() => positions(a.log) === positions(b.log), 'one other log has them')
  expect(await a.log.retain(guarded)).toMatchObject({ records: 0, heldBy: 'replicas' })
  members.join('a', 'c')
  await until(() => positions(a.log) === positions(c.log), 'two have them')
  // What they stored is told with their next pull.
  let gone = 0
  const deadline = performance.now() + 10_000
  while (gone === 0 && performance.now() < deadline) {
    gone = (await a.log.retain(guarded)).records
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  expect(gone).toBe(5)
  expect(forced).toEqual([])
  expect([b, c].map(({ log }) => log.status().records)).toEqual([5, 5])
})
