/** Fault schedules: what each kind of trouble does to a cluster, and how long it lasts. */
import type { SimRandom } from '@kith/sim'
import type { Actor } from './cluster.ts'
import type { World } from './world.ts'

/**
 * Plans its actions on the cluster's clock, up to `lastsMs` from now; everything is undone by then.
 */
export type Fault = (world: World, random: SimRandom, lastsMs: number) => void

function at(world: World, delayMs: number, action: () => void): void {
  const { clock } = world.cluster
  clock.post(clock.now() + delayMs, action)
}

/** A start within the first half, and an end before the whole is over. */
function within(random: SimRandom, lastsMs: number): [number, number] {
  const start = random.between(0, lastsMs / 2)
  return [start, random.between(start + 500, lastsMs)]
}

/** Some members, at least one and never all. */
function some(world: World, random: SimRandom, share: number): readonly Actor[] {
  const live = random.shuffle(world.cluster.live())
  const most = Math.max(1, Math.min(live.length - 1, Math.floor(live.length * share)))
  return live.slice(0, 1 + random.below(most))
}

function rest(world: World, chosen: readonly Actor[]): readonly Actor[] {
  return world.cluster.actors.filter((actor) => !chosen.includes(actor))
}

const loss: Fault = (world, random, lastsMs) => {
  const share = random.between(0.02, 0.3)
  const [start, end] = within(random, lastsMs)
  at(world, start, () => world.setLoss(share))
  at(world, end, () => world.setLoss(0))
}

/** A damaged packet does not open, and is as good as lost. */
const corruption: Fault = (world, random, lastsMs) => {
  const share = random.between(0.01, 0.08)
  const [start, end] = within(random, lastsMs)
  at(world, start, () => world.setCorruption(share))
  at(world, end, () => world.setCorruption(0))
}

const partition: Fault = (world, random, lastsMs) => {
  const [start, end] = within(random, lastsMs)
  const side = some(world, random, 0.6)
  at(world, start, () => {
    const others = rest(world, side)
    const heals = [world.cut(side, others, 'partitions'), world.cut(others, side, 'partitionsBack')]
    at(world, end - start, () => heals.forEach((heal) => heal()))
  })
}

const oneWay: Fault = (world, random, lastsMs) => {
  const [start, end] = within(random, lastsMs)
  const side = some(world, random, 0.3)
  const inwards = random.chance(0.5)
  at(world, start, () => {
    const others = rest(world, side)
    const heal = inwards
      ? world.cut(others, side, 'oneWayIn')
      : world.cut(side, others, 'oneWayOut')
    at(world, end - start, heal)
  })
}

/** A filter that lets streams through: the ping over a stream must keep the member alive. */
const packetFilter: Fault = (world, random, lastsMs) => {
  const [start, end] = within(random, lastsMs)
  const side = [random.pick(world.cluster.live())]
  at(world, start, () => {
    const others = rest(world, side)
    const heals = [
      world.cut(side, others, 'packetFilters', 'packets'),
      world.cut(others, side, 'packetFiltersBack', 'packets'),
    ]
    at(world, end - start, () => heals.forEach((heal) => heal()))
  })
}

const pause: Fault = (world, random, lastsMs) => {
  for (const actor of some(world, random, 0.4)) {
    const [start, end] = within(random, lastsMs)
    at(world, start, () => world.pause(actor))
    at(world, end, () => world.resume(actor))
  }
}

const crash: Fault = (world, random, lastsMs) => {
  for (const actor of some(world, random, 0.4)) {
    const how = random.chance(0.5) ? 'refuse' : 'swallow'
    at(world, random.between(0, lastsMs), () => world.crash(actor, how))
  }
}

const restart: Fault = (world, random, lastsMs) => {
  for (const actor of some(world, random, 0.6)) {
    const [start, end] = within(random, lastsMs)
    const how = random.chance(0.5) ? 'refuse' : 'swallow'
    at(world, start, () => world.crash(actor, how))
    at(world, end, () => {
      const seeds = world.cluster.live()
      if (!actor.up && seeds.length > 0) world.start(actor, random.shuffle(seeds).slice(0, 3))
    })
  }
}

/** The longest that a leave takes by its own timeouts, and by when some are back. */
const stopMs = 12_000
const backMs = 20_000

/** Leaves only where somebody hears it: what nobody heard, nobody can agree on. */
const leave: Fault = (world, random, lastsMs) => {
  for (const actor of some(world, random, 0.4)) {
    const start = random.between(0, Math.max(0, lastsMs - backMs))
    at(world, start, () => {
      if (world.anyCut || world.loss > 0.1 || world.cluster.live().length < 3) return
      world.leave(actor)
      if (!actor.left) return
      const { life } = actor
      at(world, stopMs, () => {
        if (actor.life === life && actor.up) world.cluster.detach(actor)
      })
      if (!random.chance(0.5)) return
      at(world, random.between(stopMs, backMs), () => {
        if (!actor.up) world.start(actor, random.shuffle(world.cluster.live()).slice(0, 3))
      })
    })
  }
}

const tags: Fault = (world, random, lastsMs) => {
  for (let change = 0; change < 4; change += 1) {
    const actor = random.pick(world.cluster.actors)
    at(world, random.between(0, lastsMs), () => {
      world.setTags(actor, { zone: `z${change}`, seen: String(random.below(1000)) })
    })
  }
}

export const faults = {
  loss,
  corruption,
  partition,
  oneWay,
  packetFilter,
  pause,
  crash,
  restart,
  leave,
  tags,
} as const satisfies Readonly<Record<string, Fault>>
