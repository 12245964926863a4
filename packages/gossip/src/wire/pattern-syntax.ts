/** Reads RE2 syntax into a tree. Anything outside of the supported part gives undefined. */

export type PatternNode =
  | { readonly kind: 'set'; has(code: number): boolean }
  | { readonly kind: 'assert'; holds(text: readonly number[], at: number): boolean }
  | { readonly kind: 'concat'; readonly parts: readonly PatternNode[] }
  | { readonly kind: 'alternate'; readonly options: readonly PatternNode[] }
  | {
      readonly kind: 'repeat'
      readonly node: PatternNode
      readonly min: number
      readonly max: number
    }

type Has = (code: number) => boolean

/** RE2's own bound on counted repetition. */
const repeatMax = 1000
const nestingMax = 50

export function parsePattern(expression: string): PatternNode | undefined {
  const parser = new Parser(expression)
  const node = parser.alternation(0)
  return parser.failed || !parser.atEnd ? undefined : node
}

interface Flags {
  readonly ignoreCase: boolean
  readonly multiLine: boolean
  readonly dotAll: boolean
}

class Parser {
  readonly #chars: readonly string[]
  #at = 0
  #failed = false
  #flags: Flags = { ignoreCase: false, multiLine: false, dotAll: false }

  constructor(expression: string) {
    this.#chars = Array.from(expression)
  }

  get failed(): boolean {
    return this.#failed
  }

  get atEnd(): boolean {
    return this.#at >= this.#chars.length
  }

  alternation(depth: number): PatternNode {
    const options: PatternNode[] = []
    if (depth > nestingMax) this.#failed = true
    do options.push(this.#concat(depth))
    while (this.#accept('|'))
    return { kind: 'alternate', options }
  }

  #concat(depth: number): PatternNode {
    const parts: PatternNode[] = []
    while (!this.#failed && !this.atEnd && this.#peek() !== '|' && this.#peek() !== ')') {
      const atom = this.#atom(depth)
      if (atom !== undefined) parts.push(this.#repeated(atom))
    }
    return { kind: 'concat', parts }
  }

  #repeated(node: PatternNode): PatternNode {
    const bounds = this.#bounds()
    if (bounds === undefined) return node
    // Greedy or not is the same to a test; a second operator is an error in RE2.
    this.#accept('?')
    if (this.#bounds() !== undefined) this.#failed = true
    const [min, max] = bounds
    if (min > repeatMax || (max !== Infinity && max > repeatMax) || min > max) this.#failed = true
    return { kind: 'repeat', node, min, max }
  }

  #bounds(): readonly [number, number] | undefined {
    if (this.#accept('*')) return [0, Infinity]
    if (this.#accept('+')) return [1, Infinity]
    if (this.#accept('?')) return [0, 1]
    if (this.#peek() !== '{') return undefined
    // A brace that does not read as a count is an ordinary character.
    const rest = this.#chars.slice(this.#at, this.#at + 16).join('')
    const count = /^\{(\d+)(,(\d*))?\}/.exec(rest)
    if (count === null) return undefined
    this.#at += count[0].length
    const min = Number(count[1])
    if (count[2] === undefined) return [min, min]
    return [min, count[3] === '' ? Infinity : Number(count[3])]
  }

  /** Undefined where only flags were set, or after a failure. */
  #atom(depth: number): PatternNode | undefined {
    const char = this.#next()
    switch (char) {
      case '(':
        return this.#group(depth)
      case '[':
        return set(this.#class())
      case '.':
        return this.#flags.dotAll ? set(() => true) : set((code) => code !== 10)
      case '^':
        return this.#flags.multiLine ? lineStart : textStart
      case '$':
        return this.#flags.multiLine ? lineEnd : textEnd
      case '\\':
        return this.#escape()
      case '*':
      case '+':
      case '?':
        return this.#fail()
      default:
        return this.#literal(char)
    }
  }

  #group(depth: number): PatternNode | undefined {
    const outer = this.#flags
    if (this.#accept('?')) {
      const head = /^(?:P?<\w+>|([ims]*)(?:-([ims]+))?([:)]))/.exec(
        this.#chars.slice(this.#at).join(''),
      )
      if (head === null) return this.#fail()
      this.#at += head[0].length
      if (head[3] !== undefined) this.#setFlags(head[1] ?? '', head[2] ?? '')
      // Flags alone last until the group around them ends.
      if (head[3] === ')') return undefined
    }
    const node = this.alternation(depth + 1)
    if (!this.#accept(')')) this.#failed = true
    this.#flags = outer
    return node
  }

  #setFlags(on: string, off: string): void {
    const value = (flag: string, old: boolean): boolean =>
      off.includes(flag) ? false : on.includes(flag) || old
    const { ignoreCase, multiLine, dotAll } = this.#flags
    this.#flags = {
      ignoreCase: value('i', ignoreCase),
      multiLine: value('m', multiLine),
      dotAll: value('s', dotAll),
    }
  }

  #escape(): PatternNode | undefined {
    const char = this.#peek()
    if (char === 'Q') return this.#quoted()
    const assertion = assertions.get(char ?? '')
    if (assertion !== undefined) {
      this.#at += 1
      return assertion
    }
    return this.#set(this.#escapedSet())
  }

  #quoted(): PatternNode {
    this.#at += 1
    const parts: PatternNode[] = []
    while (!this.atEnd && !(this.#peek() === '\\' && this.#chars[this.#at + 1] === 'E')) {
      parts.push(this.#literal(this.#next()))
    }
    if (!this.atEnd) this.#at += 2
    return { kind: 'concat', parts }
  }

  /** The set behind a backslash, for use inside and outside of brackets. */
  #escapedSet(): Has {
    const char = this.#next()
    const perl = perlClasses.get(char.toLowerCase())
    if (perl !== undefined) return char === char.toLowerCase() ? perl : (code) => !perl(code)
    const code = this.#escapedCode(char)
    return (other) => other === code
  }

  #escapedCode(char: string): number {
    const control = 'abtnvfr'.includes(char) && char !== 'b' ? controls.get(char) : undefined
    if (control !== undefined) return control
    if (char === 'x') {
      const rest = this.#chars.slice(this.#at, this.#at + 10).join('')
      const hex = /^(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\})/.exec(rest)
      if (hex === null) this.#failed = true
      this.#at += hex?.[0].length ?? 0
      return Number.parseInt(hex?.[1] ?? hex?.[2] ?? '0', 16)
    }
    if (char === '' || /[A-Za-z0-9]/.test(char)) this.#failed = true
    return char.codePointAt(0) ?? 0
  }

  #class(): Has {
    const negated = this.#accept('^')
    const sets: Has[] = []
    for (let first = true; first || this.#peek() !== ']'; first = false) {
      if (this.atEnd || this.#failed) return (this.#fail(), () => false)
      sets.push(this.#classItem())
    }
    this.#at += 1
    const has = this.#folded((code) => sets.some((item) => item(code)))
    return negated ? (code) => !has(code) : has
  }

  #classItem(): Has {
    const posix = /^\[:(\^?)([a-z]+):\]/.exec(this.#chars.slice(this.#at, this.#at + 12).join(''))
    if (posix !== null) {
      this.#at += posix[0].length
      const named = posixClasses.get(posix[2] ?? '')
      if (named === undefined) return (this.#fail(), () => false)
      return posix[1] === '^' ? (code) => !named(code) : named
    }
    if (this.#peek() === '\\' && perlClasses.has(this.#chars[this.#at + 1]?.toLowerCase() ?? '')) {
      this.#at += 1
      return this.#escapedSet()
    }
    const low = this.#classCode()
    const ranged = this.#peek() === '-' && this.#chars[this.#at + 1] !== ']'
    if (!ranged) return (code) => code === low
    this.#at += 1
    const high = this.#classCode()
    if (high < low) this.#failed = true
    return (code) => code >= low && code <= high
  }

  #classCode(): number {
    const char = this.#next()
    return char === '\\' ? this.#escapedCode(this.#next()) : (char.codePointAt(0) ?? 0)
  }

  #literal(char: string): PatternNode {
    const wanted = char.codePointAt(0)
    return this.#set((code) => code === wanted)
  }

  #set(has: Has): PatternNode {
    return set(this.#folded(has))
  }

  #folded(has: Has): Has {
    if (!this.#flags.ignoreCase) return has
    return (code) => {
      const char = String.fromCodePoint(code)
      const forms = [char, char.toLowerCase(), char.toUpperCase()]
      return forms.some((form) => has(form.codePointAt(0) ?? 0))
    }
  }

  #peek(): string | undefined {
    return this.#chars[this.#at]
  }

  #next(): string {
    const char = this.#chars[this.#at]
    if (char === undefined) this.#failed = true
    this.#at += 1
    return char ?? ''
  }

  #accept(char: string): boolean {
    if (this.#peek() !== char) return false
    this.#at += 1
    return true
  }

  #fail(): undefined {
    this.#failed = true
    return undefined
  }
}

function set(has: Has): PatternNode {
  return { kind: 'set', has }
}

function within(...ranges: readonly (readonly [string, string])[]): Has {
  const codes = ranges.map(([low, high]) => [low.charCodeAt(0), high.charCodeAt(0)] as const)
  return (code) => codes.some(([low, high]) => code >= low && code <= high)
}

const digit = within(['0', '9'])
const word = within(['0', '9'], ['A', 'Z'], ['a', 'z'], ['_', '_'])
const space = within(['\t', '\n'], ['\f', '\r'], [' ', ' '])

const perlClasses: ReadonlyMap<string, Has> = new Map([
  ['d', digit],
  ['w', word],
  ['s', space],
])

const posixClasses: ReadonlyMap<string, Has> = new Map([
  ['alnum', within(['0', '9'], ['A', 'Z'], ['a', 'z'])],
  ['alpha', within(['A', 'Z'], ['a', 'z'])],
  ['ascii', within(['\0', '\u007f'])],
  ['blank', within(['\t', '\t'], [' ', ' '])],
  ['cntrl', within(['\0', '\u001f'], ['\u007f', '\u007f'])],
  ['digit', digit],
  ['graph', within(['!', '~'])],
  ['lower', within(['a', 'z'])],
  ['print', within([' ', '~'])],
  ['punct', within(['!', '/'], [':', '@'], ['[', '`'], ['{', '~'])],
  ['space', within(['\t', '\r'], [' ', ' '])],
  ['upper', within(['A', 'Z'])],
  ['word', word],
  ['xdigit', within(['0', '9'], ['A', 'F'], ['a', 'f'])],
])

const controls: ReadonlyMap<string, number> = new Map([
  ['a', 7],
  ['t', 9],
  ['n', 10],
  ['v', 11],
  ['f', 12],
  ['r', 13],
])

function wordBoundary(text: readonly number[], at: number): boolean {
  return word(text[at - 1] ?? -1) !== word(text[at] ?? -1)
}

const textStart: PatternNode = { kind: 'assert', holds: (_text, at) => at === 0 }
const textEnd: PatternNode = { kind: 'assert', holds: (text, at) => at === text.length }
const lineStart: PatternNode = {
  kind: 'assert',
  holds: (text, at) => at === 0 || text[at - 1] === 10,
}
const lineEnd: PatternNode = {
  kind: 'assert',
  holds: (text, at) => at === text.length || text[at] === 10,
}
const assertions: ReadonlyMap<string, PatternNode> = new Map([
  ['A', textStart],
  ['z', textEnd],
  ['b', { kind: 'assert', holds: wordBoundary }],
  ['B', { kind: 'assert', holds: (text, at) => !wordBoundary(text, at) }],
])
