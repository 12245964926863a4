/**
 * What a seed means is pinned: a change here makes every recorded seed of every scenario mean
 * something else, which may be right, but has to be seen. `KITH_UPDATE=1` writes the file anew.
 */
import { fileURLToPath } from 'node:url'
import type { Address } from '@kith/interface'
import { it } from 'vitest'
import { createSimRandom, createVirtualClock, SimNetwork, Transcript } from '../src/index.ts'

const golden = fileURLToPath(new URL('golden/three-members.txt', import.meta.url))
const names = ['ada', 'ben', 'eve']
const addresses: readonly Address[] = names.map((_, index) => ({
  host: '10.0.0.1',
  port: index + 1,
}))
const nameOf = (address: Address): string => names[address.port - 1] ?? '?'

it('three members, every fault: the same transcript on every machine', () => {
  const clock = createVirtualClock()
  const faults = { jitterMs: 8, loss: 0.1, duplicate: 0.1, reorder: 0.2, corrupt: 0.1 }
  const network = new SimNetwork({ seed: 20_26, clock, faults, packetBytesMax: 100 })
  const random = createSimRandom(20_26, 'golden')
  const transcript = new Transcript()
  network.tap(({ at, kind, from, to, bytes }) => {
    const hex = Buffer.from(bytes).toString('hex')
    transcript.add(at, nameOf(from), `${kind} ${nameOf(to)} ${hex}`.trimEnd())
  })
  const attach = (address: Address): void => {
    const host = network.attach(address, {
      packet: () => {},
      request: (_, bytes, reply) => reply.send(bytes.toReversed()),
    })
    const talk = (round: number): void => {
      const to = random.pick(addresses)
      host.send(to, Uint8Array.of(round, random.below(256)))
      if (round % 3 === 0) host.request(to, Uint8Array.of(round, 1), { timeoutMs: 80 }, () => {})
      if (round < 12) host.clock.after(10, () => talk(round + 1))
    }
    talk(1)
  }
  const [ada, ben, eve] = addresses as [Address, Address, Address]
  for (const address of addresses) attach(address)
  clock.after(30, () => network.pause(ben))
  clock.after(60, () => network.resume(ben))
  clock.after(50, () => network.crash(eve))
  clock.after(90, () => attach(eve))
  const heal = network.block([ada], [ben])
  clock.after(70, heal)
  clock.advanceTo(500)
  transcript.add(clock.now(), 'all', `digest ${network.traceDigest()}`)
  transcript.expectGolden(golden)
})
