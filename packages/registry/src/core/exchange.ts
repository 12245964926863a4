/** Everything that comes from other members as bytes, and what is answered directly. */
import { digestsMax } from '../wire/limits.ts'
import {
  decodeBroadcast,
  type Decoded,
  decodeDigests,
  decodeReply,
  decodeRequest,
  type Digest,
  digestBytes,
  encodeMessage,
  type Fragment,
  type Header,
  type Snapshot,
} from '../wire/message.ts'
import { endFetch, heardSolicit } from './fetching.ts'
import { answerSolicit } from './own.ts'
import { isComplete, type Replica, replicaHash, wholeSnapshot } from './replica.ts'
import { confirm, merge, replicaFor, settle, witnessSelf } from './replicas.ts'
import type { State } from './types.ts'

/** Under the 64 KiB that an extension may send, with room for the message around the digests. */
const digestBytesMax = 65_536 - 64
/** Under the 4 MiB that a fetch may answer. */
const replyBytesMax = 4_000_000
/** A digest says that something is missing for sure: no need to wait for a late message. */
const digestDelayMs = 50

function opened<Value>(state: State, decoded: Decoded<Value>): Value | undefined {
  if (decoded.ok) return decoded.message
  state.counters[decoded.failure] += 1
  return undefined
}

export function receiveBroadcast(state: State, from: string, bytes: Uint8Array, now: number): void {
  state.counters.broadcastsReceived += 1
  const message = opened(state, decodeBroadcast(bytes))
  if (message === undefined) return
  if (message.kind === 'solicit') {
    if (message.member !== state.member) {
      heardSolicit(state, message.member, now)
      return
    }
    witnessSelf(state, message, now)
    answerSolicit(state, now)
    return
  }
  if (message.kind === 'fragment') {
    receiveFragment(state, from, message, now)
    return
  }
  if (message.member !== from) {
    state.counters.foreign += 1
    return
  }
  merge(state, message, from, now)
}

/** With the last piece the message is heard; before, it is known that something is missing. */
function receiveFragment(state: State, from: string, fragment: Fragment, now: number): void {
  const { epoch, version } = fragment
  const replica = replicaFor(state, { member: from, epoch, version }, now)
  if (replica === undefined) return
  confirm(state, from)
  if (isComplete(replica) && replica.floor >= version) return
  const whole = state.fragments.add(from, fragment)
  if (typeof whole !== 'string') {
    receiveCut(state, from, fragment, whole, now)
    return
  }
  if (whole === 'spoiled') state.counters.malformed += 1
  settle(state, replica, now, state.settings.gapMs)
}

/** Only what does not fit whole is cut, and its fragments say the same of themselves as it does. */
function receiveCut(
  state: State,
  from: string,
  fragment: Fragment,
  whole: Uint8Array,
  now: number,
): void {
  const message = opened(state, decodeBroadcast(whole))
  if (message === undefined) return
  const cuttable = message.kind === 'delta' || message.kind === 'snapshot'
  const { epoch, version } = fragment
  if (!cuttable || message.epoch !== epoch || message.version !== version) {
    state.counters.malformed += 1
  } else if (message.member !== from) state.counters.foreign += 1
  else merge(state, message, from, now)
}

export function receiveState(state: State, from: string, bytes: Uint8Array, now: number): void {
  const message = opened(state, decodeDigests(bytes))
  for (const digest of message?.digests ?? []) compareDigest(state, from, digest, now)
}

function compareDigest(state: State, from: string, digest: Digest, now: number): void {
  if (digest.member === state.member) {
    compareOwn(state, digest, now)
    return
  }
  // Only a member itself may introduce itself; others may still list somebody long gone.
  if (!state.view.has(digest.member) && digest.member !== from) return
  const replica = replicaFor(state, digest, now)
  if (replica === undefined) return
  const comparable = digest.complete && digest.version === replica.floor && isComplete(replica)
  if (comparable && digest.hash !== replicaHash(replica)) replica.mismatch = true
  if (digest.member === from) confirm(state, from)
  settle(state, replica, now, digestDelayMs, digest.complete ? from : undefined)
}

/** The same version with other content: two lives of ours took the same epoch. */
function compareOwn(state: State, digest: Digest, now: number): void {
  const own = state.own.replica
  const contradicts =
    digest.complete &&
    digest.epoch === own.epoch &&
    digest.version === own.floor &&
    digest.hash !== replicaHash(own)
  witnessSelf(state, contradicts ? { ...digest, version: digest.version + 1 } : digest, now)
}

/** Digests of everyone alive, in turn where not all fit; this member always first. */
export function localState(state: State): Uint8Array {
  const digests: Digest[] = [digestOf(state.own.replica)]
  let used = digestBytes(digestOf(state.own.replica))
  const names = [...state.replicas.keys()]
    .filter((name) => state.view.get(name)?.status === 'alive')
    .sort()
  const start = names.findIndex((name) => name > state.digestCursor)
  const turned = start < 0 ? names : [...names.slice(start), ...names.slice(0, start)]
  for (const name of turned) {
    const replica = state.replicas.get(name)
    if (replica === undefined) continue
    const digest = digestOf(replica)
    used += digestBytes(digest)
    if (used > digestBytesMax || digests.length >= digestsMax) break
    digests.push(digest)
    state.digestCursor = name
  }
  return encodeMessage({ kind: 'digests', digests })
}

function digestOf(replica: Replica): Digest {
  const { member, epoch, top: version } = replica
  const complete = isComplete(replica)
  return { member, epoch, version, hash: complete ? replicaHash(replica) : 0, complete }
}

/** Answers with all that we hold whole of what is wanted, as far as one answer goes. */
export function answerFetch(state: State, bytes: Uint8Array, now: number): void {
  const message = opened(state, decodeRequest(bytes))
  if (message === undefined) return
  const snapshots: Snapshot[] = []
  let used = 0
  for (const wanted of message.wants) {
    if (wanted.member === state.member) witnessSelf(state, wanted, now)
    const replica = holderOf(state, wanted)
    if (replica === undefined) continue
    used += replica.bytes + 512
    if (used > replyBytesMax && snapshots.length > 0) break
    snapshots.push(wholeSnapshot(replica))
  }
  state.counters.fetchesServed += 1
  const reply = encodeMessage({ kind: 'reply', snapshots })
  state.outputs.push({ kind: 'fetchReply', bytes: reply })
}

function holderOf(state: State, wanted: Header): Replica | undefined {
  if (wanted.member === state.member) return state.own.replica
  const replica = state.replicas.get(wanted.member)
  if (replica === undefined || !isComplete(replica)) return undefined
  const newer = replica.epoch > wanted.epoch
  const enough = replica.epoch === wanted.epoch && replica.floor >= wanted.version
  return newer || enough ? replica : undefined
}

export function fetched(state: State, id: number, bytes: Uint8Array, now: number): void {
  const fetch = state.fetches.get(id)
  if (fetch === undefined) return
  for (const snapshot of opened(state, decodeReply(bytes))?.snapshots ?? []) {
    const whole = snapshot.parts === 1 && snapshot.after === '' && snapshot.upto === ''
    if (whole && fetch.members.includes(snapshot.member)) merge(state, snapshot, fetch.source, now)
    else state.counters.foreign += 1
  }
  endFetch(state, fetch, now)
}

export function fetchFailed(state: State, id: number, now: number): void {
  const fetch = state.fetches.get(id)
  if (fetch === undefined) return
  state.counters.fetchesFailed += 1
  endFetch(state, fetch, now)
}
