/** The heap of deadlines against the plainest thing that does the same. */
import { createRandom } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { Deadlines } from '../src/core/deadlines.ts'

describe('deadlines', () => {
  it('REG-11: gives the earliest first, equal ones in the order they were set', () => {
    const random = createRandom(3)
    for (let round = 0; round < 200; round += 1) {
      const deadlines = new Deadlines()
      let plain: { key: string; at: number; order: number }[] = []
      for (let turn = 0; turn < 60; turn += 1) {
        const key = `k${random.below(15)}`
        const at = random.below(20)
        const choice = random.below(4)
        const known = plain.find((one) => one.key === key)
        if (choice === 0) {
          deadlines.clear(key)
          plain = plain.filter((one) => one !== known)
        } else if (choice < 3 || known === undefined || known.at > at) {
          if (choice < 3) deadlines.set(key, at)
          else deadlines.hasten(key, at)
          plain = [...plain.filter((one) => one !== known), { key, at, order: turn }]
        } else deadlines.hasten(key, at)
        plain.sort((a, b) => a.at - b.at || a.order - b.order)
        expect(deadlines.next()).toBe(plain[0]?.at)
        expect(deadlines.at(key)).toBe(plain.find((one) => one.key === key)?.at)
      }
      for (const { key } of plain) expect(deadlines.take(20)).toBe(key)
      expect(deadlines.take(20)).toBeUndefined()
    }
  })

  it('takes nothing before its time', () => {
    const deadlines = new Deadlines()
    deadlines.set('a', 10)
    expect([deadlines.take(9.99), deadlines.take(10), deadlines.take(11)]).toEqual([
      undefined,
      'a',
      undefined,
    ])
  })
})
