/** What a member of a rolling upgrade and whoever started it say to each other. */

/** The body of a POST: the next one of a worker. */
export interface Ordered {
  readonly worker: number
  readonly number: number
}

export type RollingQuestion = 'records'

export type RollingTold =
  | { readonly told: 'ready'; readonly gossip: string; readonly http: string }
  /** Of whom this member has said so. */
  | { readonly told: 'failed'; readonly member: string }
  | { readonly told: 'records'; readonly all: readonly string[] }
