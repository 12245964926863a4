/**
 * Looking for the others: at the start, whenever this member is alone, and now and then in company,
 * because two halves that each have company know nothing of each other. Asked are the configured
 * seeds, what discoveries find, and those remembered from before.
 */
import { formatAddress, sameAddress } from '@kith/interface'
import type { Address, CancelTimer, Clock, Member, Random } from '@kith/interface'
import type { JoinOutcome } from '../core/index.ts'
import type { Remembered } from '../core/memory.ts'
import type { DecodeProblemKind } from '../wire/problem.ts'
import { createPatience } from './patience.ts'
import type { Found } from './sources.ts'
import type { CountOf } from './counters.ts'

const retryMsMin = 500
const retryMsMax = 30_000
/** How often a member in company looks for others. */
const companyMs = 10_000
/** After a change that others may notice as well. */
const nudgeMsMax = 500
/** Remembered members asked at one time: one that answers tells of all others. */
const rejoinBatch = 4
/** Batches of one attempt; the next one takes others. */
const rejoinBatchesMax = 8

export interface LookingOptions {
  readonly clock: Clock
  readonly random: Random
  /** Own address, which may change: nobody else is there. */
  readonly self: () => Address
  readonly members: () => readonly Member[]
  readonly find: () => Promise<Found>
  readonly remembered: () => readonly Remembered[]
  /** Exchanges state with each; never rejects while this member runs. */
  readonly join: (addresses: readonly Address[]) => Promise<JoinOutcome>
  /** An attempt of a member that is alone reached nobody. */
  readonly unreachable: (
    failures: readonly string[],
    problems: readonly DecodeProblemKind[],
  ) => void
  readonly count: CountOf
}

export interface Looking {
  /** Something changed: look soon, where it matters. */
  nudge(why: 'memberGone' | 'sourceChanged'): void
  stop(): void
}

/** Begins at once. */
export function keepLooking(options: LookingOptions): Looking {
  const looker = new Looker(options)
  looker.begin()
  return looker
}

class Looker implements Looking {
  readonly #options: LookingOptions
  readonly #patience = createPatience()
  #stopped = false
  #running = false
  #again = false
  #retryMs = retryMsMin
  /** Remembered, and not asked yet. */
  #waiting: Address[] = []
  #cancel: CancelTimer = () => {}

  constructor(options: LookingOptions) {
    this.#options = options
  }

  begin(): void {
    void this.#run()
  }

  stop(): void {
    this.#stopped = true
    this.#cancel()
  }

  nudge(why: 'memberGone' | 'sourceChanged'): void {
    if (this.#stopped || (why === 'memberGone' && !this.#alone())) return
    this.#retryMs = retryMsMin
    if (this.#running) {
      this.#again = true
      return
    }
    this.#cancel()
    const { clock, random } = this.#options
    this.#cancel = clock.after(random.float() * nudgeMsMax, () => void this.#run())
  }

  async #run(): Promise<void> {
    this.#running = true
    this.#again = false
    // Whatever goes wrong in one round, the next one is due.
    await this.#round().catch(() => this.#options.count('looksBroken'))
    this.#running = false
    if (!this.#stopped) this.#later()
  }

  #later(): void {
    let delayMs = companyMs
    if (this.#alone()) {
      delayMs = this.#retryMs
      this.#retryMs = Math.min(this.#retryMs * 2, retryMsMax)
    } else this.#retryMs = retryMsMin
    const { clock, random } = this.#options
    if (this.#again) delayMs = nudgeMsMax
    this.#cancel = clock.after(delayMs * (0.75 + random.float() / 2), () => void this.#run())
  }

  #alone(): boolean {
    const self = this.#options.self()
    return !this.#options
      .members()
      .some(({ address, status }) => status === 'alive' && !sameAddress(address, self))
  }

  async #round(): Promise<void> {
    const found = await this.#options.find()
    if (this.#stopped) return
    if (this.#alone()) await this.#askAll(found)
    else await this.#askOne(found.addresses)
  }

  /** Everybody at once: whoever is there first ends the loneliness. */
  async #askAll({ addresses, failures }: Found): Promise<void> {
    const { join, unreachable } = this.#options
    const self = this.#options.self()
    const others = addresses.filter((address) => !sameAddress(address, self))
    const asked = others.length === 0 ? undefined : join(others)
    const [outcome, again] = await Promise.all([asked, this.#rejoin()])
    // Success alone proves nothing: what answered may be ourselves, behind another address.
    if (this.#stopped || !this.#alone()) return
    const outcomes = outcome === undefined ? again : [outcome, ...again]
    const all = [...failures, ...outcomes.flatMap((one) => one.failures)]
    const problems = outcomes.flatMap((one) => one.problems)
    if (all.length > 0) unreachable(all, problems)
  }

  /**
   * A few of those remembered at a time, in any order, until one answers. The next attempt goes on
   * with those not asked yet.
   */
  async #rejoin(): Promise<readonly JoinOutcome[]> {
    const { join, count } = this.#options
    const outcomes: JoinOutcome[] = []
    for (let batch = 0; batch < rejoinBatchesMax; batch += 1) {
      if (this.#stopped || (batch > 0 && !this.#alone())) break
      if (this.#waiting.length === 0 && batch === 0) this.#waiting = this.#shuffled()
      const some = this.#waiting.splice(-rejoinBatch)
      if (some.length === 0) break
      count('rejoins')
      const outcome = await join(some)
      outcomes.push(outcome)
      if (outcome.joined > 0) break
    }
    return outcomes
  }

  #shuffled(): Address[] {
    const { random, remembered } = this.#options
    const addresses = remembered().map(({ address }) => address)
    for (let last = addresses.length - 1; last > 0; last -= 1) {
      const place = random.below(last + 1)
      const [a, b] = [addresses[place], addresses[last]]
      if (a !== undefined && b !== undefined) [addresses[place], addresses[last]] = [b, a]
    }
    return addresses
  }

  /** One of those who should be here and are not; who keeps silent is asked less and less often. */
  async #askOne(found: readonly Address[]): Promise<void> {
    const { clock, random, members, remembered, self, join, count } = this.#options
    // The failed are the core's business: it tries them by itself, more often.
    const here = members().filter(({ status }) => status !== 'left')
    const known = new Set([self(), ...here.map(({ address }) => address)].map(formatAddress))
    const missing = new Map<string, Address>()
    for (const address of [...found, ...remembered().map((member) => member.address)]) {
      const text = formatAddress(address)
      if (!known.has(text)) missing.set(text, address)
    }
    const due = this.#patience.due([...missing.keys()], clock.now())
    const text = due[random.below(Math.max(1, due.length))]
    const address = text === undefined ? undefined : missing.get(text)
    if (text === undefined || address === undefined) return
    this.#patience.asked(text, clock.now())
    count('looks')
    const outcome = await join([address])
    if (outcome.joined > 0) count('looksAnswered')
  }
}
