/** Memory streams under the faults that the shared suite does not know. */
import type { Address, ByteStream } from '@kith/interface'
import { silentLogger } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { createSimRandom, createVirtualClock, SimNetwork } from '../src/index.ts'
import type { LinkFaults, VirtualClock } from '../src/index.ts'

const a: Address = { host: '10.0.0.1', port: 1 }
const b: Address = { host: '10.0.0.2', port: 1 }

async function setUp(faults: Partial<LinkFaults> = {}) {
  const clock = createVirtualClock()
  const network = new SimNetwork({ seed: 3, clock, faults })
  const random = createSimRandom(3, 'context')
  const context = (address: Address) => ({
    clock: network.clockAt(address),
    random,
    logger: silentLogger,
  })
  const accepted: ByteStream[] = []
  const caller = network.streamTransport(a)(context(a))
  const callee = network.streamTransport(b)(context(b))
  await caller.start({ stream: (stream) => stream.destroy() })
  await callee.start({ stream: (stream) => accepted.push(stream) })
  const connecting = caller.connect(b)
  await clock.run({ until: clock.now() + 5_000, stopWhen: () => accepted.length > 0 })
  const near = await connecting
  return { clock, network, caller, callee, near, far: accepted[0] as ByteStream }
}

/** What a promise came to by `until`, or that it waits. */
async function after(clock: VirtualClock, ms: number, promise: Promise<unknown>): Promise<string> {
  let state = 'waits'
  promise.then(
    (value) => (state = value === undefined ? 'end' : 'bytes'),
    () => (state = 'broken'),
  )
  await clock.run({ until: clock.now() + ms })
  return state
}

describe('memory streams', () => {
  it('stall behind a partition and go on when it heals', async () => {
    const { clock, network, near, far } = await setUp()
    const heal = network.block([a], [b])
    await near.write(Uint8Array.of(1))
    const read = far.read()
    expect(await after(clock, 3_000, read)).toBe('waits')
    heal()
    expect(await after(clock, 10_000, read)).toBe('bytes')
    expect(network.stats.retransmitted).toBeGreaterThan(2)
  })

  it('break when the far process dies, and say nothing when its machine does', async () => {
    const quick = await setUp()
    quick.network.crash(b)
    expect(await after(quick.clock, 1_000, quick.near.read())).toBe('broken')
    const silent = await setUp()
    silent.network.crash(b, { afterwards: 'swallow' })
    expect(await after(silent.clock, 60_000, silent.near.read())).toBe('waits')
  })

  it('wake nobody of a life that ended', async () => {
    const { clock, network, far, near } = await setUp()
    const read = far.read()
    network.crash(b)
    await near.write(Uint8Array.of(1)).catch(() => {})
    expect(await after(clock, 10_000, read)).toBe('waits')
  })

  it('are taken for a paused process, which answers when it goes on', async () => {
    const { clock, network, near, far } = await setUp()
    network.pause(b)
    await near.write(Uint8Array.of(1))
    const read = far.read()
    expect(await after(clock, 1_000, read)).toBe('waits')
    network.resume(b)
    expect(await after(clock, 10, read)).toBe('bytes')
  })

  it('cut what is written into segments, so that framing meets every seam', async () => {
    const { clock, near, far } = await setUp()
    const written = near.write(new Uint8Array(60_000)).then(() => near.end())
    const sizes: number[] = []
    const reading = (async () => {
      for (let bytes = await far.read(); bytes !== undefined; bytes = await far.read()) {
        sizes.push(bytes.length)
      }
    })()
    await clock.run({ until: clock.now() + 1_000 })
    await Promise.all([written, reading])
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(60_000)
    expect(sizes.length).toBeGreaterThan(4)
  })
})
