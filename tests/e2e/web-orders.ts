/** What a web member and whoever started it say to each other. */

/** What it tells whoever started it, first. */
export interface WebMemberReport {
  readonly gossip: string
  readonly http: string
}

/** Milliseconds of a clock that all processes of the machine share. */
export function sharedNow(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000
}

export type Order =
  | { readonly order: 'sick' | 'well'; readonly service: string }
  /** Answered once this member hands out instances of `member`, of all services, or of none. */
  | {
      readonly order: 'tell'
      readonly question: number
      readonly services: readonly string[]
      readonly member: string
      readonly resolved: boolean
    }

export type Told =
  | { readonly told: 'done'; readonly at: number }
  | {
      readonly told: 'answer'
      readonly question: number
      readonly at: number
      /** When this member's view said that `member` was not alive any more. */
      readonly goneAt: number | undefined
      /** The longest that this process did not run meanwhile, in milliseconds. */
      readonly stalledMs: number
    }

/** How often a service is asked whether it is well. */
export const checkIntervalMs = 1_000
