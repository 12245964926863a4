/** Each case of the discoveries' suite catches an implementation that breaks its clause. */
import { describe, expect, it } from 'vitest'
import { discoveryCases, runCase, runConformance } from '../src/index.ts'
import { openTinyDiscovery } from './tiny-discovery.ts'
import type { DiscoveryFault } from './tiny-discovery.ts'

runConformance('tiny discovery', discoveryCases, { describe, it }, () => openTinyDiscovery())

const faults: Readonly<Record<DiscoveryFault, string>> = {
  'takes bad options': 'refuses bad options',
  'finds one twice': 'finds everything there is',
  'finds no addresses': 'finds everything there is',
  'gives away its own list': 'gives each caller a list of its own',
  'remembers the first answer': 'finds what has come',
  'says nothing of changes': 'says so when something changed',
  'changes without a change': 'says so when something changed',
  'lets a handler throw': 'goes on noticing where a handler threw',
  'fails without a word': 'rejects with an Error that says why',
  'stays failed': 'rejects with an Error that says why',
  'fails its start': 'starts also where nothing can be told yet',
  'ignores the signal': 'rejects a find whose signal is aborted',
  'ignores the signal while it looks': 'rejects soon after its signal aborts',
  'starts twice': 'starts once',
  'starts when aborted': 'starts once',
  'finds before the start': 'finds nothing before the start',
  'never stops': 'stops at any time',
  'finds after the stop': 'stops at any time',
  'forgets finds under way': 'ends a find that waits',
  'notices after the stop': 'notices nothing after its stop',
}

/** A case that cleans up after a failure waits for the stop of what never stops. */
async function caught(run: Promise<void>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const stuck = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(true), 5_000)
  })
  const failed = run.then(
    () => false,
    () => true,
  )
  return await Promise.race([failed, stuck]).finally(() => clearTimeout(timer))
}

describe('a discovery that', () => {
  it.concurrent.each(Object.entries(faults))(
    '"%s" fails the case "%s..."',
    async (fault, title) => {
      const one = discoveryCases.find((other) => other.title.startsWith(title))
      if (one === undefined) throw new Error(`no case ${title}`)
      const open = () => openTinyDiscovery(fault as DiscoveryFault)
      expect(await caught(runCase(one, open))).toBe(true)
    },
  )

  it('has a fault planted for every case', () => {
    const titles = Object.values(faults)
    const without = discoveryCases.filter(({ title }) => {
      return !titles.some((start) => title.startsWith(start))
    })
    expect(without.map(({ title }) => title)).toEqual([])
  })
})
