/** Bends msgpack value by value: the structure stays, or is wrong in one place only. */
import type { Random } from '@kith/interface'
import { replaced } from './mutate.ts'
import type { Mutator } from './target.ts'

/** Where one value begins and ends; containers end where their last element does. */
interface Value {
  readonly from: number
  /** Behind the head, that is before the first element of a container. */
  readonly head: number
  readonly to: number
  readonly children: number
}

const valuesMax = 512

function number(bytes: Uint8Array, at: number, width: number): number {
  let value = 0
  for (let index = 0; index < width; index += 1) value = value * 256 + (bytes[at + index] ?? 0)
  return value
}

/** Length of the head, bytes behind it, and values behind it, of a type byte. */
function shape(bytes: Uint8Array, at: number): readonly [number, number, number] {
  const byte = bytes[at] ?? 0
  if (byte < 0x80 || byte >= 0xe0) return [1, 0, 0]
  if (byte < 0x90) return [1, 0, (byte & 15) * 2]
  if (byte < 0xa0) return [1, 0, byte & 15]
  if (byte < 0xc0) return [1, byte & 31, 0]
  if (byte < 0xc4) return [1, 0, 0]
  const sized = (width: number, extra = 0): readonly [number, number, number] => [
    1 + width,
    number(bytes, at + 1, width) + extra,
    0,
  ]
  if (byte < 0xc7) return sized(1 << (byte - 0xc4))
  if (byte < 0xca) return sized(1 << (byte - 0xc7), 1)
  if (byte < 0xcc) return [byte === 0xca ? 5 : 9, 0, 0]
  if (byte < 0xd4) return [1 + (1 << ((byte - 0xcc) & 3)), 0, 0]
  if (byte < 0xd9) return [1, (1 << (byte - 0xd4)) + 1, 0]
  if (byte < 0xdc) return sized(1 << (byte - 0xd9))
  const width = byte & 1 ? 4 : 2
  return [1 + width, 0, number(bytes, at + 1, width) * (byte >= 0xde ? 2 : 1)]
}

/** The values that begin at `at`, in order, as far as they are whole. */
function valuesFrom(bytes: Uint8Array, at: number): readonly Value[] {
  const values: Value[] = []
  const read = (from: number, depth: number): number | undefined => {
    if (from >= bytes.length || depth > 20 || values.length >= valuesMax) return undefined
    const [head, length, children] = shape(bytes, from)
    let to: number | undefined = from + head + length
    if (to > bytes.length) return undefined
    for (let left = children; left > 0 && to !== undefined; left -= 1) to = read(to, depth + 1)
    if (to !== undefined) values.push({ from, head: from + head, to, children })
    return to
  }
  for (let from: number | undefined = at; from !== undefined;) from = read(from, 0)
  return values
}

/** Values of every kind, and some that only look like one. */
const samples: readonly Uint8Array[] = [
  [0xc0],
  [0xc2],
  [0xc3],
  [0x00],
  [0xff],
  [0xcc, 0xff],
  [0xcd, 0xff, 0xff],
  [0xce, 0xff, 0xff, 0xff, 0xff],
  [0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0],
  [0xd3, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0xcf, 0, 0x20, 0, 0, 0, 0, 0, 1],
  [0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0],
  [0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0],
  [0xca, 0x80, 0, 0, 0],
  [0xa0],
  [0xa1, 0x61],
  [0xa2, 0xc3, 0x28],
  [0xd9, 0x00],
  [0xc4, 0x00],
  [0xda, 0x00, 0x00],
  [0xdb, 0xff, 0xff, 0xff, 0xff],
  [0xc6, 0xff, 0xff, 0xff, 0xff],
  [0x80],
  [0x90],
  [0xdd, 0x7f, 0xff, 0xff, 0xff],
  [0xdf, 0x7f, 0xff, 0xff, 0xff],
  [0xdc, 0x00, 0x00],
  [0xde, 0x00, 0x00],
  [0xc1],
  [0xd4, 0x70, 0x00],
  [0xc9, 0xff, 0xff, 0xff, 0xff, 0x70],
  [0xa9, 0x5f, 0x5f, 0x70, 0x72, 0x6f, 0x74, 0x6f, 0x5f, 0x5f].fill(0x5f, 1, 3),
].map((bytes) => Uint8Array.from(bytes))

/** A longer head that says the same, or another kind of the same bytes. */
function rewritten(bytes: Uint8Array, value: Value, random: Random): Uint8Array {
  const length = value.to - value.head
  const kind = random.below(4)
  if (value.children > 0) {
    const wide = kind < 2 ? [0xdc, 0, value.children] : [0xdd, 0, 0, 0, value.children]
    return replaced(bytes, value.from, value.head, Uint8Array.from(wide))
  }
  if (value.head === value.to) return replaced(bytes, value.from, value.to, nested(random))
  const heads = [
    [0xd9, length],
    [0xc4, length],
    [0xc5, length >> 8, length],
    [0xda, length >> 8, length],
  ]
  return replaced(bytes, value.from, value.head, Uint8Array.from(heads[kind] ?? []))
}

function nested(random: Random): Uint8Array {
  const depth = 1 + random.below(random.below(4) === 0 ? 200 : 18)
  const layer = random.below(2) === 0 ? [0x91] : [0x81, 0xa1, 0x61]
  return Uint8Array.from([...Array.from({ length: depth }, () => layer).flat(), 0xc0])
}

function bent(bytes: Uint8Array, values: readonly Value[], random: Random): Uint8Array {
  const pick = (): Value =>
    values[random.below(values.length)] ?? { from: 0, head: 0, to: 0, children: 0 }
  const value = pick()
  const other = pick()
  switch (random.below(7)) {
    case 0: {
      const sample = samples[random.below(samples.length)] ?? new Uint8Array(0)
      return replaced(bytes, value.from, value.to, sample)
    }
    case 1:
      return replaced(bytes, value.from, value.to, bytes.subarray(other.from, other.to))
    case 2:
      return replaced(bytes, value.from, value.from, bytes.subarray(other.from, other.to))
    case 3:
      return replaced(bytes, value.from, value.to, new Uint8Array(0))
    case 4:
      return replaced(bytes, value.from, value.to, nested(random))
    case 5: {
      // A count or a length that lies.
      const copy = bytes.slice()
      const at = value.head - 1
      copy[at] = (copy[at] ?? 0) + (random.below(2) === 0 ? 1 : -1)
      return copy
    }
    default:
      return rewritten(bytes, value, random)
  }
}

/** `starts`: where values may begin, behind a type byte for instance. */
export function msgpackMutator(starts: readonly number[]): Mutator {
  return (bytes, random) => {
    const values = valuesFrom(bytes, starts[random.below(starts.length)] ?? 0)
    return values.length === 0 ? bytes : bent(bytes, values, random)
  }
}
