/** What becomes of services whose member is reached at another address while it runs. */
import { type CheckKind, type CheckTarget } from '@kith/interface'
import { createVirtualClock, type VirtualClock } from '@kith/sim'
import { afterEach, describe, expect, it } from 'vitest'
import { createRegistry, type Registry } from '../src/index.ts'
import { MemoryCluster, type MemoryPort } from './support/memory.ts'

const undo: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each()
})

/** Asks whatever it was told to ask, and remembers whom. */
function asking(asked: string[]): CheckKind {
  return {
    kind: 'asking',
    parse: (_options, { address, port }: CheckTarget) => `${address}:${port}`,
    run: async (target) => {
      asked.push(target as string)
      return { status: 'passing', output: '' }
    },
  }
}

interface Pair {
  readonly clock: VirtualClock
  readonly port: MemoryPort
  readonly own: Registry
  readonly other: Registry
}

async function pair(asked: string[] = []): Promise<Pair> {
  const clock = createVirtualClock()
  const cluster = new MemoryCluster(clock)
  const start = async (name: string): Promise<[MemoryPort, Registry]> => {
    const port = cluster.add(name)
    const both = { membership: port, extensions: port, clock, random: cluster.random }
    const registry = createRegistry({ ...both, checkKinds: [asking(asked)] })
    await registry.start()
    undo.push(async () => {
      const abort = new AbortController()
      const pump = clock.pump(abort.signal)
      await registry.stop()
      abort.abort()
      await pump
    })
    return [port, registry]
  }
  const [port, own] = await start('a')
  const [, other] = await start('b')
  return { clock, port, own, other }
}

const addressesOf = (registry: Registry, passing: boolean): readonly string[] =>
  registry.resolve('web', { passing }).map(({ id, address }) => `${id} ${address}`)

describe('a member that moves', () => {
  it('REG-32: takes the services with it that had its own address, and no others', async () => {
    const { clock, port, own, other } = await pair()
    await own.register({ service: 'web', port: 80 })
    await own.register({ service: 'web', id: 'behind', address: '10.0.0.1', port: 80 })
    await clock.run({ until: 1_000 })
    port.move('10.0.0.2')
    await clock.run({ until: 2_000 })
    for (const registry of [own, other]) {
      expect(addressesOf(registry, true)).toEqual(['behind 10.0.0.1', 'web 10.0.0.2'])
    }
    // And back, and what is registered meanwhile.
    port.move('10.0.0.3')
    await own.register({ service: 'web', id: 'new', port: 81 })
    port.move('10.0.0.1')
    await clock.run({ until: 3_000 })
    const all = ['behind 10.0.0.1', 'new 10.0.0.1', 'web 10.0.0.1']
    expect(addressesOf(other, true)).toEqual(all)
    // Nothing is said where nothing changed.
    const { broadcastsSent } = own.stats()
    port.move('10.0.0.1')
    await clock.run({ until: 4_000 })
    expect(own.stats().broadcastsSent).toBe(broadcastsSent)
  })

  it('REG-32: keeps their status, and checks them where they are', async () => {
    const asked: string[] = []
    const { clock, port, own, other } = await pair(asked)
    const checks = [
      { kind: 'asking', intervalMs: 1_000 },
      { kind: 'ttl', intervalMs: 60_000 },
    ]
    await own.register({ service: 'web', port: 80, checks })
    own.setCheck('web/ttl', 'passing', 'fine')
    await own.register({ service: 'web', id: 'held', port: 81 })
    await own.maintain('an upgrade', 'held')
    await clock.run({ until: 3_000 })
    expect(addressesOf(other, true)).toEqual(['web 10.0.0.1'])
    const statuses: string[] = []
    own.on('check', ({ id, status }) => statuses.push(`${id} ${status}`))
    asked.splice(0)
    port.move('10.0.0.2')
    await clock.run({ until: 6_000 })
    expect(addressesOf(other, true)).toEqual(['web 10.0.0.2'])
    expect(addressesOf(other, false)).toEqual(['held 10.0.0.2', 'web 10.0.0.2'])
    expect(statuses).toEqual([])
    expect(new Set(asked)).toEqual(new Set(['10.0.0.2:80']))
  })
})
