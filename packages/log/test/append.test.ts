import type { AppendRecord } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { createLog } from '../src/index.ts'
import {
  all,
  allValues,
  bytes,
  codeOf,
  durableKinds,
  home,
  kinds,
  records,
  started,
} from './support.ts'

describe.each(kinds)('append with a %s log', (kind) => {
  it('LOG-7 numbers records densely in the order of the calls, groups or not', async () => {
    const log = await started(home(kind))
    const counts = Array.from({ length: 60 }, (_, index) => 1 + (index % 5))
    let at = 0
    const calls = counts.map((count) => {
      const call = log.append(records(count, at))
      at += count
      return call
    })
    const results = await Promise.all(calls)
    let expected = 0
    for (const [index, result] of results.entries()) {
      const count = counts[index] ?? 0
      expect(result).toEqual({
        origin: log.origin,
        first: expected + 1,
        count,
        offset: expected,
        duplicate: false,
      })
      expected += count
    }
    expect(await allValues(log)).toEqual(
      Array.from({ length: at }, (_, index) => `record ${index}`),
    )
    expect(log.status()).toMatchObject({ records: at, next: at, gate: 'open' })
    expect(await log.verify()).toMatchObject({ ok: true, records: at })
  })

  it('LOG-7 keeps keys, headers, times and large records, over a restart where the store does', async () => {
    const options = home(kind)
    const log = await started(options)
    const before = Date.now()
    const large = { value: new Uint8Array(700_000).fill(3), key: bytes('big') }
    const headers = { 'content-type': 'text/plain', __proto__own: 'x', ü: '€' }
    await log.append([large, { value: bytes(''), headers }, { value: bytes('plain') }])
    await log.stop()
    const again = await started(options)
    const { records: read } = await again.read({ bytesMax: 10_000_000 })
    expect(read.length).toBe(3)
    expect(read[0]?.value).toEqual(large.value)
    expect(read[0]?.key).toEqual(bytes('big'))
    expect(read[1]).toMatchObject({ headers, sequence: 2, offset: 1 })
    expect(read[2]).not.toHaveProperty('key')
    expect(read[2]).not.toHaveProperty('headers')
    expect(read[0]?.time).toBeGreaterThanOrEqual(before)
    expect(read[0]?.time).toBeLessThanOrEqual(Date.now())
  })

  it('LOG-8 refuses records out of bounds before anything is stored', async () => {
    const log = await started({ ...home(kind), recordBytesMax: 2_000, appendBytesMax: 5_000 })
    const value = bytes('v')
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`h${index}`, '']))
    const bad: readonly [AppendRecord | readonly AppendRecord[], string][] = [
      [[], 'ERR_LOG_RECORD_INVALID'],
      [{ value: 'text' as never }, 'ERR_LOG_RECORD_INVALID'],
      [{ value, key: 'text' as never }, 'ERR_LOG_RECORD_INVALID'],
      [{ value, key: new Uint8Array(1_025) }, 'ERR_LOG_RECORD_INVALID'],
      [{ value, headers: many }, 'ERR_LOG_RECORD_INVALID'],
      [{ value, headers: { ['n'.repeat(129)]: '' } }, 'ERR_LOG_RECORD_INVALID'],
      [{ value, headers: { '': 'x' } }, 'ERR_LOG_RECORD_INVALID'],
      [{ value, headers: { a: '\ud800' } }, 'ERR_LOG_RECORD_INVALID'],
      [{ value, headers: { a: 5 as never } }, 'ERR_LOG_RECORD_INVALID'],
      [{ value, headers: { a: 'x'.repeat(17_000) } }, 'ERR_LOG_RECORD_INVALID'],
      [{ value: new Uint8Array(2_001) }, 'ERR_LOG_RECORD_TOO_LARGE'],
      [
        Array.from({ length: 6 }, () => ({ value: new Uint8Array(900) })),
        'ERR_LOG_APPEND_TOO_LARGE',
      ],
      [[{ value }, { value: null as never }], 'ERR_LOG_RECORD_INVALID'],
    ]
    for (const [given, code] of bad) expect(await codeOf(log.append(given))).toBe(code)
    expect(log.status().records).toBe(0)
    expect((await log.append({ value })).first).toBe(1)
  })

  it('LOG-16 stores a retried append once and answers it the same, at once, later and after a restart', async () => {
    const options = home(kind)
    const log = await started(options)
    const producer = { id: 'p', sequence: 7 }
    const [first, together] = await Promise.all([
      log.append(records(2), { producer }),
      log.append(records(2), { producer }),
    ])
    expect(first?.duplicate).toBe(false)
    expect(together).toEqual({ ...first, duplicate: true })
    await log.append(records(1), { producer: { id: 'q', sequence: 7 } })
    expect(await log.append(records(2), { producer })).toEqual({ ...first, duplicate: true })
    await log.stop()
    const again = await started(options)
    expect(await again.append(records(2), { producer })).toEqual({ ...first, duplicate: true })
    expect(again.status().records).toBe(3)
    for (let sequence = 100; sequence < 164; sequence += 1) {
      await again.append(records(1), { producer: { id: 'p', sequence } })
    }
    expect(await codeOf(again.append(records(2), { producer }))).toBe('ERR_LOG_PRODUCER_STALE')
    expect(again.status().records).toBe(3 + 64)
  })

  it('LOG-16 forgets the producer unused the longest', async () => {
    const options = { ...home(kind), producersMax: 2 }
    const log = await started(options)
    for (const id of ['a', 'b', 'a', 'c']) {
      const sequence = log.status().records
      await log.append(records(1), { producer: { id, sequence } })
    }
    const retry = (id: string, sequence: number) =>
      log.append(records(1), { producer: { id, sequence } })
    expect((await retry('a', 0)).duplicate).toBe(true)
    expect((await retry('c', 3)).duplicate).toBe(true)
    expect((await retry('b', 1)).duplicate).toBe(false)
    expect(await log.verify()).toMatchObject({ ok: true })
  })

  it('LOG-17 waits for as many other logs as asked, and answers when time ran out', async () => {
    const log = await started(home(kind))
    const waiting = log.append(records(2), { replicas: 2, timeoutMs: 20_000 })
    const other = (mark: string, next: number): void =>
      log.acknowledged(mark.repeat(16), new Map([[log.origin, next]]), '', all(log))
    other('01', 3)
    log.acknowledged(log.logId, new Map([[log.origin, 3]]), '', all(log))
    other('02', 2)
    other('02', 3)
    expect((await waiting).replicas).toEqual({ needed: 2, acked: 2, timedOut: false })
    // Whoever began behind it, says no more than a number, or what cannot be, has not stored it.
    log.acknowledged('03'.repeat(16), new Map([[log.origin, 9]]), '', new Map([[log.origin, 4]]))
    log.acknowledged('04'.repeat(16), new Map([[log.origin, 9]]))
    for (const from of [10, 0, -1, 1.5, Number.NaN]) {
      log.acknowledged(
        '05'.repeat(16),
        new Map([[log.origin, 9]]),
        '',
        new Map([[log.origin, from]]),
      )
    }
    log.acknowledged('06'.repeat(16), new Map([[log.origin, 2 ** 60]]), '', all(log))
    const late = await log.append(records(1), { replicas: 1, timeoutMs: 20 })
    expect(late.replicas).toEqual({ needed: 1, acked: 0, timedOut: true })
    expect((await log.append(records(1), { replicas: 0 })).replicas).toBe(undefined)
  })

  it('LOG-37 refuses more than may wait, and takes it once there is room', async () => {
    const log = await started({
      ...home(kind),
      recordBytesMax: 1_000,
      appendBytesMax: 1_000,
      queuedBytesMax: 10_000,
    })
    const calls = Array.from({ length: 40 }, () => log.append({ value: new Uint8Array(900) }))
    const codes = await Promise.all(calls.map(codeOf))
    expect(codes.filter((code) => code === 'ERR_LOG_OVERLOADED').length).toBeGreaterThan(0)
    const stored = codes.filter((code) => code === 'resolved').length
    expect(stored).toBeGreaterThan(0)
    expect(log.status()).toMatchObject({ records: stored, metrics: { queuedBytes: 0 } })
    expect((await log.append({ value: bytes('room') })).first).toBe(stored + 1)
  })

  it('answers an aborted append with its reason and bad options with all their problems', async () => {
    const log = await started(home(kind))
    const reason = new Error('enough')
    expect(await codeOf(log.append(records(1), { signal: AbortSignal.abort(reason) }))).toContain(
      'enough',
    )
    const bad = {
      durability: 'tape',
      replicas: -1,
      timeoutMs: 0,
      producer: { id: '', sequence: 1.5 },
    }
    const error = await log.append(records(1), bad as never).catch((cause: unknown) => cause)
    expect(error).toMatchObject({ code: 'ERR_LOG_OPTIONS' })
    for (const field of [
      'durability',
      'replicas',
      'timeoutMs',
      'producer.id',
      'producer.sequence',
    ]) {
      expect((error as Error).message).toContain(field)
    }
    expect(log.status().records).toBe(0)
  })

  it('does nothing before its start and nothing after its stop', async () => {
    const log = createLog(home(kind))
    expect(await codeOf(log.append(records(1)))).toBe('ERR_LOG_NOT_STARTED')
    expect(() => log.vector()).toThrow('start the log first')
    await log.start()
    const late = log.append(records(3))
    await Promise.all([log.stop(), log.stop()])
    expect((await late).count).toBe(3)
    expect(await codeOf(log.append(records(1)))).toBe('ERR_LOG_CLOSED')
    expect(await codeOf(log.read())).toBe('ERR_LOG_CLOSED')
    expect(await codeOf(log.start())).toBe('ERR_LOG_CLOSED')
  })
})

describe.each(durableKinds)('durability levels of a %s log', (kind) => {
  it('LOG-19 answers os appends before their flush, and shows them after it', async () => {
    const log = await started(home(kind))
    const commits: number[] = []
    log.onCommit(({ next }) => commits.push(next))
    const flushed = new Promise<void>((resolve) => log.on('commit', () => resolve()))
    const result = await log.append(records(2), { durability: 'os' })
    expect(result.first).toBe(1)
    await flushed
    expect(log.status().records).toBe(2)
    expect((await log.read()).records.length).toBe(2)
    await log.append(records(1), { durability: 'os' })
    await log.append(records(1))
    expect(commits).toEqual([3, 4, 5])
  })
})

it('LOG-8 names every bad option of a log at once', () => {
  const bad = {
    directory: '',
    writer: 'thread',
    gate: 'shut',
    gateMs: 1,
    recordBytesMax: 2 ** 30,
    queuedBytesMax: 5,
  }
  const fields = ['gateMs', 'recordBytesMax', 'queuedBytesMax', 'directory', 'writer', 'gate must']
  for (const field of fields) expect(() => createLog(bad as never)).toThrow(field)
  expect(() => createLog({ writer: 'worker' })).toThrow('where no directory is given')
})
