/** Many real cores over one simulated network, each at an address of its own. */
import { nodeDigests } from '@kith/interface/node'
import type { Address, CancelTimer } from '@kith/interface'
import { createState, createStreamDecoder, nextDeadline, step } from '@kith/gossip/core'
import type { Command, Input, Output, StreamMessage } from '@kith/gossip/core'
import type { GossipTimings, Policy, State } from '@kith/gossip/core'
import { createSimRandom, createVirtualClock, SimNetwork } from '@kith/sim'
import type { SimRandom, SimReply, VirtualClock } from '@kith/sim'
import { Edge } from './edge.ts'
import type { HeldCounts } from './edge.ts'
import { Machine } from './machine.ts'
import type { Costs, MachineOptions, WorkKind } from './machine.ts'
import type { Seal } from './seal.ts'

/** The door of the core, or of a mutant of it. */
export type Step = typeof step

/** Hears of every transition, after it happened. */
export interface Watcher {
  transition(actor: Actor, input: Input, outputs: readonly Output[], now: number): void
}

/** One member, through all its lives. */
export interface Actor {
  readonly name: string
  /** Where its machine is reached now; `move` changes it. */
  address: Address
  /** Raised by each start. */
  life: number
  /** Its process runs; it may be paused all the same. */
  up: boolean
  paused: boolean
  /** Since when it stood still, until it runs its first input after that. */
  stoodStillSince: number | undefined
  /** From the first word of a leave on. */
  left: boolean
  tags: Readonly<Record<string, string>>
  state: State | undefined
  /** Highest incarnation it ever took, over all lives. */
  incarnationMax: number
}

interface Life {
  readonly edge: Edge
  /** Exchanges of its own that are under way. */
  readonly requests: Set<number>
  readonly replies: Map<number, SimReply>
  cancelTimer: CancelTimer | undefined
  timerAt: number | undefined
  nextStreamId: number
  seeds: readonly Actor[]
}

const packetBytesFull = 1400
const joinId = 1
/** Shorter than Serf's 30 s, and part of no bound: a member that never joined is no member yet. */
const joinRetryMs = 10_000

export interface ClusterOptions {
  readonly seed: number
  readonly members: number
  readonly timings: GossipTimings
  /** Of the member with this number, where they differ. */
  readonly timingsOf?: (index: number) => GossipTimings
  readonly step?: Step
  readonly watchers?: readonly Watcher[]
  /** Where given, whatever a member does takes time on this machine. */
  readonly machine?: Omit<MachineOptions, 'clock'>
  readonly policy?: Policy
  /** Messages that wait for a member that stands still or is held up; default 1024. */
  readonly heldInboundMax?: number
  /** Seals every packet and opens it again, as members of a cluster with a key do. */
  readonly seal?: Seal
}

export class Cluster {
  readonly clock: VirtualClock = createVirtualClock()
  readonly network: SimNetwork
  readonly actors: readonly Actor[]
  readonly timings: GossipTimings
  readonly random: SimRandom
  /** Transitions of all cores together. */
  transitions = 0
  joinsRetried = 0
  /** Packets that did not open. */
  packetsRefused = 0
  /** Messages that `hold` held up. */
  readonly held: HeldCounts = { outbound: 0, inbound: 0, overflowed: 0 }
  readonly #heldInboundMax: number
  readonly #seed: number
  readonly #timingsOf: ClusterOptions['timingsOf']
  readonly #encoded = new WeakMap<StreamMessage, Uint8Array>()
  readonly #step: Step
  readonly #policy: Policy
  readonly #seal: Seal | undefined
  readonly #watchers: readonly Watcher[]
  readonly #lives = new Map<Actor, Life>()
  /** What members owe for packets they sent; they pay with their next turn. */
  readonly #owedMs = new Map<Actor, number>()
  readonly machine: Machine | undefined

  constructor(options: ClusterOptions) {
    const { seed, members, timings } = options
    this.#seed = seed
    this.timings = timings
    this.#timingsOf = options.timingsOf
    this.random = createSimRandom(seed, 'cluster')
    const { heldInboundMax = 1024 } = options
    this.#heldInboundMax = heldInboundMax
    this.network = new SimNetwork({ seed, clock: this.clock, heldInboundMax })
    this.#step = options.step ?? step
    this.#policy = options.policy ?? {}
    this.#seal = options.seal
    this.#watchers = options.watchers ?? []
    const { clock } = this
    if (options.machine !== undefined) this.machine = new Machine({ clock, ...options.machine })
    this.actors = Array.from({ length: members }, (_, index) => createActor(index))
  }

  /** Starts a member's process, for the first time or again with nothing kept. */
  start(actor: Actor): void {
    actor.life += 1
    actor.up = true
    actor.paused = false
    actor.stoodStillSince = undefined
    actor.left = false
    actor.state = this.createState(actor)
    this.#attach(actor, { nextStreamId: 1, seeds: [] })
    this.command(actor, { kind: 'start', ignoreOld: true })
  }

  #attach(actor: Actor, { nextStreamId, seeds }: Pick<Life, 'nextStreamId' | 'seeds'>): void {
    const edge = new Edge({
      network: this.network,
      address: actor.address,
      handlers: {
        packet: (from, bytes) => this.#packet(actor, from, bytes),
        sendFailed: (to) => this.input(actor, { kind: 'sendFailed', to }),
        request: (from, bytes, reply) => this.#request(actor, from, bytes, reply),
      },
      inboundMax: this.#heldInboundMax,
      counts: this.held,
    })
    const life = { edge, requests: new Set<number>(), replies: new Map(), nextStreamId, seeds }
    this.#lives.set(actor, { ...life, cancelTimer: undefined, timerAt: undefined })
  }

  /**
   * A member's machine gets another address: nobody is where it was any more, what was open breaks,
   * and its process goes on without knowing.
   */
  move(actor: Actor, address: Address): void {
    const life = this.#lives.get(actor)
    if (life === undefined) return
    life.cancelTimer?.()
    this.network.crash(actor.address, { afterwards: 'swallow' })
    actor.address = address
    this.#attach(actor, life)
    for (const id of life.requests) {
      this.input(actor, { kind: 'requestFailed', id, reason: 'the connection broke' })
    }
    this.#setTimer(actor)
  }

  /** What this life of a member begins with. */
  createState(actor: Actor): State {
    const { name, address, tags, life } = actor
    const timings = this.#timingsOf?.(this.actors.indexOf(actor)) ?? this.timings
    const policy = this.#policy
    const packetOverheadBytes = this.#seal?.overheadBytes ?? 0
    const options = { name, address, tags, timings, digests: nodeDigests, policy }
    const random = createSimRandom(this.#seed, `${name}/${life}`)
    return createState({ ...options, packetOverheadBytes }, random)
  }

  crash(actor: Actor, afterwards: 'refuse' | 'swallow'): void {
    this.network.crash(actor.address, { afterwards })
    actor.up = false
    actor.paused = false
    actor.state = undefined
    this.#lives.delete(actor)
  }

  /** Ends a process that left, without a trace of failure. */
  detach(actor: Actor): void {
    this.#lives.get(actor)?.edge.host.detach()
    actor.up = false
    actor.state = undefined
    this.#lives.delete(actor)
  }

  pause(actor: Actor): void {
    this.network.pause(actor.address)
    this.machine?.pause(actor.name)
    actor.paused = true
    actor.stoodStillSince ??= this.clock.now()
  }

  resume(actor: Actor): void {
    this.machine?.resume(actor.name)
    this.network.resume(actor.address)
    actor.paused = false
  }

  /**
   * Holds up what a member sends and receives, until `release`: its timers and all that it decides
   * go on. A message that it did not come to handle is held up as well.
   */
  hold(actor: Actor): void {
    this.machine?.hold(actor.name)
    this.#lives.get(actor)?.edge.hold()
  }

  release(actor: Actor): void {
    this.machine?.release(actor.name)
    this.#lives.get(actor)?.edge.release()
  }

  /** As an agent does: a join that reached nobody is tried again. */
  join(actor: Actor, seeds: readonly Actor[]): void {
    const addresses = seeds.filter((seed) => seed !== actor).map((seed) => seed.address)
    if (addresses.length > 0) this.command(actor, { kind: 'join', id: joinId, addresses })
    const life = this.#lives.get(actor)
    if (life !== undefined) life.seeds = seeds
  }

  command(actor: Actor, command: Command): void {
    this.input(actor, { kind: 'command', command })
  }

  /** Hands an input to a member: now, or where a machine is modelled, in its turn. */
  input(actor: Actor, input: Input, now?: number): void {
    if (this.machine === undefined) return this.#run(actor, input, now ?? this.clock.now())
    const { life } = actor
    const owedMs = this.#owedMs.get(actor) ?? 0
    this.#owedMs.delete(actor)
    const ms = costOf(input, this.machine.costs) + owedMs
    this.machine.submit(actor.name, ms, workOf(input), () => {
      if (actor.life === life) this.#run(actor, input, this.clock.now())
    })
  }

  #run(actor: Actor, input: Input, now: number): void {
    const { state, stoodStillSince } = actor
    if (state === undefined) return
    if (stoodStillSince !== undefined && !actor.paused) {
      // What its runtime says first of all, whatever comes first of what was held back.
      actor.stoodStillSince = undefined
      this.#run(actor, { kind: 'late', lateMs: now - stoodStillSince }, now)
    }
    const life = this.#lives.get(actor)
    if (life !== undefined && input.kind === 'deadline') life.timerAt = undefined
    const outputs = this.#step(state, input, now)
    this.transitions += 1
    actor.incarnationMax = Math.max(actor.incarnationMax, state.incarnation)
    for (const watcher of this.#watchers) watcher.transition(actor, input, outputs, now)
    for (const output of outputs) this.#carryOut(actor, output)
    this.#setTimer(actor)
  }

  /** Members whose process runs and that did not leave. */
  live(): readonly Actor[] {
    return this.actors.filter((actor) => actor.up && !actor.left)
  }

  #carryOut(actor: Actor, output: Output): void {
    const life = this.#lives.get(actor)
    if (life === undefined) return
    if (output.kind === 'send') this.#send(actor, life, output)
    else if (output.kind === 'request') this.#sendRequest(actor, life, output)
    else if (output.kind === 'respond') {
      const reply = life.replies.get(output.id)
      life.replies.delete(output.id)
      if (output.bytes === undefined) reply?.end()
      else reply?.send(output.bytes)
    } else if (output.kind === 'collect') {
      this.input(actor, { kind: 'collected', id: output.id, states: new Map() })
    } else if (output.kind === 'done' && output.join?.joined === 0) {
      this.joinsRetried += 1
      life.edge.host.clock.after(joinRetryMs, () => this.join(actor, life.seeds))
    }
  }

  #packet(actor: Actor, from: Address, received: Uint8Array): void {
    const bytes = this.#seal === undefined ? received : this.#seal.open(received)
    if (bytes === undefined) this.packetsRefused += 1
    else this.input(actor, { kind: 'packet', from, bytes })
  }

  #send(actor: Actor, life: Life, { to, bytes }: Output & { kind: 'send' }): void {
    life.edge.send(to, this.#seal?.seal(bytes) ?? bytes)
    const { machine } = this
    if (machine === undefined) return
    this.#owedMs.set(actor, (this.#owedMs.get(actor) ?? 0) + machine.costs.sendMs)
  }

  #sendRequest(actor: Actor, life: Life, output: Output & { kind: 'request' }): void {
    const { id, to, bytes, expectReply, deadline } = output
    life.requests.add(id)
    life.edge.request({ to, bytes, expectReply, deadline }, (outcome) => {
      life.requests.delete(id)
      const message = outcome.kind === 'reply' ? this.#decode(outcome.bytes) : undefined
      if (message !== undefined) this.input(actor, { kind: 'reply', id, message })
      else if (outcome.kind === 'end' && !expectReply)
        this.input(actor, { kind: 'requestSent', id })
      else {
        const reason = outcome.kind === 'failed' ? outcome.reason : 'ended without an answer'
        this.input(actor, { kind: 'requestFailed', id, reason })
      }
    })
  }

  #request(actor: Actor, from: Address, bytes: Uint8Array, reply: SimReply): void {
    const message = this.#decode(bytes)
    const life = this.#lives.get(actor)
    if (message === undefined || life === undefined) return reply.fail()
    const id = life.nextStreamId
    life.nextStreamId += 1
    life.replies.set(id, reply)
    this.input(actor, { kind: 'streamMessage', id, from, message })
  }

  /** The bytes that a message of a stream came in, as long as somebody holds the message. */
  bytesOf(message: StreamMessage): Uint8Array | undefined {
    return this.#encoded.get(message)
  }

  #decode(bytes: Uint8Array): StreamMessage | undefined {
    const message = decodeStream(bytes)
    if (message !== undefined) this.#encoded.set(message, bytes)
    return message
  }

  #setTimer(actor: Actor): void {
    const life = this.#lives.get(actor)
    if (life === undefined || actor.state === undefined) return
    const at = nextDeadline(actor.state)
    if (at === life.timerAt) return
    life.cancelTimer?.()
    life.timerAt = at
    if (at === undefined) return
    life.cancelTimer = life.edge.host.clock.after(at - this.clock.now(), () => {
      // Adding a delay to a time may fall short of the deadline by the last bit of a float.
      const now = this.clock.now()
      this.input(actor, { kind: 'deadline' }, Math.abs(at - now) < 1e-6 ? at : now)
    })
  }
}

function workOf({ kind }: Input): WorkKind {
  if (kind === 'packet') return 'packet'
  return kind === 'streamMessage' || kind === 'reply' ? 'stream' : 'own'
}

function costOf(input: Input, costs: Costs): number {
  if (input.kind === 'packet') {
    return costs.wakeMs + (costs.packetMs * input.bytes.length) / packetBytesFull
  }
  const overStream = input.kind === 'reply' || input.kind === 'streamMessage'
  return costs.wakeMs + (overStream ? costs.streamMs : 0)
}

function createActor(index: number): Actor {
  return {
    name: `m${String(index).padStart(2, '0')}`,
    address: { host: `10.0.${index >> 8}.${index & 255}`, port: 7946 },
    life: 0,
    up: false,
    paused: false,
    stoodStillSince: undefined,
    left: false,
    tags: { zone: index % 2 === 0 ? 'even' : 'odd' },
    state: undefined,
    incarnationMax: 0,
  }
}

export function decodeStream(bytes: Uint8Array): StreamMessage | undefined {
  const result = createStreamDecoder().push(bytes)
  if (result.kind !== 'message') return undefined
  const { message } = result
  return message.kind === 'fetch' || message.kind === 'fetchReply' ? undefined : message
}
