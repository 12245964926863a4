import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Budget } from '../src/filter/budget.ts'
import { compileFilter } from '../src/filter/filter.ts'
import { compilePattern } from '../src/filter/pattern.ts'
import { selectable } from '../src/shapes.ts'

const entries = [
  {
    Node: { Node: 'ada', Meta: { zone: 'eu', 'rack-id': '7' } },
    Service: { ID: 'w1', Tags: ['v1', 'eu'], Meta: {}, Port: 80, EnableTagOverride: false },
    Checks: [
      { Status: 'passing', ServiceTags: [] },
      { Status: 'critical', ServiceTags: ['v1'] },
    ],
  },
  {
    Node: { Node: 'ben', Meta: {} },
    Service: { ID: 'w2', Tags: [], Meta: { a: 'b' }, Port: 81, EnableTagOverride: true },
    Checks: [],
  },
]
const ids = (text: string): string[] =>
  compileFilter(text, selectable.health)(entries).map(({ Service }) => Service.ID)

describe('a filter', () => {
  it.each([
    ['Service.ID == "w1"', ['w1']],
    ['Service.ID == w1', ['w1']],
    ['Service.ID==`w1`', ['w1']],
    ['Service.ID != "w1"', ['w2']],
    ['Service.Port == 81', ['w2']],
    ['Service.EnableTagOverride == true', ['w2']],
    ['"v1" in Service.Tags', ['w1']],
    ['v1 not in Service.Tags', ['w2']],
    ['Service.Tags contains "eu"', ['w1']],
    ['Service.Tags not contains "eu"', ['w2']],
    ['"d" in Node.Node', ['w1']],
    ['Service.Tags is empty', ['w2']],
    ['Service.Tags is not empty', ['w1']],
    ['Service.ID matches "^w[1-1]$"', ['w1']],
    ['Service.ID not matches "1"', ['w2']],
    ['Node.Meta.zone == eu', ['w1']],
    ['Node.Meta.zone != eu', ['w2']],
    ['Node.Meta["rack-id"] == 7', ['w1']],
    ['"zone" in Node.Meta', ['w1']],
    ['Node.Meta is empty', ['w2']],
    ['Checks is empty', ['w2']],
    ['Checks.Status == "critical"', ['w1']],
    ['Checks.Status != "passing"', ['w1']],
    ['v1 in Checks.ServiceTags', ['w1']],
    ['not Service.ID == w1', ['w2']],
    ['not not Service.ID == w1', ['w1']],
    ['Service.ID == w1 or Service.ID == w2', ['w1', 'w2']],
    ['Service.ID == w1 and Service.Port == 81', []],
    ['Service.ID == w2 or Service.ID == w1 and Service.Port == 81', ['w2']],
    ['(Service.ID == w2 or Service.ID == w1) and not (Service.Port == 81)', ['w1']],
    ['Service.ID == "w\\u0031"', ['w1']],
  ])('CON-8: %s', (text, found) => {
    expect(ids(text)).toEqual(found)
  })

  it.each([
    ['', 'a selector or a value belongs'],
    ['Service.ID', 'belongs'],
    ['Service.ID ==', 'a value belongs'],
    ['Service.ID = w1', 'character 12'],
    ['Service.Telepathy == 1', 'character 1, a selector belongs, one of Node.ID'],
    ['Service == 1', 'a selector belongs'],
    ['Service.Tags == v1', 'Service.Tags may be asked in and contains, is empty only'],
    ['Service.Port matches "8"', 'Service.Port may be asked == and != only'],
    ['Service.Port == eighty', 'a number belongs'],
    ['Service.EnableTagOverride == 1', 'true or false belongs'],
    ['Service.ID matches "("', 'a pattern in which every "(" is closed belongs'],
    ['Service.ID matches "a**"', 'one repetition at a time'],
    ['Service.ID matches "\\\\p"', 'does not belong in a pattern'],
    ['(Service.ID == w1', '")" belongs'],
    ['Service.ID == w1)', 'the end belongs'],
    ['Service.ID == w1 Service.ID == w2', 'the end belongs'],
    ['"w1" == Service.ID', 'a selector belongs'],
    ['Service.ID is full', '"empty" belongs'],
    ['Service.ID == "w1', 'character 15'],
    ['Node.Meta["zone == 1', 'character'],
    ['Service.ID == "\\x"', 'escapes as JSON has them'],
    [`${'('.repeat(40)}Service.ID == w1${')'.repeat(40)}`, 'at most 32 levels'],
    [`${'not '.repeat(40)}Service.ID == w1`, 'at most 32 levels'],
    [Array.from({ length: 200 }, () => 'Service.ID == w1').join(' or '), '512 words'],
    [`Service.ID == "${'x'.repeat(4_096)}"`, '4096 characters'],
  ])('CON-8: %s is refused where it is wrong', (text, says) => {
    expect(() => ids(text)).toThrow(says)
    expect(() => ids(text)).toThrow(/^filter must/)
  })

  it('CON-8: no text makes it fail in another way', () => {
    const word = fc.constantFrom(
      ...['Service.ID', 'Node.Meta', 'Checks.Status', '==', '!=', 'in', 'not', 'is', 'empty'],
      ...['and', 'or', '(', ')', '"', '`', '[', ']', '.', 'matches', 'contains', '80', '-1.5'],
      ...['"(a|b)*"', '"["', '"\\\\d{2,}"', '\\', '\u{10ffff}', '\t'],
    )
    const text = fc.oneof(
      fc.string(),
      fc.array(word, { maxLength: 40 }).map((words) => words.join(' ')),
    )
    fc.assert(
      fc.property(text, (filter) => {
        try {
          ids(filter)
        } catch (cause) {
          expect(cause).toMatchObject({ code: 'ERR_CONSUL_REFUSED', details: { status: 400 } })
        }
      }),
      { numRuns: 2_000 },
    )
  })
})

const fail = (want: string): Error => new Error(want)
const matches = (source: string, text: string): boolean =>
  compilePattern(source, fail)(text, new Budget())

describe('a pattern', () => {
  const pieces = fc.constantFrom(
    ...['a', 'b', '.', '^', '$', '[ab]', '[^a]', '[a-c]', '\\d', '\\w', '\\s', '\\b', '\\.', '-'],
    ...['(a|b)', '(?:ab)', '(|a)', '()', '[\\d-]', '[]a]'.replace(']a', '\\]a'), '\\x61', '\\n'],
  )
  const counts = fc.constantFrom('', '', '', '*', '+', '?', '*?', '{2}', '{1,}', '{0,2}')
  const alternative = fc
    .array(fc.tuple(pieces, counts), { maxLength: 5 })
    .map((all) =>
      all.map(([piece, count]) => (/^(?:\^|\$|\\b)$/.test(piece) ? piece : piece + count)).join(''),
    )
  const source = fc.array(alternative, { minLength: 1, maxLength: 3 }).map((all) => all.join('|'))
  const text = fc.string({
    unit: fc.constantFrom('a', 'b', 'c', '1', '_', '.', '-', '\n', ' '),
    maxLength: 8,
  })

  it('CON-8: it is found where the matcher of JavaScript finds it', () => {
    fc.assert(
      fc.property(source, text, (pattern, given) => {
        expect(matches(pattern, given)).toBe(new RegExp(pattern).test(given))
      }),
      { numRuns: 5_000 },
    )
  })

  it.each([
    ['(?i)ÄB', 'äb', true],
    ['(?i:a)B', 'Ab', false],
    ['(?i:a)B', 'AB', true],
    ['(?P<name>x+)y', 'xxy', true],
    ['(?s)a.b', 'a\nb', true],
    ['a.b', 'a\nb', false],
    ['\\Aab\\z', 'ab', true],
    ['\\Bb', 'ab', true],
    ['[[:digit:]]', '1', undefined],
    ['\\x{1F600}', '😀', true],
    ['^.$', '😀', true],
    ['x{1001}', 'x', undefined],
    ['x{3,2}', 'x', undefined],
    ['(a', 'a', undefined],
    ['a)', 'a', undefined],
    ['[a', 'a', undefined],
    ['*', 'a', undefined],
    ['\\1', 'a', undefined],
    ['(?=a)', 'a', undefined],
    ['(?i)\\x{110000}', 'a', undefined],
    [`${'('.repeat(20)}a${')'.repeat(20)}`, 'a', undefined],
    ['(((((){1000}){1000}){1000}){1000}){1000}', '', undefined],
    ['(a{1000}){1000}', '', undefined],
    ['x'.repeat(1_025), '', undefined],
  ])('CON-8: %s in %j', (pattern, given, found) => {
    if (found === undefined) expect(() => matches(pattern, given)).toThrow(/belongs?/)
    else expect(matches(pattern, given)).toBe(found)
  })

  it('CON-8: what would take a matcher that tries again for ever ends at its budget', () => {
    const spent = (pattern: string, given: string): number => {
      let low = 1
      let high = 2 ** 30
      while (low < high) {
        const middle = Math.floor((low + high) / 2)
        try {
          compilePattern(pattern, fail)(given, new Budget(middle))
          high = middle
        } catch {
          low = middle + 1
        }
      }
      return low
    }
    // Twice the text costs about twice as much, not the square of it.
    const once = spent('^(a+)+$', `${'a'.repeat(200)}b`)
    const twice = spent('^(a+)+$', `${'a'.repeat(400)}b`)
    expect(twice / once).toBeLessThan(2.2)
    const long = 'a'.repeat(100_000)
    expect(() => matches('(a|aa|aaa){0,60}c', long)).toThrow('filter must be simpler')
  })
})
