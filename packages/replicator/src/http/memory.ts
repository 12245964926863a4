/**
 * Memory of large messages, used again. V8 counts what lies outside of its heap as growth of the
 * heap: megabytes that come and go with every message would have a small program collect all of its
 * heap for every few of them, which takes more of a processor than the messages do. What stays is
 * counted once; and fresh memory costs a page fault every 4 KiB besides.
 */
import { releaseBytes } from '@kith/interface'

/** Smaller messages are memory like any other. */
const pooledBytesMin = 64 * 1024
/** Kept at most, and for how long after the last use. */
const keptMax = 4
const keptBytesMax = 24 * 1024 * 1024
const keptMs = 1_000
/** Larger sizes are rounded up to it, smaller ones to a power of two: about one size shares. */
const stepBytes = 1024 * 1024

function roomFor(bytes: number): number {
  if (bytes > stepBytes) return Math.ceil(bytes / stepBytes) * stepBytes
  return 2 ** Math.ceil(Math.log2(bytes))
}

export class MessageMemory {
  #kept: ArrayBuffer[] = []
  #timer: NodeJS.Timeout | undefined

  /** Not zeroed. */
  take(bytes: number): Uint8Array {
    if (bytes < pooledBytesMin) return Buffer.allocUnsafeSlow(bytes)
    const at = this.#kept.findIndex(({ byteLength }) => byteLength >= bytes)
    const [kept] = at < 0 ? [] : this.#kept.splice(at, 1)
    return new Uint8Array(kept ?? Buffer.allocUnsafeSlow(roomFor(bytes)).buffer, 0, bytes)
  }

  /**
   * What gives `bytes` back: whoever took them looks at them no more. Once: at a second call they
   * may be another message by now.
   */
  releaseOf(bytes: Uint8Array): () => void {
    let given = false
    return () => {
      if (!given) this.#give(bytes)
      given = true
    }
  }

  #give({ buffer }: Uint8Array): void {
    if (!(buffer instanceof ArrayBuffer) || buffer.byteLength < pooledBytesMin) return
    const held = this.#kept.reduce((sum, { byteLength }) => sum + byteLength, 0)
    const fits = this.#kept.length < keptMax && held + buffer.byteLength <= keptBytesMax
    if (!fits) return releaseBytes(new Uint8Array(buffer))
    this.#kept.push(buffer)
    if (this.#timer === undefined) {
      this.#timer = setTimeout(() => this.clear(), keptMs)
      this.#timer.unref()
    } else this.#timer.refresh()
  }

  /** A piece that a socket read is nobody else's, and comes 64 KiB at a time. */
  done(piece: Uint8Array): void {
    releaseBytes(piece)
  }

  clear(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const buffer of this.#kept.splice(0)) releaseBytes(new Uint8Array(buffer))
  }
}
