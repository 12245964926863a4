/** Expressions of query filters, against the platform's own where that cannot be led astray. */
import {
  decodeFilter,
  encodeFilter,
  matchFilters,
} from '../../../packages/gossip/src/wire/filter.ts'
import { compilePattern } from '../../../packages/gossip/src/wire/pattern.ts'
import { ascii, holds, sameBytes } from '../target.ts'
import type { FuzzTarget, Mutator } from '../target.ts'

const texts = ['', 'a', 'web', 'aaaa', 'web-1.example', 'A_b 9', 'x\ny', 'ab'.repeat(20)]
const longText = 'a'.repeat(512)

/** What both understand alike, and too small for the platform's to take long. */
const common = /^(?:[a-z0-9 ^$.|]|\[[a-z0-9]+\]|[a-z.][*+?])+$/

/** A group, a class or a count around what is there. */
const wrapped: Mutator = (bytes, random) => {
  const around = [
    ['(', ')*'],
    ['(?:', ')+'],
    ['(?i)', ''],
    ['[', ']'],
    ['[^', ']{0,999}'],
    ['(', '|)'],
    ['', '{3,}'],
    ['', '{1000}'],
    ['\\Q', '\\E'],
    ['(?P<n>', ')'],
    ['^', '$'],
  ] as const
  const [before, behind] = around[random.below(around.length)] ?? ['', '']
  return Buffer.concat([ascii(before), bytes, ascii(behind)])
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8')
}

export const pattern: FuzzTarget = {
  bytesMax: 320,
  seeds: () =>
    ['', 'web', '^web-[0-9]+$', '(a|b)*c', '(?i)Web', '[[:alpha:]_-]+', '\\d{2,3}', '(x+x+)+y']
      .concat(['a{0,1000}', '((a{0,30}){0,30}){0,30}', '\\x{1F600}', '(?s:.)', '[^\\w]', '(?m)^a$'])
      .concat([`(?i)[${'a-z0-9!-/'.repeat(20)}]{0,999}`])
      .map(ascii),
  words: ['(?', ')*', '{2,5}', '[:^digit:]', '\\pL', '\\b', '\\B', '\\z', '\\A', '|', '[]a]']
    .concat(['(?-i)', '\\x41', '\\Q', '+?', '[a-', '\u00df', '\u0130', '\ud83d\ude00'])
    .map(ascii),
  mutators: [wrapped, wrapped],
  ends: ['understood', 'refused'],
  check(bytes, random) {
    const expression = textOf(bytes)
    const compiled = compilePattern(expression)
    const filter = decodeFilter(bytes.slice())
    holds(
      sameBytes(encodeFilter(decodeFilter(encodeFilter(filter))), encodeFilter(filter)),
      'filter',
    )
    matchFilters([filter, { kind: 'tag', tag: 'role', expression }], 'a', { role: 'web' })
    if (compiled === undefined) return 'refused'
    for (const text of texts) {
      const found = compiled.test(text)
      if (!common.test(expression) || expression.length > 12) continue
      holds(found === platform(expression).test(text), `${text} is found by one of two`)
    }
    if (random.below(32) === 0) compiled.test(longText)
    return 'understood'
  },
}

function platform(expression: string): RegExp {
  return new RegExp(expression, 'u')
}
