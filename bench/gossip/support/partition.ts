/** Clusters whose members have a cable each: some are cut off, then connected again. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Profile } from '@kith/gossip'
import { port, startAgent } from './agents.ts'
import type { Kind } from './agents.ts'
import { bridgedSpaces } from './network.ts'
import { Observer } from './observer.ts'

export interface PartitionOptions {
  readonly kind: Kind
  readonly profile: Profile
  readonly size: number
  /** Of them, how many are cut off from the rest, together. */
  readonly cutOff: number
  readonly heals: number
  /** Tells networks of one run apart, 1 to 254. */
  readonly net: number
}

const settleMs = 90_000
const noticeMs = 60_000
const healPatienceMs = 120_000

export interface Healed {
  /** Milliseconds from the reconnection until all knew all. */
  readonly healMs: number
  /** Of all pairs across the cut, those of which one had not declared the other failed. */
  readonly unnoticed: number
}

/** A cut lasts until each side has declared the other failed, or a minute. */
export async function heals(options: PartitionOptions): Promise<readonly Healed[]> {
  const { kind, profile, size, cutOff, net } = options
  const observer = new Observer()
  const spaces = bridgedSpaces(`${kind.slice(0, 1)}${net}x`, net, size)
  const seed = `${spaces[0]?.host}:${port}`
  const names: string[] = []
  for (const [index, { space, host }] of spaces.entries()) {
    const name = `${kind}-${net}-${index}`
    const join = index === 0 ? [] : [seed]
    startAgent(kind, { members: [{ name, host, space }], profile, join, observer })
    names.push(name)
    await pause(200)
  }
  if ((await observer.untilAgreed(names, settleMs)) === undefined) {
    throw new Error(`${kind} members did not find each other over the bridge`)
  }
  const away = names.slice(-cutOff)
  const home = names.slice(0, -cutOff)
  const across = home.flatMap((here) =>
    away.flatMap((there) => [[here, there] as const, [there, here] as const]),
  )
  const seen: Healed[] = []
  for (let round = 0; round < options.heals; round += 1) {
    const noticed = observer.watch('failed', across, noticeMs)
    for (const { cut } of spaces.slice(-cutOff)) cut()
    const { missing } = await noticed
    for (const { heal } of spaces.slice(-cutOff)) heal()
    const healMs = (await observer.untilAgreed(names, healPatienceMs)) ?? Number.POSITIVE_INFINITY
    seen.push({ healMs, unnoticed: missing.length })
    // Calm for the next round.
    await pause(2000)
  }
  return seen
}
