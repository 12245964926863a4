/**
 * Cores with one thing broken each, from the outside: the step is wrapped, its input bent or its
 * state touched afterwards. A checker that lets one of them through proves nothing.
 */
import { decodePacket, step } from '@kith/gossip/core'
import type { Input, Output, State } from '@kith/gossip/core'
import { nodeDigests } from '@kith/interface/node'
import type { Member } from '@kith/interface'
import type { Step } from './cluster.ts'
import { plans } from './scenarios.ts'

export interface Mutant {
  /** Checkers that may catch it: which one comes first depends on the seed. */
  readonly caught: readonly string[]
  readonly plan: keyof typeof plans
  readonly step: Step
}

interface Claim {
  readonly name: string
  readonly incarnation: number
}

/** What an input says of members, by kind of message. */
function claims(input: Input, kind: 'alive' | 'accusation'): readonly Claim[] {
  if (input.kind === 'packet') {
    return decodePacket(input.bytes, nodeDigests).messages.flatMap((message) => {
      const { kind: said } = message
      const wanted = kind === 'alive' ? said === 'alive' : said === 'suspect' || said === 'dead'
      if (!wanted || !('incarnation' in message)) return []
      return [{ name: message.node, incarnation: message.incarnation }]
    })
  }
  if (input.kind !== 'reply' && input.kind !== 'streamMessage') return []
  if (input.message.kind !== 'pushPull') return []
  return [...input.message.rows].filter((row) => (row.state === 'alive') === (kind === 'alive'))
}

function happened(outputs: readonly Output[], kind: string): boolean {
  return outputs.some((output) => output.kind === 'event' && output.event.kind === kind)
}

/** An alive at the incarnation of a death brings its member back. */
const takesStaleAlives: Step = (state, input, now) => {
  const touched: { name: string; incarnation: number }[] = []
  for (const { name, incarnation } of claims(input, 'alive')) {
    const entry = state.entries.get(name)
    const over = entry?.state === 'dead' || entry?.state === 'left'
    if (entry === undefined || !over || incarnation !== entry.incarnation) continue
    touched.push({ name, incarnation })
    entry.incarnation -= 1
  }
  const outputs = step(state, input, now)
  for (const { name, incarnation } of touched) {
    const entry = state.entries.get(name)
    if (entry !== undefined) entry.incarnation = Math.max(entry.incarnation, incarnation)
  }
  return outputs
}

/** Who suspects a member also raises its incarnation. */
const raisesOthers: Step = (state, input, now) => {
  const outputs = step(state, input, now)
  for (const output of outputs) {
    if (output.kind !== 'event' || output.event.kind !== 'suspect') continue
    const entry = state.entries.get(output.event.name)
    if (entry !== undefined) entry.incarnation += 1
  }
  return outputs
}

/** Accusations of an older incarnation are believed. */
const ignoresPrecedence: Step = (state, input, now) => {
  for (const { name, incarnation } of claims(input, 'accusation')) {
    const entry = state.entries.get(name)
    if (entry !== undefined && name !== state.name && incarnation < entry.incarnation) {
      entry.incarnation = incarnation
    }
  }
  return step(state, input, now)
}

/** What is said against this member stays unanswered, and so do its own probes. */
const deafToAccusations: Step = (state, input, now) => {
  if (input.kind === 'packet') {
    const { messages } = decodePacket(input.bytes, nodeDigests)
    if (messages.some((message) => message.kind === 'ack')) return []
    if (claims(input, 'accusation').some(({ name }) => name === state.name)) return []
  }
  if (input.kind === 'reply' && input.message.kind === 'ack') return []
  return step(state, input, now)
}

/** A refutation is thought of and not said. */
const dropsRefutations: Step = (state, input, now) => {
  const outputs = step(state, input, now)
  if (happened(outputs, 'refute')) {
    for (const tier of state.broadcasts.tiers) {
      const kept = tier.filter((item) => item.about !== state.name)
      state.broadcasts.size -= tier.length - kept.length
      tier.splice(0, tier.length, ...kept)
    }
    state.broadcasts.byAbout.delete(state.name)
    state.incarnation -= 1
    const self = state.entries.get(state.name)
    if (self !== undefined) self.incarnation = state.incarnation
  }
  return outputs
}

/** Every probe counts as answered. */
const neverSuspects: Step = (state, input, now) => {
  if (state.probe !== undefined && state.probe.phase === 'indirect') state.probe.stream = 'acked'
  return step(state, input, now)
}

/** A crash is seen, and seen late. */
const suspectsForLong: Step = (state, input, now) => {
  if (input.kind === 'command' && input.command.kind === 'start') {
    const { timings } = state
    const suspicionFactor = 10 * timings.suspicionFactor
    Object.assign(state, { timings: { ...timings, suspicionFactor } })
  }
  return step(state, input, now)
}

/** Tags stay what they were when their member was first seen. */
function createKeepsOldTags(): Step {
  const first = new WeakMap<State, Map<string, Member['tags']>>()
  return (state, input, now) => {
    const outputs = step(state, input, now)
    const tags = first.get(state) ?? new Map<string, Member['tags']>()
    first.set(state, tags)
    for (const output of outputs) {
      if (output.kind !== 'event' || !('member' in output.event)) continue
      const { name } = output.event.member
      const row = state.members.get(name)
      if (row === undefined || name === state.name) continue
      const old = tags.get(name) ?? row.snapshot.tags
      tags.set(name, old)
      row.snapshot = { ...row.snapshot, tags: old }
      state.shown = undefined
    }
    return outputs
  }
}

/** What an exchange brings is thrown away, on both sides. */
const mergesNothing: Step = (state, input, now) => {
  if (input.kind === 'reply' && input.message.kind === 'pushPull') {
    return step(state, { kind: 'requestFailed', id: input.id, reason: 'mutant' }, now)
  }
  if (input.kind !== 'streamMessage' || input.message.kind !== 'pushPull') {
    return step(state, input, now)
  }
  const message = { ...input.message, rows: [], userState: new Uint8Array(0) }
  return step(state, { ...input, message }, now)
}

/** What was heard is forgotten at once. */
const forgetsEvents: Step = (state, input, now) => {
  const outputs = step(state, input, now)
  state.eventSlots.length = 0
  return outputs
}

/** The echo of an own event is all that its member hears of it, and that is known. */
const deafToItself: Step = (state, input, now) => {
  const outputs = step(state, input, now)
  if (input.kind !== 'command' || input.command.kind !== 'emit') return outputs
  return outputs.filter((output) => output.kind !== 'event')
}

/** Whoever joins is told everything from before. */
const replaysOldEvents: Step = (state, input, now) => {
  if (input.kind !== 'command' || input.command.kind !== 'start') return step(state, input, now)
  return step(state, { kind: 'command', command: { kind: 'start' } }, now)
}

/** Relayed answers count as answers. */
const countsAnswersTwice: Step = (state, input, now) => {
  const outputs = step(state, input, now)
  for (const running of state.talk.running.values()) {
    running.acks.clear()
    running.responses.clear()
  }
  return outputs
}

/** A query goes on until somebody cancels it. */
const endsNoQuery: Step = (state, input, now) =>
  step(state, input, now).filter((output) => output.kind !== 'answersEnd')

/** Events go to those next to it, and into no exchange. */
const keepsEventsToItself: Step = (state, input, now) => {
  const outputs = step(state, input, now)
  for (const tier of state.events.tiers) tier.length = 0
  state.events.size = 0
  if (input.kind === 'command') state.eventSlots.length = 0
  return outputs
}

/** Probes that were answered still wait for their time. */
const withdrawsNoTimer: Step = (state, input, now) => {
  const waited = state.probe?.timers ?? []
  const outputs = step(state, input, now)
  if (waited.length === 0 || state.probe?.timers === waited) return outputs
  for (const { task, index } of waited) {
    if (index >= 0) continue
    const { heap } = state.deadlines
    const order = state.deadlines.nextOrder
    heap.push({ at: now + 3_600_000, task, index: heap.length, order })
    state.deadlines.nextOrder += 1
  }
  return outputs
}

/** What was asked over a stream is remembered for ever. */
const keepsRequests: Step = (state, input, now) => {
  const before = [...state.requests]
  const outputs = step(state, input, now)
  for (const [id, request] of before) {
    // Under another number each time, as a lost answer would be.
    if (!state.requests.has(id))
      for (let copy = 1; copy < 512; copy += 1) {
        state.requests.set(id + copy / 512, request)
      }
  }
  return outputs
}

/** A packet takes whatever waits, however long it gets. */
const fillsPackets: Step = (state, input, now) =>
  step(state, input, now).map((output) => {
    if (output.kind !== 'send') return output
    const bytes = new Uint8Array(1500)
    bytes.set(output.bytes)
    return { ...output, bytes }
  })

export const mutants: Readonly<Record<string, Mutant>> = {
  'a stale alive brings back the dead': {
    caught: ['M1'],
    plan: 'gossip-partition',
    step: takesStaleAlives,
  },
  'others raise an incarnation': { caught: ['M2'], plan: 'gossip-pause', step: raisesOthers },
  'older accusations win': { caught: ['M2'], plan: 'gossip-partition', step: ignoresPrecedence },
  'nobody hears acks or answers accusations': {
    caught: ['M3'],
    plan: 'gossip-crash',
    step: deafToAccusations,
  },
  'nobody is ever suspected': { caught: ['M4 timed'], plan: 'gossip-crash', step: neverSuspects },
  'suspicions last ten times as long': {
    caught: ['M4 timed'],
    plan: 'gossip-crash',
    step: suspectsForLong,
  },
  'nobody is suspected after anything': {
    caught: ['M4'],
    plan: 'gossip-talk',
    step: neverSuspects,
  },
  'refutations stay unsaid': {
    caught: ['M2', 'M3', 'M5'],
    plan: 'gossip-pause',
    step: dropsRefutations,
  },
  'tags never change': { caught: ['M5'], plan: 'gossip-loss', step: createKeepsOldTags() },
  'events are heard again and again': {
    caught: ['M6'],
    plan: 'gossip-talk',
    step: forgetsEvents,
  },
  'a member does not hear itself': { caught: ['M6'], plan: 'gossip-talk', step: deafToItself },
  'old events are told to newcomers': {
    caught: ['M6'],
    plan: 'gossip-talk',
    step: replaysOldEvents,
  },
  'answers count twice': { caught: ['M6'], plan: 'gossip-talk', step: countsAnswersTwice },
  'queries do not end': { caught: ['M6'], plan: 'gossip-talk', step: endsNoQuery },
  'events stay at home': { caught: ['M6'], plan: 'gossip-talk', step: keepsEventsToItself },
  'timers are not withdrawn': { caught: ['M7'], plan: 'gossip-crash', step: withdrawsNoTimer },
  'requests are kept': { caught: ['M7'], plan: 'gossip-restart', step: keepsRequests },
  'packets are too long': { caught: ['M7'], plan: 'gossip-crash', step: fillsPackets },
  'exchanges teach nothing': { caught: ['M5'], plan: 'gossip-restart', step: mergesNothing },
}
