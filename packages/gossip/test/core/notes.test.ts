/** What is noted has a bound, and a beginning. */
import { describe, expect, it } from 'vitest'
import { findings } from '../../src/core/index.ts'
import { takeNote } from '../../src/core/notes.ts'
import type { Notes } from '../../src/core/notes.ts'
import { alive, Core } from './support.ts'

describe('notes', () => {
  it('GOS-163 say since when without a break, and how often', () => {
    const notes: Notes<string> = new Map()
    takeNote(notes, 'a', 'one', 1000, 500)
    takeNote(notes, 'a', 'two', 1400, 500)
    expect(notes.get('a')).toEqual({ detail: 'two', since: 1000, lastAt: 1400, times: 2 })
    takeNote(notes, 'a', 'three', 2000, 500)
    expect(notes.get('a')).toEqual({ detail: 'three', since: 2000, lastAt: 2000, times: 1 })
  })

  it('GOS-163 are 64 at most: the one not seen for longest goes', () => {
    const notes: Notes<number> = new Map()
    for (let number = 0; number < 64; number += 1) takeNote(notes, `n${number}`, number, number, 9)
    takeNote(notes, 'n0', 0, 64, 100)
    takeNote(notes, 'new', 1, 65, 9)
    expect(notes.size).toBe(64)
    expect(notes.has('n0')).toBe(true)
    expect(notes.has('n1')).toBe(false)
  })

  it('GOS-163 of strangers stay few, whatever names they invent', () => {
    const core = new Core()
    for (let number = 0; number < 1000; number += 1) {
      core.tell(alive(`stranger${number}`, { meta: new Uint8Array(513) }))
    }
    expect(findings(core.state)).toHaveLength(64)
  })
})
