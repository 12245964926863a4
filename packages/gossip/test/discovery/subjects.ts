/** The discoveries of gossip over something that a test can change. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseAddress } from '@kith/interface'
import { systemClock } from '@kith/interface/node'
import type { DiscoverySubject } from '@kith/testkit'
import { dnsDiscovery, fileDiscovery, staticDiscovery } from '../../src/index.ts'
import type { DnsResolver } from '../../src/index.ts'

const finds = ['10.0.0.1:7946', '10.0.0.2:7000']
const nothing = async (): Promise<void> => {
  throw new Error('the feature is declared absent')
}

export function openStatic(): DiscoverySubject {
  return {
    clock: systemClock,
    finds: [...finds, 'db.internal', 'name/10.0.0.3:7946', '[::1]:7946'],
    factory: staticDiscovery([
      ...['10.0.0.1:7946', '10.0.0.2:7000', 'db.internal', 'name/10.0.0.3:7946', '[::1]:7946'],
      ...['10.0.0.1:7946', 'db.internal'],
    ]),
    bad: [
      { make: () => staticDiscovery(['nowhere:0']), field: 'seeds[0]' },
      { make: () => staticDiscovery(['a', 5 as unknown as string]), field: 'seeds[1]' },
      { make: () => staticDiscovery('a:1' as unknown as string[]), field: 'seeds' },
    ],
    provide: nothing,
    spoil: nothing,
    hold: nothing,
  }
}

/** A zone with one service, whose every target is a name of its own. */
class Zone implements DnsResolver {
  seeds: readonly string[] = finds
  spoiled = false
  held = false
  #release: (() => void)[] = []

  provide(seeds: readonly string[]): void {
    this.seeds = seeds
    this.spoiled = false
    this.held = false
    for (const release of this.#release.splice(0)) release()
  }

  async resolveSrv(): Promise<{ name: string; port: number }[]> {
    if (this.held) await new Promise<void>((resolve) => void this.#release.push(resolve))
    if (this.spoiled) throw new Error('querySrv ESERVFAIL')
    return this.seeds.map((seed, index) => {
      return { name: `target-${index}`, port: parseAddress(seed)?.port ?? 0 }
    })
  }

  async resolve4(name: string): Promise<string[]> {
    const seed = this.seeds[Number(name.split('-')[1])] ?? ''
    return [parseAddress(seed)?.host ?? '']
  }

  async resolve6(): Promise<string[]> {
    throw new Error('queryAaaa ENODATA')
  }
}

export function openDns(): DiscoverySubject {
  const zone = new Zone()
  const factory = dnsDiscovery('_kith._udp.internal', { resolver: zone })
  return {
    clock: systemClock,
    finds,
    factory,
    bad: [
      { make: () => dnsDiscovery(''), field: 'name' },
      { make: () => dnsDiscovery('a b'), field: 'name' },
      { make: () => dnsDiscovery('10.0.0.1'), field: 'name' },
      { make: () => dnsDiscovery('x'.repeat(254)), field: 'name' },
      { make: () => dnsDiscovery(7 as unknown as string), field: 'name' },
      { make: () => dnsDiscovery('a', { port: 0 }), field: 'port' },
      { make: () => dnsDiscovery('a', { port: 65_536 }), field: 'port' },
      { make: () => dnsDiscovery('a', { resolver: {} as DnsResolver }), field: 'resolver' },
    ],
    provide: async (seeds) => zone.provide(seeds),
    spoil: async () => void (zone.spoiled = true),
    hold: async () => void (zone.held = true),
  }
}

export async function openFile(): Promise<DiscoverySubject & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'kith-seeds-'))
  const path = join(folder, 'seeds')
  const provide = (seeds: readonly string[]): Promise<void> => {
    return writeFile(path, `# the others\n\n${seeds.join('\r\n')}\n`)
  }
  await provide([...finds, ...finds.slice(0, 1)])
  return {
    clock: systemClock,
    finds,
    factory: fileDiscovery(path, { pollMs: 100 }),
    bad: [
      { make: () => fileDiscovery(''), field: 'path' },
      { make: () => fileDiscovery(7 as unknown as string), field: 'path' },
      { make: () => fileDiscovery('x', { pollMs: 99 }), field: 'pollMs' },
      { make: () => fileDiscovery('x', { pollMs: 1.5 }), field: 'pollMs' },
    ],
    provide,
    spoil: () => rm(path),
    hold: nothing,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
}
