/** What members send while nothing happens: one cluster, brought to rest and then counted. */
import type { Registry } from '@kith/registry'
import { World } from './world.ts'

export interface RestPlan {
  readonly members: number
  /** False: gossip alone. */
  readonly registries: boolean
  /**
   * `told`: they form as a cluster does, by telling each other; `introduced`: see
   * `World.introduce`, after which a little more is sent for some minutes.
   */
  readonly how: 'told' | 'introduced'
}

/** Bytes are those that a member sends in a second. */
export interface Rest {
  readonly packets: number
  readonly streams: number
  /** How long it was counted, in seconds of virtual time. */
  readonly windowS: number
  /** Announcements of all members meanwhile. */
  readonly announcements: number
  /** Seconds from one announcement of a member to its next, mean; undefined where none was made. */
  readonly periodS: number | undefined
  /** Processor time of all of it. */
  readonly cpuS: number
}

const services = 5
/**
 * Those who joined are greeted by everybody, one after the other: four a second over all members as
 * registries come, and here twenty, so that a thousand need not be waited for. Nothing at rest
 * depends on it: the period of announcements follows from what they cost (REG-6).
 */
const announcePerMemberMs = 50
/** What has waited for 30 s to be sent again is let go of. */
const drainMs = 45_000
/** At least; whole rounds of exchanges, so that everybody had as many. */
const windowMsMin = 240_000

export async function atRest({ members, registries, how }: RestPlan): Promise<Rest> {
  const settings = { announcePerMemberMs }
  const world = new World(members, { formsByHand: true, registries, settings })
  const greetingMs = announcePerMemberMs * members
  if (how === 'introduced') await world.introduce(services, serve, greetingMs)
  else {
    await world.form(Math.max(3_000, members * 10), services, serve)
    await world.pass(greetingMs)
  }
  await world.pass(drainMs)
  return await count(world)
}

async function serve(registry: Registry, index: number): Promise<void> {
  for (let at = 0; at < services; at += 1) {
    const id = `service-${at}`
    await registry.register({
      service: `service-${(index + at) % 40}`,
      id,
      port: 8_000 + at,
      tags: ['v1', 'eu'],
      meta: { zone: `eu-${index % 3}` },
      checks: [{ kind: 'ttl', intervalMs: 86_400_000 }],
    })
    registry.setCheck(`${id}/ttl`, 'passing')
  }
}

async function count(world: World): Promise<Rest> {
  const members = world.parties.length
  const roundMs = exchangeEveryMs(members)
  const windowMs = roundMs * Math.ceil(windowMsMin / roundMs)
  const from = world.clock.now()
  const [before, announcedBefore] = [world.traffic(), announced(world)]
  await world.pass(windowMs)
  const after = world.traffic()
  const each = (bytes: number): number => bytes / members / (windowMs / 1_000)
  const { user, system } = process.cpuUsage()
  return {
    packets: each(after.packets - before.packets),
    streams: each(after.streams - before.streams),
    windowS: windowMs / 1_000,
    announcements: announced(world) - announcedBefore,
    periodS: meanPeriodS(world, from),
    cpuS: (user + system) / 1e6,
  }
}

/** memberlist's interval of push/pull in a cluster of this size. */
function exchangeEveryMs(members: number): number {
  return 30_000 * (members <= 32 ? 1 : Math.ceil(Math.log2(members) - 5) + 1)
}

function announced(world: World): number {
  return world.parties.reduce((sum, { registry }) => sum + registry.stats().announcements, 0)
}

/** As registries set their own timers: each that spoke since `from` waits a period from there. */
function meanPeriodS(world: World, from: number): number | undefined {
  const periods = world.parties.flatMap(({ turns: { spokeAt, periodMs } }) => {
    return spokeAt === undefined || spokeAt < from || periodMs === undefined ? [] : [periodMs]
  })
  if (periods.length === 0) return undefined
  return periods.reduce((sum, ms) => sum + ms, 0) / periods.length / 1_000
}
