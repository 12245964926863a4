/** The resolver under real grpc-js clients and servers. */
import * as grpc from '@grpc/grpc-js'
import { afterEach, describe, expect, it } from 'vitest'
import { placesOf } from '../src/endpoints.ts'
import { registerScheme } from '../src/experimental.ts'
import { type GrpcResolver, type GrpcResolverOptions, registerGrpcResolver } from '../src/index.ts'
import { Caller, FakeRegistry, instanceAt, Origin } from './support/servers.ts'

const undo: (() => void)[] = []
afterEach(() => {
  for (const each of undo.splice(0).reverse()) each()
})

async function start(...ids: readonly string[]): Promise<Origin[]> {
  const origins = await Promise.all(ids.map((id) => Origin.start(id)))
  undo.push(() => origins.forEach((origin) => origin.die()))
  return origins
}

function register(options: GrpcResolverOptions): GrpcResolver {
  const resolver = registerGrpcResolver(options)
  undo.push(() => resolver.unregister())
  return resolver
}

function call(target: string, options: grpc.ClientOptions = {}): Caller {
  const caller = new Caller(target, options)
  undo.push(() => caller[Symbol.dispose]())
  return caller
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

/** What a call fails with. */
async function failure(caller: Caller, word?: string): Promise<grpc.ServiceError> {
  return caller.ask(word).then(
    (answer) => expect.fail(`answered ${answer}`),
    (cause: grpc.ServiceError) => cause,
  )
}

describe('a channel to a service', () => {
  it('GRP-1: goes by the last label, with those before it as tags, under one authority', async () => {
    const registry = new FakeRegistry()
    const [ada, ben] = await start('ada', 'ben')
    registry.set(ada!.instance, ben!.instance)
    register({ registry })
    expect(await call('kith:///tag-ben.web').ask()).toBe('ben web.kith')
    expect(await call('kith:tag-ada.web').ask()).toBe('ada web.kith')
    register({ registry, scheme: 'mesh', domain: 'in.example' })
    expect(await call('mesh:///tag-ben.web').ask()).toBe('ben web.in.example')
    for (const target of [
      'kith://host/web',
      'kith://web',
      'kith:///web/x',
      'kith:///web:80',
      'kith:///.web',
      'kith:///web.',
      `kith:///${'x'.repeat(64)}`,
      `kith:///${'t.'.repeat(33)}web`,
    ]) {
      expect(() => call(target), target).toThrow(
        expect.objectContaining({
          code: 'ERR_GRPC_TARGET',
          message: expect.stringMatching(/^a target must be kith:\/\/\/SERVICE or .*, got "kith:/),
        }),
      )
    }
  })

  it('GRP-2: calls its instances one after the other', async () => {
    const registry = new FakeRegistry()
    const origins = await start('ada', 'ben', 'cy')
    registry.set(...origins.map(({ instance }) => instance))
    register({ registry })
    const caller = call('kith:///web')
    await caller.until('ada', 'ben', 'cy')
    const before = origins.map(({ calls }) => calls)
    await caller.who(30)
    expect(origins.map(({ calls }, at) => calls - (before[at] ?? 0))).toEqual([10, 10, 10])
  })

  it('GRP-3: connects to the preferred, to each place once, and not to too many', () => {
    const many = Array.from({ length: 50 }, (_, at) => instanceAt(`i${at}`, 1000 + at))
    const [first = many[0]!, second = many[1]!] = many
    const ports = (...given: Parameters<typeof placesOf>): number[] =>
      placesOf(...given).map(({ port }) => port)
    const us = instanceAt('us', 1, 'us')
    const all = { endpointsMax: 100 }
    expect(ports([...many, us], { ...all, prefer: { zone: 'us' } }, 7)).toEqual([1])
    expect(ports([us], { ...all, prefer: { zone: 'eu' } }, 7)).toEqual([1])
    const tagged = { ...all, prefer: { zone: 'eu', tags: ['tag-i7'] } }
    expect(ports([...many, us], tagged, 7)).toEqual([1007])
    expect(ports([first, instanceAt('same', first.port), second], all, 7)).toHaveLength(2)
    // A share: the same from one answer to the next, another for each channel.
    const share = { endpointsMax: 10 }
    const mine = ports(many, share, 7)
    expect(mine).toHaveLength(10)
    expect(ports(many.toReversed(), share, 7)).toEqual(mine)
    expect(ports(many, share, 8)).not.toEqual(mine)
    const without = many.filter(({ port }) => port !== mine[0])
    expect(ports(without, share, 7).slice(0, 9)).toEqual(mine.slice(1))
  })

  it('GRP-4: fails calls where there is no instance, and answers when one comes', async () => {
    const registry = new FakeRegistry()
    register({ registry })
    const caller = call('kith:///web')
    expect(await failure(caller)).toMatchObject({
      code: grpc.status.UNAVAILABLE,
      details: 'no passing instance of web',
    })
    const [ada] = await start('ada')
    registry.set(ada!.instance)
    await until(() => caller.client.getChannel().getConnectivityState(false) === 2)
    expect(await caller.ask()).toBe('ada web.kith')
    // The last one goes: its connection stands, and is not used any more.
    registry.set()
    await until(() => caller.client.getChannel().getConnectivityState(false) === 3)
    expect(await failure(caller)).toMatchObject({ details: 'no passing instance of web' })
    expect(ada!.calls).toBe(1)
    const tagged = call('kith:///a.b.web')
    expect((await failure(tagged)).details).toBe('no passing instance of web with a and b')
  })

  it('GRP-4: says why a service cannot be resolved, and goes on by itself when it can', async () => {
    const registry = new FakeRegistry()
    const [ada] = await start('ada')
    registry.failure = new Error('no agent answered')
    register({ registry })
    const caller = call('kith:///web')
    expect(await failure(caller)).toMatchObject({
      code: grpc.status.UNAVAILABLE,
      details: 'web cannot be resolved: no agent answered',
    })
    registry.set(ada!.instance)
    await until(() => caller.client.getChannel().getConnectivityState(false) === 2)
    expect(await caller.ask()).toBe('ada web.kith')
  })

  it('GRP-4: keeps a call that waits for readiness until an instance comes', async () => {
    const registry = new FakeRegistry()
    register({ registry })
    const caller = call('kith:///web')
    const waiting = caller.ask('', new grpc.Metadata({ waitForReady: true }))
    await until(() => caller.client.getChannel().getConnectivityState(false) === 3)
    const [ada] = await start('ada')
    registry.set(ada!.instance)
    expect(await waiting).toBe('ada web.kith')
  })

  it('GRP-5: leaves whoever leaves, and lets end what is under way there', async () => {
    const registry = new FakeRegistry()
    const [ada, ben] = await start('ada', 'ben')
    registry.set(ada!.instance)
    register({ registry })
    const caller = call('kith:///web')
    const arrived = ada!.arrival()
    const underWay = caller.ask('wait')
    await arrived
    registry.set(ada!.instance, ben!.instance)
    await caller.until('ada', 'ben')
    registry.set(ben!.instance)
    await caller.until('ben')
    const { calls } = ada!
    await caller.who(10)
    expect(ada!.calls).toBe(calls)
    ada!.answerAll()
    expect(await underWay).toBe('ada web.kith')
  })

  it('GRP-5: leaves a server that died, before the registry does; only calls there fail', async () => {
    const registry = new FakeRegistry()
    const [ada, ben] = await start('ada', 'ben')
    registry.set(ada!.instance, ben!.instance)
    register({ registry })
    const caller = call('kith:///web')
    await caller.until('ada', 'ben')
    const arrived = ada!.arrival()
    // One of two in turn reaches her.
    const [one, other] = [caller.ask('wait'), caller.ask('wait')]
    const ends = Promise.allSettled([one, other])
    await arrived
    ada!.die()
    await Promise.race([one, other]).catch(() => {})
    ben!.answerAll()
    const said = (await ends).map((end) => (end.status === 'fulfilled' ? end.value : 'failed'))
    expect(said.toSorted()).toEqual(['ben web.kith', 'failed'])
    expect(new Set(await caller.who(20))).toEqual(new Set(['ben']))
  })
})

describe('a channel that was configured', () => {
  const retry = {
    name: [{}],
    timeout: '0.25s',
    retryPolicy: {
      maxAttempts: 3,
      initialBackoff: '0.01s',
      maxBackoff: '0.01s',
      backoffMultiplier: 1,
      retryableStatusCodes: ['UNAVAILABLE'],
    },
  }

  it('GRP-6: keeps its timeouts and retries, and is balanced as before', async () => {
    const registry = new FakeRegistry()
    const [ada, ben] = await start('ada', 'ben')
    registry.set(ada!.instance, ben!.instance)
    register({ registry })
    const config = JSON.stringify({ methodConfig: [retry] })
    const caller = call('kith:///web', { 'grpc.service_config': config })
    await caller.until('ada', 'ben')
    const startedAt = performance.now()
    expect(await failure(caller, 'wait')).toMatchObject({ code: grpc.status.DEADLINE_EXCEEDED })
    // grpc-js itself would read 0.25 s as 25 ns.
    expect(performance.now() - startedAt).toBeGreaterThan(200)
    const { timeout: _none, ...untimed } = retry
    const patient = call('kith:///web', {
      'grpc.service_config': JSON.stringify({ methodConfig: [untimed] }),
    })
    await patient.until('ada', 'ben')
    ada!.busy = true
    expect(new Set(await patient.who(6))).toEqual(new Set(['ben']))
  })

  it('GRP-6: may choose another load balancing', async () => {
    const registry = new FakeRegistry()
    const [ada, ben] = await start('ada', 'ben')
    registry.set(ada!.instance, ben!.instance)
    register({ registry })
    const config = JSON.stringify({ loadBalancingConfig: [{ pick_first: {} }] })
    const caller = call('kith:///web', { 'grpc.service_config': config })
    expect(new Set(await caller.who(10)).size).toBe(1)
  })
})

describe('the registration', () => {
  it('GRP-7: names what a version of grpc-js lacks, and registers nothing', () => {
    const scheme = {
      name: 'lacking',
      authority: () => 'x',
      open: () => ({ update() {}, end() {} }),
    }
    const { experimental } = grpc
    const { statusOrFromValue: _one, registerResolver: _other, ...some } = experimental
    const refused = (given: object, missing: readonly string[]): void =>
      expect(() => registerScheme(scheme, given)).toThrow(
        expect.objectContaining({
          code: 'ERR_GRPC_LIBRARY',
          message: expect.stringContaining(`@grpc/grpc-js lacks ${missing.join(', ')} of its`),
          details: { missing },
        }),
      )
    refused({ experimental: some }, ['registerResolver', 'statusOrFromValue'])
    refused({ experimental: { ...experimental, selectLbConfigFromList: () => null } }, [
      'round_robin',
    ])
    refused({ experimental: { ...experimental, createResolver: {} } }, ['createResolver'])
    expect(() => registerScheme(scheme, {})).toThrow('lacks ChildLoadBalancerHandler, Unav')
    const open = (): unknown =>
      experimental.createResolver({ scheme: 'lacking', path: 'web' }, () => true, {})
    expect(open).toThrow('No resolver could be created')
    expect(() => registerScheme(scheme)).not.toThrow()
  })

  it('GRP-8: holds its scheme until it ends, and opens no channel afterwards', async () => {
    const registry = new FakeRegistry()
    const [ada] = await start('ada')
    registry.set(ada!.instance)
    const resolver = register({ registry })
    expect(() => register({ registry: new FakeRegistry() })).toThrow(
      expect.objectContaining({ code: 'ERR_GRPC_TAKEN' }),
    )
    const caller = call('kith:///web')
    expect(await caller.ask()).toBe('ada web.kith')
    expect([resolver.scheme, resolver.channels, registry.watching]).toEqual(['kith', 1, 1])
    resolver.unregister()
    resolver.unregister()
    await until(() => registry.watching === 0)
    expect(resolver.channels).toBe(0)
    registry.set()
    expect(await caller.ask()).toBe('ada web.kith')
    expect(() => call('kith:///web')).toThrow(expect.objectContaining({ code: 'ERR_GRPC_CLOSED' }))
    using next = registerGrpcResolver({ registry })
    expect((await failure(call('kith:///web'))).details).toBe('no passing instance of web')
    expect(next.channels).toBe(1)
  })

  it('GRP-8: follows the registry only for as long as a channel is open', async () => {
    const registry = new FakeRegistry()
    const [ada] = await start('ada')
    registry.set(ada!.instance)
    const resolver = register({ registry })
    const caller = call('kith:///web')
    expect(registry.watching).toBe(0)
    await caller.ask()
    expect([registry.watching, resolver.channels]).toEqual([1, 1])
    caller.client.close()
    await until(() => registry.watching === 0)
    expect(resolver.channels).toBe(0)
  })

  it('GRP-9: refuses options out of range, all at once', () => {
    const bad = { registry: {}, scheme: 'dns', endpointsMax: 0, other: 1 }
    expect(() => registerGrpcResolver(bad as never)).toThrow(
      expect.objectContaining({
        code: 'ERR_GRPC_OPTIONS',
        details: {
          problems: [
            expect.objectContaining({ field: 'other' }),
            expect.objectContaining({ field: 'registry' }),
            expect.objectContaining({ field: 'scheme' }),
            expect.objectContaining({ field: 'endpointsMax' }),
          ],
        },
      }),
    )
  })
})
