/**
 * M7: whatever happens, nothing that a core holds grows past a ceiling. The ceilings are derived
 * from its options and from how many members there ever were, not from what the code allows itself.
 */
import type { GossipTimings, Input, Output, State } from '@kith/gossip/core'
import { Violation } from './checkers.ts'
import type { Actor, Watcher } from './cluster.ts'

/** Exchanges of ours at one time; a probe and answers over streams come on top. */
const exchangesMax = 128
/** The longest datagram a member may make, checksum and a key's overhead included. */
const packetBytesMax = 1400 + 5 + 64
/**
 * What runs always: probing, gossip, exchanges, reaping, reconnecting, lost members, refuting,
 * merging.
 */
const schedules = 9
/** A probe waits twice, a suspicion twice, and who was pruned while it left waits once. */
const timersEachMember = 3

/** States of which a part is merged. */
const mergesMax = 4

/** Questions to lost members that may still be answered. */
const questionsMax = 64

export class BoundsChecker implements Watcher {
  readonly #members: number
  readonly #timings: GossipTimings

  /** `members`: how many names there are in the whole cluster. */
  constructor(members: number, timings: GossipTimings) {
    this.#members = members
    this.#timings = timings
  }

  transition(actor: Actor, _input: Input, outputs: readonly Output[], now: number): void {
    const { state } = actor
    if (state === undefined) return
    this.#tables(actor, state, now)
    this.#waits(actor, state, now)
    for (const output of outputs) {
      if (output.kind !== 'send') continue
      this.#most('bytes of a packet', output.bytes.length, packetBytesMax, actor, now)
    }
  }

  #tables(actor: Actor, state: State, now: number): void {
    const { queueDepthMax, membersMax, eventBufferMax, queryBufferMax } = this.#timings
    const names = this.#members
    const most = (what: string, held: number, limit: number): void =>
      this.#most(what, held, limit, actor, now)
    most('news of members', state.broadcasts.size, Math.min(names, queueDepthMax))
    most('intents to tell', state.intents.size, Math.min(names, queueDepthMax))
    most('queries to tell', state.queries.size, queueDepthMax)
    most('events to tell', state.events.size, queueDepthMax)
    most('entries', state.entries.size, Math.min(names, membersMax))
    most('entries to probe', state.ring.length, state.entries.size)
    most('members', state.members.size, names)
    most('intents of strangers', state.recentIntents.size, names)
    most('slots of events', state.eventSlots.length, eventBufferMax)
    most('slots of queries', state.querySlots.length, queryBufferMax)
  }

  #waits(actor: Actor, state: State, now: number): void {
    const { helperProbesMax, queriesRunningMax, queriesPendingMax } = this.#timings
    const { talk, helperProbes, waits, deadlines } = state
    const most = (what: string, held: number, limit: number): void =>
      this.#most(what, held, limit, actor, now)
    most('probes for others', helperProbes.size, helperProbesMax)
    most('requests', state.requests.size, exchangesMax + 1 + queriesPendingMax)
    most('merges', state.merges.length, mergesMax)
    most('collects', state.collects.size, exchangesMax)
    most('questions to the lost', state.lostProbes.size, questionsMax)
    most('queries of ours', talk.running.size, queriesRunningMax)
    most('queries of others', talk.asked.size, queriesPendingMax)
    most('doubts of itself', state.awareness, this.#timings.awarenessFactorMax - 1)
    const asked = helperProbes.size + waits.size + talk.asked.size + talk.running.size
    most('timers', deadlines.heap.length, schedules + timersEachMember * this.#members + asked + 2)
  }

  #most(what: string, held: number, limit: number, actor: Actor, now: number): void {
    if (held <= limit) return
    throw new Violation('M7', now, `${actor.name} holds ${held} ${what}, at most ${limit}`)
  }
}
