/** The comparison of detectors in miniature; `npm run sim -- lifeguard` runs all of it. */
import { describe, expect, it } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'
import { resolveOptions } from '@kith/gossip/core'
import type { Input, Output } from '@kith/gossip/core'
import { Cluster } from './gossip/cluster.ts'
import type { Actor, ClusterOptions, Watcher } from './gossip/cluster.ts'
import { detectors, runCell } from './gossip/lifeguard.ts'
import type { Blocking, Column, Found } from './gossip/lifeguard.ts'
import { serfCosts } from './gossip/machine.ts'

describe('detectors while members stand still', () => {
  it('GOS-208 plain SWIM fails whom Lifeguard and Kith do not', { timeout: 3_600_000 }, () => {
    const cell = { members: 32, blocked: 8, openMs: 4, blockedMs: 8192 } as const
    const sums = new Map<Column, Found>()
    const judged: readonly Column[] = ['plain SWIM', 'Lifeguard', 'Kith']
    for (const column of atTier(judged, Object.keys(detectors) as Column[])) {
      for (let seed = 1; seed <= atTier(2, 10); seed += 1) {
        const found = runCell({ ...cell, column, seed })
        const sum = sums.get(column) ?? { ...found, falseAll: 0, falseHealthy: 0 }
        sums.set(column, { ...sum, falseAll: sum.falseAll + found.falseAll })
      }
      evidence(`8 of 32 stand still, false failures, ${column}`, sums.get(column)?.falseAll ?? 0)
    }
    const plain = sums.get('plain SWIM')?.falseAll ?? 0
    expect(plain).toBeGreaterThan(20)
    for (const column of ['Lifeguard', 'Kith'] as const) {
      expect(sums.get(column)?.falseAll).toBeLessThanOrEqual(plain / 4)
    }
  })

  it('GOS-208 at most 2.5 % of plain SWIM where only messages are held up', () => {
    const cell = { members: 24, blocked: 6, openMs: 4, blockedMs: 16_384, seed: 1 } as const
    const run = (column: Column): Found => runCell({ ...cell, column, blocking: 'messages' })
    const plain = run('plain SWIM')
    expect(plain.falseAll).toBeGreaterThan(1000)
    for (const column of ['Lifeguard', 'Kith'] as const) {
      const { falseAll, falseHealthy } = run(column)
      expect(falseAll).toBeLessThanOrEqual(0.025 * plain.falseAll)
      expect(falseHealthy).toBeLessThanOrEqual(0.025 * plain.falseHealthy)
    }
  })

  it.each<Blocking>(['processes', 'messages'])(
    'GOS-77 the same cell gives the same counts again: %s',
    (blocking) => {
      const cell = { members: 12, blocked: 4, openMs: 16, blockedMs: 2048, seed: 3 } as const
      const run = (): Found => runCell({ ...cell, blocking, column: 'Kith' })
      expect(run()).toEqual(run())
    },
  )
})

/** What one member was handed and what it gave away. */
class Notes implements Watcher {
  of: Actor | undefined
  inputs: Input[] = []
  sent = 0

  transition(actor: Actor, input: Input, outputs: readonly Output[]): void {
    if (actor !== this.of) return
    this.inputs.push(input)
    this.sent += outputs.filter(({ kind }) => kind === 'send').length
  }

  count(kind: Input['kind']): number {
    return this.inputs.filter((input) => input.kind === kind).length
  }
}

describe('a member whose messages are held up', () => {
  function form(options: Pick<ClusterOptions, 'machine' | 'heldInboundMax'>) {
    const notes = new Notes()
    const timings = resolveOptions('lan')
    const common = { seed: 1, members: 8, timings, watchers: [notes] }
    const cluster = new Cluster({ ...common, ...options })
    const { clock, network, actors } = cluster
    const [first, held] = actors as [Actor, Actor]
    for (const actor of actors) {
      cluster.start(actor)
      cluster.join(actor, [first])
    }
    clock.advanceTo(10_000)
    const carried = { from: 0, to: 0 }
    network.tap(({ kind, from, to }) => {
      if (kind !== 'deliver') return
      if (from.host === held.address.host) carried.from += 1
      if (to.host === held.address.host) carried.to += 1
    })
    notes.of = held
    return { cluster, clock, first, held, notes, carried }
  }

  const machine = { processors: 8, costs: serfCosts, timersFirst: true }
  it.each([
    ['whose handling takes no time', {}],
    ['on a machine', { machine }],
  ])('GOS-208 goes on deciding, and nothing is lost: %s', (_title, options) => {
    const { cluster, clock, held, notes, carried } = form(options)
    cluster.hold(held)
    clock.advanceBy(4000)
    // Rounds of gossip and probing, of which nobody hears, and no word from anybody.
    expect(notes.count('deadline')).toBeGreaterThan(4)
    expect(notes.sent).toBeGreaterThan(2)
    expect(notes.count('late')).toBe(0)
    expect(held.state?.awareness).toBeGreaterThan(0)
    expect(carried.from).toBe(0)
    expect(carried.to).toBeGreaterThan(4)
    expect(notes.count('packet')).toBe(0)
    cluster.release(held)
    clock.advanceBy(50)
    expect(carried.from).toBe(notes.sent)
    expect(notes.count('packet')).toBe(carried.to)
    expect(cluster.held.overflowed).toBe(0)
  })

  it('GOS-208 leaves what it did not come to handle until the end of the next hold', () => {
    const { cluster, clock, held, notes, carried } = form({ machine })
    cluster.hold(held)
    clock.advanceBy(4000)
    cluster.release(held)
    clock.advanceBy(1)
    cluster.hold(held)
    clock.advanceBy(1000)
    const handled = notes.count('packet')
    expect(handled).toBeLessThan(5)
    expect(notes.count('deadline')).toBeGreaterThan(4)
    cluster.release(held)
    clock.advanceBy(50)
    expect(notes.count('packet')).toBe(carried.to)
    expect(carried.to).toBeGreaterThan(handled + 5)
  })

  it('GOS-208 finds what fits in its socket, and the rest is counted', () => {
    const { cluster, clock, held, notes, carried } = form({ heldInboundMax: 3 })
    cluster.hold(held)
    clock.advanceBy(4000)
    const arrived = carried.to
    cluster.release(held)
    expect(notes.count('packet')).toBe(3)
    // Streams find no room either.
    expect(cluster.held.overflowed).toBeGreaterThanOrEqual(arrived - 3)
  })

  it('GOS-208 gives up an exchange in time, or has its answer after the hold', () => {
    const { cluster, clock, first, held, notes } = form({})
    cluster.hold(held)
    cluster.join(held, [first])
    clock.advanceBy(30_000)
    expect(notes.count('requestFailed')).toBeGreaterThan(0)
    expect(notes.count('reply')).toBe(0)
    cluster.join(held, [first])
    clock.advanceBy(100)
    cluster.release(held)
    clock.advanceBy(100)
    expect(notes.count('reply')).toBeGreaterThan(0)
  })
})
