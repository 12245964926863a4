// Members over a simulated network and virtual time: minutes pass in milliseconds.
import { createRandom } from '@kith/interface'
import type { Address } from '@kith/interface'
import { createVirtualClock, SimNetwork } from '@kith/sim'
import type { VirtualClock } from '@kith/sim'
import { createGossip } from '../../src/index.ts'
import type { Gossip, GossipOptions } from '../../src/index.ts'

export interface Place {
  readonly clock: VirtualClock
  readonly network: SimNetwork
  /** A member at 10.0.0.<number>:7946, not started. */
  gossip(number: number, options?: GossipOptions): Gossip
  /** Lets time pass until `promise` settles. */
  until<Value>(promise: Promise<Value>): Promise<Value>
  /** Lets time pass until `condition` holds; fails after `withinMs` of virtual time. */
  eventually(condition: () => boolean, withinMs?: number): Promise<void>
  advance(ms: number): Promise<void>
}

export function at(number: number): Address {
  return { host: `10.0.0.${number}`, port: 7946 }
}

export function text(number: number): string {
  return `10.0.0.${number}:7946`
}

export function createPlace(seed = 1): Place {
  const clock = createVirtualClock()
  const network = new SimNetwork({ seed, clock })
  return {
    clock,
    network,
    gossip: (number, options = {}) =>
      createGossip({
        name: `m${number}`,
        packets: network.packetTransport(at(number)),
        streams: network.streamTransport(at(number)),
        ...options,
        context: {
          clock: network.clockAt(at(number)),
          random: createRandom(seed * 1000 + number),
          ...options.context,
        },
      }),
    async until(promise) {
      const done = new AbortController()
      const running = clock.pump(done.signal)
      try {
        return await promise
      } finally {
        done.abort()
        await running
      }
    },
    async eventually(condition, withinMs = 60_000) {
      const until = clock.now() + withinMs
      await clock.run({ until, stopWhen: condition })
      if (!condition()) throw new Error(`not within ${withinMs} ms`)
    },
    advance: (ms) => clock.run({ until: clock.now() + ms }),
  }
}

export async function startAll(place: Place, members: readonly Gossip[]): Promise<void> {
  await place.until(Promise.all(members.map((member) => member.start())))
}

/** Started members, joined through the first one, all seeing all. */
export async function cluster(
  place: Place,
  count: number,
  options: GossipOptions = {},
): Promise<readonly Gossip[]> {
  const members = Array.from({ length: count }, (_, index) => place.gossip(index + 1, options))
  await startAll(place, members)
  for (const member of members.slice(1)) await place.until(member.join([text(1)]))
  await place.eventually(() => members.every((member) => alive(member) === count))
  return members
}

export function alive(member: Gossip): number {
  return member.members().filter(({ status }) => status === 'alive').length
}

export function status(member: Gossip, name: string): string | undefined {
  return member.member(name)?.status
}

export async function stopAll(place: Place, members: readonly Gossip[]): Promise<void> {
  await place.until(Promise.all(members.map((member) => member.stop())))
}
