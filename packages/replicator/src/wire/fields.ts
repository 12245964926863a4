/** Readers of single decoded values. They throw `Malformed`, which the codec alone catches. */
import { fromHex, toHex } from '@kith/interface'
import type { Chain, Hole, OriginState, OriginStatus } from '@kith/interface'
import { wireLimits } from './limits.ts'

/** Thrown and caught inside `wire/`; never leaves it. */
export class Malformed extends Error {}

export type Fields = Readonly<Record<string, unknown>>

export function fields(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Malformed(`${what} is not a map`)
  }
  return value as Fields
}

export function list(value: unknown, what: string, max: number): readonly unknown[] {
  if (!Array.isArray(value)) throw new Malformed(`${what} is not a list`)
  if (value.length > max) throw new Malformed(`${what} has more than ${max} entries`)
  return value
}

export function integer(
  value: unknown,
  what: string,
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): number {
  if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
    throw new Malformed(`${what} is not an integer from ${min} to ${max}`)
  }
  return value as number
}

export function boolean(value: unknown, what: string): boolean {
  if (typeof value !== 'boolean') throw new Malformed(`${what} is not a boolean`)
  return value
}

export function text(value: unknown, what: string): string {
  // A UTF-16 unit is at most three bytes of UTF-8: short enough texts need no counting.
  if (typeof value !== 'string') throw new Malformed(`${what} is not a text`)
  const max = wireLimits.nameBytesMax
  if (value.length > max || (value.length * 3 > max && utf8Bytes(value) > max)) {
    throw new Malformed(`${what} is longer than ${max} bytes`)
  }
  return value
}

export function utf8Bytes(value: string): number {
  let bytes = 0
  for (const point of value) {
    const code = point.codePointAt(0) ?? 0
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x1_0000 ? 3 : 4
  }
  return bytes
}

/** An identity or a chain, `bytes` long, as hex. */
export function identity(value: unknown, what: string, bytes: 16 | 32): string {
  if (!(value instanceof Uint8Array) || value.length !== bytes) {
    throw new Malformed(`${what} is not ${bytes} bytes`)
  }
  return toHex(value)
}

export function bytesOf(hex: string): Uint8Array {
  const bytes = fromHex(hex)
  if (bytes === undefined) throw new Malformed('not hex')
  return bytes
}

const statuses: readonly OriginStatus[] = Object.freeze([
  'live',
  'sealed',
  'retired',
  'quarantined',
])

export function stateToRow(state: OriginState): readonly unknown[] {
  return [
    bytesOf(state.origin),
    state.member,
    state.floor,
    state.next,
    bytesOf(state.chain),
    statuses.indexOf(state.status),
    state.own,
    boundedHoles(state.holes).flatMap((hole) => [hole.from, hole.to]),
  ]
}

/**
 * Past the limit the last holes become one that spans them: we then claim to lack what we have,
 * which costs a detour; the other way round somebody would wait for what never comes.
 */
function boundedHoles(holes: readonly Hole[]): readonly Hole[] {
  if (holes.length <= wireLimits.holesMax) return holes
  const kept = holes.slice(0, wireLimits.holesMax - 1)
  const from = holes[wireLimits.holesMax - 1]?.from ?? 0
  return [...kept, { from, to: holes.at(-1)?.to ?? 0 }]
}

export function stateFromRow(value: unknown): OriginState {
  const row = list(value, 'state', 8)
  const next = integer(row[3], 'next', 1)
  const status = statuses[integer(row[5], 'status', 0, statuses.length - 1)]
  return {
    origin: identity(row[0], 'origin', 16),
    member: text(row[1], 'member'),
    floor: integer(row[2], 'floor', 1, next),
    next,
    chain: identity(row[4], 'chain', 32),
    status: status ?? 'live',
    own: boolean(row[6], 'own'),
    holes: readHoles(row[7], next),
  }
}

function readHoles(value: unknown, next: number): readonly Hole[] {
  const flat = list(value, 'holes', wireLimits.holesMax * 2)
  if (flat.length % 2 !== 0) throw new Malformed('holes are not pairs')
  const holes: Hole[] = []
  let lowest = 1
  for (let index = 0; index < flat.length; index += 2) {
    const from = integer(flat[index], 'hole', lowest, next)
    const to = integer(flat[index + 1], 'hole', from + 1, next)
    holes.push({ from, to })
    lowest = to
  }
  return holes
}

export function optionalChain(value: unknown, what: string): Chain | null {
  return value === null ? null : identity(value, what, 32)
}
