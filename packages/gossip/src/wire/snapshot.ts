/**
 * The lines of a snapshot file, as Serf writes and reads them, and three of our own in the form of
 * comments, over which a Serf goes. Nothing here throws: a file may hold anything.
 */
import { formatAddress, parseAddress } from '@kith/interface'
import type { Address } from '@kith/interface'
import { addressBytes, isUnicast } from './address.ts'
import { decodeText } from './text.ts'

export type SnapshotLine =
  | { readonly kind: 'alive'; readonly name: string; readonly address: Address }
  | { readonly kind: 'notAlive'; readonly name: string }
  /** The last time seen on the clock of members, of events, of queries. */
  | { readonly kind: 'clock' | 'eventClock' | 'queryClock'; readonly time: bigint }
  | { readonly kind: 'leave' }
  /** Ours: a member that failed, where it was and when that was, in seconds since 1970. */
  | {
      readonly kind: 'failed'
      readonly name: string
      readonly address: Address
      readonly atSeconds: number
    }
  /** Ours: the highest incarnation this member took. */
  | { readonly kind: 'incarnation'; readonly incarnation: number }
  /** Nothing that matters: another comment, or a coordinate of an old Serf. */
  | { readonly kind: 'comment' }

/** Twice what a line with the longest name and address takes. */
export const snapshotLineBytesMax = 512

const lineStarts = ['alive: ', 'not-alive: ', 'leave', 'coordinate: ', '#', 'clock: '].concat([
  'event-clock: ',
  'query-clock: ',
])
const failedPrefix = '# kith.failed: '
const incarnationPrefix = '# kith.incarnation: '
const clocks = {
  clock: 'clock: ',
  eventClock: 'event-clock: ',
  queryClock: 'query-clock: ',
} as const
const uint64Max = (1n << 64n) - 1n

/** Undefined where the line is none of a snapshot, or damaged. */
export function parseSnapshotLine(line: string): SnapshotLine | undefined {
  if (line.startsWith('alive: ')) return named('alive', line.slice(7))
  if (line.startsWith('not-alive: ')) {
    const name = line.slice(11)
    return name === '' ? undefined : { kind: 'notAlive', name }
  }
  if (line === 'leave') return { kind: 'leave' }
  for (const kind of ['clock', 'eventClock', 'queryClock'] as const) {
    if (!line.startsWith(clocks[kind])) continue
    const time = wholeNumber(line.slice(clocks[kind].length), uint64Max)
    return time === undefined ? undefined : { kind, time }
  }
  if (line.startsWith('coordinate: ')) return { kind: 'comment' }
  return line.startsWith('#') ? comment(line) : undefined
}

function comment(line: string): SnapshotLine | undefined {
  if (line.startsWith(failedPrefix)) {
    const space = line.indexOf(' ', failedPrefix.length)
    const at = wholeNumber(line.slice(failedPrefix.length, space), 1n << 40n)
    const member = space < 0 ? undefined : named('alive', line.slice(space + 1))
    if (at === undefined || member === undefined) return undefined
    return { ...member, kind: 'failed', atSeconds: Number(at) }
  }
  if (!line.startsWith(incarnationPrefix)) return { kind: 'comment' }
  const incarnation = wholeNumber(line.slice(incarnationPrefix.length), (1n << 32n) - 1n)
  return incarnation === undefined
    ? undefined
    : { kind: 'incarnation', incarnation: Number(incarnation) }
}

/** `NAME ADDRESS`; a name may hold spaces. */
function named(
  kind: 'alive',
  text: string,
): (SnapshotLine & { readonly kind: 'alive' }) | undefined {
  const space = text.lastIndexOf(' ')
  const name = text.slice(0, Math.max(0, space))
  const address = parseAddress(text.slice(space + 1))
  if (name === '' || address === undefined || address.port === 0) return undefined
  const bytes = addressBytes(address.host)
  return bytes === undefined || !isUnicast(bytes) ? undefined : { kind, name, address }
}

function wholeNumber(text: string, max: bigint): bigint | undefined {
  if (!/^\d{1,20}$/.test(text)) return undefined
  const value = BigInt(text)
  return value <= max ? value : undefined
}

/** With its line end. Names must be fit: without control characters. */
export function formatSnapshotLine(line: Exclude<SnapshotLine, { kind: 'comment' }>): string {
  switch (line.kind) {
    case 'alive':
      return `alive: ${line.name} ${formatAddress(line.address)}\n`
    case 'notAlive':
      return `not-alive: ${line.name}\n`
    case 'leave':
      return 'leave\n'
    case 'failed':
      return `${failedPrefix}${line.atSeconds} ${line.name} ${formatAddress(line.address)}\n`
    case 'incarnation':
      return `${incarnationPrefix}${line.incarnation}\n`
    case 'clock':
    case 'eventClock':
    case 'queryClock':
      return `${clocks[line.kind]}${line.time}\n`
  }
}

export interface SnapshotReader {
  /** Calls `line` for each line that is whole now; undefined for one that cannot be read. */
  push(bytes: Uint8Array): void
  /**
   * Whether what stands after the last line end may be what a write left behind that was cut off;
   * also where nothing does.
   */
  readonly tailFits: boolean
}

/** Cuts a file into lines in bounded memory, whatever it holds. */
export function createSnapshotReader(
  line: (line: SnapshotLine | undefined) => void,
): SnapshotReader {
  const held = new Uint8Array(snapshotLineBytesMax)
  let rest = 0
  return {
    get tailFits() {
      const tail = rest > held.length ? undefined : decodeText(held, 0, rest)
      if (tail === undefined) return false
      return lineStarts.some((start) => tail.startsWith(start) || start.startsWith(tail))
    },
    push(bytes) {
      for (const byte of bytes) {
        if (byte !== 0x0a) {
          if (rest < held.length) held[rest] = byte
          rest += 1
          continue
        }
        const text = rest > held.length ? undefined : decodeText(held, 0, rest)
        rest = 0
        line(text === undefined ? undefined : parseSnapshotLine(text))
      }
    },
  }
}
