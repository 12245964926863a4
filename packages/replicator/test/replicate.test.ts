import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { restoreLog } from '@kith/log'
import { createVirtualClock } from '@kith/sim'
import { afterEach, describe, expect, it } from 'vitest'
import { bytes, contents, joined, left, positions, until, Village } from './support.ts'

let village = new Village()
afterEach(async () => {
  await village.stop()
  village = new Village()
})

async function append(name: string, count: number, label = name): Promise<void> {
  const log = village.places.get(name)?.log
  for (let at = 0; at < count; at += 1) {
    await log?.append({ value: bytes(`${label}-${at}`) })
  }
}

function equal(...names: readonly string[]): boolean {
  const all = names.map((name) => village.places.get(name)).filter((place) => place !== undefined)
  return new Set(all.map(({ log }) => positions(log))).size === 1
}

describe('replication between members', () => {
  it('REP-1 REP-8 three members end with the same records, each once', async () => {
    for (const name of ['a', 'b', 'c']) {
      const { replicator } = await village.add(name)
      await replicator.start()
    }
    await append('a', 20)
    village.join('a', 'b', 'c')
    await append('b', 30)
    await append('c', 10)
    await until(() => equal('a', 'b', 'c'), 'equal positions')
    const expected = (await contents(village.places.get('a')!.log)).toSorted()
    expect(expected.length).toBe(60)
    expect(new Set(expected).size).toBe(60)
    for (const name of ['b', 'c']) {
      expect((await contents(village.places.get(name)!.log)).toSorted()).toEqual(expected)
    }
  })

  it('REP-17 in a line, what a dead member wrote still reaches the end', async () => {
    for (const name of ['a', 'b', 'c']) {
      const { replicator } = await village.add(name)
      await replicator.start()
    }
    village.join('a', 'b')
    await append('a', 25)
    await until(() => equal('a', 'b'), 'b has everything of a')
    const wanted = positions(village.places.get('a')!.log)
    await village.places.get('a')!.replicator.stop()
    await village.places.get('a')!.log.stop()
    village.places.delete('a')
    village.join('b', 'c')
    await until(() => positions(village.places.get('c')!.log) === wanted, 'c has it from b')
  })
})

describe('replication behind retention', () => {
  it('REP-11 a member that comes late begins where retention left each origin', async () => {
    for (const name of ['a', 'b']) await (await village.add(name)).replicator.start()
    const [a, b] = [village.places.get('a')!, village.places.get('b')!]
    await append('a', 10)
    await a.log.retain({ recordsMax: 4 })
    const gaps: unknown[] = []
    b.replicator.on('gap', (event) => gaps.push(event))
    village.join('a', 'b')
    await until(() => equal('a', 'b'), 'b has what a kept')
    expect(gaps).toMatchObject([{ asked: 1, resume: 7, action: 'floor' }])
    expect(b.log.vector().find(({ origin }) => origin === a.log.origin)).toMatchObject({
      floor: 7,
      next: 11,
      holes: [],
    })
    expect((await contents(b.log)).length).toBe(4)
    expect(await b.log.verify()).toMatchObject({ ok: true })
  })

  it('REP-11 a member that retention overtook halts, and says so', async () => {
    for (const name of ['a', 'b']) await (await village.add(name)).replicator.start()
    const [a, b] = [village.places.get('a')!, village.places.get('b')!]
    village.join('a', 'b')
    await append('a', 3)
    await until(() => equal('a', 'b'), 'b is even')
    village.cut.add('b>a')
    const gap = new Promise((resolve) => b.replicator.on('gap', resolve))
    await append('a', 10)
    const { floor } = await a.log.retain({ recordsMax: 2 })
    village.cut.clear()
    expect(await gap).toMatchObject({ action: 'halted', resume: floor + 1 })
    expect(b.log.vector().find(({ origin }) => origin === a.log.origin)?.next).toBe(4)
  })
})

describe('replication to a restored log', () => {
  it('REP-12 REP-13 a member restored from a backup gets the rest back, and forks nothing', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'kith-replicator-'))
    const at = (name: string): string => join(directory, name)
    const alarms: unknown[] = []
    const watch = (name: string): void => {
      const place = village.places.get(name)
      for (const kind of ['fork', 'quarantine', 'gap', 'rotate'] as const) {
        place?.replicator.on(kind, (event) => alarms.push({ name, kind, event }))
      }
    }
    try {
      for (const name of ['a', 'b']) {
        await (await village.add(name, {}, { directory: at(name) })).replicator.start()
        watch(name)
      }
      village.join('a', 'b')
      const first = village.places.get('a')!
      await append('a', 5)
      await first.log.backup(at('backup'))
      // The backup does not have these, and b does.
      await append('a', 5, 'later')
      await until(() => equal('a', 'b'), 'b has all of a')
      const b = village.places.get('b')!.log
      const { logId, origin } = first.log
      await first.replicator.stop()
      await first.log.stop()
      await restoreLog(at('backup'), at('restored'))
      const again = await village.add('a', {}, { directory: at('restored'), gate: 'wait' })
      await again.replicator.start()
      watch('a')
      village.join('a', 'b')
      expect(again.log.logId).not.toBe(logId)
      await append('a', 3, 'restored')
      await until(() => equal('a', 'b'), 'both have everything')
      const states = again.log.vector()
      expect(states.find((state) => state.origin === origin)).toMatchObject({
        next: 11,
        own: false,
      })
      expect(states.find(({ own }) => own)).toMatchObject({ next: 4 })
      const values = [await contents(again.log), await contents(b)].map((one) => one.toSorted())
      expect(values[0]).toEqual(values[1])
      expect(values[0]?.length).toBe(13)
      expect(alarms).toEqual([])
      expect(await again.log.verify()).toMatchObject({ ok: true })
      await village.stop()
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})

describe('a replicator', () => {
  it('REP-35 stop answers parked pulls and ends within its bound', async () => {
    for (const name of ['a', 'b']) {
      const { replicator } = await village.add(name, {}, {}, { pullWaitMs: 30_000 })
      await replicator.start()
    }
    village.join('a', 'b')
    const [a, b] = [village.places.get('a')!.replicator, village.places.get('b')!.replicator]
    await until(() => a.status().parked === 1 && b.status().parked === 1, 'both park')
    const began = performance.now()
    await Promise.all([a.stop(), b.stop()])
    expect(performance.now() - began).toBeLessThan(3_000)
    await a.stop()
    await expect(a.start()).rejects.toMatchObject({ code: 'ERR_REPLICATOR_STOPPED' })
  })

  it('REP-21 reports lag, and catching up', async () => {
    for (const name of ['a', 'b']) {
      const { replicator } = await village.add(name)
      await replicator.start()
    }
    const [a, b] = [village.places.get('a')!, village.places.get('b')!]
    await append('a', 7)
    expect(b.replicator.lag().get(a.log.origin)).toBe(undefined)
    let caughtUp = 0
    b.replicator.on('caughtUp', () => (caughtUp += 1))
    village.join('a', 'b')
    await until(() => b.replicator.lag().get(a.log.origin) === 0, 'no lag')
    expect(caughtUp).toBeGreaterThan(0)
    expect(b.replicator.lag().get(b.log.origin)).toBe(0)
    expect(b.replicator.status()).toMatchObject({ caughtUp: true, gate: 'open', running: true })
    village.cut.add('b>a')
    await until(() => b.replicator.lag().get(a.log.origin) === 'unknown', 'lag is unknown')
  })

  it('REP-6 a log in memory never acknowledges', async () => {
    for (const name of ['a', 'b']) {
      const { replicator } = await village.add(name)
      await replicator.start()
    }
    village.join('a', 'b')
    const { log } = village.places.get('a')!
    const result = await log.append({ value: bytes('x') }, { replicas: 1, timeoutMs: 300 })
    expect(result.replicas).toEqual({ needed: 1, acked: 0, timedOut: true })
    await until(() => equal('a', 'b'), 'b has it all the same')
  })

  it('REP-6 an append waits until other disks have it, and tells how many', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'kith-replicator-'))
    try {
      for (const name of ['a', 'b', 'c']) {
        const { replicator } = await village.add(name, {}, { directory: join(directory, name) })
        await replicator.start()
      }
      village.join('a', 'b', 'c')
      const { log } = village.places.get('a')!
      const result = await log.append({ value: bytes('x') }, { replicas: 2, timeoutMs: 20_000 })
      expect(result.replicas).toEqual({ needed: 2, acked: 2, timedOut: false })
      expect(equal('a', 'b', 'c')).toBe(true)
      await village.stop()
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  it('REP-25 another cluster is refused on both sides, visibly', async () => {
    await (await village.add('a', { clusterId: 'one' })).replicator.start()
    await (await village.add('b', { clusterId: 'two' })).replicator.start()
    const refused: string[] = []
    for (const name of ['a', 'b']) {
      village.places.get(name)!.replicator.on('memberRefused', (event) => refused.push(event.code))
    }
    await append('a', 3)
    village.join('a', 'b')
    await until(() => refused.length === 2, 'two refusals')
    expect(refused).toEqual(['ERR_REPLICATOR_CLUSTER', 'ERR_REPLICATOR_CLUSTER'])
    expect(village.places.get('b')!.log.status().records).toBe(0)
  })

  it('REP-34 with nobody expected the gate opens at start, else with the first hello', async () => {
    const alone = await village.add('alone')
    await alone.replicator.start()
    expect(alone.replicator.status().gate).toBe('open')
    const a = await village.add('a', { expectMembers: true })
    await a.replicator.start()
    expect(a.replicator.status().gate).toBe('waiting')
    village.join('a', 'alone')
    await until(() => a.replicator.status().gate === 'open', 'the gate opens')
  })

  it('REP-34 a hello that says nothing of our past does not open the gate, an answer does', async () => {
    const a = await village.add('a', { expectMembers: true })
    await append('a', 3)
    await a.replicator.start()
    const b = await village.add('b')
    await b.replicator.start()
    b.replicator.memberChanged(joined('a'))
    await until(() => equal('a', 'b'), 'b has the records of a')
    expect(a.replicator.status().gate).toBe('waiting')
    a.replicator.memberChanged(joined('b'))
    await until(() => a.replicator.status().gate === 'open', 'the gate opens')
  })
})

describe('a log whose past was lost', () => {
  it('REP-13 LOG-15 twice within an hour, it appends again once that is over', async () => {
    const clock = createVirtualClock()
    const { log, replicator } = await village.add('a', { clock }, { clock })
    await replicator.start()
    /** Somebody says that they hold more under our origin than we do. */
    const shown = async (): Promise<void> => {
      const more = { origin: log.origin, member: 'a', floor: 1, next: 9, chain: '09'.repeat(32) }
      const vector = [{ ...more, status: 'live', holes: [], own: false } as const]
      const hello = { logId: '0b'.repeat(16), member: 'b', origin: '', durable: true, vector }
      const versions = { versions: [1], clusterId: 'kith', vectorVersion: 1 }
      await replicator.local.hello({ ...hello, ...versions }, new AbortController().signal)
      await clock.run({ until: clock.now() + 100 })
    }
    await shown()
    const second = log.origin
    // The hour ends half a minute before the next time that the log is asked.
    await clock.run({ until: clock.now() + 30_000 })
    await shown()
    expect([log.origin, log.status().gate]).toEqual([second, 'refused'])
    const taken: number[] = []
    while (clock.now() < 3 * 3_600_000) {
      log.append({ value: bytes('one') }).then(
        () => taken.push(clock.now()),
        () => {},
      )
      await clock.run({ until: clock.now() + 10_000 })
    }
    expect(taken.length).toBeGreaterThanOrEqual(719)
    expect(log.vector().filter(({ next }) => next > 1).length).toBe(1)
  })
})

describe('origins whose log is gone', () => {
  const rowAt = (name: string, origin: string) =>
    village.places
      .get(name)!
      .log.vector()
      .find((state) => state.origin === origin)
  const statuses = (origin: string, ...names: readonly string[]) =>
    names.map((name) => rowAt(name, origin)?.status)

  /** a wrote three records, b and c have them, a is gone. */
  async function departed(): Promise<string> {
    for (const name of ['a', 'b', 'c']) await (await village.add(name)).replicator.start()
    await append('a', 3)
    village.join('a', 'b', 'c')
    await until(() => equal('a', 'b', 'c'), 'everybody has the records of a')
    const { replicator, log } = village.places.get('a')!
    await replicator.stop()
    for (const name of ['b', 'c']) village.places.get(name)!.replicator.memberChanged(left('a'))
    return log.origin
  }

  it('REP-40 who stands at the same end takes the word of whoever retired it', async () => {
    const origin = await departed()
    await village.places.get('b')!.replicator.retire(origin)
    await until(() => statuses(origin, 'c')[0] === 'retired', 'c has it from b')
    const { log } = village.places.get('c')!
    expect((await contents(log)).length).toBe(3)
    expect(log.status().origins.map((state) => state.origin)).toContain(origin)
    await village.places.get('b')!.replicator.retire(origin)
  })

  it('REP-40 refuses one that is its own, unknown, written by a member, or not all here', async () => {
    const origin = await departed()
    const { replicator, log } = village.places.get('b')!
    const refusal = (one: string) =>
      replicator.retire(one).then(
        () => 'retired',
        (cause: Error & { code: string }) => `${cause.code} ${cause.message}`,
      )
    expect(await refusal(log.origin)).toMatch(/^ERR_REPLICATOR_RETIRE .*this member appends/)
    expect(await refusal('ab'.repeat(16))).toMatch(/knows no such origin/)
    const other = village.places.get('c')!.log.origin
    await append('c', 1)
    await until(() => rowAt('b', other)?.next === 2, 'b has the record of c')
    expect(await refusal(other)).toMatch(/c appends under it/)
    await log.quarantine(origin, 'a test')
    expect(await refusal(origin)).toMatch(/it is quarantined/)
    await replicator.stop()
    expect(await refusal(other)).toMatch(/^ERR_REPLICATOR_STOPPED/)
  })

  it('REP-40 a record that comes after all is taken, with an event, and told on', async () => {
    const origin = await departed()
    const { log } = village.places.get('a')!
    await village.places.get('b')!.replicator.retire(origin)
    await until(() => statuses(origin, 'c')[0] === 'retired', 'c has it from b')
    const revived: unknown[] = []
    village.places.get('c')!.log.on('revive', (event) => revived.push(event))
    const again = await village.again('a')
    await again.replicator.start()
    village.join('a', 'b', 'c')
    await log.append({ value: bytes('late') })
    await until(() => equal('a', 'b', 'c'), 'everybody has the record')
    expect(statuses(origin, 'a', 'b', 'c')).toEqual(['live', 'live', 'live'])
    expect(revived).toMatchObject([{ origin, member: 'a', next: 4 }])
  })

  it('REP-41 with nothing of it held it leaves vectors, lag and status', async () => {
    const origin = await departed()
    const { replicator, log } = village.places.get('b')!
    await replicator.retire(origin)
    await until(() => statuses(origin, 'c')[0] === 'retired', 'c has it from b')
    for (const name of ['b', 'c']) await village.places.get(name)!.log.retain({ recordsMax: 0 })
    const d = await village.add('d')
    await d.replicator.start()
    village.join('b', 'c', 'd')
    await append('b', 1)
    await until(() => rowAt('d', log.origin)?.next === 2, 'd has the record of b')
    expect(rowAt('d', origin)).toBe(undefined)
    expect(replicator.lag().has(origin)).toBe(false)
    expect(log.status().origins.map((state) => state.origin)).not.toContain(origin)
    expect(rowAt('b', origin)).toMatchObject({ status: 'retired', floor: 4, next: 4 })
  })

  it('REP-41 who slept and comes back with it is told where it ended', async () => {
    const origin = await departed()
    const { log } = village.places.get('a')!
    await village.places.get('b')!.replicator.retire(origin)
    await village.places.get('b')!.log.retain({ recordsMax: 0 })
    await log.rotate('another disk')
    const again = await village.again('a')
    await again.replicator.start()
    village.join('a', 'b')
    await until(() => statuses(origin, 'a')[0] === 'retired', 'a has it from b')
    expect((await contents(log)).length).toBe(3)
  })
})
