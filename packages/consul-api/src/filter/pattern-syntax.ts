/** Reading a regular expression in Go's syntax, without what counts or looks back. */

export type Fail = (want: string) => Error

export type Piece =
  | { readonly kind: 'take'; readonly fits: (character: number) => boolean }
  /** Holds between two characters, -1 being none. */
  | { readonly kind: 'place'; readonly holds: (before: number, after: number) => boolean }
  | { readonly kind: 'sequence' | 'choice'; readonly pieces: readonly Piece[] }
  | {
      readonly kind: 'repeat'
      readonly piece: Piece
      readonly least: number
      readonly most: number | undefined
    }

interface Flags {
  /** Letters of both cases are one. */
  readonly fold: boolean
  /** A dot takes line ends as well. */
  readonly lines: boolean
}

type Fits = (character: number) => boolean

const PATTERN_CHARACTERS_MAX = 1_024
const DEPTH_MAX = 16
const REPEAT_MAX = 1_000
const CHARACTER_MAX = 0x10ffff

const isDigit: Fits = (c) => c >= 48 && c <= 57
const isWord: Fits = (c) => isDigit(c) || (c >= 65 && c <= 90) || (c >= 97 && c <= 122) || c === 95
const isSpace: Fits = (c) => c === 32 || c === 9 || c === 10 || c === 12 || c === 13
const not =
  (fits: Fits): Fits =>
  (c) =>
    !fits(c)
const classes: Readonly<Record<string, Fits>> = {
  d: isDigit,
  D: not(isDigit),
  w: isWord,
  W: not(isWord),
  s: isSpace,
  S: not(isSpace),
}
const controls: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11, a: 7 }
const atBorder = (before: number, after: number): boolean => isWord(before) !== isWord(after)
const places: Readonly<Record<string, (before: number, after: number) => boolean>> = {
  A: (before) => before === -1,
  z: (_before, after) => after === -1,
  b: atBorder,
  B: (before, after) => !atBorder(before, after),
}

export function parsePattern(source: string, fail: Fail): Piece {
  if (source.length > PATTERN_CHARACTERS_MAX) {
    throw fail(`a pattern of at most ${PATTERN_CHARACTERS_MAX} characters belongs`)
  }
  const parser = new PatternParser([...source], fail)
  const piece = parser.choice({ fold: false, lines: false }, 0)
  parser.end()
  return piece
}

class PatternParser {
  #at = 0
  readonly #source: readonly string[]
  readonly #fail: Fail

  constructor(source: readonly string[], fail: Fail) {
    this.#source = source
    this.#fail = fail
  }

  end(): void {
    if (this.#at < this.#source.length) throw this.#fail('a pattern without a single ")" belongs')
  }

  choice(given: Flags, depth: number): Piece {
    if (depth > DEPTH_MAX) throw this.#fail(`a pattern of at most ${DEPTH_MAX} levels belongs`)
    let flags = given
    const choices: Piece[] = []
    let pieces: Piece[] = []
    for (;;) {
      const next = this.#source[this.#at]
      if (next === undefined || next === ')') break
      this.#at += 1
      if (next === '|') {
        choices.push({ kind: 'sequence', pieces })
        pieces = []
        continue
      }
      const found = next === '(' ? this.#group(flags, depth) : this.#atom(next, flags)
      if ('fold' in found) flags = found
      else pieces.push(this.#repeated(found))
    }
    choices.push({ kind: 'sequence', pieces })
    return { kind: 'choice', pieces: choices }
  }

  /** What stands behind "(": a piece, or flags for the rest of the group. */
  #group(flags: Flags, depth: number): Piece | Flags {
    let inside = flags
    if (this.#take('?')) {
      let head = ''
      while (/[A-Za-z-]/.test(this.#source[this.#at] ?? '')) head += this.#source[this.#at++]
      if (head === 'P' || head === '') {
        if (this.#take('<')) this.#skipName()
        else if (head === 'P' || !this.#take(':'))
          throw this.#fail('(?:...), (?i) or (?P<name>...) belongs')
      } else {
        inside = this.#flags(head, flags)
        if (this.#take(')')) return inside
        if (!this.#take(':')) throw this.#fail('(?:...), (?i) or (?P<name>...) belongs')
      }
    }
    const piece = this.choice(inside, depth + 1)
    if (!this.#take(')')) throw this.#fail('a pattern in which every "(" is closed belongs')
    return piece
  }

  #skipName(): void {
    const from = this.#at
    while (/\w/.test(this.#source[this.#at] ?? '')) this.#at += 1
    if (this.#at === from || !this.#take('>')) throw this.#fail('(?P<name>...) belongs')
  }

  #flags(text: string, flags: Flags): Flags {
    const [on = '', off = '', ...more] = text.split('-')
    if (more.length > 0 || !/^[isU]*$/.test(on + off))
      throw this.#fail('only the flags i and s belong')
    const set = (name: string, now: boolean): boolean =>
      off.includes(name) ? false : on.includes(name) || now
    return { fold: set('i', flags.fold), lines: set('s', flags.lines) }
  }

  #atom(next: string, flags: Flags): Piece {
    switch (next) {
      case '.':
        return { kind: 'take', fits: flags.lines ? () => true : (c) => c !== 10 }
      case '^':
        return { kind: 'place', holds: (before) => before === -1 }
      case '$':
        return { kind: 'place', holds: (_before, after) => after === -1 }
      case '[':
        return { kind: 'take', fits: this.#class(flags) }
      case '\\':
        return this.#escape(flags)
      case '*':
      case '+':
      case '?':
        throw this.#fail(`something to repeat belongs before "${next}"`)
      default:
        return { kind: 'take', fits: one(next.codePointAt(0) ?? 0, flags) }
    }
  }

  #escape(flags: Flags): Piece {
    const next = this.#source[this.#at]
    const holds = next === undefined ? undefined : places[next]
    if (holds !== undefined) {
      this.#at += 1
      return { kind: 'place', holds }
    }
    const found = this.#escaped()
    return { kind: 'take', fits: typeof found === 'number' ? one(found, flags) : found }
  }

  /** What stands behind a backslash: a character, or a class. */
  #escaped(): number | Fits {
    const next = this.#source[this.#at]
    this.#at += 1
    if (next === undefined) throw this.#fail('a character belongs after "\\"')
    const known = Object.hasOwn(classes, next) ? classes[next] : undefined
    if (known !== undefined) return known
    const control = Object.hasOwn(controls, next) ? controls[next] : undefined
    if (control !== undefined) return control
    if (next === 'x') return this.#hex()
    if (/[A-Za-z0-9]/.test(next)) throw this.#fail(`"\\${next}" does not belong in a pattern here`)
    return next.codePointAt(0) ?? 0
  }

  #hex(): number {
    const rest = this.#source.slice(this.#at, this.#at + 8).join('')
    const [all = '', long, short] = /^(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2}))/.exec(rest) ?? []
    if (all === '') throw this.#fail('\\xHH or \\x{H...} belongs')
    this.#at += all.length
    const character = Number.parseInt(long ?? short ?? '', 16)
    if (character > CHARACTER_MAX) throw this.#fail('\\x{H...} of a character belongs')
    return character
  }

  #class(flags: Flags): Fits {
    const negative = this.#take('^')
    const parts: Fits[] = []
    for (let first = true; ; first = false) {
      const next = this.#source[this.#at]
      if (next === undefined) throw this.#fail('a pattern in which every "[" is closed belongs')
      if (next === ']' && !first) break
      parts.push(this.#classPart(flags))
    }
    this.#at += 1
    return (c) => parts.some((fits) => fits(c)) !== negative
  }

  #classPart(flags: Flags): Fits {
    const from = this.#classCharacter()
    if (typeof from !== 'number') return from
    const range = this.#source[this.#at] === '-' && this.#source[this.#at + 1] !== ']'
    if (!range) return one(from, flags)
    this.#at += 1
    const to = this.#classCharacter()
    if (typeof to !== 'number' || to < from) throw this.#fail('a range from low to high belongs')
    const inside: Fits = (c) => c >= from && c <= to
    return flags.fold ? (c) => cases(c).some(inside) : inside
  }

  #classCharacter(): number | Fits {
    const next = this.#source[this.#at]
    if (next === undefined) throw this.#fail('a pattern in which every "[" is closed belongs')
    if (next === '[' && this.#source[this.#at + 1] === ':') {
      throw this.#fail('\\d, \\w or ranges belong where [:name:] stands')
    }
    this.#at += 1
    return next === '\\' ? this.#escaped() : (next.codePointAt(0) ?? 0)
  }

  #repeated(piece: Piece): Piece {
    const rest = this.#source.slice(this.#at, this.#at + 12).join('')
    const [all = '', sign, least = '', comma, most = ''] =
      /^(?:([*+?])|\{(\d{1,4})(?:(,)(\d{0,4}))?\})/.exec(rest) ?? []
    if (all === '') return piece
    this.#at += all.length
    // Whether as much or as little as possible is taken changes nothing of whether it is found.
    this.#take('?')
    if (/[*+?]/.test(this.#source[this.#at] ?? ''))
      throw this.#fail('one repetition at a time belongs')
    if (sign !== undefined) {
      const once = sign === '?' ? 1 : undefined
      return { kind: 'repeat', piece, least: sign === '+' ? 1 : 0, most: once }
    }
    const from = Number(least)
    const to = comma === undefined ? from : most === '' ? undefined : Number(most)
    if (from > REPEAT_MAX || (to !== undefined && (to > REPEAT_MAX || to < from))) {
      throw this.#fail(`a repetition from low to high, at most ${REPEAT_MAX}, belongs`)
    }
    return { kind: 'repeat', piece, least: from, most: to }
  }

  #take(character: string): boolean {
    const found = this.#source[this.#at] === character
    if (found) this.#at += 1
    return found
  }
}

function one(wanted: number, { fold }: Flags): Fits {
  if (!fold) return (c) => c === wanted
  const both = cases(wanted)
  return (c) => both.includes(c)
}

/** The character itself, and in its other case. */
function cases(character: number): readonly number[] {
  const text = String.fromCodePoint(character)
  return [text, text.toLowerCase(), text.toUpperCase()].map((each) => each.codePointAt(0) ?? 0)
}
