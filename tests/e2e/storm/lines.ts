// What the test tells a member of the storm, and what that prints.
import type { Profile } from '@kith/gossip'

/** Every so often each says how much it sent. */
export const beatMs = 500

export interface StormOptions {
  readonly name: string
  readonly profile: Profile
  /** 0 takes a free one. */
  readonly port: number
  readonly join: readonly string[]
}

export type StormLine =
  | { readonly kind: 'ready'; readonly port: number }
  | { readonly kind: 'join' | 'fail'; readonly about: string }
  /** Packets since the start, and the most within any probe interval. */
  | { readonly kind: 'sent'; readonly sent: number; readonly mostInWindow: number }
