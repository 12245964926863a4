/** Random values of our own kinds, for property tests with fast-check. */
import type { Address } from '@kith/interface'
import {
  array,
  constantFrom,
  integer,
  ipV4,
  ipV6,
  oneof,
  record,
  string,
  uint8Array,
} from 'fast-check'
import type { Arbitrary } from 'fast-check'

/** Names that `createGossip` takes for its own: 1 to 128 of `[A-Za-z0-9._-]`. */
export function memberNames(): Arbitrary<string> {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-'
  return string({ unit: constantFrom(...letters.split('')), minLength: 1, maxLength: 128 })
}

/** Names as a hostile member may send them: any text, of any script, empty and long ones too. */
export function hostileNames(): Arbitrary<string> {
  const known = constantFrom('', '__proto__', 'constructor', '../../x', '\u001b[2J', 'a\nb', 'a\0b')
  return oneof(known, string({ unit: 'binary', maxLength: 300 }), memberNames())
}

/** An address with a literal host and a port that can be sent to. */
export function addresses(): Arbitrary<Address> {
  return record({ host: oneof(ipV4(), ipV6()), port: integer({ min: 1, max: 65_535 }) })
}

/** Up to `bytesMax` bytes, evenly small and large ones. */
export function byteArrays(bytesMax = 1_400): Arbitrary<Uint8Array> {
  return oneof(
    uint8Array({ maxLength: Math.min(16, bytesMax) }),
    uint8Array({ maxLength: bytesMax, size: 'max' }),
  )
}

/** `bytes` cut into pieces at random places, as a stream delivers them. */
export function pieces(bytes: Uint8Array): Arbitrary<readonly Uint8Array[]> {
  return array(integer({ min: 0, max: bytes.length }), { maxLength: 20 }).map((cuts) => {
    const edges = [0, ...cuts.sort((a, b) => a - b), bytes.length]
    const parts = edges.slice(1).map((edge, index) => bytes.slice(edges[index], edge))
    return parts.filter((part) => part.length > 0)
  })
}
