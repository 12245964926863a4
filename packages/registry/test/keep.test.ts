/** What outlives a restart, and what is held back for a while. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CheckKind, ServiceInstance } from '@kith/interface'
import { createVirtualClock, type VirtualClock } from '@kith/sim'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createRegistry } from '../src/index.ts'
import type { Registry, RegistryOptions } from '../src/index.ts'
import { MemoryCluster } from './support/memory.ts'

let directory: string
let clock: VirtualClock
let cluster: MemoryCluster
let lives = 0
const running: Registry[] = []

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kith-keep-'))
  clock = createVirtualClock()
  cluster = new MemoryCluster(clock)
})

afterEach(async () => {
  for (const registry of running.splice(0)) await stop(registry)
  await rm(directory, { recursive: true })
})

function make(options: Partial<RegistryOptions> = {}, name = `life-${(lives += 1)}`): Registry {
  const port = cluster.add(name)
  const registry = createRegistry({ membership: port, extensions: port, clock, ...options })
  running.push(registry)
  return registry
}

/** Each life is a member of its own name, so that none is taken for another one. */
async function life(options: Partial<RegistryOptions> = {}): Promise<Registry> {
  const registry = make({ directory, ...options })
  await registry.start()
  return registry
}

/** Time has to pass for a stop that waits. */
async function stop(registry: Registry): Promise<void> {
  const abort = new AbortController()
  const pump = clock.pump(abort.signal)
  await registry.stop()
  abort.abort()
  await pump
}

const brief = (list: readonly ServiceInstance[]): unknown[] =>
  list.map(({ id, port, status }) => `${id}:${port} ${status}`)
const file = (): string => join(directory, 'registry-services.json')

describe('what is registered to stay', () => {
  it('REG-26: is there after a restart, and nothing else is', async () => {
    const first = await life()
    const ttl = { kind: 'ttl', initialStatus: 'passing' as const, intervalMs: 60_000 }
    await first.register({ service: 'web', id: 'w1', port: 1, checks: [ttl] }, { persist: true })
    await first.register({ service: 'web', id: 'w2', port: 2 }, { persist: true })
    await first.register({ service: 'web', id: 'own', port: 3 })
    await first.register({ service: 'web', id: 'gone', port: 4 }, { persist: true })
    await first.deregister('gone')
    first.setCheck('w1/ttl', 'critical', 'sick')
    await stop(first)

    const second = await life()
    expect(brief(second.own())).toEqual(['w1:1 passing', 'w2:2 passing'])
    expect(second.registration('w1')).toMatchObject({ persist: true, definition: { port: 1 } })
    // It registers itself from now on, and is nobody's to keep.
    await second.register({ service: 'web', id: 'w2', port: 22 })
    expect(second.registration('w2')?.persist).toBe(false)
    await stop(second)
    expect(brief((await life()).own())).toEqual(['w1:1 passing'])
  })

  it('REG-26: is gone with a deregistration for staying critical', async () => {
    const first = await life()
    const checks = [{ kind: 'ttl', deregisterCriticalAfterMs: 500 }]
    await first.register({ service: 'web', port: 1, checks }, { persist: true })
    await clock.run({ until: clock.now() + 1_000 })
    expect(first.own()).toEqual([])
    const kept = async (): Promise<unknown> => JSON.parse(await readFile(file(), 'utf8'))
    await expect.poll(kept, { timeout: 10_000 }).toMatchObject({ services: [] })
    await stop(first)
    expect((await life()).own()).toEqual([])
  })

  it('REG-26: whose kind of check is missing waits in the file for its return', async () => {
    const kind: CheckKind = {
      kind: 'weather',
      parse: () => ({}),
      run: () => Promise.resolve({ status: 'passing', output: 'dry' }),
    }
    const first = await life({ checkKinds: [kind] })
    const checks = [{ kind: 'weather' }]
    await first.register({ service: 'roof', port: 1, checks }, { persist: true })
    await stop(first)
    const errors: unknown[] = []
    const logger = {
      debug() {},
      info() {},
      warn() {},
      error: (_: object, text: string) => errors.push(text),
    }
    const second = await life({ logger: logger as never })
    expect(second.own()).toEqual([])
    expect(errors).toEqual([expect.stringContaining('cannot be registered again')])
    // Also where the file was written meanwhile.
    await second.register({ service: 'web', port: 2 }, { persist: true })
    await stop(second)
    const third = await life({ checkKinds: [kind] })
    expect(third.own().map(({ service }) => service)).toEqual(['roof', 'web'])
  })

  it('REG-26: is refused where it cannot be kept', async () => {
    const homeless = make()
    await homeless.start()
    const web = { service: 'web', port: 1 }
    const code = { code: 'ERR_REGISTRY_SERVICE_STORE' }
    await expect(homeless.register(web, { persist: true })).rejects.toMatchObject(code)
    expect(homeless.own()).toEqual([])
    const registry = await life()
    const checks = [{ kind: 'function', options: { run: () => undefined } }]
    await expect(registry.register({ ...web, checks }, { persist: true })).rejects.toMatchObject(
      code,
    )
    expect(registry.own()).toEqual([])
    const nothing = registry.register(undefined as never, { persist: true })
    await expect(nothing).rejects.toMatchObject({ code: 'ERR_REGISTRY_SERVICE' })
  })

  it.each(['', 'torn {', '[]', '{"format":2,"services":[]}', '{"format":1,"services":[7]}'])(
    'REG-26: a file that holds %j refuses the start and is named',
    async (text) => {
      await writeFile(file(), text)
      const registry = make({ directory })
      await expect(registry.start()).rejects.toThrow(/registry-services\.json.*repair or remove/)
      await rm(file())
      await registry.start()
      expect(registry.own()).toEqual([])
    },
  )
})

describe('maintenance', () => {
  it('REG-27: holds an instance back everywhere, with its reason, until it is over', async () => {
    const owner = make()
    const other = make()
    for (const registry of [owner, other]) await registry.start()
    const soon = (): Promise<unknown> => clock.run({ until: clock.now() + 2_000 })
    for (const id of ['w1', 'w2']) await owner.register({ service: 'web', id, port: 1 })
    await soon()
    await owner.maintain('new disk', 'w1')
    await soon()
    for (const registry of [owner, other]) {
      expect(registry.resolve('web').map(({ id }) => id)).toEqual(['w2'])
      const [held] = registry.resolve('web', { passing: false })
      expect(held).toMatchObject({ id: 'w1', status: 'critical' })
      expect(held?.checks).toEqual([
        { id: 'w1/maintenance', kind: 'maintenance', status: 'critical', output: 'new disk' },
      ])
    }
    await owner.register({ service: 'web', id: 'w1', port: 11 })
    await soon()
    expect(brief(other.resolve('web', { passing: false }))).toEqual([
      'w1:11 critical',
      'w2:1 passing',
    ])
    await owner.resume('w1')
    await soon()
    expect(brief(other.resolve('web'))).toEqual(['w1:11 passing', 'w2:1 passing'])
  })

  it('REG-27: of the member holds back all it has and gets', async () => {
    const registry = make()
    await registry.start()
    await registry.register({ service: 'web', id: 'w1', port: 1 })
    await registry.maintain('moving house')
    await registry.register({ service: 'web', id: 'w2', port: 1 })
    await registry.maintain('new disk', 'w1')
    expect(registry.resolve('web')).toEqual([])
    await registry.resume()
    expect(registry.resolve('web').map(({ id }) => id)).toEqual(['w2'])
    await registry.resume('w1')
    expect(registry.resolve('web')).toHaveLength(2)
  })

  it('REG-27: outlives a restart, with sixteen checks beside it', async () => {
    const first = await life()
    const checks = Array.from({ length: 16 }, (_, index) => ({
      kind: 'ttl',
      name: `c${index}`,
      initialStatus: 'passing' as const,
    }))
    await first.register({ service: 'web', port: 1, checks }, { persist: true })
    await first.maintain('new disk', 'web')
    await stop(first)
    const second = await life()
    const far = make()
    await far.start()
    await clock.run({ until: clock.now() + 2_000 })
    const [held] = far.resolve('web', { passing: false })
    expect(held?.checks).toHaveLength(17)
    expect(held?.checks.at(-1)?.output).toBe('new disk')
    await second.resume('web')
    expect(second.resolve('web')).toHaveLength(1)
  })

  it('REG-27: bad words are refused by name', async () => {
    const registry = make()
    await registry.start()
    await expect(registry.maintain('')).rejects.toThrow('reason')
    await expect(registry.maintain('x'.repeat(257))).rejects.toThrow('reason')
    const unknown = { code: 'ERR_REGISTRY_UNKNOWN_INSTANCE' }
    await expect(registry.maintain('x', 'nobody')).rejects.toMatchObject(unknown)
    await expect(registry.resume('nobody')).rejects.toMatchObject(unknown)
    const checks = [{ kind: 'ttl', name: 'maintenance' }]
    const named = registry.register({ service: 'web', port: 1, checks })
    await expect(named).rejects.toThrow('checks[0].name')
  })
})
