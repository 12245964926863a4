/** Whole registries over an in-memory cluster that loses, repeats and reorders, in virtual time. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CheckKind, isKithError, type ServiceInstance } from '@kith/interface'
import { createVirtualClock, type VirtualClock } from '@kith/sim'
import { afterEach, describe, expect, it } from 'vitest'
import { createRegistry, type Registry, type RegistryOptions } from '../src/index.ts'
import { endInTime, MemoryCluster, type MemoryPort } from './support/memory.ts'

const undo: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each()
})

interface Party {
  readonly name: string
  readonly port: MemoryPort
  readonly registry: Registry
}

async function party(
  cluster: MemoryCluster,
  clock: VirtualClock,
  name: string,
  options: Partial<RegistryOptions> = {},
): Promise<Party> {
  const port = cluster.add(name)
  const registry = createRegistry({
    membership: port,
    extensions: port,
    clock,
    random: cluster.random,
    ...options,
  })
  undo.push(() => endInTime(registry, clock))
  await registry.start()
  return { name, port, registry }
}

async function trio(): Promise<{ clock: VirtualClock; cluster: MemoryCluster; parties: Party[] }> {
  const clock = createVirtualClock()
  const cluster = new MemoryCluster(clock)
  const parties: Party[] = []
  for (const name of ['a', 'b', 'c']) parties.push(await party(cluster, clock, name))
  return { clock, cluster, parties }
}

const idsOf = (list: readonly ServiceInstance[]): string[] =>
  list.map(({ member, id }) => `${member}/${id}`)

async function codeOf(run: () => unknown): Promise<string> {
  try {
    await run()
    return 'nothing'
  } catch (cause) {
    return isKithError(cause) ? cause.code : String(cause)
  }
}

describe('a cluster', () => {
  it('REG-15: resolves what one member registered at all members, in order', async () => {
    const { clock, parties } = await trio()
    for (const { registry } of parties) await registry.register({ service: 'web', port: 80 })
    await clock.run({ until: 1_000 })
    for (const { registry } of parties) {
      expect(idsOf(registry.resolve('web'))).toEqual(['a/web', 'b/web', 'c/web'])
      expect([...registry.services()]).toEqual([['web', 3]])
      expect(registry.resolve('web')[0]).toMatchObject({
        address: '10.0.0.1',
        port: 80,
        status: 'passing',
      })
    }
  })

  it('REG-3: agrees in spite of loss, repetition and reordering', async () => {
    const { clock, cluster, parties } = await trio()
    Object.assign(cluster.faults, { loss: 0.3, duplicate: 0.3, delayMs: 400 })
    for (let turn = 0; turn < 60; turn += 1) {
      const { registry } = parties[turn % 3] as Party
      const id = `i${turn % 5}`
      if (turn % 4 === 3) await registry.deregister(id).catch(() => undefined)
      else await registry.register({ service: 'web', id, port: 1 + turn })
      await clock.run({ until: clock.now() + 150 })
      parties[turn % 3]?.port.exchange('registry', (parties[(turn + 1) % 3] as Party).port)
    }
    Object.assign(cluster.faults, { loss: 0, duplicate: 0 })
    for (let round = 0; round < 6; round += 1) {
      parties[0]?.port.exchange('registry', (parties[1] as Party).port)
      parties[1]?.port.exchange('registry', (parties[2] as Party).port)
      await clock.run({ until: clock.now() + 3_000 })
    }
    const views = parties.map(({ registry }) => registry.resolve('web', { passing: false }))
    const plain = (list: readonly ServiceInstance[]): string[] =>
      list.map(({ member, id, port }) => `${member}/${id}:${port}`)
    expect(plain(views[1] ?? [])).toEqual(plain(views[0] ?? []))
    expect(plain(views[2] ?? [])).toEqual(plain(views[0] ?? []))
    const truth = parties.flatMap(({ registry }) => registry.own())
    expect(plain(views[0] ?? []).sort()).toEqual(plain(truth).sort())
    expect(cluster.counts.lost).toBeGreaterThan(10)
    expect(cluster.counts.duplicated).toBeGreaterThan(10)
  })

  it('REG-7 and REG-9: hands out nothing of members that failed or left', async () => {
    const { clock, cluster, parties } = await trio()
    for (const { registry } of parties) await registry.register({ service: 'web', port: 80 })
    await clock.run({ until: 1_000 })
    const [a] = parties as [Party, Party, Party]
    cluster.tell('b', 'failed')
    expect(idsOf(a.registry.resolve('web'))).toEqual(['a/web', 'c/web'])
    cluster.tell('c', 'left')
    expect(idsOf(a.registry.resolve('web', { passing: false }))).toEqual(['a/web'])
    cluster.tell('b', 'alive')
    await clock.run({ until: 3_000 })
    expect(idsOf(a.registry.resolve('web'))).toEqual(['a/web', 'b/web'])
  })

  it('REG-10: drains at once everywhere, and keeps its registrations', async () => {
    const { clock, parties } = await trio()
    const [a, b] = parties as [Party, Party, Party]
    await a.registry.register({ service: 'web', port: 80 })
    await clock.run({ until: 1_000 })
    await a.registry.drain()
    expect([a.registry.resolve('web'), a.registry.own().length]).toEqual([[], 1])
    await clock.run({ until: 1_010 })
    expect(b.registry.resolve('web')).toEqual([])
  })

  it('REG-4: carries an instance larger than a broadcast', async () => {
    const { clock, parties } = await trio()
    const meta = { text: 'x'.repeat(1_000), more: 'y'.repeat(1_000) }
    await parties[0]?.registry.register({ service: 'web', port: 80, meta })
    await clock.run({ until: 3_000 })
    expect(parties[2]?.registry.resolve('web')[0]?.meta).toEqual(meta)
    expect(parties[2]?.registry.stats().fetches).toBeGreaterThan(0)
  })

  it('REG-6: a late member knows all soon, also where no fetch and no exchange gets through', async () => {
    const { clock, cluster, parties } = await trio()
    for (const { registry } of parties) await registry.register({ service: 'web', port: 80 })
    await clock.run({ until: 5_000 })
    const late = await party(cluster, clock, 'd')
    late.port.fetch = () => Promise.reject(new Error('no way'))
    await clock.run({ until: 5_000 + 100 + 4 * 250 + 50 })
    expect(idsOf(late.registry.resolve('web'))).toEqual(['a/web', 'b/web', 'c/web'])
  })
})

describe('one registry', () => {
  it('REG-15: narrows by tags and limit, shows other statuses when asked, and repeats its answer', async () => {
    const clock = createVirtualClock()
    const { registry } = await party(new MemoryCluster(clock), clock, 'a')
    await registry.register({ service: 'web', id: 'w1', port: 1, tags: ['eu', 'v2'] })
    await registry.register({ service: 'web', id: 'w2', port: 2, tags: ['eu'] })
    await registry.register({ service: 'web', id: 'w3', port: 3, checks: [{ kind: 'ttl' }] })
    expect(idsOf(registry.resolve('web'))).toEqual(['a/w1', 'a/w2'])
    expect(registry.resolve('web')).toBe(registry.resolve('web'))
    expect(idsOf(registry.resolve('web', { tags: ['eu', 'v2'] }))).toEqual(['a/w1'])
    expect(idsOf(registry.resolve('web', { passing: false, limit: 2 }))).toEqual(['a/w1', 'a/w2'])
    expect(idsOf(registry.resolve('web', { passing: false }))).toEqual(['a/w1', 'a/w2', 'a/w3'])
    registry.setCheck('w3/ttl', 'passing', 'ready')
    expect(registry.resolve('web')).toHaveLength(3)
    expect(registry.checks()).toEqual([
      { id: 'w3/ttl', kind: 'ttl', status: 'passing', output: 'ready' },
    ])
    expect([registry.resolve('nothing'), registry.pick('nothing')]).toEqual([[], undefined])
    expect(registry.instances()).toHaveLength(3)
  })

  it('REG-17: picks in turn, and at random, only what resolves', async () => {
    const clock = createVirtualClock()
    const { registry } = await party(new MemoryCluster(clock), clock, 'a')
    for (const id of ['w1', 'w2', 'w3']) await registry.register({ service: 'web', id, port: 1 })
    await registry.register({ service: 'web', id: 'sick', port: 1, checks: [{ kind: 'ttl' }] })
    const turns = Array.from({ length: 6 }, () => registry.pick('web')?.id)
    expect(turns).toEqual(['w1', 'w2', 'w3', 'w1', 'w2', 'w3'])
    const drawn = new Set(
      Array.from({ length: 60 }, () => registry.pick('web', { strategy: 'random' })?.id),
    )
    expect(drawn).toEqual(new Set(['w1', 'w2', 'w3']))
    using lease = registry.lease('web', { strategy: 'least-loaded' })
    expect(['w1', 'w2', 'w3']).toContain(lease?.instance.id)
    expect(registry.lease('nothing')).toBeUndefined()
  })

  it('REG-25: resolve and pick go by the round trips that they are given', async () => {
    const clock = createVirtualClock()
    const cluster = new MemoryCluster(clock)
    const far: Record<string, number> = { b: 30, c: 10 }
    const { registry } = await party(cluster, clock, 'a', { rtt: (_, to) => far[to] })
    const others = [await party(cluster, clock, 'b'), await party(cluster, clock, 'c')]
    for (const each of others) await each.registry.register({ service: 'web', port: 1 })
    await clock.run({ until: 5_000 })
    expect(idsOf(registry.resolve('web', { near: 'a' }))).toEqual(['c/web', 'b/web'])
    expect(idsOf(registry.resolve('web'))).toEqual(['b/web', 'c/web'])
    expect(registry.pick('web', { strategy: 'nearest' })?.member).toBe('c')
  })

  it('REG-16: watch gives the current state first, then the latest, and ends when told', async () => {
    const clock = createVirtualClock()
    const { registry } = await party(new MemoryCluster(clock), clock, 'a')
    await registry.register({ service: 'web', id: 'w1', port: 1 })
    const abort = new AbortController()
    const seen: string[][] = []
    let gotSecond = (): void => {}
    const second = new Promise<void>((resolve) => {
      gotSecond = resolve
    })
    const watching = (async () => {
      for await (const list of registry.watch('web', { signal: abort.signal })) {
        seen.push(idsOf(list))
        if (seen.length === 2) gotSecond()
      }
    })()
    await registry.register({ service: 'other', port: 1 })
    // Three changes before the consumer's next turn are one.
    await Promise.all(
      ['w2', 'w3', 'w4'].map((id) => registry.register({ service: 'web', id, port: 1 })),
    )
    await second
    abort.abort()
    await watching
    expect(seen).toEqual([['a/w1'], ['a/w1', 'a/w2', 'a/w3', 'a/w4']])
  })

  it('REG-16: watch ends when the registry stops', async () => {
    const clock = createVirtualClock()
    const { registry } = await party(new MemoryCluster(clock), clock, 'a')
    const seen: number[] = []
    const watching = (async () => {
      for await (const list of registry.watch('web')) seen.push(list.length)
    })()
    await Promise.resolve()
    await endInTime(registry, clock)
    await watching
    expect(seen).toEqual([0])
  })

  it('REG-16: an abandoned watch leaves nothing behind', async () => {
    const clock = createVirtualClock()
    const { registry } = await party(new MemoryCluster(clock), clock, 'a')
    for (let turn = 0; turn < 100; turn += 1) {
      for await (const list of registry.watch('web')) {
        expect(list).toEqual([])
        break
      }
    }
    await registry.register({ service: 'web', port: 1 })
    expect(registry.resolve('web')).toHaveLength(1)
  })

  it('REG-11: runs a check kind of a plugin one at a time, and follows what it says', async () => {
    const clock = createVirtualClock()
    let open = 0
    let most = 0
    let answer: 'passing' | 'critical' = 'passing'
    const slow: CheckKind<{ word: string }> = {
      kind: 'slow',
      parse: (options) => ({ word: String(options) }),
      async run({ word }, _signal, context) {
        open += 1
        most = Math.max(most, open)
        await new Promise<void>((resolve) => void context.clock.after(1_500, resolve))
        open -= 1
        if (answer === 'critical') throw new Error(`not ${word}`)
        return { status: answer, output: word }
      },
    }
    const { registry } = await party(new MemoryCluster(clock), clock, 'a', { checkKinds: [slow] })
    const events: string[] = []
    registry.on('check', ({ id, status, previous, output }) => {
      events.push(`${id} ${previous} to ${status}: ${output}`)
    })
    await registry.register({
      service: 'web',
      port: 1,
      checks: [{ kind: 'slow', options: 'well', intervalMs: 1_000, timeoutMs: 5_000 }],
    })
    await clock.run({ until: 10_000 })
    expect(registry.resolve('web')).toHaveLength(1)
    answer = 'critical'
    await clock.run({ until: 14_000 })
    expect([registry.resolve('web').length, most]).toEqual([0, 1])
    expect(events).toEqual([
      'web/slow critical to passing: well',
      'web/slow passing to critical: not well',
    ])
  })

  it('REG-12: reports an instance that was critical for too long', async () => {
    const clock = createVirtualClock()
    const { registry } = await party(new MemoryCluster(clock), clock, 'a')
    const gone: string[] = []
    registry.on('deregister', ({ id, reason }) => gone.push(`${id} ${reason}`))
    await registry.register({
      service: 'web',
      port: 1,
      checks: [{ kind: 'ttl', intervalMs: 1_000, deregisterCriticalAfterMs: 2_000 }],
    })
    await clock.run({ until: 2_100 })
    expect([gone, registry.own()]).toEqual([['web critical'], []])
  })

  it('stops within its bound although a check never ends', async () => {
    const clock = createVirtualClock()
    const stuck: CheckKind = { kind: 'stuck', parse: () => ({}), run: () => new Promise(() => {}) }
    const { registry } = await party(new MemoryCluster(clock), clock, 'a', { checkKinds: [stuck] })
    await registry.register({ service: 'web', port: 1, checks: [{ kind: 'stuck' }] })
    await clock.run({ until: 1_000 })
    expect(registry.stats().checkRuns).toBe(1)
    await endInTime(registry, clock)
    expect(clock.now()).toBeLessThanOrEqual(2_000)
    await registry.stop()
  })

  it('says what is wrong with calls at the wrong time or about unknown things', async () => {
    const clock = createVirtualClock()
    const port = new MemoryCluster(clock).add('a')
    const fresh = createRegistry({ membership: port, extensions: port, clock })
    expect(await codeOf(() => fresh.register({ service: 'web', port: 1 }))).toBe(
      'ERR_REGISTRY_NOT_RUNNING',
    )
    expect([fresh.resolve('web'), fresh.services().size, fresh.stats().members]).toEqual([[], 0, 0])
    await fresh.start()
    expect(await codeOf(() => fresh.start())).toBe('ERR_REGISTRY_NOT_RUNNING')
    expect(await codeOf(() => fresh.deregister('web'))).toBe('ERR_REGISTRY_UNKNOWN_INSTANCE')
    expect(await codeOf(() => fresh.setCheck('web/ttl', 'passing'))).toBe(
      'ERR_REGISTRY_UNKNOWN_CHECK',
    )
    await fresh.register({ service: 'web', port: 1, checks: [{ kind: 'tcp' }, { kind: 'ttl' }] })
    expect(await codeOf(() => fresh.setCheck('web/tcp', 'passing'))).toBe(
      'ERR_REGISTRY_CHECK_NOT_SETTABLE',
    )
    expect(await codeOf(() => fresh.setCheck('web/ttl', 'fine' as never))).toBe(
      'ERR_REGISTRY_OPTIONS',
    )
    await endInTime(fresh, clock)
    expect(await codeOf(() => fresh.register({ service: 'web', port: 1 }))).toBe(
      'ERR_REGISTRY_NOT_RUNNING',
    )
    expect(await codeOf(() => fresh.start())).toBe('ERR_REGISTRY_NOT_RUNNING')
    expect(await codeOf(() => createRegistry({} as never))).toBe('ERR_REGISTRY_OPTIONS')
    expect(
      await codeOf(() =>
        createRegistry({
          membership: port,
          extensions: port,
          settings: { gapMs: -1, membersMax: 0.5 } as never,
        }),
      ),
    ).toBe('ERR_REGISTRY_OPTIONS')
    expect(
      await codeOf(() =>
        createRegistry({
          membership: port,
          extensions: port,
          checkKinds: [{ kind: 'No' } as never],
        }),
      ),
    ).toBe('ERR_REGISTRY_OPTIONS')
  })

  it('REG-18: refuses more instances than its limits and changes nothing then', async () => {
    const clock = createVirtualClock()
    const settings = { servicesPerMemberMax: 2, memberBytesMax: 32_768 }
    const { registry } = await party(new MemoryCluster(clock), clock, 'a', { settings })
    await registry.register({ service: 'web', id: 'w1', port: 1 })
    await registry.register({ service: 'web', id: 'w2', port: 1 })
    expect(await codeOf(() => registry.register({ service: 'web', id: 'w3', port: 1 }))).toBe(
      'ERR_REGISTRY_LIMIT',
    )
    await registry.register({ service: 'web', id: 'w2', port: 2 })
    expect(registry.own().map(({ id, port }) => `${id}:${port}`)).toEqual(['w1:1', 'w2:2'])
  })

  it('REG-18: gives an instance as it was registered, until it is taken down', async () => {
    const clock = createVirtualClock()
    const { registry } = await party(new MemoryCluster(clock), clock, 'a')
    expect(registry.registration('web')).toBeUndefined()
    const run = (): void => {}
    const first = { service: 'web', port: 1, checks: [{ kind: 'function', options: { run } }] }
    await registry.register(first)
    expect(registry.registration('web')).toEqual({ definition: first, persist: false })
    const second = { service: 'web', port: 2 }
    await registry.register(second)
    expect(registry.registration('web')?.definition).toEqual(second)
    await expect(registry.register({ service: 'web', port: 0 })).rejects.toThrow('port')
    expect(registry.registration('web')?.definition).toEqual(second)
    await registry.deregister('web')
    expect(registry.registration('web')).toBeUndefined()
  })

  it('carries out a call from a listener after what was under way', async () => {
    const clock = createVirtualClock()
    const { registry } = await party(new MemoryCluster(clock), clock, 'a')
    const changes: string[] = []
    registry.on('change', ({ service }) => {
      changes.push(service)
      if (service === 'web') void registry.register({ service: 'second', port: 2 })
    })
    await registry.register({ service: 'web', port: 1 })
    expect([changes, [...registry.services().keys()]]).toEqual([
      ['web', 'second'],
      ['second', 'web'],
    ])
  })
})

describe('the epoch', () => {
  it('REG-2: is kept in the directory and always goes up', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'kith-registry-'))
    undo.push(() => rm(directory, { recursive: true }))
    const clock = createVirtualClock()
    const kept = async (): Promise<number> =>
      Number(await readFile(join(directory, 'registry-epoch'), 'utf8'))
    const start = async (): Promise<void> => {
      const port = new MemoryCluster(clock).add('a')
      const registry = createRegistry({ membership: port, extensions: port, clock, directory })
      await registry.start()
      await endInTime(registry, clock)
    }
    await start()
    const first = await kept()
    expect(first).toBe(clock.wallNow())
    await start()
    expect(await kept()).toBeGreaterThan(first)
    await writeFile(join(directory, 'registry-epoch'), '9999999999999\n')
    await start()
    expect(await kept()).toBe(10_000_000_000_000)
    await writeFile(join(directory, 'registry-epoch'), 'torn')
    await start()
    expect(await kept()).toBe(clock.wallNow())
  })

  it('REG-2: a directory that cannot be used is a typed error, and a start can be tried again', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'kith-registry-'))
    undo.push(() => rm(directory, { recursive: true }))
    const file = join(directory, 'file')
    await writeFile(file, '')
    const clock = createVirtualClock()
    const port = new MemoryCluster(clock).add('a')
    const registry = createRegistry({
      membership: port,
      extensions: port,
      clock,
      directory: join(file, 'x'),
    })
    expect(await codeOf(() => registry.start())).toBe('ERR_REGISTRY_EPOCH_STORE')
    await rm(file)
    await registry.start()
    await endInTime(registry, clock)
  })
})
