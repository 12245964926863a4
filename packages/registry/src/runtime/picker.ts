/** One instance out of those that resolve: by turn, chance, load, key or distance (REG-17). */
import { type OptionProblem, type Random, type ServiceInstance, showValue } from '@kith/interface'
import { problemError } from '../errors.ts'
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

export interface PickerPorts {
  readonly random: Random
  readonly rtt: RoundTrip
  /** The own member, from which `nearest` measures unless told otherwise. */
  readonly self: () => string
}

export class Picker {
  readonly #ports: PickerPorts
  /** Whose turn it is; only names that resolve have one, so that others take no memory. */
  readonly #turns = new Map<string, number>()
  /** Leases under way, by member and id; nothing under way has no entry. */
  readonly #loads = new Map<string, number>()
  /** Instances are immutable, and asked for their key with every pick by load. */
  readonly #keys = new WeakMap<ServiceInstance, string>()

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
        return highest(candidates, options.key ?? '')
      case 'nearest':
        return this.#next(service, this.#closest(candidates, options.near))
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
    const distances = new Map(found.map((one) => [one, this.#distance(near, one.member)]))
    return found.toSorted((a, b) => (distances.get(a) ?? 0) - (distances.get(b) ?? 0) || 0)
  }

  forget(service: string): void {
    this.#turns.delete(service)
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

  #closest(among: readonly ServiceInstance[], near?: string): readonly ServiceInstance[] {
    const from = near ?? this.#ports.self()
    const distances = among.map((one) => this.#distance(from, one.member))
    const least = Math.min(...distances)
    return among.filter((_, index) => distances[index] === least)
  }

  /** Whoever nobody measured is further away than all others, and as far as each other. */
  #distance(from: string, to: string): number {
    return from === to ? 0 : (this.#ports.rtt(from, to) ?? Number.MAX_VALUE)
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

/**
 * Rendezvous hashing: every caller gives one key the same instance without having talked about it,
 * and when an instance goes only its own keys move.
 */
function highest(among: readonly ServiceInstance[], key: string): ServiceInstance | undefined {
  const seed = hash(key, 0x811c9dc5)
  let best: ServiceInstance | undefined
  let bestScore = -1
  for (const instance of among) {
    const score = scramble(hash(instance.id, hash(instance.member, seed)))
    if (score <= bestScore) continue
    best = instance
    bestScore = score
  }
  return best
}

/** FNV-1a over the code units of `text`. */
function hash(text: string, seed: number): number {
  let value = seed
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x0100_0193)
  }
  return Math.imul(value ^ 0x2f, 0x0100_0193)
}

/** FNV leaves the last characters in the low bits; every bit is to have its say in the order. */
function scramble(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85eb_ca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
