/** What every agent of one cluster printed about every other, with the time its line arrived. */

export type Seen = 'joined' | 'left' | 'failed'

export interface Sighting {
  readonly by: string
  readonly what: Seen
  readonly about: string
  /** Milliseconds, of `performance.now()`. */
  readonly at: number
}

export interface Spread {
  /** Milliseconds from the begin of the watch to the first and last who saw it. */
  readonly first: number
  readonly last: number
  /** Those of whom it was expected and who never saw it. */
  readonly missing: readonly string[]
}

type Listener = (sighting: Sighting) => void

export class Observer {
  readonly #views = new Map<string, Map<string, Seen>>()
  readonly #listeners = new Set<Listener>()

  /** An agent begins, again perhaps, and knows itself only. */
  begin(name: string): void {
    this.#views.set(name, new Map())
  }

  record(by: string, what: Seen, about: string): void {
    const at = performance.now()
    this.#views.get(by)?.set(about, what)
    const sighting = { by, what, about, at }
    for (const listener of this.#listeners) listener(sighting)
  }

  listen(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Whether each of `names` sees each other one of them joined. */
  agreed(names: readonly string[]): boolean {
    return this.disagreements(names) === 0
  }

  disagreements(names: readonly string[]): number {
    let count = 0
    for (const by of names) {
      const view = this.#views.get(by)
      for (const about of names) {
        if (about !== by && view?.get(about) !== 'joined') count += 1
      }
    }
    return count
  }

  /** Milliseconds until all of `names` see each other joined; undefined after `withinMs`. */
  untilAgreed(names: readonly string[], withinMs: number): Promise<number | undefined> {
    const begun = performance.now()
    return new Promise((resolve) => {
      const end = (took: number | undefined): void => {
        clearInterval(polling)
        resolve(took)
      }
      const look = (): void => {
        const took = performance.now() - begun
        if (this.agreed(names)) end(took)
        else if (took > withinMs) end(undefined)
      }
      const polling = setInterval(look, 50)
      look()
    })
  }

  /**
   * Watches from now on until each expected pair `[by, about]` was seen as `what`, or `withinMs`
   * passed. Times are since `from`, by default the begin of the watch.
   */
  watch(
    what: Seen,
    pairs: readonly (readonly [by: string, about: string])[],
    withinMs: number,
    from: 'begin' | 'first' = 'begin',
  ): Promise<Spread> {
    const begun = performance.now()
    const expected = new Set(pairs.map(([by, about]) => `${by} ${about}`))
    let [first, last] = [Number.NaN, Number.NaN]
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer)
        stop()
        const since = from === 'begin' || Number.isNaN(first) ? begun : first
        resolve({ first: first - since, last: last - since, missing: [...expected] })
      }
      const timer = setTimeout(end, withinMs)
      const stop = this.listen((sighting) => {
        if (sighting.what !== what) return
        if (!expected.delete(`${sighting.by} ${sighting.about}`)) return
        if (Number.isNaN(first)) first = sighting.at
        last = sighting.at
        if (expected.size === 0) end()
      })
      if (expected.size === 0) end()
    })
  }
}
