/** Files that somebody may have damaged: snapshots and keyrings. */
import { decodeKeyring, encodeKeyring } from '../../../packages/gossip/src/wire/keyring.ts'
import {
  createSnapshotReader,
  formatSnapshotLine,
  parseSnapshotLine,
} from '../../../packages/gossip/src/wire/snapshot.ts'
import type { SnapshotLine } from '../../../packages/gossip/src/wire/snapshot.ts'
import type { Random } from '@kith/interface'
import { replaced } from '../mutate.ts'
import { ascii, holds, inPieces, sameBytes } from '../target.ts'
import type { FuzzTarget, Mutator } from '../target.ts'

const lines = [
  'alive: a 127.0.0.1:7946\n',
  'alive: name with spaces [2001:db8::1]:1\n',
  'not-alive: b\n',
  'clock: 12\n',
  'event-clock: 18446744073709551615\n',
  'query-clock: 0\n',
  'leave\n',
  'coordinate: {"Vec":[0]}\n',
  '# a comment\n',
  '# kith.failed: 1700000000 c 10.0.0.1:7946\n',
  '# kith.incarnation: 4294967295\n',
]

/** A whole line goes, comes twice, or another one stands before it. */
const bentLines: Mutator = (bytes, random) => {
  const ends: number[] = []
  for (const [at, byte] of bytes.entries()) if (byte === 0x0a) ends.push(at + 1)
  const line = (): readonly [number, number] => {
    const index = random.below(ends.length + 1)
    return [ends[index - 1] ?? 0, ends[index] ?? bytes.length]
  }
  const [[from, to], [start, end]] = [line(), line()]
  const word = ascii(lines[random.below(lines.length)] ?? '')
  const kinds = [new Uint8Array(0), bytes.subarray(start, end), word]
  const middle = kinds[random.below(kinds.length)] ?? word
  return replaced(bytes, from, random.below(2) === 0 ? to : from, middle)
}

function shown(line: SnapshotLine | undefined): string {
  if (line === undefined) return 'damaged'
  if (line.kind === 'comment') return '#'
  const text = formatSnapshotLine(line)
  const again = parseSnapshotLine(text.slice(0, -1))
  holds(again?.kind === line.kind, 'a line is not read back')
  holds(formatSnapshotLine(again) === text, 'a line changes')
  return text
}

function readLines(bytes: Uint8Array, feed: (push: (piece: Uint8Array) => void) => void): string {
  const read: string[] = []
  const reader = createSnapshotReader((line) => read.push(shown(line)))
  feed((piece) => reader.push(piece))
  holds(read.length === count(bytes), 'lines are lost')
  return `${read.join('')} ${reader.tailFits}`
}

const count = (bytes: Uint8Array): number =>
  bytes.reduce((sum, byte) => sum + (byte === 0x0a ? 1 : 0), 0)

export const snapshot: FuzzTarget = {
  bytesMax: 8_192,
  seeds: () => [
    ascii(lines.join('')),
    ...lines.map(ascii),
    ascii(`alive: ${'n'.repeat(500)} 1.2.3.4:5\n`),
  ],
  words: lines.map(ascii).concat([': ', ':0', '[::]', '18446744073709551616', '\n'].map(ascii)),
  mutators: [bentLines, bentLines],
  ends: ['damaged', 'whole', 'noLine'],
  check(bytes, random: Random) {
    const whole = readLines(bytes, (push) => push(bytes))
    if (random.below(4) === 0) {
      const pieces = readLines(bytes, (push) => inPieces(random, bytes, push))
      holds(whole === pieces, 'in pieces it is something else')
    }
    if (!bytes.includes(0x0a)) return 'noLine'
    return whole.includes('damaged') ? 'damaged' : 'whole'
  },
}

const someKeys = [16, 24, 32].map((length) => new Uint8Array(length).fill(length))
const key = Buffer.from(someKeys[2] ?? []).toString('base64')

export const keyring: FuzzTarget = {
  bytesMax: 70_000,
  seeds: () => [
    ascii(encodeKeyring(someKeys)),
    ascii(encodeKeyring(someKeys.slice(0, 1))),
    ascii('[]'),
    ascii(''),
    ascii(' \n'),
    ascii('{"keys":[]}'),
    ascii(`["${key}","${key}"]`),
    ascii(encodeKeyring(Array.from({ length: 33 }, (_, at) => new Uint8Array(16).fill(at)))),
  ],
  words: [`"${key}"`, ',', '[', ']', '"', '==', 'null', '1e400', '{"__proto__":1}', '\\u0000']
    .concat(['\u00ef\u00bb\u00bf', '-', '_', '\ufeff'])
    .map(ascii),
  mutators: [],
  ends: ['keys', 'notJson', 'notList', 'noKeys', 'keyNotText', 'keyNotBase64', 'keySize'],
  check(bytes) {
    const keys = decodeKeyring(bytes)
    if ('kind' in keys) return keys.kind
    holds(keys.length >= 1 && keys.length <= 32, 'a keyring of another size')
    const again = decodeKeyring(ascii(encodeKeyring(keys)))
    holds(!('kind' in again) && again.length === keys.length, 'a keyring is not read back')
    holds(
      again.every((bytesAgain, at) => sameBytes(bytesAgain, keys[at] ?? bytesAgain.slice(1))),
      'a key changes',
    )
    return 'keys'
  },
}
