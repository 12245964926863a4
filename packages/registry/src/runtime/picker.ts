/** One instance out of those that resolve: by turn, chance, load, key or distance (REG-17). */
import {
  type Clock,
  type OptionProblem,
  type Random,
  type ServiceInstance,
  showValue,
} from '@kith/interface'
import { problemError } from '../errors.ts'
import { Placing } from './placing.ts'
import type { PickOptions, PickStrategy, ServiceLease } from './types.ts'

/** Milliseconds between two members; undefined where nobody knows. */
export type RoundTrip = (from: string, to: string) => number | undefined

const strategies: ReadonlySet<PickStrategy> = new Set<PickStrategy>([
  'round-robin',
  'random',
  'least-loaded',
  'rendezvous',
  'nearest',
])

/** Milliseconds for which distances hold: coordinates move a little with each probe. */
export const distancesHoldMs = 1_000
/** Services, and members to measure from, of which something is kept; the oldest goes first. */
const keptMax = 64

export interface PickerPorts {
  readonly random: Random
  readonly clock: Pick<Clock, 'now'>
  readonly rtt: RoundTrip
  /** The own member, from which `nearest` measures unless told otherwise. */
  readonly self: () => string
}

/** What was worked out for a list that stays the same object until something changes. */
interface Kept<Value> {
  readonly list: readonly ServiceInstance[]
  readonly value: Value
}

interface Closest {
  readonly until: number
  readonly instances: readonly ServiceInstance[]
}

export class Picker {
  readonly #ports: PickerPorts
  /** Whose turn it is; only names that resolve have one, so that others take no memory. */
  readonly #turns = new Map<string, number>()
  /** Leases under way, by member and id; nothing under way has no entry. */
  readonly #loads = new Map<string, number>()
  /** Instances are immutable, and asked for their key with every pick by load. */
  readonly #keys = new WeakMap<ServiceInstance, string>()
  /** By service. */
  readonly #placings = new Map<string, Kept<Placing>>()
  /** By service and the member measured from. */
  readonly #closest = new Map<string, Kept<Closest>>()

  constructor(ports: PickerPorts) {
    this.#ports = ports
  }

  /** One of `found`, which all are instances of `service`. */
  choose(
    service: string,
    found: readonly ServiceInstance[],
    options: PickOptions,
  ): ServiceInstance | undefined {
    checkOptions(options)
    const { except, prefer } = options
    const allowed = except === undefined ? found : found.filter((one) => !except(one))
    const candidates = preferred(allowed, prefer)
    if (candidates.length === 0) return undefined
    switch (options.strategy ?? 'round-robin') {
      case 'round-robin':
        return this.#next(service, candidates)
      case 'random':
        return candidates[this.#ports.random.below(candidates.length)]
      case 'least-loaded':
        return this.#lighter(candidates)
      case 'rendezvous':
        return this.#placing(service, candidates).of(options.key ?? '')
      case 'nearest':
        return this.#next(service, this.#nearest(service, candidates, options.near))
    }
  }

  /** Counts one use of `instance` until it is given back. */
  lease(instance: ServiceInstance): ServiceLease {
    const key = this.#keyOf(instance)
    this.#loads.set(key, (this.#loads.get(key) ?? 0) + 1)
    let held = true
    const release = (): void => {
      if (!held) return
      held = false
      const left = (this.#loads.get(key) ?? 1) - 1
      if (left > 0) this.#loads.set(key, left)
      else this.#loads.delete(key)
    }
    return { instance, release, [Symbol.dispose]: release }
  }

  /** By distance from `near`, instances of one distance as they were. */
  byDistance(found: readonly ServiceInstance[], near: string): readonly ServiceInstance[] {
    const distances = new Map<string, number>()
    for (const { member } of found) {
      if (!distances.has(member)) distances.set(member, this.#distance(near, member))
    }
    const of = ({ member }: ServiceInstance): number => distances.get(member) ?? Number.MAX_VALUE
    return found.toSorted((a, b) => of(a) - of(b))
  }

  forget(service: string): void {
    this.#turns.delete(service)
    this.#placings.delete(service)
  }

  #next(service: string, among: readonly ServiceInstance[]): ServiceInstance | undefined {
    const turn = this.#turns.get(service) ?? 0
    this.#turns.set(service, (turn + 1) % 0x4000_0000)
    return among[turn % among.length]
  }

  /**
   * The lighter of two drawn at random: nearly as even as asking everybody, and callers that all
   * see the same loads do not all run to the same instance.
   */
  #lighter(among: readonly ServiceInstance[]): ServiceInstance | undefined {
    const { random } = this.#ports
    const first = random.below(among.length)
    if (among.length === 1) return among[first]
    const second = (first + 1 + random.below(among.length - 1)) % among.length
    const [a, b] = [among[first], among[second]]
    return this.#load(b) < this.#load(a) ? b : a
  }

  #load(instance: ServiceInstance | undefined): number {
    return instance === undefined ? Infinity : (this.#loads.get(this.#keyOf(instance)) ?? 0)
  }

  #keyOf(instance: ServiceInstance): string {
    const known = this.#keys.get(instance)
    if (known !== undefined) return known
    const key = `${instance.id}/${instance.member}`
    this.#keys.set(instance, key)
    return key
  }

  #placing(service: string, among: readonly ServiceInstance[]): Placing {
    const known = this.#placings.get(service)
    if (known?.list === among) return known.value
    const value = new Placing(among)
    keep(this.#placings, service, { list: among, value })
    return value
  }

  #nearest(
    service: string,
    among: readonly ServiceInstance[],
    near = this.#ports.self(),
  ): readonly ServiceInstance[] {
    const now = this.#ports.clock.now()
    const key = `${service} ${near}`
    const known = this.#closest.get(key)
    if (known?.list === among && now < known.value.until) return known.value.instances
    const instances = this.#closestOf(among, near)
    keep(this.#closest, key, { list: among, value: { until: now + distancesHoldMs, instances } })
    return instances
  }

  #closestOf(among: readonly ServiceInstance[], from: string): readonly ServiceInstance[] {
    let closest: ServiceInstance[] = []
    let least = Infinity
    let [member, distance]: [string | undefined, number] = [undefined, Infinity]
    for (const one of among) {
      // Those of one member follow each other.
      if (one.member !== member) {
        member = one.member
        distance = this.#distance(from, member)
      }
      if (distance > least) continue
      if (distance < least) closest = []
      least = distance
      closest.push(one)
    }
    return closest
  }

  /** Whoever nobody measured is further away than all others, and as far as each other. */
  #distance(from: string, to: string): number {
    return from === to ? 0 : (this.#ports.rtt(from, to) ?? Number.MAX_VALUE)
  }
}

/** Only for a list that will be asked again: what was filtered for one call is frozen by nobody. */
function keep<Value>(all: Map<string, Kept<Value>>, key: string, kept: Kept<Value>): void {
  if (!Object.isFrozen(kept.list)) return
  all.delete(key)
  all.set(key, kept)
  if (all.size <= keptMax) return
  for (const oldest of all.keys()) {
    all.delete(oldest)
    return
  }
}

function checkOptions({ strategy, key }: PickOptions): void {
  const problems: OptionProblem[] = []
  if (strategy !== undefined && !strategies.has(strategy)) {
    const want = [...strategies].map((name) => `'${name}'`).join(', ')
    problems.push({ field: 'strategy', got: showValue(strategy), want: `one of ${want}` })
  }
  if (strategy === 'rendezvous' && (typeof key !== 'string' || key === '')) {
    const want = "text that says what belongs together, since the strategy is 'rendezvous'"
    problems.push({ field: 'key', got: showValue(key), want })
  }
  if (problems.length > 0) throw problemError('ERR_REGISTRY_OPTIONS', problems)
}

/** Those that the caller would rather have; all where there are none. */
function preferred(
  found: readonly ServiceInstance[],
  prefer: PickOptions['prefer'],
): readonly ServiceInstance[] {
  if (prefer === undefined) return found
  const { zone, tags = [] } = prefer
  const fits = found.filter(
    (one) =>
      (zone === undefined || one.meta['zone'] === zone) &&
      tags.every((tag) => one.tags.includes(tag)),
  )
  return fits.length > 0 ? fits : found
}
