/** Getting what broadcasts did not bring: from whoever has it, a few at a time, with back-off. */
import { wantsMax } from '../wire/limits.ts'
import { encodeMessage, type Header } from '../wire/message.ts'
import { jitter, reachable } from './state.ts'
import type { Fetch, State, Want } from './types.ts'

const fetchesMax = 4
const holdersMax = 3
const firstRetryMs = 500
/** One solicitation of an owner within this time, also when others sent it. */
const solicitEveryMs = 10_000
/**
 * Each fetcher waits up to this long for each Kith member, so that not all ask one owner at once.
 */
const spreadPerMemberMs = 5

/** Notes that the state of `member` is to be fetched in `delayMs`, and who said to have it. */
export function want(
  state: State,
  member: string,
  now: number,
  delayMs: number,
  holder?: string,
): void {
  const status = state.view.get(member)?.status
  if (status === undefined || status === 'left' || status === 'failed') return
  let entry = state.wants.get(member)
  if (entry === undefined) {
    entry = { member, holders: [], attempts: 0, fetch: undefined, solicitedAt: undefined }
    state.wants.set(member, entry)
  }
  if (holder !== undefined && holder !== member) {
    entry.holders = [...entry.holders.filter((name) => name !== holder), holder].slice(-holdersMax)
  }
  if (entry.fetch !== undefined) return
  const spread = state.random.float() * spreadPerMemberMs * state.kithMembers
  if (state.deadlines.at(`want:${member}`) === undefined || holder !== undefined) {
    state.deadlines.hasten(`want:${member}`, now + delayMs + spread)
  }
}

export function dropWant(state: State, member: string): void {
  state.wants.delete(member)
  state.deadlines.clear(`want:${member}`)
}

/** Fetches what `member`'s turn has come for, together with everything else for the same source. */
export function fetchWanted(state: State, member: string, now: number): void {
  const entry = state.wants.get(member)
  if (entry === undefined || entry.fetch !== undefined) return
  if (state.fetches.size >= fetchesMax) {
    state.deadlines.set(`want:${member}`, now + jitter(state, 200, 0.5))
    return
  }
  const source = chooseSource(state, entry)
  if (source === undefined) {
    retry(state, entry, now)
    return
  }
  const together = [entry]
  for (const other of state.wants.values()) {
    if (together.length >= wantsMax) break
    if (other === entry || other.fetch !== undefined || !other.holders.includes(source)) continue
    if (!state.replicas.get(other.member)?.mismatch) together.push(other)
  }
  state.fetchIds += 1
  const members = together.map((each) => each.member)
  const fetch: Fetch = { id: state.fetchIds, source, members }
  state.fetches.set(fetch.id, fetch)
  for (const each of together) {
    each.fetch = fetch.id
    state.deadlines.clear(`want:${each.member}`)
  }
  const wants = members.map((name) => headerOf(state, name))
  state.counters.fetches += 1
  state.outputs.push({
    kind: 'fetch',
    id: fetch.id,
    member: source,
    request: encodeMessage({ kind: 'request', wants }),
    timeoutMs: state.settings.fetchTimeoutMs,
  })
}

function headerOf(state: State, member: string): Header {
  const replica = state.replicas.get(member)
  return { member, epoch: replica?.epoch ?? 0, version: replica?.top ?? 0 }
}

/** The latest holder first, then the owner, then anybody: one after the other. */
function chooseSource(state: State, entry: Want): string | undefined {
  const owner = [entry.member].filter((name) => reachable(state, name))
  // Where copies contradict each other, and where a member is to speak itself, only it can answer.
  const replica = state.replicas.get(entry.member)
  if (replica?.mismatch === true || state.unconfirmed.has(entry.member)) return owner[0]
  const holders = entry.holders.filter((name) => reachable(state, name)).reverse()
  const candidates = [...holders, ...owner]
  const others = [...state.view.keys()].filter(
    (name) => reachable(state, name) && !candidates.includes(name),
  )
  const anybody = others[state.random.below(Math.max(1, others.length))]
  if (anybody !== undefined) candidates.push(anybody)
  return candidates[entry.attempts % Math.max(1, candidates.length)]
}

/** Closes a fetch; whatever it was for and did not bring is tried again later, elsewhere. */
export function endFetch(state: State, fetch: Fetch, now: number): void {
  state.fetches.delete(fetch.id)
  for (const member of fetch.members) {
    const entry = state.wants.get(member)
    if (entry === undefined || entry.fetch !== fetch.id) continue
    entry.fetch = undefined
    retry(state, entry, now)
  }
}

function retry(state: State, entry: Want, now: number): void {
  entry.attempts += 1
  const delay = Math.min(
    state.settings.fetchBackoffMs,
    firstRetryMs * 2 ** Math.min(entry.attempts - 1, 20),
  )
  state.deadlines.set(`want:${entry.member}`, now + jitter(state, delay, 0.5))
  if (entry.attempts >= 2) solicit(state, entry, now)
}

/**
 * Asks the owner through everybody: there may be no direct way to it, as between foreign members.
 */
function solicit(state: State, entry: Want, now: number): void {
  if (entry.solicitedAt !== undefined && now - entry.solicitedAt < solicitEveryMs) return
  entry.solicitedAt = now
  state.counters.solicits += 1
  state.counters.broadcastsSent += 1
  const bytes = encodeMessage({ kind: 'solicit', ...headerOf(state, entry.member) })
  state.outputs.push({ kind: 'broadcast', bytes })
}

/** Another member asked the same owner: its answer will reach us too. */
export function heardSolicit(state: State, member: string, now: number): void {
  const entry = state.wants.get(member)
  if (entry !== undefined) entry.solicitedAt = now
}
