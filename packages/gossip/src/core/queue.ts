/**
 * The transmit-limited queue: each broadcast goes out a bounded number of times, those sent least
 * first. memberlist's messages are named by member and replace each other; Serf's never do.
 */
import { broadcastCost } from '../wire/codec.ts'

interface Item {
  readonly bytes: Uint8Array
  /** The member it is about, for memberlist's messages. */
  readonly about: string | undefined
  /** Told to `finished` when the item leaves the queue, for whatever reason. */
  readonly ticket: number | undefined
  /** Newer items have higher ones. */
  readonly order: number
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
  /** Dropped because the queue was full. */
  dropped: number
}

export function createQueue(depthMax: number): TransmitQueue {
  return {
    tiers: [],
    byAbout: new Map(),
    depthMax,
    finished: [],
    size: 0,
    nextOrder: 0,
    dropped: 0,
  }
}

/** `retransmitFactor * ceil(log10(N + 1))` transmissions of one message in a cluster of N. */
export function transmitLimit(retransmitFactor: number, members: number): number {
  return retransmitFactor * Math.ceil(Math.log10(members + 1))
}

export interface EnqueueOptions {
  /** Replaces what is queued about the same member. */
  readonly about?: string
  readonly ticket?: number
}

export function enqueue(
  queue: TransmitQueue,
  bytes: Uint8Array,
  options: EnqueueOptions = {},
): void {
  const { about, ticket } = options
  const replaced = about === undefined ? undefined : queue.byAbout.get(about)
  if (replaced !== undefined) remove(queue, replaced)
  if (queue.size >= queue.depthMax) dropMostSent(queue)
  const item = { bytes, about, ticket, order: queue.nextOrder, transmits: 0 }
  queue.nextOrder += 1
  insert(queue, item)
}

/**
 * Adds to `into` what fits the budget, fewest transmissions first, and returns what is left of the
 * budget. Each item taken counts one transmission and leaves the queue at the limit.
 */
export function takeBroadcasts(
  queue: TransmitQueue,
  budget: number,
  limit: number,
  into: Uint8Array[],
): number {
  if (queue.size === 0) return budget
  let left = budget
  const taken: Item[] = []
  for (const tier of queue.tiers) {
    let kept = 0
    for (const item of tier) {
      const cost = broadcastCost(item.bytes.length)
      if (cost <= left) {
        left -= cost
        taken.push(item)
      } else {
        tier[kept] = item
        kept += 1
      }
    }
    tier.length = kept
  }
  for (const item of taken) {
    into.push(item.bytes)
    item.transmits += 1
    queue.size -= 1
    if (item.transmits < limit) insert(queue, item)
    else finish(queue, item)
  }
  return left
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
