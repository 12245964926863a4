/**
 * Shares each turn of the event loop among calls that do a piece of their work in it: the pieces of
 * several, one after the other, would make one long turn.
 */

/** Bytes that are read in one turn of the event loop: a few milliseconds. */
export const turnBytes: number = 1024 * 1024
/**
 * Work on batches of more bytes than these, 128 KiB, waits for a turn of the event loop of its own:
 * less is short enough to share one.
 */
export const atOnceBytesMax: number = 128 * 1024
/** A turn with less room than this is left: pieces should not become crumbs. */
const roomBytesMin = turnBytes / 4

/** Bytes of all `batches` together. */
export function bytesOf(batches: readonly Uint8Array[]): number {
  return batches.reduce((sum, { length }) => sum + length, 0)
}

export class Turns {
  #room = turnBytes
  #ending = false
  readonly #waiting: (() => void)[] = []

  /** Resolves in a turn with room for some of `bytes`, with how many, which are spent by then. */
  async take(bytes: number): Promise<number> {
    while (this.#room < Math.min(bytes, roomBytesMin)) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    const taken = Math.min(bytes, this.#room)
    this.#room -= taken
    if (!this.#ending) {
      this.#ending = true
      // The end of the turn that is under way is no turn of its own.
      setImmediate(() => setImmediate(this.#next))
    }
    return taken
  }

  /** So many were not needed: others may have them in this turn. */
  give(bytes: number): void {
    if (bytes > 0) this.#open(Math.min(turnBytes, this.#room + bytes))
  }

  readonly #next = (): void => {
    this.#ending = this.#waiting.length > 0
    if (this.#ending) setImmediate(this.#next)
    this.#open(turnBytes)
  }

  #open(room: number): void {
    this.#room = room
    for (const resume of this.#waiting.splice(0)) resume()
  }
}
