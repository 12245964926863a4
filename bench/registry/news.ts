/**
 * How long is it until a change at one of 50 members is visible on all of them? Whole members in
 * one process over a simulated network without loss (0.5 to 2.5 ms a packet), in virtual time: the
 * figures are those of the protocol, whatever the machine does.
 *
 * A gossip dissemination bound is the time in which a member sends one piece of news as often as it
 * ever does: ceil(transmissions / gossipFanout) * gossipIntervalMs, where transmissions are
 * ceil(ln N) + 10 and at most 2 (N - 1) (packages/gossip/src/core/queue.ts). With 50 members and
 * the profile `lan`: ceil(14 / 3) * 200 ms = 1,000 ms.
 *
 * Prints one line of JSON a figure and exits with 1 where p99 is above two such bounds.
 */
import { resolveOptions } from '@kith/gossip/core'
import { quantile, tell } from './support/figures.ts'
import { World } from './support/world.ts'

const members = 50
const changes = Number(process.env['KITH_BENCH_CHANGES'] ?? 1_000)
/** Between two changes, so that most are alone on their way and some are not. */
const pauseMs = 250

const { gossipFanout, gossipIntervalMs } = resolveOptions('lan')
const transmissions = Math.min(2 * (members - 1), Math.ceil(Math.log(members)) + 10)
const boundMs = Math.ceil(transmissions / gossipFanout) * gossipIntervalMs

const world = new World(members)
await world.form(2_000, 5, async (registry, index) => {
  for (let at = 0; at < 5; at += 1) {
    const checks = [{ kind: 'ttl', intervalMs: 86_400_000 }]
    const service = at === 0 ? `own-${index}` : `service-${at}`
    await registry.register({ service, id: `i${at}`, port: 8_000 + at, checks })
    registry.setCheck(`i${at}/ttl`, 'passing')
  }
})
// The announcements that follow a start are over, as they are for most of a cluster's life.
await world.pass(30_000)

interface Change {
  readonly from: number
  readonly passing: boolean
  readonly waiting: Set<number>
}

const times: number[] = []
const underWay = new Map<string, Change>()
for (const index of world.parties.keys()) {
  const registry = world.registryOf(index)
  registry.on('change', ({ service }) => {
    const change = underWay.get(service)
    if (change === undefined || registry.resolve(service).length > 0 !== change.passing) return
    change.waiting.delete(index)
    if (change.waiting.size > 0) return
    underWay.delete(service)
    times.push(world.clock.now() - change.from)
  })
}
for (let count = 0; count < changes; count += 1) {
  const index = world.random.below(members)
  const service = `own-${index}`
  if (!underWay.has(service)) {
    const registry = world.registryOf(index)
    const passing = registry.resolve(service).length === 0
    const waiting = new Set(world.parties.keys())
    underWay.set(service, { from: world.clock.now(), passing, waiting })
    registry.setCheck('i0/ttl', passing ? 'passing' : 'critical')
  }
  await world.pass(pauseMs)
}
await world.until('the last changes', () => underWay.size === 0)
if (times.length < changes / 2) throw new Error(`only ${times.length} changes were made`)

const unit = 'ms (virtual)'
tell([
  { figure: 'changes seen by all members', value: times.length, unit: 'changes' },
  { figure: 'a gossip dissemination bound', value: boundMs, unit },
  { figure: 'change to visible on all: p50', value: quantile(times, 0.5), unit },
  {
    figure: 'change to visible on all: p99',
    value: quantile(times, 0.99),
    unit,
    most: 2 * boundMs,
  },
  { figure: 'change to visible on all: longest', value: Math.max(...times), unit },
])
await world.stop()
