/**
 * Which cluster a member belongs to: the one of the eldest that it, or whom it met, ever exchanged
 * state with. Without it nobody could tell "I have just joined" from "I was cut off for a while":
 * the first is owed no events from before, the second all that it missed (ADR 20).
 */
export interface Lineage {
  /** 64 bits by chance, from the start of the eldest. */
  readonly id: bigint
  /** When the eldest started, by this member's clock, in milliseconds; may be before its zero. */
  readonly bornAt: number
}

export interface LineageState {
  own: Lineage
  /** Events from before a join are not wanted. */
  ignoresOld: boolean
  /** It has met somebody who was there before it. */
  settled: boolean
}

/** Members that started within this of each other founded one cluster, and joined none. */
export const foundedTogetherMs = 60_000

/** No cluster is older; a claim beyond it is no age. */
const ageMsMax = 100 * 366 * 24 * 3_600_000
const lineageBytes = 16

/** Before the start nobody sees it. */
export function createLineage(): LineageState {
  return { own: { id: 0n, bornAt: 0 }, ignoresOld: false, settled: true }
}

/** `chance`: 64 bits or more that no other life has. */
export function beginLineage(
  lineage: LineageState,
  now: number,
  ignoresOld: boolean,
  chance: Uint8Array,
): void {
  const id = new DataView(chance.buffer, chance.byteOffset, chance.length).getBigUint64(0)
  Object.assign(lineage, { own: { id, bornAt: now }, ignoresOld, settled: !ignoresOld })
}

/** Whether it still waits for the first who was there before it. */
export function isNewcomer(lineage: LineageState): boolean {
  return lineage.ignoresOld && !lineage.settled
}

/**
 * An exchange with somebody of that lineage, undefined where it names none, as a Serf. Returns
 * whether it is a join, so that what the other side's cluster said before is not for us.
 */
export function meet(lineage: LineageState, theirs: Lineage | undefined): boolean {
  const { own, ignoresOld, settled } = lineage
  if (theirs === undefined) {
    lineage.settled = true
    return ignoresOld && !settled
  }
  // Who is younger joins us.
  if (theirs.id === own.id || theirs.bornAt >= own.bornAt) return false
  lineage.own = theirs
  lineage.settled = true
  return ignoresOld && (!settled || own.bornAt - theirs.bornAt > foundedTogetherMs)
}

/** Big-endian: the id, and the age in milliseconds as a double. */
export function encodeLineage({ own }: LineageState, now: number): Uint8Array {
  const bytes = new Uint8Array(lineageBytes)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0, own.id)
  view.setFloat64(8, Math.max(0, now - own.bornAt))
  return bytes
}

/**
 * `since`: the earliest time at which it can have been said. In doubt a cluster is taken for older
 * than it is: whoever joined one that is a moment older, and took it for younger, would remain a
 * newcomer, take a later exchange for its join, and what is on its way then for old.
 */
export function decodeLineage(bytes: Uint8Array, since: number): Lineage | undefined {
  if (bytes.length !== lineageBytes) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const age = view.getFloat64(8)
  if (!(age >= 0 && age <= ageMsMax)) return undefined
  return { id: view.getBigUint64(0), bornAt: since - age }
}
