// The lines of a snapshot: Serf's own, ours, and whatever else a file may hold.
import {
  assert,
  bigInt,
  constantFrom,
  integer,
  oneof,
  property,
  record,
  string,
  uint8Array,
} from 'fast-check'
import type { Arbitrary } from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  createSnapshotReader,
  formatSnapshotLine,
  parseSnapshotLine,
  snapshotLineBytesMax,
} from '../../src/wire/snapshot.ts'
import type { SnapshotLine } from '../../src/wire/snapshot.ts'
import { utf8 } from './support.ts'

function readAll(bytes: Uint8Array, piece = bytes.length): (SnapshotLine | undefined)[] {
  const lines: (SnapshotLine | undefined)[] = []
  const reader = createSnapshotReader((line) => lines.push(line))
  for (let at = 0; at < bytes.length; at += Math.max(1, piece)) {
    reader.push(bytes.subarray(at, at + Math.max(1, piece)))
  }
  return lines
}

const ten = { host: '10.0.0.1', port: 7946 }

describe('snapshot lines', () => {
  const known: readonly (readonly [string, SnapshotLine])[] = [
    ['alive: a 10.0.0.1:7946', { kind: 'alive', name: 'a', address: ten }],
    ['alive: a b  c 10.0.0.1:7946', { kind: 'alive', name: 'a b  c', address: ten }],
    ['alive: v6 [::1]:7946', { kind: 'alive', name: 'v6', address: { host: '::1', port: 7946 } }],
    ['not-alive: a b', { kind: 'notAlive', name: 'a b' }],
    ['clock: 0', { kind: 'clock', time: 0n }],
    ['event-clock: 18446744073709551615', { kind: 'eventClock', time: (1n << 64n) - 1n }],
    ['query-clock: 7', { kind: 'queryClock', time: 7n }],
    ['leave', { kind: 'leave' }],
    ['coordinate: {"Vec":[0]}', { kind: 'comment' }],
    ['# anything', { kind: 'comment' }],
    ['#', { kind: 'comment' }],
    [
      '# kith.failed: 1732550400 a b 10.0.0.1:7946',
      { kind: 'failed', name: 'a b', address: ten, atSeconds: 1_732_550_400 },
    ],
    ['# kith.incarnation: 4294967295', { kind: 'incarnation', incarnation: 4_294_967_295 }],
  ]
  it.each(known)('GOS-138 %s', (text, line) => {
    expect(parseSnapshotLine(text)).toEqual(line)
    if (line.kind !== 'comment') expect(formatSnapshotLine(line)).toBe(`${text}\n`)
  })

  const damaged = [
    ...['', ' ', 'alive', 'alive:', 'alive: ', 'alive: a', 'alive: a b', 'alive: 10.0.0.1:7946'],
    ...['alive: a 10.0.0.1:0', 'alive: a 10.0.0.1:70000', 'alive: a 10.0.0.1', 'alive: a host:1'],
    ...['alive: a 0.0.0.0:1', 'alive: a 224.0.0.1:1', 'alive: a 999.0.0.1:1', 'alive: a [::]:1'],
    ...[
      'not-alive: ',
      'not-alive',
      'clock: ',
      'clock: -1',
      'clock: 1.5',
      'clock: 0x5',
      'clock: 1 ',
    ],
    ...[
      'clock: 18446744073709551616',
      'event-clock: x',
      'query-clock:5',
      'leave ',
      'left',
      'Leave',
    ],
    ...[
      '# kith.failed: x a 10.0.0.1:1',
      '# kith.failed: 1',
      '# kith.failed: 1 a',
      '# kith.failed: ',
    ],
    ...['# kith.incarnation: 4294967296', '# kith.incarnation: ', 'aalive: a 10.0.0.1:7946'],
  ]
  it.each(damaged)('GOS-139 %j is damaged', (text) => {
    expect(parseSnapshotLine(text)).toBeUndefined()
  })

  const names: Arbitrary<string> = string({ unit: 'grapheme', minLength: 1, maxLength: 30 }).filter(
    (name) => !/\p{Cc}/u.test(name),
  )
  const addresses = record({
    host: constantFrom('10.1.2.3', '127.0.0.1', '::1', 'fe80::1', '2001:db8::5'),
    port: integer({ min: 1, max: 65_535 }),
  })
  const lines: Arbitrary<Exclude<SnapshotLine, { kind: 'comment' }>> = oneof(
    record({ kind: constantFrom('alive' as const), name: names, address: addresses }),
    record({ kind: constantFrom('notAlive' as const), name: names }),
    record({
      kind: constantFrom('clock' as const, 'eventClock' as const, 'queryClock' as const),
      time: bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    }),
    record({
      kind: constantFrom('failed' as const),
      name: names,
      address: addresses,
      atSeconds: integer({ min: 0, max: 2 ** 31 }),
    }),
    record({
      kind: constantFrom('incarnation' as const),
      incarnation: integer({ min: 0, max: 2 ** 32 - 1 }),
    }),
  )

  it('GOS-138 what is written is read, in pieces of any size', () => {
    assert(
      property(lines, lines, integer({ min: 1, max: 40 }), (first, second, piece) => {
        const bytes = utf8(formatSnapshotLine(first) + formatSnapshotLine(second))
        expect(readAll(bytes, piece)).toEqual([first, second])
      }),
    )
  })

  it('GOS-139 a torn tail is no line', () => {
    const bytes = utf8('alive: a 10.0.0.1:7946\nalive: b 10.0')
    const seen: (SnapshotLine | undefined)[] = []
    const reader = createSnapshotReader((line) => seen.push(line))
    reader.push(bytes)
    expect(seen).toHaveLength(1)
    expect(reader.tailFits).toBe(true)
    for (const tail of ['', 'a', 'clock: 12', '# half', 'not-al', 'leav']) {
      const other = createSnapshotReader(() => {})
      other.push(utf8(tail))
      expect(other.tailFits, tail).toBe(true)
    }
    for (const tail of ['a file', 'root:x:0', 'alive', `#${'x'.repeat(600)}`]) {
      const other = createSnapshotReader(() => {})
      other.push(utf8(tail))
      expect(other.tailFits, tail).toBe(tail === 'alive')
    }
  })

  it('GOS-139 lines beyond the bound are damaged, however long, and end where they end', () => {
    const long = `alive: ${'x'.repeat(snapshotLineBytesMax)} 10.0.0.1:7946\n`
    const text = `${long}leave\n${'y'.repeat(1_000_000)}\nclock: 5\n`
    const found = readAll(utf8(text), 65_536)
    expect(found).toEqual([undefined, { kind: 'leave' }, undefined, { kind: 'clock', time: 5n }])
    // The longest that there is fits.
    const name = 'n'.repeat(128)
    const host = 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:fffe'
    const failed = { kind: 'failed', name, address: { host, port: 65_535 } } as const
    const line = formatSnapshotLine({ ...failed, atSeconds: 2 ** 40 })
    expect(line.length).toBeLessThan(256)
    expect(readAll(utf8(line))).toEqual([{ ...failed, atSeconds: 2 ** 40 }])
  })

  it('GOS-139 any bytes are read or skipped, never thrown at anybody', () => {
    const any = uint8Array({ maxLength: 2000 })
    const starts = constantFrom('alive: ', 'not-alive: ', 'clock: ', '# kith.failed: ', 'leave', '')
    assert(
      property(starts, any, integer({ min: 1, max: 300 }), (start, bytes, piece) => {
        const all = Uint8Array.of(...utf8(start), ...bytes)
        expect(readAll(all, piece)).toHaveLength(all.filter((byte) => byte === 0x0a).length)
      }),
      { numRuns: 500 },
    )
    const invalid = Uint8Array.of(...utf8('not-alive: '), 0xff, 0xfe, 0x0a)
    expect(readAll(invalid)).toEqual([undefined])
  })
})
