/** What stands behind the `?` of a request, read within bounds; what is wrong is named. */
import { type OptionProblem, showValue } from '@kith/interface'
import { parseDuration } from './durations.ts'
import { badRequest } from './errors.ts'

const VALUES_MAX = 64

/** Words that Go's clients send for true and false. */
const flags: Readonly<Record<string, boolean>> = {
  '': true,
  '1': true,
  t: true,
  T: true,
  true: true,
  TRUE: true,
  True: true,
  '0': false,
  f: false,
  F: false,
  false: false,
  FALSE: false,
  False: false,
}

export class Query {
  readonly #given: ReadonlyMap<string, readonly string[]>

  /** `query` as Fastify reads it: a text, or a list where a name stands again. */
  constructor(query: unknown) {
    const entries = Object.entries((query ?? {}) as Record<string, string | string[]>)
    this.#given = new Map(
      entries.map(([name, value]) => [name, Array.isArray(value) ? value : [value]]),
    )
  }

  has(name: string): boolean {
    return this.#given.has(name)
  }

  /** Undefined where it is absent or empty. */
  text(name: string, charactersMax = 512): string | undefined {
    const [value, ...more] = this.#given.get(name) ?? []
    if (more.length > 0) throw problem(name, more.length + 1, 'given once')
    if (value === undefined || value === '') return undefined
    const want = `text of at most ${charactersMax} characters`
    if (value.length > charactersMax) throw problem(name, value, want)
    return value
  }

  texts(name: string): readonly string[] {
    const values = (this.#given.get(name) ?? []).filter((value) => value !== '')
    if (values.length > VALUES_MAX)
      throw problem(name, values.length, `given at most ${VALUES_MAX} times`)
    return values
  }

  /** The bare name is true. */
  flag(name: string): boolean | undefined {
    const [value, ...more] = this.#given.get(name) ?? []
    if (more.length > 0) throw problem(name, more.length + 1, 'given once')
    if (value === undefined) return undefined
    const read = Object.hasOwn(flags, value) ? flags[value] : undefined
    if (read === undefined) throw problem(name, value, 'true or false')
    return read
  }

  /** An index that some answer named; larger ones than a number holds are larger than all. */
  index(): number | undefined {
    const text = this.text('index')
    if (text === undefined) return undefined
    if (!/^\d{1,20}$/.test(text))
      throw problem('index', text, 'a whole number of at most 20 digits')
    return Number(text)
  }

  /** Milliseconds. */
  duration(name: string): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const ms = parseDuration(text)
    if (ms === undefined) throw problem(name, text, 'a time as 10s, 1m30s or 500ms')
    return ms
  }

  /** Names with the values that they must have, as `node-meta=zone:eu`. */
  pairs(name: string): readonly (readonly [string, string])[] {
    return this.texts(name).map((text) => {
      const at = text.indexOf(':')
      if (at < 1) throw problem(name, text, 'KEY:VALUE')
      return [text.slice(0, at), text.slice(at + 1)]
    })
  }
}

function problem(field: string, got: unknown, want: string): Error {
  const problems: readonly OptionProblem[] = [{ field, got: showValue(got), want }]
  return badRequest(problems)
}
