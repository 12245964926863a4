// The plan of the soak: as many faults as were asked for, the same for the same seed, and never
// more than one disk lost between two quiet points.
import { describe, expect, it } from 'vitest'
import { type Fault, planPhases, type PlanOptions } from './replication/plan.ts'

const options: PlanOptions = {
  seed: 1,
  quota: { kills: 1_000, partitions: 200, replacements: 50, rollBacks: 20 },
  places: 5,
  paceMs: 800,
  firewall: true,
}

function count(faults: readonly Fault[], kind: Fault['kind']): number {
  const again = (fault: Fault): number => (fault.kind === 'kill' && fault.againMs ? 2 : 1)
  return faults.filter((fault) => fault.kind === kind).reduce((sum, it) => sum + again(it), 0)
}

describe('the plan of the soak', () => {
  it('has every fault as often as asked for, and shapes of all kinds', () => {
    const faults = planPhases(options).flat()
    expect(count(faults, 'kill')).toBe(1_000)
    expect(count(faults, 'partition')).toBe(200)
    expect(count(faults, 'replacement')).toBe(50)
    expect(count(faults, 'rollBack')).toBe(20)
    const seen = new Set(
      faults.map((fault) => {
        if (fault.kind === 'partition') return fault.shape
        if (fault.kind === 'replacement') return `${fault.name} name`
        if (fault.kind === 'rollBack') return fault.blindMs > 0 ? 'blind' : fault.image
        return fault.againMs === undefined ? 'kill' : 'kill in start'
      }),
    )
    const kinds = [
      'alone',
      'halves',
      'oneWay',
      'same name',
      'new name',
      'blind',
      'killed',
      'orderly',
    ]
    expect([...seen].toSorted()).toEqual([...kinds, 'kill', 'kill in start'].toSorted())
  })

  it('loses one disk in a phase at most', () => {
    for (const seed of [1, 2, 3]) {
      const most = planPhases({ ...options, seed }).map(
        (phase) => count(phase, 'replacement') + count(phase, 'rollBack'),
      )
      expect(Math.max(...most)).toBe(1)
    }
  })

  it('follows from the seed', () => {
    expect(planPhases(options)).toEqual(planPhases(options))
    expect(planPhases(options)).not.toEqual(planPhases({ ...options, seed: 2 }))
  })

  it('cuts off one member only, and asks nobody to be blind, without a firewall', () => {
    for (const fault of planPhases({ ...options, firewall: false }).flat()) {
      if (fault.kind === 'partition') expect(fault.shape).toBe('alone')
      if (fault.kind === 'rollBack') expect(fault.blindMs).toBe(0)
    }
  })

  it('has a phase where nothing was asked for', () => {
    const quota = { kills: 0, partitions: 0, replacements: 0, rollBacks: 0 }
    expect(planPhases({ ...options, quota })).toEqual([[]])
  })
})
