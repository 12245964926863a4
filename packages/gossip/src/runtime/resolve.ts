/** From what people write to what the core dials: addresses with IP literals. */
import { isIP } from 'node:net'
import type { Address } from '@kith/interface'
import { parseSeed } from './options.ts'

/** Addresses of one name that are tried. */
const addressesPerNameMax = 32

export interface ResolvedSeeds {
  readonly addresses: readonly Address[]
  /** One line for each name that has no address. */
  readonly failures: readonly string[]
}

/** All addresses behind all seeds, each once. The seeds were checked before. */
export async function resolveSeeds(
  seeds: readonly string[],
  defaultPort: number,
): Promise<ResolvedSeeds> {
  const found = await Promise.all(seeds.map((seed) => resolveSeed(seed, defaultPort)))
  const addresses = new Map<string, Address>()
  for (const address of found.flatMap((one) => one.addresses)) {
    addresses.set(`${address.host} ${address.port}`, address)
  }
  return { addresses: [...addresses.values()], failures: found.flatMap((one) => one.failures) }
}

async function resolveSeed(seed: string, defaultPort: number): Promise<ResolvedSeeds> {
  const address = parseSeed(seed, defaultPort)
  if (address === undefined) return { addresses: [], failures: [`${seed}: not an address`] }
  const { host, port } = address
  if (isIP(host) !== 0) return { addresses: [address], failures: [] }
  try {
    const { lookup } = process.getBuiltinModule('node:dns/promises')
    const found = await lookup(host, { all: true })
    const hosts = found.slice(0, addressesPerNameMax)
    return { addresses: hosts.map((one) => ({ host: one.address, port })), failures: [] }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    return { addresses: [], failures: [`${seed}: ${reason}`] }
  }
}
