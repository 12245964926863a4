// Valid sessions, bent: the bytes that get furthest into a decoder are nearly right.
import type { Random } from '@kith/interface'

const interesting = [
  0x00, 0x7f, 0x80, 0x8f, 0x9f, 0xbf, 0xc0, 0xc1, 0xc4, 0xc6, 0xcb, 0xcf, 0xd3,
].concat([0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff])

/** `frames` in another order, cut, doubled, with bytes changed, put in and left out. */
export function mutate(random: Random, frames: readonly Uint8Array[]): Uint8Array {
  const picked: Uint8Array[] = []
  for (const frame of frames) {
    const chance = random.below(20)
    if (chance === 0) continue
    if (chance === 1) picked.push(frame)
    if (chance === 2) picked.push(frames[random.below(frames.length)] ?? frame)
    picked.push(chance < 9 ? bend(random, frame) : frame)
  }
  return new Uint8Array(Buffer.concat(picked))
}

function bend(random: Random, frame: Uint8Array): Uint8Array {
  const bytes = [...frame]
  for (let count = 1 + random.below(3); count > 0 && bytes.length > 0; count -= 1) {
    const at = random.below(bytes.length)
    const byte = interesting[random.below(interesting.length)] ?? 0
    switch (random.below(5)) {
      case 0:
        bytes[at] = random.below(256)
        break
      case 1:
        bytes[at] = byte
        break
      case 2:
        bytes.splice(at, 0, byte)
        break
      case 3:
        bytes.splice(at, 1 + random.below(4))
        break
      default:
        bytes.splice(at, 0, ...bytes.slice(at, at + random.below(40)))
    }
  }
  return Uint8Array.from(bytes)
}

/** Calls `push` with the bytes in pieces of a size that is the same for one session. */
export function inPieces(
  random: Random,
  bytes: Uint8Array,
  push: (piece: Uint8Array) => void,
): void {
  const size = [1, 2, 7, 64, 1_000_000][random.below(5)] ?? 1
  for (let at = 0; at < bytes.length; at += size) push(bytes.slice(at, at + size))
}
