/** Which places a channel connects to: the preferred ones, each once, and not too many (GRP-3). */
import { crc32 } from 'node:zlib'
import type { ServiceInstance } from '@kith/interface'
import type { ResolvedOptions } from './options.ts'

export interface Place {
  readonly host: string
  readonly port: number
}

/** In an order that depends on the places alone, so that equal answers are equal texts. */
export function placesOf(
  instances: readonly ServiceInstance[],
  { prefer, endpointsMax }: Pick<ResolvedOptions, 'prefer' | 'endpointsMax'>,
  seed: number,
): readonly Place[] {
  const { zone, tags = [] } = prefer ?? {}
  const near = instances.filter(
    (one) =>
      (zone === undefined || one.meta['zone'] === zone) &&
      tags.every((tag) => one.tags.includes(tag)),
  )
  const places = new Map<string, Place>()
  for (const { address, port } of near.length > 0 ? near : instances) {
    places.set(`${address} ${port}`, { host: address, port })
  }
  const keys = [...places.keys()]
  // By rank: whoever goes or comes moves nobody else in or out, but for the one at the limit.
  const ranks = new Map(keys.map((key) => [key, crc32(key, seed)]))
  const rank = (key: string): number => ranks.get(key) ?? 0
  return keys
    .toSorted((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
    .slice(0, endpointsMax)
    .map((key) => places.get(key) as Place)
}
