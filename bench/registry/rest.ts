/**
 * What does the registry cost a cluster in which nothing happens? 1,000 whole members in one
 * process over a simulated network without faults, in virtual time: what they send is counted
 * first with a registry and five services at each, then with gossip alone, over a round of
 * anti-entropy each. Exchanges and announcements have their times spread over their whole period,
 * so that any stretch of time sees about as many as another; with 60 members one round said 594
 * bytes, two said 670. What all know at the beginning they do not learn over the network, which
 * would take hours.
 *
 * Prints one line of JSON a figure and exits with 1 where the registry adds more than 1,024 bytes a
 * member and second. `KITH_BENCH_MEMBERS` makes it smaller.
 */
import { setFlagsFromString } from 'node:v8'
import { tell } from './support/figures.ts'
import { World } from './support/world.ts'

/**
 * A thousand members hold millions of small buffers. Freed by another thread, as is usual, they
 * make each allocation of a packet thirty times as dear.
 */
setFlagsFromString('--no-concurrent-array-buffer-sweeping')

const members = Number(process.env['KITH_BENCH_MEMBERS'] ?? 1_000)
const services = 5
const extraMax = 1_024
/** memberlist's interval of push/pull in a cluster of this size. */
const windowMs = 30_000 * (members <= 32 ? 1 : Math.ceil(Math.log2(members) - 5) + 1)

/**
 * Those who joined are greeted by everybody, one after the other: four a second over all members as
 * registries come, and here twenty, so that a thousand need not be waited for. Nothing at rest
 * depends on it: announcements come again after the time in which all together cost each member 512
 * bytes a second, which is two hours among a thousand, and at least after four greetings.
 */
const announcePerMemberMs = 50
const greetingMs = announcePerMemberMs * members
/** What has waited for 30 s to be sent again is let go of. */
const drainMs = 45_000

const world = new World(members, { formsByHand: true, settings: { announcePerMemberMs } })
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
tell([
  { figure: 'members', value: members, unit: 'members' },
  { figure: 'all services known everywhere after', value: world.clock.now(), unit: 'ms (virtual)' },
  { figure: 'measured over', value: windowMs / 1_000, unit: 's (virtual)' },
])
// After the greetings nothing happens any more.
await world.pass(greetingMs + drainMs)

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
const unit = 'bytes a member and second'
tell([
  { figure: 'announcements meanwhile', value: announced() - announcedBefore, unit: 'messages' },
  { figure: 'with the registry', value: whole, unit },
])
await world.stopRegistries()
await world.pass(30_000)
const plain = await sent()

tell([
  { figure: 'gossip alone', value: plain, unit },
  { figure: 'the registry adds', value: whole - plain, unit, most: extraMax },
])
await world.stop()
