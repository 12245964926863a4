import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from '../../../tools/support/command.ts'
import { inputs } from './catalogue.ts'

const numbered = (letter: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `${letter}${String(index + 1).padStart(2, '0')}`)

describe('the list of bad inputs', () => {
  it('has each of the 59 once', () => {
    const all = inputs.flatMap(({ ids }) => ids).toSorted()
    expect(all).toEqual([...numbered('T', 18), ...numbered('U', 41)])
  })

  it.each(inputs)('names what holds $input', ({ ids, held }) => {
    expect(held.length).toBeGreaterThan(0)
    for (const [file, words] of held) {
      expect(readFileSync(join(root, file), 'utf8'), `${ids.join(' ')} in ${file}`).toContain(words)
    }
  })
})
