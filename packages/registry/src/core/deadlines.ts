/** Named deadlines with the earliest at hand: the core's stand-in for timers. */

interface Slot {
  readonly key: string
  at: number
  /** Breaks ties in the order in which the deadlines were set, so that a run repeats exactly. */
  order: number
  index: number
}

export class Deadlines {
  readonly #slots = new Map<string, Slot>()
  readonly #heap: Slot[] = []
  #order = 0

  /** The earliest deadline; undefined where none is set. */
  next(): number | undefined {
    return this.#heap[0]?.at
  }

  at(key: string): number | undefined {
    return this.#slots.get(key)?.at
  }

  /** Sets or moves a deadline. */
  set(key: string, at: number): void {
    this.#order += 1
    let slot = this.#slots.get(key)
    if (slot === undefined) {
      slot = { key, at, order: this.#order, index: this.#heap.length }
      this.#slots.set(key, slot)
      this.#heap.push(slot)
    } else {
      slot.at = at
      slot.order = this.#order
    }
    this.#settle(slot)
  }

  /** Moves a deadline forward in time only where it is later or unset. */
  hasten(key: string, at: number): void {
    const current = this.at(key)
    if (current === undefined || current > at) this.set(key, at)
  }

  clear(key: string): void {
    const slot = this.#slots.get(key)
    if (slot === undefined) return
    this.#slots.delete(key)
    const last = this.#heap.pop()
    if (last === undefined || last === slot) return
    this.#place(last, slot.index)
    this.#settle(last)
  }

  /** Takes out the earliest deadline that is due. */
  take(now: number): string | undefined {
    const slot = this.#heap[0]
    if (slot === undefined || slot.at > now) return undefined
    this.clear(slot.key)
    return slot.key
  }

  #place(slot: Slot, index: number): void {
    slot.index = index
    this.#heap[index] = slot
  }

  #settle(slot: Slot): void {
    for (let above = (slot.index - 1) >> 1; slot.index > 0; above = (slot.index - 1) >> 1) {
      const parent = this.#heap[above]
      if (parent === undefined || !before(slot, parent)) break
      this.#place(parent, slot.index)
      this.#place(slot, above)
    }
    for (;;) {
      const left = this.#heap[2 * slot.index + 1]
      const right = this.#heap[2 * slot.index + 2]
      const child = right !== undefined && left !== undefined && before(right, left) ? right : left
      if (child === undefined || !before(child, slot)) return
      const { index } = child
      this.#place(child, slot.index)
      this.#place(slot, index)
    }
  }
}

function before(a: Slot, b: Slot): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
