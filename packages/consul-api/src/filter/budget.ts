/** What answering one query may cost, so that no filter keeps the member from its other work. */
import { refused } from '../errors.ts'

/** About a tenth of a second. */
const STEPS_MAX = 5_000_000

export class Budget {
  #left: number

  constructor(steps: number = STEPS_MAX) {
    this.#left = steps
  }

  /** Throws a refusal once everything is spent. */
  spend(steps: number): void {
    this.#left -= steps
    if (this.#left < 0) throw refused(400, 'filter must be simpler: it takes too long here')
  }
}
