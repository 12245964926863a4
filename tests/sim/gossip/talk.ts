/**
 * Events and queries under faults: who says and asks what, and M6, checked on every transition:
 * an event comes at most once in one life, always to its own member, and never from before a join;
 * a query brings each name once, and ends once, in its time, with a summary that says the truth.
 */
import type { Input, Output } from '@kith/gossip/core'
import type { SimRandom } from '@kith/sim'
import { agreementBoundMs } from './agreement.ts'
import { Violation } from './checkers.ts'
import type { Actor, Watcher } from './cluster.ts'
import type { Fault } from './faults.ts'
import type { World } from './world.ts'

type EventOf<Kind> = Extract<Output & { kind: 'event' }, { kind: 'event' }>['event'] & {
  readonly kind: Kind
}

interface OwnQuery {
  readonly acks: string[]
  readonly responses: string[]
  deadline: number
  ended: boolean
}

/** What one life of a member heard and asked. */
interface Ear {
  readonly life: number
  readonly bornAt: number
  /**
   * What everybody had heard who had lived for a minute when it began; where nobody had, what
   * everybody else had heard. Who started at about the same time is then no cluster to join.
   */
  readonly old: ReadonlySet<string>
  /** When the answer to its join came. */
  joinedAt: number
  readonly heard: Set<string>
  readonly queries: Map<number, OwnQuery>
}

const names = ['deploy', 'restart', 'note']
/** Ids of commands, apart from those of the cluster. */
const firstId = 1000
const calmTimeoutMs = 20_000
/** Members that start within this of each other found a cluster, and join none (ADR 20). */
const foundedTogetherMs = 60_000
/** Members that speak in the calm. */
const speakersMax = 5

export class TalkChecker implements Watcher {
  readonly counters: Record<string, number> = {}
  readonly #world: World
  readonly #random: SimRandom
  readonly #ears = new Map<Actor, Ear>()
  #nextId = firstId

  constructor(world: World, random: SimRandom) {
    this.#world = world
    this.#random = random
  }

  transition(actor: Actor, input: Input, outputs: readonly Output[], now: number): void {
    const ear = this.#earOf(actor)
    for (const output of outputs) {
      if (output.kind === 'event' && output.event.kind === 'paused') {
        // A member that did not run has that much more time.
        for (const query of ear.queries.values()) query.deadline += output.event.lateMs
      }
      if (output.kind === 'event' && output.event.kind === 'event') {
        // A packet may still be under way from before; an exchange has no excuse.
        const excused = input.kind === 'packet' && now <= ear.joinedAt
        this.#hear(actor, ear, output.event, excused, now)
      }
      if (output.kind === 'event' && output.event.kind === 'query') {
        this.#reply(actor, output.event)
      }
      if (output.kind === 'answer') this.#answered(actor, ear, output, now)
      if (output.kind === 'answersEnd') this.#ended(actor, ear, output, now)
      if (output.kind === 'done' && (output.join?.joined ?? 0) > 0) ear.joinedAt = now
    }
    if (input.kind === 'command' && input.command.kind === 'emit') {
      this.#heardOwn(actor, outputs, now)
    }
  }

  /** One random word of one member. */
  speak(actor: Actor): void {
    if (!actor.up || actor.left || actor.paused) return
    if (this.#random.chance(0.6)) this.emit(actor)
    else this.ask(actor, this.#random.between(200, 6000))
  }

  emit(actor: Actor): string {
    const id = this.#takeId()
    // Every event is another one, so that a repetition is one.
    const payload = new Uint8Array(this.#random.chance(0.1) ? 400 : 8)
    new DataView(payload.buffer).setUint32(0, id)
    const name = this.#random.pick(names)
    this.#count('emits')
    const coalesce = this.#random.chance(0.5)
    this.#world.cluster.command(actor, { kind: 'emit', id, name, payload, coalesce })
    return keyOf(name, payload)
  }

  ask(actor: Actor, timeoutMs: number): number {
    const { actors, clock } = this.#world.cluster
    const id = this.#takeId()
    const some = this.#random.chance(0.3) ? this.#random.shuffle(actors).slice(0, 3) : undefined
    const question = {
      name: 'load',
      payload: new Uint8Array(4),
      ack: this.#random.chance(0.5),
      relayFactor: this.#random.chance(0.3) ? 2 : 0,
      timeoutMs: Math.ceil(timeoutMs),
      members: some?.map(({ name }) => name),
    }
    const deadline = clock.now() + question.timeoutMs
    const query = { acks: [], responses: [], deadline, ended: false }
    this.#earOf(actor).queries.set(id, query)
    this.#count('asks')
    this.#world.cluster.command(actor, { kind: 'query', id, question })
    return id
  }

  /** In calm: what is said is heard by all within the bound, and what is asked gets its answers. */
  calm(): void {
    const { cluster } = this.#world
    const live = cluster.live()
    const speakers = this.#random.shuffle(live).slice(0, speakersMax)
    const said = speakers.map((actor) => this.emit(actor))
    const since = cluster.clock.now()
    const bound = agreementBoundMs(cluster.timings, cluster.actors.length)
    const missing = (): readonly string[] =>
      live.flatMap((actor) => {
        const heard = this.#ears.get(actor)?.heard
        return said.filter((key) => heard?.has(key) !== true).map((key) => `${actor.name} ${key}`)
      })
    while (missing().length > 0) {
      const now = cluster.clock.now()
      if (now - since > bound) throw new Violation('M6', now, `unheard: ${missing().join('; ')}`)
      cluster.clock.advanceBy(100)
    }
    this.#count('calmEventsHeard', said.length * live.length)
    for (const actor of speakers) {
      const id = this.ask(actor, calmTimeoutMs)
      cluster.clock.advanceBy(calmTimeoutMs + 1)
      const query = this.#ears.get(actor)?.queries.get(id)
      if (query?.ended !== true) {
        throw new Violation('M6', cluster.clock.now(), `${actor.name}: a query does not end`)
      }
    }
  }

  #earOf(actor: Actor): Ear {
    const known = this.#ears.get(actor)
    if (known?.life === actor.life) return known
    const fresh = {
      life: actor.life,
      bornAt: this.#world.cluster.clock.now(),
      old: this.#heardByAll(actor),
      joinedAt: Infinity,
      heard: new Set<string>(),
      queries: new Map<number, OwnQuery>(),
    }
    this.#ears.set(actor, fresh)
    return fresh
  }

  #hear(actor: Actor, ear: Ear, event: EventOf<'event'>, excused: boolean, now: number): void {
    const key = keyOf(event.name, event.payload)
    this.#count('eventsHeard')
    if (ear.heard.has(key)) {
      throw new Violation('M6', now, `${actor.name} hears ${key} again`)
    }
    if (!excused && ear.old.has(key) && this.#heardByAll(actor).has(key)) {
      throw new Violation('M6', now, `${actor.name} hears ${key} from before its time`)
    }
    ear.heard.add(key)
  }

  #heardByAll(newcomer: Actor): ReadonlySet<string> {
    const since = this.#world.cluster.clock.now() - foundedTogetherMs
    const others = this.#world.cluster.live().filter((other) => other !== newcomer)
    const ears = others.map((other) => this.#ears.get(other))
    const elders = ears.filter((ear) => ear !== undefined && ear.bornAt < since)
    const [first, ...rest] = (elders.length > 0 ? elders : ears).map((ear) => ear?.heard)
    const keys = [...(first ?? [])]
    return new Set(keys.filter((key) => rest.every((heard) => heard?.has(key) === true)))
  }

  #heardOwn(actor: Actor, outputs: readonly Output[], now: number): void {
    const done = outputs.find((output) => output.kind === 'done')
    if (done?.kind !== 'done' || done.refused !== undefined) return this.#count('emitsRefused')
    const own = outputs.some((output) => {
      return output.kind === 'event' && output.event === done.event
    })
    if (!own) throw new Violation('M6', now, `${actor.name} does not hear its own event`)
  }

  #answered(actor: Actor, ear: Ear, answer: Output & { kind: 'answer' }, now: number): void {
    const query = ear.queries.get(answer.id)
    const seen = answer.payload === undefined ? query?.acks : query?.responses
    if (query === undefined || seen === undefined || query.ended || seen.includes(answer.from)) {
      throw new Violation('M6', now, `${actor.name}: ${answer.from} answers out of turn`)
    }
    this.#count(answer.payload === undefined ? 'acksHeard' : 'responsesHeard')
    seen.push(answer.from)
  }

  #ended(actor: Actor, ear: Ear, end: Output & { kind: 'answersEnd' }, now: number): void {
    const query = ear.queries.get(end.id)
    const { summary } = end
    // A pause shorter than a probe may take goes by unnoticed, and its time is not given back. The
    // last answer may also be the first thing that is read after a pause.
    const lastAt = (query?.deadline ?? 0) + this.#world.cluster.timings.probeTimeoutMs
    const late = summary.ended === 'deadline' && now > lastAt
    if (query === undefined || query.ended || late) {
      throw new Violation('M6', now, `${actor.name}: query ${end.id} ends out of its time`)
    }
    query.ended = true
    const same = [summary.acks.join(), summary.responses.join()]
    if (same[0] !== query.acks.join() || same[1] !== query.responses.join()) {
      throw new Violation('M6', now, `${actor.name}: the summary of query ${end.id} is not true`)
    }
    this.#count(`queries ${summary.ended}`)
    this.#count('responsesMissing', summary.missing.length)
    this.#count('answersRepeated', summary.duplicates)
  }

  /** Most members answer after a while, some with more than a packet holds. */
  #reply(actor: Actor, query: EventOf<'query'>): void {
    if (this.#random.chance(0.1)) return this.#count('queriesIgnored')
    const { clock } = this.#world.cluster
    const { life } = actor
    clock.post(clock.now() + this.#random.between(0, 50), () => {
      if (!actor.up || actor.paused || actor.life !== life) return
      const payload = new Uint8Array(this.#random.chance(0.1) ? 3000 : 10)
      this.#count(payload.length > 1024 ? 'responsesLarge' : 'responsesSmall')
      const id = this.#takeId()
      this.#world.cluster.command(actor, { kind: 'respond', id, queryId: query.id, payload })
    })
  }

  #takeId(): number {
    this.#nextId += 1
    return this.#nextId
  }

  #count(kind: string, by = 1): void {
    this.counters[kind] = (this.counters[kind] ?? 0) + by
  }
}

function keyOf(name: string, payload: Uint8Array): string {
  return `${name}-${new DataView(payload.buffer, payload.byteOffset).getUint32(0)}`
}

/** Random members speak at random moments. */
export function talking(checker: TalkChecker): Fault {
  return (world, random, lastsMs) => {
    const { clock, actors } = world.cluster
    const words = 10 + random.below(30)
    for (let word = 0; word < words; word += 1) {
      const at = clock.now() + random.between(0, lastsMs)
      clock.post(at, () => checker.speak(random.pick(actors)))
    }
  }
}
