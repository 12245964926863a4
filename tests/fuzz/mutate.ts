/**
 * Bends bytes in ways that reach into decoders: single bytes and bits, numbers at their edges,
 * pieces moved, repeated, left out, and pieces of another input. Each way is one function.
 */
import type { Random } from '@kith/interface'
import type { FuzzTarget, Mutator } from './target.ts'

const edges = Uint8Array.from(
  [0x00, 0x01, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc6].concat(
    [0xc7, 0xc9, 0xca, 0xcb, 0xcc, 0xcf, 0xd0, 0xd3, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xff],
  ),
)

/** `bytes` with those from `from` to `to` replaced by `middle`. */
export function replaced(
  bytes: Uint8Array,
  from: number,
  to: number,
  middle: Uint8Array,
): Uint8Array {
  const whole = new Uint8Array(bytes.length - (to - from) + middle.length)
  whole.set(bytes.subarray(0, from))
  whole.set(middle, from)
  whole.set(bytes.subarray(to), from + middle.length)
  return whole
}

function changed(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice()
  copy[at] = value
  return copy
}

const place = (bytes: Uint8Array, random: Random): number => random.below(bytes.length + 1)

/** A range of at most 64 bytes, mostly short. */
function range(bytes: Uint8Array, random: Random): readonly [number, number] {
  const from = place(bytes, random)
  const length = 1 + random.below(random.below(4) === 0 ? 64 : 8)
  return [from, Math.min(bytes.length, from + length)]
}

const anyByte: Mutator = (bytes, random) =>
  bytes.length === 0
    ? Uint8Array.of(random.below(256))
    : changed(bytes, random.below(bytes.length), random.below(256))

const edgeByte: Mutator = (bytes, random) => {
  const byte = edges[random.below(edges.length)] ?? 0
  return bytes.length === 0 ? Uint8Array.of(byte) : changed(bytes, random.below(bytes.length), byte)
}

const flippedBit: Mutator = (bytes, random) => {
  if (bytes.length === 0) return bytes
  const at = random.below(bytes.length)
  return changed(bytes, at, (bytes[at] ?? 0) ^ (1 << random.below(8)))
}

/** A number of two or four bytes goes up or down a little, or to an edge. */
const nudgedNumber: Mutator = (bytes, random) => {
  const width = random.below(2) === 0 ? 2 : 4
  if (bytes.length < width) return bytes
  const copy = bytes.slice()
  const view = new DataView(copy.buffer)
  const at = random.below(bytes.length - width + 1)
  const little = random.below(4) === 0
  const old = width === 2 ? view.getUint16(at, little) : view.getUint32(at, little)
  const top = 256 ** width
  const ends = [0, 1, top / 2 - 1, top / 2, top - 1]
  const near = (old + random.below(33) - 16 + top) % top
  const value = random.below(3) === 0 ? (ends[random.below(ends.length)] ?? 0) : near
  if (width === 2) view.setUint16(at, value, little)
  else view.setUint32(at, value, little)
  return copy
}

const inserted: Mutator = (bytes, random) => {
  const at = place(bytes, random)
  const middle = new Uint8Array(1 + random.below(8))
  const same = random.below(2) === 0 ? (edges[random.below(edges.length)] ?? 0) : undefined
  for (let index = 0; index < middle.length; index += 1) middle[index] = same ?? random.below(256)
  return replaced(bytes, at, at, middle)
}

const leftOut: Mutator = (bytes, random) => {
  const [from, to] = range(bytes, random)
  return replaced(bytes, from, to, new Uint8Array(0))
}

const doubled: Mutator = (bytes, random) => {
  const [from, to] = range(bytes, random)
  const at = place(bytes, random)
  return replaced(bytes, at, at, bytes.subarray(from, to))
}

/** The same few bytes very often: bombs, deep nests, long lists. */
const repeated: Mutator = (bytes, random) => {
  const [from, to] = range(bytes, random)
  const part = bytes.subarray(from, to)
  const times = random.below(8) === 0 ? 1 + random.below(400) : 1 + random.below(24)
  const middle = new Uint8Array(part.length * times)
  for (let index = 0; index < times; index += 1) middle.set(part, index * part.length)
  return replaced(bytes, to, to, middle)
}

const cutOff: Mutator = (bytes, random) => bytes.slice(0, place(bytes, random))

const spliced: Mutator = (bytes, random, other) => {
  const [from, to] = [place(other, random), place(other, random)]
  const part = other.subarray(Math.min(from, to), Math.max(from, to))
  const at = place(bytes, random)
  const end = random.below(2) === 0 ? at : Math.min(bytes.length, at + part.length)
  return replaced(bytes, at, end, part)
}

const general: readonly Mutator[] = [
  anyByte,
  edgeByte,
  edgeByte,
  flippedBit,
  nudgedNumber,
  inserted,
  leftOut,
  doubled,
  repeated,
  cutOff,
  spliced,
]

function withWord(target: FuzzTarget): Mutator {
  return (bytes, random) => {
    const word = target.words[random.below(target.words.length)] ?? new Uint8Array(0)
    const at = place(bytes, random)
    const end = random.below(2) === 0 ? at : Math.min(bytes.length, at + word.length)
    return replaced(bytes, at, end, word)
  }
}

/** One to eight bends, mostly few; a third of them the target's own where it has some. */
export function createBender(target: FuzzTarget): Mutator {
  const common = target.words.length === 0 ? general : [...general, withWord(target)]
  const own = target.mutators
  return (bytes, random, other) => {
    let bent = bytes
    let times = 1
    while (times < 8 && random.below(2) === 0) times += 1
    for (; times > 0; times -= 1) {
      const from = own.length > 0 && random.below(3) === 0 ? own : common
      bent = from[random.below(from.length)]?.(bent, random, other) ?? bent
      if (bent.length > target.bytesMax) bent = bent.slice(0, target.bytesMax)
    }
    return bent
  }
}
