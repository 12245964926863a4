/**
 * What does the registry cost a cluster in which nothing happens? 1,000 whole members in one
 * process over a simulated network without faults, in virtual time: what they send is counted
 * first with a registry and five services at each, then with gossip alone, over two rounds of
 * anti-entropy each. Announcements have their times spread over their whole period, so that any
 * stretch of time sees as many as another.
 *
 * Prints one line of JSON a figure and exits with 1 where the registry adds more than 1,024 bytes a
 * member and second. `KITH_BENCH_MEMBERS` makes it smaller.
 */
import { type Figure, tell } from './support/figures.ts'
import { World } from './support/world.ts'

const members = Number(process.env['KITH_BENCH_MEMBERS'] ?? 1_000)
const services = 5
const extraMax = 1_024
/** memberlist's interval of push/pull in a cluster of this size, twice. */
const windowMs = 2 * 30_000 * (members <= 32 ? 1 : Math.ceil(Math.log2(members) - 5) + 1)

const world = new World(members)
await world.form(Math.max(3_000, members * 10), services, async (registry, index) => {
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
})
const knownAfterMs = world.clock.now()
// Those who joined are greeted by everybody, one after the other; then nothing happens any more.
await world.pass(250 * members + 30_000)

/** Bytes that a member sends in a second. */
async function sent(): Promise<number> {
  const before = world.network.stats.bytesSent
  await world.pass(windowMs)
  return (world.network.stats.bytesSent - before) / members / (windowMs / 1_000)
}

const announced = (): number =>
  world.parties.reduce((sum, { registry }) => sum + registry.stats().announcements, 0)
const announcedBefore = announced()
const whole = await sent()
const announcements = announced() - announcedBefore
await world.stopRegistries()
await world.pass(30_000)
const plain = await sent()

const unit = 'bytes a member and second'
const figures: readonly Figure[] = [
  { figure: 'members', value: members, unit: 'members' },
  { figure: 'all services known everywhere after', value: knownAfterMs, unit: 'ms (virtual)' },
  { figure: 'measured over', value: windowMs / 1_000, unit: 's (virtual)' },
  { figure: 'announcements meanwhile', value: announcements, unit: 'messages' },
  { figure: 'gossip alone', value: plain, unit },
  { figure: 'with the registry', value: whole, unit },
  { figure: 'the registry adds', value: whole - plain, unit, most: extraMax },
]
tell(figures)
await world.stop()
