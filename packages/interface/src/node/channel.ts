/** Events that a whole process can listen to, whoever holds the object that they are of. */
import { channel } from 'node:diagnostics_channel'
import { createEmitter, type Emitter } from '../emitter.ts'

/** What a channel named `kith:...:event` carries. */
export interface ChannelMessage {
  /** The object of which it is an event: a process may run several. */
  readonly source: object
  /** The member to which that belongs. */
  readonly member: string
  readonly kind: string
  /** What a listener of this kind is given. */
  readonly event: unknown
}

export interface ChannelOrigin {
  readonly source: object
  readonly member: string
}

/**
 * An emitter that also publishes its events on a channel of `node:diagnostics_channel`, after its
 * own listeners. Where nobody subscribed there, that costs one look. What a subscriber throws
 * reaches nobody here: Node.js reports it as an uncaught exception.
 */
export function createChannelEmitter<Events extends object>(
  name: string,
  origin: () => ChannelOrigin,
  onError: (cause: unknown) => void,
): Emitter<Events> {
  const emitter = createEmitter<Events>(onError)
  const published = channel(name)
  return {
    on: (kind, listener) => emitter.on(kind, listener),
    emit(kind, event) {
      emitter.emit(kind, event)
      if (!published.hasSubscribers) return
      const message: ChannelMessage = { ...origin(), kind: String(kind), event }
      published.publish(message)
    },
  }
}
