// The same scenario in the clear and under a key.
import { createKeyring } from '@kith/gossip'
import type { Gossip, GossipOptions } from '@kith/gossip'
import { expect } from 'vitest'

const key = Buffer.alloc(32, 0x4d).toString('base64')

/** What makes members of either kind seal what they say, or leave it open. */
export interface Sealing {
  readonly sealed: boolean
  /** For a Serf. */
  readonly serf: { readonly encrypt?: string }
  /** For one of ours; each has a keyring of its own. */
  kith(): GossipOptions
}

export function sealing(sealed: boolean): Sealing {
  return {
    sealed,
    serf: sealed ? { encrypt: key } : {},
    kith: () => (sealed ? { keyring: createKeyring({ keys: [key] }) } : {}),
  }
}

/** Whatever came was sealed and could be opened, or was in the clear and is taken so. */
export function expectAllOpened(members: readonly Gossip[]): void {
  for (const member of members) {
    const { counters } = member.stats()
    const refused = /keyUnknown|keyTrials|plaintext|encryption/
    expect(Object.keys(counters).filter((kind) => refused.test(kind))).toEqual([])
  }
}
