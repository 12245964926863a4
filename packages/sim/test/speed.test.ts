/** The network must cost little beside what runs on it. */
import type { Address } from '@kith/interface'
import { expect, it } from 'vitest'
import { createSimRandom, createVirtualClock, SimNetwork } from '../src/index.ts'
import type { SimHost } from '../src/index.ts'

it('carries five minutes of gossip of 64 members for little more than nothing', () => {
  const clock = createVirtualClock()
  const faults = { jitterMs: 10, loss: 0.05, duplicate: 0.01, reorder: 0.05 }
  const network = new SimNetwork({ seed: 1, clock, faults })
  const random = createSimRandom(1, 'load')
  const members: Address[] = Array.from({ length: 64 }, (_, index) => ({
    host: '10.0.0.1',
    port: index + 1,
  }))
  const message = new Uint8Array(300)
  const gossip = (host: SimHost): void => {
    for (let count = 0; count < 3; count += 1) host.send(random.pick(members), message)
    host.clock.after(200, () => gossip(host))
  }
  let received = 0
  for (const address of members) {
    gossip(network.attach(address, { packet: () => (received += 1) }))
  }
  const before = process.cpuUsage()
  clock.advanceTo(300_000)
  const used = process.cpuUsage(before)
  const processorMs = (used.user + used.system) / 1_000
  expect(network.stats.packetsSent).toBe(64 * 3 * 1_501)
  expect(received).toBeGreaterThan(250_000)
  // Processor time, because other work may share the machine; a bound against falling off a cliff.
  expect(processorMs).toBeLessThan(6_000)
  console.log(`64 members, 300 s, ${received} packets: ${processorMs.toFixed(0)} ms of processor`)
})
