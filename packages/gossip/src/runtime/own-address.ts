/**
 * The address at which others reach this member, where it was found and not given: looked after,
 * because a lease ends, a cable moves, and a machine sleeps.
 */
import type { Address, CancelTimer, Clock } from '@kith/interface'
import { findHost, machineHosts } from './interfaces.ts'
import type { Hosts } from './interfaces.ts'
import type { Running } from './running.ts'
import type { GossipWarning } from './types.ts'

/**
 * How often the interfaces are looked at, milliseconds: that costs a tenth of one, and on `lan` a
 * member that moved is failed after four seconds at the earliest.
 */
export const lookMs = 1_000

export interface LookAfterOptions {
  readonly clock: Clock
  readonly hosts: Hosts
  /** What is bound. */
  readonly wildcard: string
  /** What others are told now. */
  readonly advertised: () => Address
  readonly move: (to: Address) => void
  readonly warn: (warning: GossipWarning) => void
}

/** Sees to it that others are told an address which this machine has; returns what ends it. */
export function lookAfterAddress(options: LookAfterOptions): CancelTimer {
  const { clock, hosts, wildcard, advertised, move, warn } = options
  let lost = false
  let cancel: CancelTimer = () => {}
  const look = (): void => {
    const from = advertised()
    const has = hosts().includes(from.host)
    const host = has ? undefined : findHost(hosts, wildcard)
    if (host !== undefined) {
      const to = { host, port: from.port }
      move(to)
      warn({ kind: 'addressChanged', from, to })
    } else if (!has && !lost) warn({ kind: 'addressLost', address: from })
    lost = !has && host === undefined
    cancel = clock.after(lookMs, look)
  }
  cancel = clock.after(lookMs, look)
  return () => cancel()
}

/** The same for a running member. */
export function lookAfter(
  { state, bound, engine }: Running,
  clock: Clock,
  warn: LookAfterOptions['warn'],
): CancelTimer {
  return lookAfterAddress({
    clock,
    hosts: machineHosts,
    wildcard: bound.address.host,
    advertised: () => state.address,
    // Nobody waits for it.
    move: (address) =>
      engine.run({ kind: 'command', command: { kind: 'setAdvertise', id: 0, address } }),
    warn,
  })
}
