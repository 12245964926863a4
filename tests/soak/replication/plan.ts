/**
 * Which faults happen to whom, all decided by the seed before anything runs. A phase is what lies
 * between two quiet points; at most one disk is lost in it, because a record that was acknowledged
 * at `replicas: 1` is on two disks and survives the loss of one of them.
 */
import { createSimRandom } from '@kith/sim'
import type { SimRandom } from '@kith/sim'

/** How often each fault is to happen. */
export interface Quota {
  readonly kills: number
  readonly partitions: number
  readonly replacements: number
  readonly rollBacks: number
}

/** Places are numbers from 0; what goes from the first to the second is dropped. */
export type Cut = readonly [from: number, to: number]

export type Shape = 'alone' | 'halves' | 'oneWay'

interface Timed {
  /** Since the fault before it began. */
  readonly afterMs: number
}

export interface Kill extends Timed {
  readonly kind: 'kill'
  readonly place: number
  readonly downMs: number
  /** Killed again so long after it was started: it may not be ready. Counts as a second kill. */
  readonly againMs?: number
}

export interface Partition extends Timed {
  readonly kind: 'partition'
  readonly shape: Shape
  readonly cuts: readonly Cut[]
  readonly forMs: number
}

/** The member is gone for good with its disk; an empty one comes in its place. */
export interface Replacement extends Timed {
  readonly kind: 'replacement'
  readonly place: number
  readonly name: 'same' | 'new'
  readonly downMs: number
}

/** The disk becomes what it was `ageMs` before. */
export interface RollBack extends Timed {
  readonly kind: 'rollBack'
  readonly place: number
  /** How the member ended when the image was taken. */
  readonly image: 'killed' | 'orderly'
  readonly ageMs: number
  readonly downMs: number
  /**
   * Nobody can be asked for a while after the start. With an image of an orderly stop the log goes
   * on under the origin whose later records the others hold: a fork, which must not be silent.
   */
  readonly blindMs: number
}

export type Fault = Kill | Partition | Replacement | RollBack

export interface PlanOptions {
  readonly seed: number
  readonly quota: Quota
  readonly places: number
  /** Between two faults, on average. */
  readonly paceMs: number
  /** Without one a member can only be cut off from everybody. */
  readonly firewall: boolean
}

/** Kills of a phase at most, so that an error is found near to its cause. */
const phaseKillsMax = 20
/** Longer than the append gate waits (LOG-14), with a start before it. */
const blindMs = 8_000

export function planPhases(options: PlanOptions): readonly (readonly Fault[])[] {
  const { seed, quota } = options
  const random = createSimRandom(seed, 'plan')
  const losses = random.shuffle([
    ...Array.from({ length: quota.replacements }, () => 'replacement' as const),
    ...Array.from({ length: quota.rollBacks }, () => 'rollBack' as const),
  ])
  const count = Math.max(1, losses.length, Math.ceil(quota.kills / phaseKillsMax))
  const kills = dealt(random, quota.kills, count)
  const partitions = dealt(random, quota.partitions, count)
  const lossesOf = dealt(random, losses.length, count)
  return Array.from({ length: count }, (_, phase) => {
    const faults: Fault[] = killsOf(options, random, kills[phase] ?? 0)
    for (let done = 0; done < (partitions[phase] ?? 0); done += 1) {
      faults.push(partitionOf(options, random))
    }
    for (let done = 0; done < (lossesOf[phase] ?? 0); done += 1) {
      faults.push(lossOf(options, random, losses.pop() ?? 'replacement'))
    }
    return random.shuffle(faults)
  })
}

/** The total in so many shares that differ by one at most, in random order. */
function dealt(random: SimRandom, total: number, shares: number): readonly number[] {
  const least = Math.floor(total / shares)
  const more = total - least * shares
  return random.shuffle(
    Array.from({ length: shares }, (_, share) => least + (share < more ? 1 : 0)),
  )
}

function afterMs({ paceMs }: PlanOptions, random: SimRandom): number {
  return Math.round(random.between(0.3, 1.7) * paceMs)
}

function killsOf(options: PlanOptions, random: SimRandom, count: number): Fault[] {
  const faults: Fault[] = []
  for (let left = count; left > 0;) {
    const again = left > 1 && random.chance(0.15)
    faults.push({
      kind: 'kill',
      afterMs: afterMs(options, random),
      place: random.below(options.places),
      downMs: random.chance(0.7) ? 0 : Math.round(random.between(50, 2_000)),
      ...(again ? { againMs: Math.round(random.between(20, 1_500)) } : {}),
    })
    left -= again ? 2 : 1
  }
  return faults
}

function partitionOf(options: PlanOptions, random: SimRandom): Partition {
  const all = random.shuffle(Array.from({ length: options.places }, (_, place) => place))
  const shape = options.firewall ? random.pick(['alone', 'halves', 'oneWay'] as const) : 'alone'
  const size = shape === 'halves' ? Math.floor(options.places / 2) : 1
  const [left, right] = [all.slice(0, size), all.slice(size)]
  const there = left.flatMap((a) => right.map((b): Cut => [a, b]))
  const back = there.map(([a, b]): Cut => [b, a])
  return {
    kind: 'partition',
    afterMs: afterMs(options, random),
    shape,
    cuts: shape !== 'oneWay' ? [...there, ...back] : random.chance(0.5) ? there : back,
    forMs: Math.round(
      random.chance(0.1) ? random.between(5_000, 9_000) : random.between(400, 4_000),
    ),
  }
}

function lossOf(options: PlanOptions, random: SimRandom, kind: 'replacement' | 'rollBack'): Fault {
  const common = {
    afterMs: afterMs(options, random),
    place: random.below(options.places),
    downMs: Math.round(random.between(0, 1_500)),
  }
  if (kind === 'replacement')
    return { kind, ...common, name: random.pick(['same', 'new'] as const) }
  const blind = options.firewall && random.chance(0.35)
  return {
    kind,
    ...common,
    image: blind || random.chance(0.3) ? 'orderly' : 'killed',
    ageMs: Math.round(random.between(1_500, 5_000)),
    blindMs: blind ? blindMs : 0,
  }
}
