/** A filter's text as words: selectors, texts, numbers and signs, each with its place. */
import { refused } from '../errors.ts'

export type Token =
  /** A selector or a keyword: `Meta.zone` is `['Meta', 'zone']`, and so is `Meta["zone"]`. */
  | { readonly kind: 'word'; readonly path: readonly string[]; readonly at: number }
  | { readonly kind: 'text' | 'number'; readonly value: string; readonly at: number }
  | { readonly kind: 'sign'; readonly sign: '(' | ')' | '==' | '!='; readonly at: number }

const FILTER_CHARACTERS_MAX = 4_096
const TOKENS_MAX = 512

const blank = /[ \t\r\n]+/y
const sign = /==|!=|[()]/y
const number = /-?(?:0|[1-9]\d{0,17})(?:\.\d{1,17})?(?![\w.])/y
const word = /[A-Za-z][A-Za-z0-9_/]*/y
const part = /\.([A-Za-z0-9][A-Za-z0-9_/]*)/y
const index = /\[[ \t]*(?=["`])/y
const indexEnd = /[ \t]*\]/y
const quoted = /"((?:[^"\\\r\n]|\\.)*)"|`([^`]*)`/y

export function filterProblem(at: number, want: string): Error {
  return refused(400, `filter must be an expression: at character ${at + 1}, ${want}`)
}

/** Throws a refusal that says where the text is not a filter. */
export function tokenize(text: string): readonly Token[] {
  if (text.length > FILTER_CHARACTERS_MAX) {
    throw refused(400, `filter must have at most ${FILTER_CHARACTERS_MAX} characters`)
  }
  const reader = new Reader(text)
  const tokens: Token[] = []
  while ((reader.skip(blank), !reader.atEnd)) {
    if (tokens.length === TOKENS_MAX) {
      throw refused(400, `filter must have at most ${TOKENS_MAX} words and signs`)
    }
    tokens.push(readToken(reader))
  }
  return tokens
}

function readToken(reader: Reader): Token {
  const { at } = reader
  const found = reader.take(sign)?.[0]
  if (found !== undefined) return { kind: 'sign', sign: found as '(', at }
  const digits = reader.take(number)?.[0]
  if (digits !== undefined) return { kind: 'number', value: digits, at }
  const text = readText(reader)
  if (text !== undefined) return { kind: 'text', value: text, at }
  const first = reader.take(word)?.[0]
  if (first === undefined) throw filterProblem(at, 'a selector, a value or a parenthesis belongs')
  return { kind: 'word', path: [first, ...readPath(reader)], at }
}

function readPath(reader: Reader): string[] {
  const path: string[] = []
  for (;;) {
    const named = reader.take(part)?.[1]
    if (named !== undefined) {
      path.push(named)
    } else if (reader.take(index) === undefined) {
      return path
    } else {
      const key = readText(reader)
      if (key === undefined || reader.take(indexEnd) === undefined) {
        throw filterProblem(reader.at, 'a quoted key and "]" belong')
      }
      path.push(key)
    }
  }
}

/** In double quotes with escapes, or in backticks as it stands. */
function readText(reader: Reader): string | undefined {
  const { at } = reader
  const match = reader.take(quoted)
  if (match === undefined) return undefined
  const [, escaped, raw] = match
  if (raw !== undefined) return raw
  try {
    return JSON.parse(`"${(escaped ?? '').replaceAll('\t', '\\t')}"`) as string
  } catch {
    throw filterProblem(at, 'a text with escapes as JSON has them belongs')
  }
}

class Reader {
  at = 0
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  get atEnd(): boolean {
    return this.at >= this.#text.length
  }

  take(pattern: RegExp): RegExpExecArray | undefined {
    // The patterns are shared: where they start is set anew each time.
    pattern.lastIndex = this.at
    const match = pattern.exec(this.#text)
    if (match === null) return undefined
    this.at = pattern.lastIndex
    return match
  }

  skip(pattern: RegExp): void {
    this.take(pattern)
  }
}
