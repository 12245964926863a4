/** A registry whose host refuses what it asks for. */
import { KithError, type Logger, silentLogger } from '@kith/interface'
import { createVirtualClock } from '@kith/sim'
import { describe, expect, it, vi } from 'vitest'
import { createRegistry } from '../src/index.ts'
import { endInTime, MemoryCluster } from './support/memory.ts'

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
