/** A registry whose host refuses what it asks for. */
import { KithError, type Logger, silentLogger } from '@kith/interface'
import { createVirtualClock, type VirtualClock } from '@kith/sim'
import { describe, expect, it, vi } from 'vitest'
import { createRegistry, type Registry } from '../src/index.ts'
import { MemoryCluster } from './support/memory.ts'

/** Time has to pass for a stop that waits. */
async function endInTime(registry: Registry, clock: VirtualClock): Promise<void> {
  const abort = new AbortController()
  const pump = clock.pump(abort.signal)
  await registry.stop()
  abort.abort()
  await pump
}

describe('a host that refuses', () => {
  it('leaves nothing begun where the host refuses the extension, and can start later', async () => {
    const clock = createVirtualClock()
    const port = new MemoryCluster(clock).add('a')
    const { extend } = port
    port.extend = () => {
      throw new Error('the name is taken')
    }
    const registry = createRegistry({ membership: port, extensions: port, clock })
    await expect(registry.start()).rejects.toThrow('the name is taken')
    expect(clock.pendingTimers).toBe(0)
    port.extend = extend
    await registry.start()
    await registry.register({ service: 'web', port: 1 })
    expect(registry.resolve('web')).toHaveLength(1)
    await endInTime(registry, clock)
  })

  it.each([
    ['ERR_TEST_HOST', 1],
    ['ERR_GOSSIP_LEFT', 0],
  ])('goes on where a listener throws, and a broadcast is refused as %s', async (code, warned) => {
    const clock = createVirtualClock()
    const logger = { ...silentLogger, warn: vi.fn<Logger['warn']>() }
    const port = new MemoryCluster(clock).add('a')
    const registry = createRegistry({ membership: port, extensions: port, clock, logger })
    await registry.start()
    registry.on('change', () => {
      throw new Error('listener')
    })
    const broadcast = vi.spyOn(port, 'broadcast').mockImplementation(() => {
      throw new KithError(code, 'refused')
    })
    await registry.register({ service: 'web', port: 1 })
    await clock.run({ until: 1_000 })
    expect(registry.resolve('web')).toHaveLength(1)
    await endInTime(registry, clock)
    expect(broadcast).toHaveBeenCalled()
    expect(logger.warn).toHaveBeenCalledTimes(warned * broadcast.mock.calls.length)
  })
})
