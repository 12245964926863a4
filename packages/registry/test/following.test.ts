/** What the client keeps of what agents say, while they come, change and go. */
import type { ServiceInstance } from '@kith/interface'
import { afterEach, describe, expect, it } from 'vitest'
import {
  createRegistryClient,
  type RegistryClient,
  type RegistryClientEvents,
  type RegistryClientOptions,
} from '../src/index.ts'
import { instance, ScriptedAgent } from './support/agents.ts'

const agents: ScriptedAgent[] = []
const clients: RegistryClient[] = []
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.stop()))
  await Promise.all(agents.splice(0).map((agent) => agent.die()))
})

async function agent(first?: readonly ServiceInstance[]): Promise<ScriptedAgent> {
  const started = await ScriptedAgent.start(first)
  agents.push(started)
  return started
}

function open(
  followed: readonly ScriptedAgent[],
  options: Partial<RegistryClientOptions> = {},
): RegistryClient {
  const client = createRegistryClient({ urls: followed.map(({ url }) => url), ...options })
  clients.push(client)
  return client
}

function next<Kind extends keyof RegistryClientEvents>(
  client: RegistryClient,
  kind: Kind,
): Promise<RegistryClientEvents[Kind]> {
  return new Promise((resolve) => {
    const off = client.on(kind, (event) => {
      off()
      resolve(event)
    })
  })
}

const ids = (found: readonly ServiceInstance[]): string[] => found.map(({ id }) => id)
const well = [instance('w1', { tags: ['eu'] }), instance('w2', { member: 'b' })]
const sick = instance('w3', { member: 'c', status: 'critical' })

describe('following', () => {
  it('REG-28: asks once, then resolves from memory with every option', async () => {
    const one = await agent([...well, sick])
    const client = open([one])
    expect(ids(await client.resolve('web'))).toEqual(['w1', 'w2'])
    expect(ids(await client.resolve('web', { passing: false }))).toEqual(['w1', 'w2', 'w3'])
    expect(ids(await client.resolve('web', { tags: ['eu'] }))).toEqual(['w1'])
    expect(ids(await client.resolve('web', { limit: 1 }))).toEqual(['w1'])
    expect(await client.resolve('web')).toBe(await client.resolve('web'))
    expect(one.asked).toEqual(['/v1/services/web?passing=false&follow=true'])
  })

  it('REG-28: asks for a name as it is', async () => {
    const one = await agent([])
    await open([one]).resolve('a/b c')
    expect(one.asked).toEqual(['/v1/services/a%2Fb%20c?passing=false&follow=true'])
  })

  it('REG-28: watches: the present first, then each change, and nothing that is none', async () => {
    const one = await agent(well)
    const client = open([one])
    const seen: string[][] = []
    for await (const found of client.watch('web')) {
      seen.push(ids(found))
      if (seen.length === 1) {
        one.say(well)
        one.say([...well, sick])
        one.say(well.slice(1))
      } else break
    }
    expect(seen).toEqual([['w1', 'w2'], ['w2']])
  })

  it('REG-28: a watch ends with its signal, and with the client, without an error', async () => {
    const one = await agent(well)
    const client = open([one])
    const abort = new AbortController()
    const drain = async (signal?: AbortSignal): Promise<number> => {
      let count = 0
      for await (const _ of client.watch('web', signal === undefined ? {} : { signal })) count += 1
      return count
    }
    const [aborted, stopped] = [drain(abort.signal), drain()]
    await client.resolve('web')
    abort.abort()
    expect(await aborted).toBeLessThanOrEqual(1)
    await client.stop()
    expect(await stopped).toBeLessThanOrEqual(1)
  })

  it('REG-28: picks with the strategies of a member', async () => {
    const client = open([await agent(well)])
    const turns = [await client.pick('web'), await client.pick('web'), await client.pick('web')]
    expect(turns.map((one) => one?.id)).toEqual(['w1', 'w2', 'w1'])
    const keyed = { strategy: 'rendezvous', key: 'user-1' } as const
    expect(await client.pick('web', keyed)).toBe(await client.pick('web', keyed))
    const held = await client.lease('web', { strategy: 'least-loaded' })
    const other = await client.lease('web', { strategy: 'least-loaded' })
    expect(other?.instance.id).not.toBe(held?.instance.id)
    other?.release()
    const again = await client.lease('web', { strategy: 'least-loaded' })
    expect(again?.instance.id).toBe(other?.instance.id)
    expect(await client.pick('web', { tags: ['nowhere'] })).toBeUndefined()
    await expect(client.pick('web', { strategy: 'rendezvous' })).rejects.toMatchObject({
      code: 'ERR_REGISTRY_OPTIONS',
    })
  })

  it('REG-28: measures from the member that it is near to', async () => {
    const one = await agent()
    const client = open([one], { near: 'z' })
    const asking = client.resolve('web', { near: 'z' })
    await one.followed()
    one.say(well, { a: 20, b: 3 })
    expect(ids(await asking)).toEqual(['w2', 'w1'])
    expect((await client.pick('web', { strategy: 'nearest' }))?.id).toBe('w2')
    expect(ids(await client.resolve('web'))).toEqual(['w1', 'w2'])
    expect(one.asked).toEqual(['/v1/services/web?passing=false&follow=true&near=z'])
  })
})

describe('agents that go', () => {
  it('REG-29: another one is followed at once, and what is known stays meanwhile', async () => {
    const [first, second] = [await agent(well), await agent()]
    const client = open([first, second])
    await client.resolve('web')
    expect(client.known('web')).toMatchObject({ agent: first.url })
    const [lost, followed] = [next(client, 'lost'), second.followed()]
    await first.die()
    expect((await lost).agent).toBe(first.url)
    await followed
    expect(client.known('web')).toMatchObject({ agent: undefined })
    expect(ids(await client.resolve('web'))).toEqual(['w1', 'w2'])
    const changed = next(client, 'change')
    second.say(well.slice(1))
    await changed
    expect(client.known('web')).toMatchObject({ agent: second.url, instances: [{ id: 'w2' }] })
  })

  it('REG-29: one that falls silent is left, one that says nothing new is not', async () => {
    const [first, second] = [await agent(well), await agent(well)]
    const client = open([first, second], { silenceMs: 1_000 })
    await client.resolve('web')
    const lost = next(client, 'lost')
    const beats = setInterval(() => first.write('\n'), 100)
    await new Promise<void>((resolve) => {
      // Longer than the silence that is allowed, told by beats that came and went.
      let count = 0
      const watch = setInterval(() => {
        count += 1
        if (count < 15) return
        clearInterval(watch)
        resolve()
      }, 100)
    })
    expect(client.known('web')).toMatchObject({ agent: first.url })
    expect(client.known('web')?.ageMs).toBeLessThan(1_000)
    clearInterval(beats)
    expect((await lost).cause.message).toContain('silent for 1000 ms')
    if (client.known('web')?.agent !== second.url) await next(client, 'connect')
    expect(client.known('web')).toMatchObject({ agent: second.url })
  })

  it('REG-29: says how old what it knows is, and refuses what is too old', async () => {
    const one = await agent(well)
    const client = open([one], { retryMsMax: 100 })
    await client.resolve('web', { ageMsMax: 10_000 })
    const lost = next(client, 'lost')
    await one.die()
    await lost
    let age = client.known('web')?.ageMs ?? 0
    const from = age
    while (age < from + 20) {
      await new Promise((resolve) => setImmediate(resolve))
      age = client.known('web')?.ageMs ?? 0
    }
    expect(ids(await client.resolve('web'))).toEqual(['w1', 'w2'])
    await expect(client.resolve('web', { ageMsMax: 10 })).rejects.toMatchObject({
      code: 'ERR_REGISTRY_CLIENT_UNAVAILABLE',
    })
  })

  it('REG-29: an agent that begins with nothing is not believed at once', async () => {
    const [first, second] = [await agent(well), await agent([])]
    const client = open([first, second])
    await client.resolve('web')
    const connected = next(client, 'connect')
    await first.die()
    expect((await connected).agent).toBe(second.url)
    expect(ids(await client.resolve('web'))).toEqual(['w1', 'w2'])
    const changed = next(client, 'change')
    second.say(well.slice(0, 1))
    await changed
    second.say([])
    await next(client, 'change')
    expect(await client.resolve('web')).toEqual([])
  })

  it('REG-29: pauses grow, vary, and end at their bound', async () => {
    const delays: number[] = []
    const pauses: (() => void)[] = []
    const clock = {
      now: () => 0,
      wallNow: () => 0,
      after(delayMs: number, callback: () => void) {
        if (delayMs < 2_000) {
          delays.push(delayMs)
          pauses.push(callback)
        }
        return () => {}
      },
    }
    const floats = [0, 1, 0, 1, 0, 1, 0]
    const random = { uint32: () => 0, below: () => 0, float: () => floats.shift() ?? 0 }
    const failing: typeof fetch = () => Promise.reject(new Error('down'))
    const urls = ['http://127.0.0.1:1', 'http://127.0.0.1:2']
    const options = { urls, clock, random, fetch: failing, retryMsMax: 1_000, timeoutMs: 5_000 }
    const client = createRegistryClient(options)
    clients.push(client)
    for (let round = 1; round <= 6; round += 1) {
      const asking = client.resolve('web')
      await expect(asking).rejects.toMatchObject({ code: 'ERR_REGISTRY_CLIENT_UNAVAILABLE' })
      while (pauses.length < round) await new Promise((resolve) => setImmediate(resolve))
      pauses[round - 1]?.()
      // The pause ends in a microtask; until then the last failure still counts.
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(delays.slice(0, 6)).toEqual([50, 200, 200, 800, 500, 1_000])
  })

  it('REG-29: calls fail at once while agents are left alone, and a watch waits', async () => {
    const one = await agent(well)
    await one.die()
    const client = open([one], { retryMsMax: 600_000 })
    const watching = client.watch('web')[Symbol.asyncIterator]().next()
    await expect(client.resolve('web')).rejects.toMatchObject({
      code: 'ERR_REGISTRY_CLIENT_UNAVAILABLE',
    })
    await client.stop()
    expect(await watching).toEqual({ done: true, value: undefined })
  })
})

describe('bounds', () => {
  it('REG-30: the service unused for longest is let go, a watched one never', async () => {
    const one = await agent(well)
    const client = open([one], { servicesMax: 2 })
    await client.resolve('a')
    const watching = client.watch('b')[Symbol.asyncIterator]()
    await watching.next()
    await client.resolve('c')
    expect([client.known('a'), client.known('b')?.ageMs]).toEqual([undefined, expect.any(Number)])
    const other = client.watch('c')[Symbol.asyncIterator]()
    await other.next()
    await expect(client.resolve('d')).rejects.toMatchObject({ code: 'ERR_REGISTRY_CLIENT_LIMIT' })
    await Promise.all([watching.return?.(), other.return?.()])
    expect(ids(await client.resolve('d'))).toEqual(['w1', 'w2'])
  })

  it('REG-30: a service that nobody uses is followed no longer', async () => {
    const one = await agent(well)
    const client = open([one], { idleMs: 100 })
    await client.resolve('web')
    const beats = setInterval(() => one.write('\n'), 20)
    while (one.followers > 0) await new Promise((resolve) => setImmediate(resolve))
    clearInterval(beats)
    expect(client.known('web')).toBeUndefined()
    expect(ids(await client.resolve('web'))).toEqual(['w1', 'w2'])
  })

  it('REG-30: an agent that sends what is no answer is left', async () => {
    const [first, second] = [await agent(), await agent(well)]
    const client = open([first, second])
    const asking = client.resolve('web')
    await first.followed()
    first.write('{"instances":5}\n')
    expect(ids(await asking)).toEqual(['w1', 'w2'])
    expect(client.known('web')?.agent).toBe(second.url)
  })

  it('REG-30: a line without end is left at its bound', async () => {
    const [first, second] = [await agent(), await agent(well)]
    const client = open([first, second])
    const asking = client.resolve('web')
    await first.followed()
    const left = (async () => {
      while (first.followers > 0) {
        first.write('x'.repeat(262_144))
        await new Promise((resolve) => setImmediate(resolve))
      }
    })()
    expect(ids(await asking)).toEqual(['w1', 'w2'])
    await left
  })

  it('REG-30: stops at once: connections, and calls that wait', async () => {
    const one = await agent()
    const client = open([one])
    const asking = client.resolve('web')
    await one.followed()
    await client.stop()
    await client.stop()
    await expect(asking).rejects.toMatchObject({ code: 'ERR_REGISTRY_CLIENT_STOPPED' })
    await expect(client.services()).rejects.toMatchObject({ code: 'ERR_REGISTRY_CLIENT_STOPPED' })
    while (one.followers > 0) await new Promise((resolve) => setImmediate(resolve))
  })

  it.each(['', 'x'.repeat(129), 'a\nb', 5])('REG-30: refuses the name %j', async (name) => {
    const client = open([await agent(well)])
    await expect(client.resolve(name as string)).rejects.toMatchObject({
      code: 'ERR_REGISTRY_CLIENT_OPTIONS',
      message: expect.stringContaining('service must be'),
    })
    await expect(client.resolve('web', { ageMsMax: -1 })).rejects.toThrow('ageMsMax must be')
  })
})
