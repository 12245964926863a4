// What each discovery finds beyond what all have in common, and what a member makes of it.
import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRandom, silentLogger } from '@kith/interface'
import type { Discovery, DiscoveryFactory, Logger } from '@kith/interface'
import { systemClock } from '@kith/interface/node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dnsDiscovery, fileDiscovery, staticDiscovery } from '../../src/index.ts'
import type { DnsResolver, GossipWarning } from '../../src/index.ts'
import { alive, createPlace, startAll, stopAll, text } from '../runtime/support.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kith-discover-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function started(
  factory: DiscoveryFactory,
  logger: Logger = silentLogger,
): Promise<Discovery> {
  const discovery = factory({ clock: systemClock, random: createRandom(1), logger })
  await discovery.start({ changed() {} })
  return discovery
}

async function found(factory: DiscoveryFactory): Promise<readonly string[]> {
  await using discovery = await started(factory)
  return (await discovery.find()).toSorted()
}

/** A zone as a table; what is not in it is not there. */
function zone(rows: Readonly<Record<string, readonly string[]>>): DnsResolver {
  const resolve = async (name: string): Promise<readonly string[]> => {
    const row = rows[name]
    if (row === undefined) throw new Error(`ENOTFOUND ${name}`)
    return row
  }
  return {
    resolve4: (name) => resolve(`A ${name}`),
    resolve6: (name) => resolve(`AAAA ${name}`),
    resolveSrv: async (name) =>
      (await resolve(`SRV ${name}`)).map((row) => {
        const [target = '', port] = row.split(' ')
        return { name: target, port: Number(port) }
      }),
    lookup: (name) => resolve(`hosts ${name}`),
  }
}

describe('dns', () => {
  const resolver = zone({
    'A both.test': ['10.0.0.1', '10.0.0.2'],
    'AAAA both.test': ['fd00::1'],
    'AAAA six.test': ['fd00::2'],
    'hosts file.test': ['127.0.0.9', 'fd00::3'],
    'A odd.test': ['10.0.0.3', 'no address'],
    'SRV _kith._udp.test': ['both.test 7946', 'six.test 7000', 'gone.test 7946', '. 0'],
    'SRV _none._udp.test': ['. 0'],
    'SRV _gone._udp.test': ['gone.test 7946'],
  })

  it('GOS-149 finds all A and AAAA addresses, with the port given or the own one', async () => {
    const both = ['10.0.0.1', '10.0.0.2', 'fd00::1']
    expect(await found(dnsDiscovery('both.test', { resolver }))).toEqual(both)
    const ports = ['10.0.0.1:7000', '10.0.0.2:7000', '[fd00::1]:7000']
    expect(await found(dnsDiscovery('both.test', { resolver, port: 7000 }))).toEqual(ports)
    expect(await found(dnsDiscovery('six.test', { resolver }))).toEqual(['fd00::2'])
    expect(await found(dnsDiscovery('odd.test', { resolver }))).toEqual(['10.0.0.3'])
  })

  it('GOS-149 asks the host file where the name servers know nothing', async () => {
    expect(await found(dnsDiscovery('file.test', { resolver }))).toEqual(['127.0.0.9', 'fd00::3'])
    const message = 'dns gone.test: gone.test has no addresses: ENOTFOUND A gone.test'
    const refused = found(dnsDiscovery('gone.test', { resolver }))
    await expect(refused).rejects.toMatchObject({ code: 'ERR_GOSSIP_DISCOVERY', message })
  })

  it('GOS-149 finds the targets of SRV records with their ports, as far as they are there', async () => {
    const all = ['10.0.0.1:7946', '10.0.0.2:7946', '[fd00::1]:7946', '[fd00::2]:7000']
    expect(await found(dnsDiscovery('_kith._udp.test', { resolver }))).toEqual(all.toSorted())
    expect(await found(dnsDiscovery('_none._udp.test', { resolver }))).toEqual([])
    await expect(found(dnsDiscovery('_gone._udp.test', { resolver }))).rejects.toThrow(/gone\.test/)
  })

  it('GOS-149 finds what the system knows', async () => {
    expect(await found(dnsDiscovery('localhost', { port: 7946 }))).toContain('127.0.0.1:7946')
  })
})

describe('file', () => {
  it('GOS-149 takes an address a line and leaves out, aloud, what is none', async () => {
    const path = join(folder, 'odd')
    await writeFile(
      path,
      '10.0.0.1:7946\n  db.internal  \nno address at all\n#10.0.0.9\n[::1]:1\n:0',
    )
    const warned: object[] = []
    await using discovery = await started(fileDiscovery(path), {
      ...silentLogger,
      warn: (fields) => void warned.push(fields),
    })
    expect(await discovery.find()).toEqual(['10.0.0.1:7946', 'db.internal', '[::1]:1'])
    expect(warned).toMatchObject([
      { path, line: 3 },
      { path, line: 6 },
    ])
  })

  it('GOS-149 refuses what is too long, no file, or not there', async () => {
    const path = join(folder, 'long')
    await writeFile(path, '#'.repeat(1_048_577))
    const refusals = [
      [path, /more than 1048576 bytes/],
      [folder, /EISDIR/],
      [join(folder, 'none'), /ENOENT/],
    ] as const
    for (const [at, message] of refusals) {
      const cause: unknown = await found(fileDiscovery(at)).catch((error: unknown) => error)
      expect(cause).toMatchObject({ code: 'ERR_GOSSIP_DISCOVERY' })
      expect((cause as Error).message).toMatch(message)
      expect((cause as Error).message).toContain(at)
    }
  })

  it('GOS-149 notices a file that comes, is replaced, is linked elsewhere, and goes', async () => {
    const path = join(folder, 'linked')
    const discovery = fileDiscovery(path, { pollMs: 100 })({
      clock: systemClock,
      random: createRandom(1),
      logger: silentLogger,
    })
    let wake = (): void => {}
    const next = (): Promise<void> => new Promise((resolve) => void (wake = resolve))
    await discovery.start({ changed: () => wake() })
    const steps: readonly (readonly [() => Promise<void>, readonly string[]])[] = [
      [() => writeFile(path, '10.0.0.1:1\n'), ['10.0.0.1:1']],
      [
        async () => {
          await writeFile(`${path}.new`, '10.0.0.2:2\n')
          await rename(`${path}.new`, path)
        },
        ['10.0.0.2:2'],
      ],
      [
        async () => {
          await writeFile(join(folder, 'target'), '10.0.0.3:3\n')
          await symlink(join(folder, 'target'), `${path}.link`)
          await rename(`${path}.link`, path)
        },
        ['10.0.0.3:3'],
      ],
    ]
    for (const [change, seeds] of steps) {
      const noticed = next()
      await change()
      await noticed
      expect(await discovery.find()).toEqual(seeds)
    }
    const noticed = next()
    await rm(path)
    await noticed
    await expect(discovery.find()).rejects.toThrow(/ENOENT/)
    await discovery.stop()
  })
})

describe('a member with discoveries', () => {
  it('GOS-149 joins whom they find, also later, and says once which cannot tell', async () => {
    const place = createPlace()
    const warnings: GossipWarning[] = []
    const list: string[] = []
    const resolver = zone({})
    const lately: DiscoveryFactory = (context) => {
      const inner = staticDiscovery([])(context)
      return { ...bound(inner), name: 'lately', find: async () => [...list] }
    }
    const discovery = [dnsDiscovery('gone.test', { resolver }), lately]
    const [first, second] = [place.gossip(1), place.gossip(2, { discovery })]
    second.on('warning', (warning) => warnings.push(warning))
    await startAll(place, [first, second])
    await place.advance(20_000)
    expect(alive(second)).toBe(1)
    const told = warnings.filter(({ kind }) => kind === 'discoveryFailed')
    expect(told).toMatchObject([{ kind: 'discoveryFailed', name: 'dns gone.test' }])
    expect(second.stats().counters['discoveryFailures']).toBeGreaterThan(3)
    list.push(text(1))
    await place.eventually(() => alive(second) === 2 && alive(first) === 2, 60_000)
    await stopAll(place, [first, second])
  })

  it('GOS-149 looks at once when one says that something changed', async () => {
    const place = createPlace()
    let changed = (): void => {}
    const list: string[] = []
    const told: DiscoveryFactory = (context) => {
      const inner = staticDiscovery([])(context)
      return {
        ...bound(inner),
        name: 'told',
        find: async () => [...list],
        async start(handlers) {
          changed = () => handlers.changed()
        },
      }
    }
    const [first, second] = [place.gossip(1), place.gossip(2, { discovery: [told] })]
    await startAll(place, [first, second])
    await place.advance(120_000)
    list.push(text(1))
    changed()
    await place.eventually(() => alive(second) === 2, 1_000)
    await stopAll(place, [first, second])
  })

  it('GOS-149 leaves out what is no address, and more than a thousand', async () => {
    const place = createPlace()
    const many: DiscoveryFactory = (context) => {
      const seeds = Array.from(
        { length: 1100 },
        (_, index) => `10.2.${index >> 8}.${index & 255}:1`,
      )
      return { ...bound(staticDiscovery([])(context)), find: async () => [':0', 'a b', ...seeds] }
    }
    const member = place.gossip(1, { discovery: [many] })
    await startAll(place, [member])
    await place.advance(100)
    const { counters } = member.stats()
    expect(counters['discoveredUnusable']).toBe(2)
    expect(counters['discoveredTooMany']).toBe(76)
    await stopAll(place, [member])
  })

  it('GOS-149 does not start where one does not, and stops all of them', async () => {
    const place = createPlace()
    let stops = 0
    const counted =
      (fails: boolean): DiscoveryFactory =>
      (context) => {
        const inner = bound(staticDiscovery([])(context))
        return {
          ...inner,
          start: async () => {
            if (fails) throw new Error('no such thing')
          },
          stop: async () => void (stops += 1),
        }
      }
    const discovery = [counted(false), counted(true)]
    const member = place.gossip(1, { discovery })
    await expect(place.until(member.start())).rejects.toThrow('no such thing')
    expect(stops).toBe(2)
    expect(place.clock.pendingTimers).toBe(0)
  })
})

/** Its methods as properties, to be replaced one by one. */
function bound(inner: Discovery): Discovery {
  return {
    name: inner.name,
    start: (handlers, options) => inner.start(handlers, options),
    find: (signal) => inner.find(signal),
    stop: () => inner.stop(),
    [Symbol.asyncDispose]: () => inner.stop(),
  }
}
