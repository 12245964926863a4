/** Requests by the name of a service, against real servers, through every door that undici has. */
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { Agent, fetch as undiciFetch, MockAgent, request, upgrade } from 'undici'
import { afterEach, describe, expect, it } from 'vitest'
import { createDispatcher, type KithDispatcher, type KithDispatcherOptions } from '../src/index.ts'
import { FakeRegistry, instanceAt, Origin } from './support/servers.ts'

const origins: Origin[] = []
const dispatchers: KithDispatcher[] = []
afterEach(async () => {
  await Promise.all(dispatchers.splice(0).map((dispatcher) => dispatcher.destroy()))
  await Promise.all(origins.splice(0).map((origin) => origin.die()))
})

async function start(...ids: readonly string[]): Promise<readonly Origin[]> {
  const started = await Promise.all(ids.map((id) => Origin.start(id)))
  origins.push(...started)
  return started
}

async function started(id: string, handler: Parameters<typeof Origin.start>[1]): Promise<Origin> {
  const origin = await Origin.start(id, handler)
  origins.push(origin)
  return origin
}

function open(
  registry: FakeRegistry,
  options: Partial<KithDispatcherOptions> = {},
): KithDispatcher {
  const dispatcher = createDispatcher({ registry, ...options })
  dispatchers.push(dispatcher)
  return dispatcher
}

function registryOf(...here: readonly Origin[]): FakeRegistry {
  const registry = new FakeRegistry()
  registry.set(...here.map(({ instance }) => instance))
  return registry
}

/** The types of Node's own fetch are those of an older undici. */
function by(dispatcher: KithDispatcher, init: RequestInit = {}): RequestInit {
  return { ...init, dispatcher: dispatcher as never }
}

/** The fetch that Node brings along, which has an undici of its own inside. */
async function get(dispatcher: KithDispatcher, url = 'http://web.kith/'): Promise<string> {
  return (await fetch(url, by(dispatcher))).text()
}

const codeOf = (cause: unknown): unknown => {
  const { code, cause: inner } = cause as { code?: unknown; cause?: unknown }
  return code ?? (inner === undefined ? undefined : codeOf(inner))
}

describe('by name', () => {
  it('UND-1: reaches instances in turn, with the name as host, by the fetch of Node', async () => {
    const [a, b] = await start('a', 'b')
    const dispatcher = open(registryOf(a as Origin, b as Origin))
    const answers = [await get(dispatcher), await get(dispatcher), await get(dispatcher)]
    expect(new Set(answers)).toEqual(new Set(['a', 'b']))
    expect(a?.requests[0]).toMatchObject({ method: 'GET', url: '/', host: 'web.kith' })
  })

  it('UND-1: does so by the fetch and the request of undici, and with a body', async () => {
    const [a] = await start('a')
    const dispatcher = open(registryOf(a as Origin))
    const sent = await undiciFetch('http://web.kith/x?y=1', {
      method: 'POST',
      body: 'hello',
      dispatcher,
    })
    expect(await sent.text()).toBe('a')
    const { statusCode, body } = await request('http://web.kith/z', {
      method: 'PUT',
      body: Readable.from(['wo', 'rld']),
      dispatcher,
    })
    expect([statusCode, await body.text()]).toEqual([200, 'a'])
    expect(a?.requests.map((one) => [one.method, one.url, one.body])).toEqual([
      ['POST', '/x?y=1', 'hello'],
      ['PUT', '/z', 'world'],
    ])
  })

  it('UND-1: labels before the name are tags', async () => {
    const [a, b] = await start('a', 'b')
    const dispatcher = open(registryOf(a as Origin, b as Origin))
    for (let turn = 0; turn < 3; turn += 1) {
      expect(await get(dispatcher, 'http://tag-b.web.kith/')).toBe('b')
    }
    await expect(get(dispatcher, 'http://tag-c.web.kith/')).rejects.toSatisfy(
      (cause) => codeOf(cause) === 'ERR_UNDICI_NO_INSTANCE',
    )
  })

  it('UND-1: passes strategy, preference and key on', async () => {
    const [a] = await start('a')
    const registry = registryOf(a as Origin)
    const key = (): string => 'user-1'
    await get(open(registry, { strategy: 'rendezvous', key, prefer: { zone: 'eu' } }))
    expect(registry.asked[0]).toMatchObject({
      strategy: 'rendezvous',
      key: 'user-1',
      prefer: { zone: 'eu' },
    })
    await get(open(registry))
    expect(registry.asked[1]).toMatchObject({ strategy: 'least-loaded' })
  })

  it('UND-2: other hosts go to the fallback', async () => {
    const [a] = await start('a')
    const port = a?.instance.port
    const dispatcher = open(new FakeRegistry(), { fallback: new Agent() })
    expect(await get(dispatcher, `http://127.0.0.1:${port}/`)).toBe('a')
    const mock = new MockAgent()
    mock.disableNetConnect()
    mock.get('http://kith').intercept({ path: '/' }).reply(200, 'elsewhere')
    const other = open(new FakeRegistry(), { fallback: mock })
    expect(await get(other, 'http://kith/')).toBe('elsewhere')
    expect(await get(open(new FakeRegistry()), `http://127.0.0.1:${port}/`)).toBe('a')
  })
})

describe('failures', () => {
  it('UND-3: a dead instance costs no request whose method may repeat, and is left', async () => {
    const [a, b] = await start('a', 'b')
    const registry = registryOf(a as Origin, b as Origin)
    const dispatcher = open(registry)
    await a?.die()
    const answers = await Promise.all(Array.from({ length: 20 }, () => get(dispatcher)))
    expect(new Set(answers)).toEqual(new Set(['b']))
    const before = registry.asked.length
    for (let turn = 0; turn < 10; turn += 1) expect(await get(dispatcher)).toBe('b')
    // Found dead once, it is not even tried: one lease for each request.
    expect(registry.asked.length - before).toBe(10)
    expect(registry.leases).toBe(0)
  })

  it('UND-3: nothing that was sent is sent twice where the method may not repeat', async () => {
    const broken = await started('a', (incoming) => void incoming.socket.destroy())
    const [b] = await start('b')
    const dispatcher = open(registryOf(broken, b as Origin))
    const post = async (): Promise<string> => {
      const init = by(dispatcher, { method: 'POST', body: 'once' })
      return (await fetch('http://web.kith/', init)).text()
    }
    const results = await Promise.allSettled([post(), post()])
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(broken.requests).toHaveLength(1)
    expect(b?.requests).toHaveLength(1)
    expect(await get(dispatcher)).toBe('b')
  })

  it('UND-3: a body that nobody took yet goes to the next instance, of any method', async () => {
    const [a, b] = await start('a', 'b')
    const dispatcher = open(registryOf(a as Origin, b as Origin))
    await a?.die()
    for (let turn = 0; turn < 4; turn += 1) {
      const { body } = await request('http://web.kith/', {
        method: 'POST',
        body: Readable.from([`turn ${turn}`]),
        dispatcher,
      })
      expect(await body.text()).toBe('b')
    }
    expect(b?.requests.map(({ body }) => body)).toEqual(['turn 0', 'turn 1', 'turn 2', 'turn 3'])
  })

  it('UND-3: a stream that was begun is not sent again, and is destroyed', async () => {
    const broken = await started('a', (incoming) => void incoming.socket.destroy())
    const dispatcher = open(registryOf(broken))
    const body = Readable.from(['x'])
    const sending = request('http://web.kith/', { method: 'PUT', body, dispatcher })
    await expect(sending).rejects.toMatchObject({ code: 'UND_ERR_SOCKET' })
    expect([body.destroyed, broken.requests.length]).toEqual([true, 1])
  })

  it('UND-3: an answer that began is never mixed with another', async () => {
    const half = await started('a', (_, response) => {
      response.writeHead(200, { 'content-length': 100 })
      response.write('half', () => response.destroy())
    })
    const [b] = await start('b')
    const dispatcher = open(registryOf(half, b as Origin))
    const answers = await Promise.allSettled([get(dispatcher), get(dispatcher)])
    expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  it('UND-3: where all are dead it says so after attemptsMax, and tries them again', async () => {
    const [a, b, c] = await start('a', 'b', 'c')
    const registry = registryOf(a as Origin, b as Origin, c as Origin)
    const dispatcher = open(registry, { attemptsMax: 2 })
    await Promise.all([a?.die(), b?.die(), c?.die()])
    await expect(get(dispatcher)).rejects.toSatisfy((cause) => codeOf(cause) === 'ECONNREFUSED')
    await expect(get(dispatcher)).rejects.toSatisfy((cause) => codeOf(cause) === 'ECONNREFUSED')
    const reborn = await Origin.start('d')
    origins.push(reborn)
    registry.set(reborn.instance)
    expect(await get(dispatcher)).toBe('d')
    expect(registry.leases).toBe(0)
  })

  it('UND-3: an answer of any status is an answer', async () => {
    const ill = await started('a', (_, response) => void response.writeHead(503).end('ill'))
    const dispatcher = open(registryOf(ill))
    expect(await get(dispatcher)).toBe('ill')
    expect(ill.requests).toHaveLength(1)
  })

  it('UND-4: says what there is none of, and why it cannot be resolved', async () => {
    const registry = new FakeRegistry()
    const dispatcher = open(registry)
    const none = await undiciFetch('http://nothing.kith/', { dispatcher }).catch((it) => it)
    expect(none.cause).toMatchObject({
      code: 'ERR_UNDICI_NO_INSTANCE',
      details: { service: 'nothing' },
    })
    registry.failure = new Error('no agent answered')
    const failed = await undiciFetch('http://web.kith/', { dispatcher }).catch((it) => it)
    expect(failed.cause).toMatchObject({ code: 'ERR_UNDICI_RESOLVE' })
    expect(failed.cause.message).toContain('no agent answered')
  })

  it('UND-4: whoever tries again at once learns of an instance that comes', async () => {
    const [a] = await start('a')
    const registry = new FakeRegistry()
    const dispatcher = open(registry)
    setTimeout(() => registry.set((a as Origin).instance), 20)
    let answer: string | undefined
    while (answer === undefined) answer = await get(dispatcher).catch(() => undefined)
    expect(answer).toBe('a')
  })

  it('UND-4: an abort reaches the instance, and gives the lease back', async () => {
    let closed: (value: unknown) => void = () => {}
    const gone = new Promise((resolve) => (closed = resolve))
    const [silent, b] = [
      await started('a', (incoming) => void incoming.socket.once('close', closed)),
      (await start('b'))[0] as Origin,
    ]
    const registry = registryOf(silent)
    const dispatcher = open(registry)
    const abort = new AbortController()
    const asking = fetch('http://web.kith/', by(dispatcher, { signal: abort.signal }))
    while (silent.requests.length === 0) await new Promise((resolve) => setImmediate(resolve))
    abort.abort(new Error('enough'))
    await expect(asking).rejects.toThrow('enough')
    await gone
    expect(registry.leases).toBe(0)
    registry.set(silent.instance, b.instance)
    // It is no fault of the instance.
    await get(dispatcher).catch(() => {})
    expect(registry.asked.at(-1)?.except?.(silent.instance)).toBe(false)
  })
})

describe('change', () => {
  it('UND-5: what leaves resolution gets no new request, ends the old, and is let go', async () => {
    let answer: () => void = () => {}
    const slow = await started('a', (_, response) => {
      answer = () => response.end('late')
    })
    const [b] = await start('b')
    const registry = registryOf(slow)
    const dispatcher = open(registry)
    const asking = get(dispatcher)
    while (slow.requests.length === 0) await new Promise((resolve) => setImmediate(resolve))
    registry.set((b as Origin).instance)
    for (let turn = 0; turn < 5; turn += 1) expect(await get(dispatcher)).toBe('b')
    answer()
    expect(await asking).toBe('late')
    expect(dispatcher.pools).toBe(1)
    while ((await slow.open) > 0) await new Promise((resolve) => setImmediate(resolve))
    expect(slow.requests).toHaveLength(1)
  })

  it('UND-5: what comes is used, and what moved is another place', async () => {
    const [a, b] = await start('a', 'b')
    const registry = registryOf(a as Origin)
    const dispatcher = open(registry)
    expect(await get(dispatcher)).toBe('a')
    registry.set(instanceAt('a', b?.instance.port ?? 0))
    expect(await get(dispatcher)).toBe('b')
    expect(dispatcher.pools).toBe(1)
  })

  it('UND-5: an avoided instance is used again when the registry has news of it', async () => {
    const [a, b] = await start('a', 'b')
    const registry = registryOf(a as Origin, b as Origin)
    const dispatcher = open(registry, { avoidMs: 600_000 })
    const [dead, well] = [instanceAt('a', 1), (b as Origin).instance]
    registry.set(dead, well)
    for (let turn = 0; turn < 4; turn += 1) expect(await get(dispatcher)).toBe('b')
    expect(registry.asked.at(-1)?.except?.(dead)).toBe(true)
    const same = instanceAt('a', 1)
    registry.set(same, well)
    await get(dispatcher, 'http://nothing.kith/').catch(() => {})
    const asked = registry.asked.at(-2)
    expect(asked?.except?.(same)).toBe(false)
  })

  it('UND-5: keeps connections, at most connectionsMax to an instance', async () => {
    const [a] = await start('a')
    const dispatcher = open(registryOf(a as Origin), { connectionsMax: 2 })
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(Array.from({ length: 10 }, () => get(dispatcher)))
    }
    expect(a?.connections).toBeLessThanOrEqual(2)
  })
})

describe('the end', () => {
  it('UND-6: close waits for what is under way and refuses what comes', async () => {
    let answer: () => void = () => {}
    const slow = await started('a', (_, response) => {
      answer = () => response.end('late')
    })
    const registry = registryOf(slow)
    const dispatcher = open(registry)
    const asking = get(dispatcher)
    while (slow.requests.length === 0) await new Promise((resolve) => setImmediate(resolve))
    const closed = dispatcher.close()
    await expect(get(dispatcher)).rejects.toSatisfy(
      (cause) => codeOf(cause) === 'ERR_UNDICI_CLOSED',
    )
    answer()
    expect(await asking).toBe('late')
    await closed
    expect([registry.listeners, registry.leases, dispatcher.pools]).toEqual([0, 0, 0])
  })

  it('UND-6: destroy breaks off what is under way', async () => {
    const silent = await started('a', () => {})
    const dispatcher = open(registryOf(silent))
    const asking = get(dispatcher)
    while (silent.requests.length === 0) await new Promise((resolve) => setImmediate(resolve))
    const failed = expect(asking).rejects.toThrow()
    await dispatcher.destroy()
    await failed
    const callback = new Promise<void>((resolve) => dispatcher.close(resolve))
    await callback
  })

  it('UND-6: upgrades pass through', async () => {
    const [a] = await start('a')
    const dispatcher = open(registryOf(a as Origin))
    const upgrading = upgrade('http://web.kith/', { protocol: 'x', dispatcher })
    // This server upgrades nothing and answers: undici says that this is no upgrade.
    await expect(upgrading).rejects.toThrow()
    const socket = new WebSocket('ws://web.kith/', { dispatcher } as never)
    const [event] = (await once(socket, 'error')) as [Event]
    expect(event.type).toBe('error')
    while ((a?.requests.length ?? 0) < 2) await new Promise((resolve) => setImmediate(resolve))
  })

  it('UND-7: names every option at fault', () => {
    const make = (options: unknown): string => {
      try {
        createDispatcher(options as KithDispatcherOptions)
        return 'nothing was thrown'
      } catch (cause) {
        return (cause as Error).message
      }
    }
    expect(make({})).toContain('registry must be')
    const registry = new FakeRegistry()
    expect(make({ registry, strategy: 'rendezvous' })).toContain('key must be')
    expect(
      make({ registry, domain: 'A', attemptsMax: 0, nothing: 1, pool: { factory: 1 } }),
    ).toMatch(/nothing must be absent.*attemptsMax must be.*pool must be.*domain must be/)
    expect(make({ registry, pool: { keepAliveTimeout: -1 } })).toContain('pool must be')
  })
})
