/**
 * Filters as Consul's clients write them: comparisons of selectors with values, joined by `and`,
 * `or`, `not` and parentheses.
 */
import { Budget } from './budget.ts'
import { compilePattern } from './pattern.ts'
import { type Leaf, select, type Selected, selectorsOf, type ShapeRecord } from './schema.ts'
import { filterProblem, type Token, tokenize } from './tokens.ts'

/** Those of the items that stay. */
export type Filter = <Item>(items: readonly Item[]) => readonly Item[]

/** Whether an item stays. */
type Holds = (item: unknown, budget: Budget) => boolean

const DEPTH_MAX = 32
type Test = (value: unknown, budget: Budget) => boolean
type Operator = 'equals' | 'holds' | 'matches' | 'empty'

/** What each kind of value may be asked. */
const operators: Readonly<Record<Leaf, readonly Operator[]>> = {
  text: ['equals', 'holds', 'matches', 'empty'],
  number: ['equals'],
  flag: ['equals'],
  texts: ['holds', 'empty'],
  pairs: ['holds', 'empty'],
  records: ['empty'],
}
const keywords = new Set(['and', 'or', 'not', 'in', 'is', 'empty', 'contains', 'matches'])

/** Throws a refusal that says what is wrong and where; so does a filter that costs too much. */
export function compileFilter(text: string, shape: ShapeRecord): Filter {
  const parser = new Parser(tokenize(text), text.length, shape)
  const holds = parser.parseAny(0)
  parser.end()
  return (items) => {
    const budget = new Budget()
    return items.filter((item) => holds(item, budget))
  }
}

class Parser {
  #next = 0
  readonly #tokens: readonly Token[]
  readonly #length: number
  readonly #shape: ShapeRecord

  constructor(tokens: readonly Token[], length: number, shape: ShapeRecord) {
    this.#tokens = tokens
    this.#length = length
    this.#shape = shape
  }

  /** `a or b or c`, where `and` binds closer. */
  parseAny(depth: number): Holds {
    const parts = [this.#parseAll(depth)]
    while (this.#takeWord('or')) parts.push(this.#parseAll(depth))
    return joined(parts, (item, budget) => parts.some((one) => one(item, budget)))
  }

  #parseAll(depth: number): Holds {
    const parts = [this.#parseNot(depth)]
    while (this.#takeWord('and')) parts.push(this.#parseNot(depth))
    return joined(parts, (item, budget) => parts.every((one) => one(item, budget)))
  }

  #parseNot(depth: number): Holds {
    if (depth > DEPTH_MAX) throw filterProblem(this.#at, `at most ${DEPTH_MAX} levels belong`)
    if (this.#takeWord('not')) {
      const inner = this.#parseNot(depth + 1)
      return (item, budget) => !inner(item, budget)
    }
    if (!this.#takeSign('(')) return this.#parseMatch()
    const inner = this.parseAny(depth + 1)
    if (!this.#takeSign(')')) throw filterProblem(this.#at, '")" belongs')
    return inner
  }

  end(): void {
    if (this.#next < this.#tokens.length)
      throw filterProblem(this.#at, '"and", "or" or the end belongs')
  }

  #parseMatch(): Holds {
    const first = this.#operand('a selector or a value belongs')
    const negative = this.#takeWord('not')
    if (this.#takeWord('in'))
      return this.#match(this.#operand('a selector belongs'), 'holds', first, negative)
    if (!negative) {
      if (this.#takeSign('==')) return this.#match(first, 'equals', this.#value(), false)
      if (this.#takeSign('!=')) return this.#match(first, 'equals', this.#value(), true)
      if (this.#takeWord('is')) {
        const not = this.#takeWord('not')
        if (!this.#takeWord('empty')) throw filterProblem(this.#at, '"empty" belongs')
        return this.#match(first, 'empty', undefined, not)
      }
    }
    if (this.#takeWord('contains')) return this.#match(first, 'holds', this.#value(), negative)
    if (this.#takeWord('matches')) return this.#match(first, 'matches', this.#value(), negative)
    throw filterProblem(this.#at, '==, !=, in, contains, matches or "is empty" belongs')
  }

  #match(on: Token, operator: Operator, operand: Token | undefined, negative: boolean): Holds {
    const selected = on.kind === 'word' ? select(this.#shape, on.path) : undefined
    if (on.kind !== 'word' || selected === undefined) {
      const known = selectorsOf(this.#shape).join(', ')
      throw filterProblem(on.at, `a selector belongs, one of ${known}`)
    }
    const name = on.path.join('.')
    if (!operators[selected.leaf].includes(operator)) {
      const may = operators[selected.leaf].map((one) => spelled[one]).join(', ')
      throw filterProblem(on.at, `${name} may be asked ${may} only`)
    }
    const test = testOf(operator, selected.leaf, operand)
    return any(selected, test, negative)
  }

  #value(): Token {
    return this.#operand('a value belongs')
  }

  #operand(want: string): Token {
    const token = this.#tokens[this.#next]
    const keyword =
      token?.kind === 'word' && token.path.length === 1 && keywords.has(token.path[0] ?? '')
    if (token === undefined || token.kind === 'sign' || keyword) throw filterProblem(this.#at, want)
    this.#next += 1
    return token
  }

  #takeWord(keyword: string): boolean {
    const token = this.#tokens[this.#next]
    const found = token?.kind === 'word' && token.path.length === 1 && token.path[0] === keyword
    if (found) this.#next += 1
    return found
  }

  #takeSign(sign: string): boolean {
    const token = this.#tokens[this.#next]
    const found = token?.kind === 'sign' && token.sign === sign
    if (found) this.#next += 1
    return found
  }

  get #at(): number {
    return this.#tokens[this.#next]?.at ?? this.#length
  }
}

/** One alone needs nobody to join it. */
function joined(parts: readonly Holds[], several: Holds): Holds {
  const [only, ...more] = parts
  return only !== undefined && more.length === 0 ? only : several
}

const spelled: Readonly<Record<Operator, string>> = {
  equals: '== and !=',
  holds: 'in and contains',
  matches: 'matches',
  empty: 'is empty',
}

/** Through a list one value that fits is enough, also for one that must be different. */
function any({ read }: Selected, test: Test, negative: boolean): Holds {
  return (item, budget) =>
    read(item).some((value) => {
      budget.spend(1)
      return test(value, budget) !== negative
    })
}

function testOf(operator: Operator, leaf: Leaf, operand: Token | undefined): Test {
  if (operator === 'empty' || operand === undefined) return isEmpty
  const value =
    operand.kind === 'word' ? operand.path.join('.') : operand.kind === 'sign' ? '' : operand.value
  if (operator === 'matches') {
    const pattern = compilePattern(value, (want) => filterProblem(operand.at, want))
    return (text, budget) => pattern(textOf(text), budget)
  }
  if (operator === 'holds') return (found, budget) => holds(found, value, budget)
  if (leaf === 'number') {
    if (!/^-?\d+(?:\.\d+)?$/.test(value)) throw filterProblem(operand.at, 'a number belongs')
    const wanted = Number(value)
    return (found) => found === wanted
  }
  if (leaf === 'flag') {
    if (value !== 'true' && value !== 'false')
      throw filterProblem(operand.at, 'true or false belongs')
    return (found) => found === (value === 'true')
  }
  return (found) => (found ?? '') === value
}

function holds(found: unknown, value: string, budget: Budget): boolean {
  if (Array.isArray(found)) {
    budget.spend(found.length)
    return found.includes(value)
  }
  if (typeof found === 'object' && found !== null) return Object.hasOwn(found, value)
  const text = textOf(found)
  budget.spend(text.length)
  return text.includes(value)
}

function textOf(found: unknown): string {
  return typeof found === 'string' ? found : ''
}

function isEmpty(found: unknown): boolean {
  if (found === undefined || found === null || found === '') return true
  if (Array.isArray(found)) return found.length === 0
  return typeof found === 'object' && Object.keys(found).length === 0
}
