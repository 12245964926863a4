/**
 * Cutting a message into pieces that fit broadcasts, and what holds the pieces until all are there.
 */
import { fragmentBytesMax, fragmentsMax } from './limits.ts'
import { encodeMessage, type Fragment } from './message.ts'

/** Version, kind, epoch, version, hash, index, count and the piece's length, at their longest. */
const fragmentOverheadBytes = 2 + 8 + 8 + 4 + 1 + 1 + 2

/** Bytes of one message that fit into its fragments, where a broadcast takes `broadcastBytes`. */
export function fragmentedBytesMax(broadcastBytes: number): number {
  return fragmentsMax * pieceBytesMax(broadcastBytes)
}

function pieceBytesMax(broadcastBytes: number): number {
  return Math.max(0, Math.min(fragmentBytesMax, broadcastBytes - fragmentOverheadBytes))
}

/**
 * The message as it is where it fits, else its fragments. All but the last are full, so that the
 * last, which is often short, finds room in the packet of another.
 */
export function toBroadcasts(
  message: Uint8Array,
  of: { readonly epoch: number; readonly version: number },
  broadcastBytes: number,
): Uint8Array[] {
  if (message.length <= broadcastBytes) return [message]
  const bytes = pieceBytesMax(broadcastBytes)
  const count = Math.ceil(message.length / bytes)
  const hash = bytesHash(message)
  const { epoch, version } = of
  return Array.from({ length: count }, (_, index) => {
    const piece = message.subarray(index * bytes, (index + 1) * bytes)
    return encodeMessage({ kind: 'fragment', epoch, version, hash, index, count, piece })
  })
}

/** FNV-1a: tells one message from another, and a message from a mixture of two. */
function bytesHash(bytes: Uint8Array): number {
  let hash = 0x811c9dc5
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}

/** Messages of which pieces are held: all together at most 1 MiB, of one sender 64 KiB. */
const openMax = 256
const openPerSenderMax = 16

interface Open {
  readonly from: string
  readonly pieces: (Uint8Array | undefined)[]
  missing: number
}

/** Messages whose pieces are coming in. At a bound the one begun first makes room. */
export class Fragments {
  readonly #open = new Map<string, Open>()

  get size(): number {
    return this.#open.size
  }

  /**
   * The whole message with its last piece; `incomplete` before, and `spoiled` where the pieces make
   * another message than they say.
   */
  add(from: string, fragment: Fragment): Uint8Array | 'incomplete' | 'spoiled' {
    const { epoch, version, hash, index, count, piece } = fragment
    const key = `${epoch}:${version}:${hash}:${count}:${from}`
    let open = this.#open.get(key)
    if (open === undefined) {
      this.#makeRoom(from)
      open = { from, pieces: Array.from({ length: count }, () => undefined), missing: count }
      this.#open.set(key, open)
    }
    // The first word stands: the hash shows in the end whether it was the right one.
    if (open.pieces[index] === undefined) {
      open.pieces[index] = piece.slice()
      open.missing -= 1
    }
    if (open.missing > 0) return 'incomplete'
    this.#open.delete(key)
    const whole = joined(open.pieces)
    return bytesHash(whole) === hash ? whole : 'spoiled'
  }

  #makeRoom(from: string): void {
    const ofSender = [...this.#open].filter(([, open]) => open.from === from)
    const [oldest] = ofSender.length >= openPerSenderMax ? ofSender : this.#open
    if (oldest === undefined) return
    if (ofSender.length >= openPerSenderMax || this.#open.size >= openMax) {
      this.#open.delete(oldest[0])
    }
  }
}

function joined(pieces: readonly (Uint8Array | undefined)[]): Uint8Array {
  const length = pieces.reduce((sum, piece) => sum + (piece?.length ?? 0), 0)
  const whole = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    whole.set(piece ?? new Uint8Array(0), at)
    at += piece?.length ?? 0
  }
  return whole
}
