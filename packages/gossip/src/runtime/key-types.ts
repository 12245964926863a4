/** The keys of a cluster as a caller sees them. */

export interface KeyOptions {
  /** Milliseconds in which answers are taken. Default: Serf's formula, as for every query. */
  readonly timeoutMs?: number
  /** Every answer is sent again through so many other members. 0 to 255; default 0. */
  readonly relayFactor?: number
  /** Ends the wait, not the change: rejects with `ERR_GOSSIP_ABORTED`. */
  readonly signal?: AbortSignal
}

/** What one member answered. */
export interface KeyResult {
  readonly member: string
  readonly ok: boolean
  /** Why not, in the words of that member; or what its list lacks. */
  readonly message: string
  /** Of a list: as base64. Secret. */
  readonly keys: readonly string[]
  /** Of a list, where the member says it. Secret. */
  readonly primary?: string
}

export interface KeyReport {
  /** Everybody who was asked has done it. Only then go on to the next step of a rotation. */
  readonly ok: boolean
  /** Members that were asked: those alive at the beginning, and whoever else answered. */
  readonly members: number
  readonly responses: number
  /** Answers that say it was not done. */
  readonly errors: number
  /** Of a list: each key as base64, with how many members have it. Secret. */
  readonly keys: Readonly<Record<string, number>>
  /** Of a list: each primary key as base64, with how many members use it. Secret. */
  readonly primaryKeys: Readonly<Record<string, number>>
  /** By member: why not, or what its list lacks. */
  readonly messages: Readonly<Record<string, string>>
  /** Members that did not answer in time; nobody knows what they did. */
  readonly missing: readonly string[]
  /** By member, in order of arrival. */
  readonly results: readonly KeyResult[]
}

/**
 * The keys of every member, real Serfs included. Whoever fails is in the report; nothing is undone.
 * A rotation is `install(fresh)`, `use(fresh)`, `remove(old)`, each once the one before is `ok`.
 *
 * `install`, `use` and `remove` reject with `ERR_GOSSIP_KEY_INVALID` for what is no key, and with
 * `ERR_GOSSIP_KEY_MISSING` where this member does not encrypt everything: the key would be told in
 * plaintext. All may reject as `query` does.
 */
export interface GossipKeys {
  /** Adds a key behind those that are there: what is sealed with it is understood from now on. */
  install(key: string | Uint8Array, options?: KeyOptions): Promise<KeyReport>
  /**
   * Makes an installed key the primary, with which everything is sealed. Whoever does not have it
   * hears nothing any more, not even this.
   */
  use(key: string | Uint8Array, options?: KeyOptions): Promise<KeyReport>
  /** Drops a key that is not the primary: what is sealed with it is not understood any more. */
  remove(key: string | Uint8Array, options?: KeyOptions): Promise<KeyReport>
  /** Which keys the members have. */
  list(options?: KeyOptions): Promise<KeyReport>
}
