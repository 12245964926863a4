/**
 * The transmit-limited queue: each broadcast goes out a bounded number of times, those sent least
 * first. memberlist's messages and Serf's intents are named by member, and the later one replaces
 * the earlier; events and queries never do.
 */
import { broadcastCost } from '../wire/codec.ts'
import type { GossipTimings } from '../options.ts'

/** Transmissions beyond ln(N) that make it certain enough that everybody hears. */
const certaintyExtra = 10

interface Item {
  readonly bytes: Uint8Array
  /** The member it is about, where later news of that member replaces it. */
  readonly about: string | undefined
  /** The Lamport time of an intent, 0 of all else: an earlier one never replaces a later one. */
  readonly lamportTime: bigint
  /** Told to `finished` when the item leaves the queue, for whatever reason. */
  readonly ticket: number | undefined
  /** Newer items have higher ones. */
  readonly order: number
  readonly queuedAt: number
  transmits: number
}

export interface TransmitQueue {
  /** Items by how often they were sent; each tier longest first, then newest first. */
  readonly tiers: Item[][]
  readonly byAbout: Map<string, Item>
  readonly depthMax: number
  /** Tickets of items that left the queue and were not collected yet. */
  finished: number[]
  size: number
  nextOrder: number
  /** Those of a cluster of `members`: kept because they are asked for with each packet. */
  limits: TransmitLimits & { readonly members: number }
  /** Dropped because the queue was full. */
  dropped: number
  /** Dropped because they were old. */
  shed: number
}

export function createQueue(depthMax: number): TransmitQueue {
  return {
    tiers: [],
    byAbout: new Map(),
    depthMax,
    finished: [],
    size: 0,
    nextOrder: 0,
    limits: { members: -1, most: 0, least: 0, spreadMs: 0 },
    dropped: 0,
    shed: 0,
  }
}

/** `retransmitFactor * ceil(log10(N + 1))` transmissions of one message in a cluster of N. */
export function transmitLimit(retransmitFactor: number, members: number): number {
  return retransmitFactor * Math.ceil(Math.log10(members + 1))
}

/** When an item has been sent often enough. */
export interface TransmitLimits {
  /** Transmissions after which an item leaves in any case. */
  readonly most: number
  /** Transmissions after which it leaves if it is older than `spreadMs`. */
  readonly least: number
  readonly spreadMs: number
}

/**
 * Serf's limit lets one random member in e^limit miss the news, and leaves that one to push/pull.
 * Sent ln(N) + 10 times it misses one member in 20,000 messages, whatever N is; where that is more
 * than telling everybody twice, telling everybody twice is enough. The extra transmissions are for
 * calm times only: a queue that is so full that an item grows old in it sheds them first.
 */
export function transmitLimits(
  timings: Pick<GossipTimings, 'retransmitFactor' | 'gossipFanout' | 'gossipIntervalMs'>,
  members: number,
): TransmitLimits {
  const { retransmitFactor, gossipFanout, gossipIntervalMs } = timings
  const least = transmitLimit(retransmitFactor, members)
  const certain = Math.ceil(Math.log(Math.max(1, members))) + certaintyExtra
  const most = Math.max(least, Math.min(2 * (members - 1), certain))
  return { most, least, spreadMs: 2 * Math.ceil(most / gossipFanout) * gossipIntervalMs }
}

/** The limits for `queue` in a cluster of `members`. */
export function limitsOf(
  queue: TransmitQueue,
  timings: GossipTimings,
  members: number,
): TransmitLimits {
  if (queue.limits.members !== members) {
    queue.limits = { members, ...transmitLimits(timings, members) }
  }
  return queue.limits
}

export interface EnqueueOptions {
  /** Replaces what is queued about the same member. */
  readonly about?: string
  /** Of an intent; where a later one is queued about the same member, nothing is added. */
  readonly lamportTime?: bigint
  readonly ticket?: number
}

export function enqueue(
  queue: TransmitQueue,
  bytes: Uint8Array,
  now: number,
  options: EnqueueOptions = {},
): void {
  const { about, lamportTime = 0n, ticket } = options
  const replaced = about === undefined ? undefined : queue.byAbout.get(about)
  if (replaced !== undefined && replaced.lamportTime > lamportTime) {
    if (ticket !== undefined) queue.finished.push(ticket)
    return
  }
  if (replaced !== undefined) remove(queue, replaced)
  if (queue.size >= queue.depthMax) dropMostSent(queue)
  const item = {
    bytes,
    about,
    lamportTime,
    ticket,
    order: queue.nextOrder,
    queuedAt: now,
    transmits: 0,
  }
  queue.nextOrder += 1
  insert(queue, item)
}

/**
 * Adds to `into` what fits the budget, fewest transmissions first, and returns what is left of the
 * budget. Each item taken counts one transmission and leaves the queue at its limit.
 */
export function takeBroadcasts(
  queue: TransmitQueue,
  budget: number,
  limits: TransmitLimits,
  now: number,
  into: Uint8Array[],
): number {
  if (queue.size === 0) return budget
  let left = budget
  const taken: Item[] = []
  for (const tier of queue.tiers) left = takeFitting(tier, left, taken)
  for (const item of taken) {
    into.push(item.bytes)
    item.transmits += 1
    queue.size -= 1
    const enough = now - item.queuedAt > limits.spreadMs ? limits.least : limits.most
    if (item.transmits < enough) insert(queue, item)
    else finish(queue, item)
  }
  return left
}

/**
 * Moves to `taken` what fits, longest first, and looks at nothing else: a queue may hold thousands,
 * and a packet a dozen.
 */
function takeFitting(tier: Item[], budget: number, taken: Item[]): number {
  let left = budget
  for (let at = firstFitting(tier, left, 0); at < tier.length; at = firstFitting(tier, left, at)) {
    let end = at
    for (let item = tier[end]; item !== undefined; item = tier[end]) {
      const cost = broadcastCost(item.bytes.length)
      if (cost > left) break
      left -= cost
      taken.push(item)
      end += 1
    }
    tier.splice(at, end - at)
  }
  return left
}

/** The first index from `from` on whose item fits the budget; longer ones come before it. */
function firstFitting(tier: readonly Item[], budget: number, from: number): number {
  let low = from
  let high = tier.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (broadcastCost(tier[middle]?.bytes.length ?? 0) > budget) low = middle + 1
    else high = middle
  }
  return low
}

/**
 * Drops what was queued before `at` and sent at least once: whoever missed it heard it otherwise
 * since, and a queue that has grown so old is what keeps a storm going.
 */
export function shedOlder(queue: TransmitQueue, at: number): void {
  for (const [transmits, tier] of queue.tiers.entries()) {
    if (transmits === 0) continue
    let kept = 0
    for (const item of tier) {
      if (item.queuedAt >= at) {
        tier[kept] = item
        kept += 1
        continue
      }
      queue.size -= 1
      queue.shed += 1
      finish(queue, item)
    }
    tier.length = kept
  }
}

/** The tickets of what left the queue since the last call. */
export function takeFinished(queue: TransmitQueue): readonly number[] {
  if (queue.finished.length === 0) return queue.finished
  const finished = queue.finished
  queue.finished = []
  return finished
}

function insert(queue: TransmitQueue, item: Item): void {
  while (queue.tiers.length <= item.transmits) queue.tiers.push([])
  const tier = queue.tiers[item.transmits] ?? []
  tier.splice(placeIn(tier, item), 0, item)
  queue.size += 1
  if (item.about !== undefined) queue.byAbout.set(item.about, item)
}

/** The first index whose item comes after `item` in the tier's order. */
function placeIn(tier: readonly Item[], item: Item): number {
  let low = 0
  let high = tier.length
  while (low < high) {
    const middle = (low + high) >> 1
    const other = tier[middle]
    if (other !== undefined && before(other, item)) low = middle + 1
    else high = middle
  }
  return low
}

function before(a: Item, b: Item): boolean {
  return a.bytes.length === b.bytes.length ? a.order > b.order : a.bytes.length > b.bytes.length
}

function remove(queue: TransmitQueue, item: Item): void {
  const tier = queue.tiers[item.transmits] ?? []
  tier.splice(placeIn(tier, item), 1)
  queue.size -= 1
  finish(queue, item)
}

function finish(queue: TransmitQueue, item: Item): void {
  if (item.about !== undefined) queue.byAbout.delete(item.about)
  if (item.ticket !== undefined) queue.finished.push(item.ticket)
}

function dropMostSent(queue: TransmitQueue): void {
  for (let index = queue.tiers.length - 1; index >= 0; index -= 1) {
    const item = queue.tiers[index]?.pop()
    if (item === undefined) continue
    queue.size -= 1
    queue.dropped += 1
    finish(queue, item)
    return
  }
}
