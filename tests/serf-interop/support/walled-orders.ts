// What a walled member and whoever started it say to each other.
import type { ServiceDefinition } from '@kith/registry'

/** Milliseconds of a clock that all processes of the machine share. */
export function sharedNow(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000
}

export type WalledOrder = { readonly question: number } & (
  | { readonly order: 'register'; readonly service: ServiceDefinition }
  /** Answered once these instances resolve, all with this `rev` in their facts. */
  | {
      readonly order: 'hear'
      readonly service: string
      readonly ids: readonly string[]
      readonly revision: string
    }
  | { readonly order: 'look' }
)

export interface WalledTold {
  readonly question: number
  readonly at: number
  /** Of every member in this one's view. */
  readonly status: Readonly<Record<string, string>>
  /** Bytes of the largest broadcast so far, and the most that one may have. */
  readonly largest: number
  readonly largestMax: number
  /** Fetches from other members that were answered. */
  readonly fetched: number
  /** Who was called failed, or came back, and when, by `sharedNow`. */
  readonly verdicts: readonly { readonly at: number; readonly text: string }[]
}
