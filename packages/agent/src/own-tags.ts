/** The tags that this member gave itself. */
import type { Gossip } from '@kith/gossip'

/** As they are now, to be changed and set again: without gossip's own, which it adds by itself. */
export function ownTags(gossip: Gossip): Record<string, string> {
  const { 'kith.v': _version, ...tags } = gossip.self.tags
  return tags
}
