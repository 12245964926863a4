/** What an owner says, as broadcasts: entries in parts, and a part that fits none in fragments. */
import { fragmentedBytesMax, toBroadcasts } from '../wire/fragments.ts'
import { instanceBytes } from '../wire/instance.ts'
import { broadcastInstanceBytesMax, instancesWireMax } from '../wire/limits.ts'
import {
  type Delta,
  encodeMessage,
  type Entry,
  entryBytes,
  entryId,
  type Snapshot,
} from '../wire/message.ts'
import { liveEntries, type Replica } from './replica.ts'

/** Bytes for the entries of a part between two bounds: in one broadcast, and in fragments. */
interface Room {
  whole(after: string, upto: string): number
  cut(after: string, upto: string): number
}

/** What the count of entries may take more than in the message that is measured. */
const countBytes = 2

export function deltaBroadcasts(delta: Delta, broadcastBytes: number): Uint8Array[] {
  const empty = { ...delta, part: instancesWireMax - 1, parts: instancesWireMax, entries: [] }
  const overhead = encodeMessage(empty).length + countBytes
  const groups = pack(delta.entries, {
    whole: () => broadcastBytes - overhead,
    cut: () => fragmentedBytesMax(broadcastBytes) - overhead,
  })
  return groups.flatMap((entries, part) => {
    const message = encodeMessage({ ...delta, part, parts: groups.length, entries })
    return toBroadcasts(message, delta, broadcastBytes)
  })
}

/** Everything that was announced so far, range by range of ids. */
export function snapshotBroadcasts(replica: Replica, broadcastBytes: number): Uint8Array[] {
  const { member, epoch, floor: version, draining } = replica
  const base: Snapshot = {
    kind: 'snapshot',
    member,
    epoch,
    version,
    part: instancesWireMax - 1,
    parts: instancesWireMax,
    // Of the draining mark too, only what was announced belongs to this version.
    draining,
    after: '',
    upto: '',
    entries: [],
  }
  // A bound of 128 bytes has a length of two.
  const overhead = encodeMessage(base).length + countBytes + 2
  const groups = pack(liveEntries(replica), {
    whole: (after, upto) => broadcastBytes - overhead - after.length - upto.length,
    cut: (after, upto) => {
      return fragmentedBytesMax(broadcastBytes) - overhead - after.length - upto.length
    },
  })
  const bounds = groups.map((entries) => {
    const last = entries.at(-1)
    return last === undefined ? '' : entryId(last)
  })
  return groups.flatMap((entries, part) => {
    const after = part === 0 ? '' : (bounds[part - 1] ?? '')
    const upto = part === groups.length - 1 ? '' : (bounds[part] ?? '')
    const message = encodeMessage({ ...base, part, parts: groups.length, after, upto, entries })
    return toBroadcasts(message, base, broadcastBytes)
  })
}

/**
 * Entries in groups that fit; at least one group. What alone is more than one broadcast is a group
 * of its own, for fragments; what is too much for these is only named (REG-31).
 */
function pack(entries: readonly Entry[], room: Room): Entry[][] {
  let group: Entry[] = []
  const groups = [group]
  let used = 0
  let after = ''
  let last = ''
  for (const full of entries) {
    const id = entryId(full)
    const entry = travels(full, room, last) ? full : named(full)
    const cost = entryBytes(entry)
    if (group.length > 0 && used + cost > room.whole(after, id)) {
      group = []
      groups.push(group)
      used = 0
      after = last
    }
    group.push(entry)
    used += cost
    last = id
  }
  return groups
}

/** Also where the part begins past the id before it, which leaves the least room. */
function travels(entry: Entry, room: Room, after: string): boolean {
  if (entry.kind !== 'put') return true
  const { instance } = entry
  const bytes = entryBytes(entry)
  if (bytes <= room.whole(after, instance.id)) return true
  const small = instanceBytes(instance) <= broadcastInstanceBytesMax
  return small && bytes <= room.cut(after, instance.id)
}

function named(entry: Entry): Entry {
  if (entry.kind !== 'put') return entry
  const { id, version } = entry.instance
  return { kind: 'large', id, version }
}
