// Streams, monitors, answers to queries of others, and readers that are too slow.
import { describe, expect, it } from 'vitest'
import type { NewsEvent } from '../../src/core/input.ts'
import { parseFilters } from '../../src/core/filter.ts'
import { wantsEvents, wantsLines } from '../../src/core/state.ts'
import type { SerfLogLevel, SerfLogLine } from '../../src/words.ts'
import { type Caller, createGreeted } from '../support/caller.ts'
import { member } from '../support/host.ts'

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

const joinOf = (name: string): NewsEvent => ({
  kind: 'members',
  event: 'member-join',
  members: [member(name)],
})
const user = (name: string, payload = 'p'): NewsEvent => ({
  kind: 'user',
  name,
  payload: text(payload),
  lamportTime: 5n,
  coalesce: true,
})
const query = (name: string, handle = 1): NewsEvent => ({
  kind: 'query',
  name,
  payload: text(''),
  lamportTime: 6n,
  timeoutMs: 1_000,
  handle,
})

function streaming(filter: string): Caller {
  const caller = createGreeted()
  caller.ask({ command: 'stream', filter })
  caller.heard()
  return caller
}

const news: readonly NewsEvent[] = [joinOf('a'), user('deploy'), user('other'), query('load')]
const filters: readonly (readonly [string, readonly boolean[]])[] = [
  ['', [true, true, true, true]],
  ['*', [true, true, true, true]],
  ['user', [false, true, true, false]],
  ['user:deploy', [false, true, false, false]],
  ['user:', [false, true, true, false]],
  ['query:load,member-join', [true, false, false, true]],
  ['query:other', [false, false, false, false]],
  ['member-leave', [false, false, false, false]],
]

describe('stream', () => {
  it.each(filters)('RPC-26 the filter "%s" lets pass what Serf lets pass', (filter, passes) => {
    const seen = news.map((event) => {
      const caller = streaming(filter)
      caller.run({ kind: 'event', event })
      return caller.heard().length === 1
    })
    expect(seen).toEqual(passes)
  })

  it.each(['member', 'users', 'user,', ' user', 'member-join:a', 'x'.repeat(10)])(
    'RPC-26 "%s" is no filter',
    (filter) => {
      const caller = createGreeted()
      caller.ask({ command: 'stream', filter })
      expect(caller.heard()).toMatchObject([{ error: 'Invalid event filter' }])
      expect(wantsEvents(caller.state)).toBe(false)
    },
  )

  it('RPC-26 a filter has at most 256 parts', () => {
    expect(parseFilters(Array(256).fill('user').join(','))).toHaveLength(256)
    expect(parseFilters(Array(257).fill('user').join(','))).toBeUndefined()
  })

  it('RPC-26 records say what happened, on the sequence of the stream', () => {
    const caller = streaming('*')
    for (const event of news) caller.run({ kind: 'event', event })
    const records = caller.heard().map(({ sequence, record }) => [sequence, record])
    expect(records).toMatchObject([
      [2n, { record: { kind: 'members', event: 'member-join', members: [{ name: 'a' }] } }],
      [2n, { record: { kind: 'user', name: 'deploy', payload: text('p'), lamportTime: 5n } }],
      [2n, { record: { kind: 'user', name: 'other', coalesce: true } }],
      [2n, { record: { kind: 'query', id: 1n, name: 'load', payload: undefined } }],
    ])
  })

  it('RPC-26 the queries of Serf itself are not told', () => {
    const caller = streaming('*')
    caller.run({ kind: 'event', event: query('_serf_conflict') })
    expect(caller.heard()).toEqual([])
  })

  it('RPC-26 a sequence carries one stream', () => {
    const caller = streaming('*')
    caller.ask({ command: 'stream', filter: 'user' }, 2n)
    caller.run({ kind: 'event', event: joinOf('a') })
    expect(caller.state.streams.size).toBe(1)
    caller.ask({ command: 'stream', filter: 'user' }, 3n)
    expect(caller.state.streams.size).toBe(2)
  })

  it('RPC-14 a connection has at most so many streams', () => {
    const caller = createGreeted({ limits: { streamsMax: 2 } })
    for (let count = 0; count < 3; count += 1) caller.ask({ command: 'stream', filter: '*' })
    const [, , third] = caller.heard()
    expect(third?.error).toMatch(/2 streams already/)
  })

  it('RPC-29 stop ends a stream or the monitor, and always succeeds', () => {
    const caller = streaming('*')
    caller.ask({ command: 'monitor', level: 'debug' })
    caller.reply({ error: '', history: [] })
    expect([wantsEvents(caller.state), wantsLines(caller.state)]).toEqual([true, true])
    for (const stream of [2n, 3n, 77n]) caller.ask({ command: 'stop', stream })
    expect([wantsEvents(caller.state), wantsLines(caller.state)]).toEqual([false, false])
    expect(caller.heard().map(({ error }) => error)).toEqual(['', '', '', ''])
    caller.run({ kind: 'event', event: joinOf('a') })
    expect(caller.heard()).toEqual([])
  })
})

describe('respond', () => {
  it('RPC-27 goes to the query that the stream told of, by a number of its own', () => {
    const caller = streaming('query')
    caller.run({ kind: 'event', event: query('load', 70) })
    caller.run({ kind: 'event', event: query('load', 71) })
    caller.ask({ command: 'respond', id: 2n, payload: text('0.3') })
    expect(caller.calls()).toEqual([{ kind: 'respond', handle: 71, payload: text('0.3') }])
    caller.reply({ error: 'failed to respond to key query: response already sent' })
    expect(caller.heard().at(-1)?.error).toBe(
      'failed to respond to key query: response already sent',
    )
  })

  it('RPC-27 is refused for what was never told, or is over, or was too long ago', () => {
    const caller = streaming('query')
    caller.run({ kind: 'event', event: query('load') })
    caller.ask({ command: 'respond', id: 9n, payload: undefined })
    caller.now = 1_000
    caller.ask({ command: 'respond', id: 1n, payload: undefined })
    const unknown = 'No pending queries matching ID'
    expect(caller.heard().slice(1)).toMatchObject([{ error: unknown }, { error: unknown }])

    const busy = createGreeted({ limits: { queriesMax: 2 } })
    busy.ask({ command: 'stream', filter: '*' })
    for (let count = 0; count < 3; count += 1) busy.run({ kind: 'event', event: query('load') })
    expect([...busy.state.openQueries.keys()]).toEqual([2n, 3n])
  })
})

const line = (level: SerfLogLevel, at: number): SerfLogLine => ({
  level,
  text: `2026/11/22 06:41:15 [${level}] serf: ${at}`,
})

describe('monitor', () => {
  it('RPC-28 first shows the last lines of its level, oldest first, then those to come', () => {
    const caller = createGreeted()
    caller.ask({ command: 'monitor', level: 'warn' })
    expect(caller.calls()).toEqual([{ kind: 'logs' }])
    const history = [line('ERR', 1), line('INFO', 2), line('WARN', 3)]
    caller.reply({ error: '', history })
    caller.run({ kind: 'line', line: line('DEBUG', 4) })
    caller.run({ kind: 'line', line: line('WARN', 5) })
    const [answer, ...lines] = caller.heard()
    expect(answer).toMatchObject({ sequence: 2n, error: '' })
    expect(lines.map(({ record }) => (record?.command === 'monitor' ? record.line : ''))).toEqual(
      [line('ERR', 1), line('WARN', 3), line('WARN', 5)].map((it) => it.text),
    )
  })

  it('RPC-28 is one to a connection, and of a level there is', () => {
    const caller = createGreeted()
    for (const level of ['loud', 'TRACE', 'info']) {
      caller.ask({ command: 'monitor', level })
      if (caller.calls().length > 0) caller.reply({ error: '', history: [] })
    }
    expect(caller.heard().map(({ error }) => error)).toEqual([
      'Unknown log level: LOUD',
      '',
      'Monitor already exists',
    ])
  })
})

describe('a slow reader', () => {
  const small = { unsentBytesMax: 300, recordsMax: 3, recordsBytesMax: 10_000 }

  it('RPC-34 gets what waited, in order, and never more waits than may', () => {
    const caller = createGreeted({ limits: small })
    caller.ask({ command: 'stream', filter: 'user' })
    caller.heard()
    let sent = 0
    while (caller.state.streams.get(2n)?.outbox.dropped !== 4) {
      sent += 1
      caller.run({ kind: 'event', event: user(`e${sent}`) })
    }
    expect(caller.state.streams.get(2n)?.outbox.waiting).toHaveLength(3)
    expect(caller.counts.filter((what) => what === 'recordsDropped')).toHaveLength(4)
    expect(caller.warnings).toEqual(['a reader is too slow for its stream: records are dropped'])
    const names: string[] = []
    for (let round = 0; round < 10; round += 1) {
      for (const { record } of caller.heard()) {
        if (record?.command === 'stream' && record.record.kind === 'user') {
          names.push(record.record.name)
        }
      }
      caller.run({ kind: 'sent', bytes: caller.state.unsentBytes })
    }
    // All of them, but for the four that came while three waited.
    expect(names).toEqual(Array.from({ length: sent - 4 }, (_, at) => `e${at + 1}`))
    caller.run({ kind: 'event', event: user('next') })
    expect(caller.heard()).toHaveLength(1)
  })

  it('RPC-34 is bounded in bytes as well', () => {
    const caller = createGreeted({ limits: { ...small, recordsMax: 500, recordsBytesMax: 5_000 } })
    caller.ask({ command: 'stream', filter: '*' })
    for (let count = 0; count < 100; count += 1) {
      caller.run({ kind: 'event', event: user('e', 'x'.repeat(500)) })
    }
    const outbox = caller.state.streams.get(2n)?.outbox
    expect(outbox?.bytes).toBeLessThanOrEqual(5_000)
    expect(outbox?.dropped).toBeGreaterThan(80)
  })

  it('RPC-34 learns all the same that a query is done', () => {
    const caller = createGreeted({ limits: small })
    caller.ask({
      command: 'query',
      name: 'q',
      payload: undefined,
      filterMembers: undefined,
      filterTags: undefined,
      acks: false,
      relayFactor: 0,
      timeoutNs: 0n,
    })
    caller.reply({ error: '' })
    for (let count = 0; count < 50; count += 1) {
      const record = { kind: 'response', from: `m${count}`, payload: text('answer') } as const
      caller.run({ kind: 'record', sequence: 2n, record })
    }
    const done = { kind: 'done', from: '', payload: undefined } as const
    caller.run({ kind: 'record', sequence: 2n, record: done })
    expect(caller.state.queries.size).toBe(1)
    const kinds: (string | undefined)[] = []
    while (caller.state.queries.size > 0) {
      caller.run({ kind: 'sent', bytes: caller.state.unsentBytes })
      for (const { record } of caller.heard()) {
        kinds.push(record?.command === 'query' ? record.record.kind : undefined)
      }
    }
    expect(kinds.at(-1)).toBe('done')
    expect(kinds.length).toBeLessThan(51)
  })

  it('RPC-34 of one stream takes nothing from another, which gets its turn', () => {
    const caller = createGreeted({ limits: small })
    caller.ask({ command: 'stream', filter: 'user:a' })
    caller.ask({ command: 'stream', filter: 'user:b' })
    for (let count = 0; count < 30; count += 1) caller.run({ kind: 'event', event: user('a') })
    caller.run({ kind: 'event', event: user('b') })
    caller.heard()
    caller.run({ kind: 'sent', bytes: caller.state.unsentBytes })
    const first = caller.heard().slice(0, 2)
    expect(first.map(({ sequence }) => sequence)).toEqual([2n, 3n])
  })
})
