/**
 * Registry cores on a faulty network, with a stand-in for gossip: broadcasts are packets, fetches
 * and anti-entropy are requests, and an oracle tells each member late what became of the others.
 */
import type { Address, MemberStatus } from '@kith/interface'
import {
  createState,
  type Input,
  lookUp,
  nextDeadline,
  nextEpoch,
  type Output,
  serviceNames,
  type State,
  step,
} from '@kith/registry/core'
import {
  createSimRandom,
  SimNetwork,
  type SimHost,
  type SimRandom,
  type VirtualClock,
} from '@kith/sim'
import { fastSettings } from './settings.ts'

/** What a planted fault does to a member, so that the checkers can show that they see it. */
export interface Mutant {
  /** Inputs that never reach the core. */
  drops?(input: Input): boolean
  /** Spoils the state after each step. */
  tampers?(state: State): void
}

export interface ClusterOptions {
  readonly seed: number
  readonly size: number
  readonly clock: VirtualClock
  readonly mutant?: Mutant
  readonly note?: (line: string) => void
}

/** One life of one member. */
export interface Life {
  readonly name: string
  readonly address: Address
  readonly host: SimHost
  readonly state: State
  readonly view: Map<string, MemberStatus>
  cancelTimer: () => void
}

export const antiEntropyMs = 5_000
/** A member knows at the latest so long after it happened what became of another. */
export const viewsMs = 5_000
const broadcastTag = 1
const stateTag = 2
const fetchTag = 3

export class Cluster {
  readonly network: SimNetwork
  readonly random: SimRandom
  readonly names: readonly string[]
  readonly lives = new Map<string, Life>()
  readonly gone = new Map<string, 'failed' | 'left'>()
  readonly counters = {
    takeovers: 0,
    fetches: 0,
    solicits: 0,
    malformed: 0,
    failures: 0,
    returns: 0,
  }
  /** Pairs that cannot reach each other now, as `a>b`. */
  readonly cut = new Set<string>()
  /** Told after each step that changed what is held or handed out. */
  onChange: (life: Life) => void = () => {}
  readonly #options: ClusterOptions

  constructor(options: ClusterOptions) {
    this.#options = options
    this.random = createSimRandom(options.seed, 'cluster')
    this.network = new SimNetwork({
      seed: options.seed,
      clock: options.clock,
      packetBytesMax: 1_400,
    })
    this.names = Array.from({ length: options.size }, (_, index) => `m${index + 1}`)
  }

  get clock(): VirtualClock {
    return this.#options.clock
  }

  note(line: string): void {
    this.#options.note?.(`${Math.round(this.clock.now())} ms ${line}`)
  }

  addressOf(name: string): Address {
    return { host: `10.0.0.${Number(name.slice(1))}`, port: 7946 }
  }

  nameOf(address: Address): string {
    return `m${address.host.split('.')[3] ?? ''}`
  }

  /**
   * Starts a member. `clockBackMs` sets its wall clock back, as a machine without a battery does.
   */
  start(name: string, clockBackMs = 0): Life {
    const address = this.addressOf(name)
    const born: { life?: Life } = {}
    const host = this.network.attach(address, {
      packet: (from, bytes) => {
        if (born.life !== undefined && bytes[0] === broadcastTag) {
          this.#input(born.life, {
            kind: 'broadcast',
            from: this.nameOf(from),
            bytes: bytes.slice(1),
          })
        }
      },
      request: (from, bytes, reply) => {
        const answer = born.life && this.#answer(born.life, this.nameOf(from), bytes)
        if (answer === undefined) reply.fail()
        else reply.send(answer)
      },
    })
    const wallMs = this.clock.wallNow() - clockBackMs
    const state = createState({
      member: name,
      epoch: nextEpoch(undefined, wallMs),
      wallMs,
      settings: fastSettings,
      random: this.random.fork(`${name}@${this.clock.now()}`),
      broadcastBytesMax: () => 600,
      now: this.clock.now(),
    })
    const life: Life = { name, address, host, state, view: new Map(), cancelTimer() {} }
    born.life = life
    this.lives.set(name, life)
    const seenAs = this.gone.get(name)
    this.gone.delete(name)
    this.note(`${name} starts${seenAs === undefined ? '' : ` again after ${seenAs}`}`)
    this.#input(life, { kind: 'start' })
    this.#exchangeLater(life)
    this.refreshViews(50, 1_500)
    return life
  }

  crash(name: string): void {
    const life = this.lives.get(name)
    if (life === undefined) return
    this.note(`${name} crashes`)
    this.#end(life)
    this.network.crash(life.address)
    this.gone.set(name, 'failed')
    this.refreshViews(1_000, 4_000)
  }

  leave(name: string): void {
    const life = this.lives.get(name)
    if (life === undefined) return
    this.note(`${name} leaves`)
    this.input(name, { kind: 'drain' })
    this.#end(life)
    life.host.detach()
    this.gone.set(name, 'left')
    this.refreshViews(50, 1_000)
  }

  #end(life: Life): void {
    this.lives.delete(life.name)
    life.cancelTimer()
    const { takeovers, fetches, solicits, malformed } = life.state.counters
    this.counters.takeovers += takeovers
    this.counters.fetches += fetches
    this.counters.solicits += solicits
    this.counters.malformed += malformed
  }

  finish(): void {
    for (const life of [...this.lives.values()]) this.#end(life)
  }

  /** Cuts the groups off each other; the returned function heals it. */
  partition(groups: readonly (readonly string[])[]): () => void {
    this.note(`partition ${groups.map((group) => group.join('+')).join(' | ')}`)
    const heal = this.network.partition(
      groups.map((group) => group.map((name) => this.addressOf(name))),
    )
    const pairs = groups.flatMap((group) =>
      group.flatMap((a) =>
        groups.filter((g) => g !== group).flatMap((g) => g.map((b) => `${a}>${b}`)),
      ),
    )
    for (const pair of pairs) this.cut.add(pair)
    this.refreshViews(1_000, viewsMs)
    return () => {
      this.note('healed')
      heal()
      for (const pair of pairs) this.cut.delete(pair)
      this.refreshViews(50, 3_000)
    }
  }

  /** Each member learns after its own delay what is then still so. */
  refreshViews(fromMs: number, toMs: number): void {
    for (const life of this.lives.values()) {
      for (const other of this.names) {
        if (other === life.name) continue
        const delay = this.random.between(fromMs, toMs)
        life.host.clock.after(delay, () => this.#look(life, other))
      }
    }
  }

  #look(life: Life, other: string): void {
    const up = this.lives.has(other)
    const reaches = up && !this.cut.has(`${life.name}>${other}`)
    const known = life.view.get(other)
    let status: MemberStatus | undefined = reaches ? 'alive' : 'failed'
    if (!up && this.gone.get(other) === undefined) status = undefined
    if (!up && this.gone.get(other) === 'left') status = 'left'
    if (status === undefined || status === known) return
    // Nobody hears of a member for the first time by its failure.
    if (known === undefined && status !== 'alive') return
    if (known === 'alive' && status === 'failed') this.counters.failures += 1
    if (known === 'failed' && status === 'alive') this.counters.returns += 1
    life.view.set(other, status)
    this.#input(life, { kind: 'member', name: other, status, kith: true })
  }

  input(name: string, input: Input): void {
    const life = this.lives.get(name)
    if (life !== undefined) this.#input(life, input)
  }

  #input(life: Life, input: Input): readonly Output[] {
    if (this.#options.mutant?.drops?.(input) === true) return []
    const outputs = step(life.state, input, this.clock.now())
    this.#options.mutant?.tampers?.(life.state)
    for (const output of outputs) this.#carryOut(life, output)
    life.cancelTimer()
    const at = nextDeadline(life.state)
    if (at !== undefined) {
      const delay = Math.max(0, at - this.clock.now())
      life.cancelTimer = life.host.clock.after(delay, () => this.#input(life, { kind: 'deadline' }))
    }
    // A member's status matters to the checkers even where the core makes nothing of it.
    if (input.kind === 'member' || outputs.some((output) => output.kind === 'changed')) {
      this.onChange(life)
    }
    return outputs
  }

  #carryOut(life: Life, output: Output): void {
    if (output.kind === 'broadcast') {
      for (const [other, status] of life.view) {
        if (status === 'alive')
          life.host.send(this.addressOf(other), tagged(broadcastTag, output.bytes))
      }
    } else if (output.kind === 'fetch') {
      const { id, member, request, timeoutMs } = output
      const bytes = tagged(fetchTag, request)
      life.host.request(this.addressOf(member), bytes, { timeoutMs }, (outcome) => {
        this.#input(
          life,
          outcome.kind === 'reply'
            ? { kind: 'fetched', id, bytes: outcome.bytes }
            : { kind: 'fetchFailed', id },
        )
      })
    }
  }

  #answer(life: Life, from: string, bytes: Uint8Array): Uint8Array | undefined {
    const body = bytes.slice(1)
    if (bytes[0] === fetchTag) {
      return answerIn(this.#input(life, { kind: 'fetchRequest', from, bytes: body }))
    }
    const own = answerIn(this.#input(life, { kind: 'stateWanted' }))
    this.#input(life, { kind: 'state', from, bytes: body })
    return own
  }

  #exchangeLater(life: Life): void {
    life.host.clock.after(this.random.between(antiEntropyMs / 2, antiEntropyMs), () => {
      const alive = [...life.view].filter(([, status]) => status === 'alive').map(([name]) => name)
      if (alive.length > 0) this.#exchange(life, this.random.pick(alive))
      this.#exchangeLater(life)
    })
  }

  #exchange(life: Life, other: string): void {
    const own = answerIn(this.#input(life, { kind: 'stateWanted' }))
    if (own === undefined) return
    const options = { timeoutMs: 2_000 }
    life.host.request(this.addressOf(other), tagged(stateTag, own), options, (outcome) => {
      if (outcome.kind !== 'reply') return
      this.#input(life, { kind: 'state', from: other, bytes: outcome.bytes })
    })
  }
}

function answerIn(outputs: readonly Output[]): Uint8Array | undefined {
  for (const output of outputs) {
    if (output.kind === 'localState' || output.kind === 'fetchReply') return output.bytes
  }
  return undefined
}

function tagged(tag: number, bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(bytes.length + 1)
  whole[0] = tag
  whole.set(bytes, 1)
  return whole
}

/** What a member hands out, as one comparable text a line. */
export function handedOut(state: State): string[] {
  return serviceNames(state).flatMap((name) =>
    lookUp(state, name).all.map(
      ({ service, member, id, port, status, meta }) =>
        `${service} ${member}/${id}:${port} ${status} ${meta['round'] ?? ''}`,
    ),
  )
}
