/**
 * Where members may be found (clauses DIS-1 to DIS-9, `docs/protocol/discovery.md`). A discovery
 * only names addresses; whether somebody is there, gossip finds out.
 */
import type { PluginContext } from './context.ts'

export interface DiscoveryHandlers {
  /**
   * The next `find` may answer differently. Called between `start` and the end of `stop`, never
   * inside of either, and only by those who can notice; the others are asked now and then.
   */
  changed(): void
}

export interface Discovery extends AsyncDisposable {
  /** What it is and where it looks, for logs: `dns kith.internal`. */
  readonly name: string
  /**
   * Begins to watch, where there is something to watch. Once; rejects with the reason of `signal`
   * where that is aborted. What it looks at need not exist yet: that is for `find` to say.
   */
  start(handlers: DiscoveryHandlers, options?: { readonly signal?: AbortSignal }): Promise<void>
  /**
   * Looks now and resolves with everything there is: `host:port`, `host`, either behind `name/`, at
   * most 1,024, none twice, in any order. An empty list is an answer. Rejects with an `Error` whose
   * message says why nothing can be told, and soon after `signal` aborts; the next call tries anew.
   * Only between `start` and `stop`. Calls may overlap. The caller owns the list.
   */
  find(signal?: AbortSignal): Promise<string[]>
  /** Ends within one second whatever runs, at any time, any number of times. */
  stop(): Promise<void>
}

/** Bad options throw when the factory is made, all problems at once; effects begin at `start`. */
export type DiscoveryFactory = (context: PluginContext) => Discovery
