/** What this member says of itself, and who is known to have heard it. */
import { encodeMessage, unpackBytes } from '../wire/codec.ts'
import type { AliveMessage } from '../wire/message.ts'
import { broadcastSwim } from './broadcasts.ts'
import type { Entry, State } from './state.ts'

function ownAlive(entry: Entry): AliveMessage {
  return {
    kind: 'alive',
    incarnation: entry.incarnation,
    node: entry.name,
    address: unpackBytes(entry.addressPacked),
    port: entry.address.port,
    meta: unpackBytes(entry.metaPacked),
    versions: entry.versions,
  }
}

export function announceSelf(state: State, entry: Entry): void {
  broadcastSwim(state, ownAlive(entry))
}

/**
 * Our latest announcement, to go beside a message to a member that may not have heard it. Gossip
 * reaches everybody but one in thousands; our own probes reach that one, at the cost of no packet.
 */
export function untold(state: State, entry: Entry): readonly Uint8Array[] {
  const self = state.entries.get(state.name)
  if (self?.state !== 'alive' || entry.heard === state.incarnation) return []
  // It goes beside the message by itself.
  if (state.broadcasts.byAbout.has(state.name)) return []
  return [encodeMessage(ownAlive(self))]
}
