/** Typed events without inheritance: the owner holds the emitter, users get `on`. */

/** Removes the listener; calling it twice does nothing. */
export type Unsubscribe = () => void

export interface EventSource<Events extends object> {
  /**
   * Calls `listener` synchronously for each event, in order of subscription. Nobody waits for one
   * that is asynchronous.
   */
  on<Kind extends keyof Events>(kind: Kind, listener: (event: Events[Kind]) => unknown): Unsubscribe
}

export interface Emitter<Events extends object> extends EventSource<Events> {
  /**
   * A listener that throws is reported to `onError` and stops nobody else; so is one that returns a
   * promise which rejects, and nobody waits for it.
   */
  emit<Kind extends keyof Events>(kind: Kind, event: Events[Kind]): void
}

export function createEmitter<Events extends object>(
  onError: (cause: unknown) => void,
): Emitter<Events> {
  const listeners = new Map<keyof Events, Set<(event: never) => unknown>>()
  return {
    on(kind, listener) {
      const set = listeners.get(kind) ?? new Set()
      listeners.set(kind, set)
      // Wrapped so that one function subscribed twice is two subscriptions.
      const entry = (event: never): unknown => listener(event)
      set.add(entry)
      return () => void set.delete(entry)
    },
    emit(kind, event) {
      for (const listener of [...(listeners.get(kind) ?? [])]) {
        try {
          const result: unknown = listener(event as never)
          if (result instanceof Promise) result.catch(onError)
        } catch (cause) {
          onError(cause)
        }
      }
    },
  }
}
