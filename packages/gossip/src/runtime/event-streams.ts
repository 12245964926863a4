/** Every reader of `events()`: the same events in the same order, each at its own pace. */
import type { MemberEvent } from '@kith/interface'
import type { UserEvent } from '../core/index.ts'
import { Inbox } from './inbox.ts'
import type { EventsOptions, StreamedEvent } from './talk-types.ts'
import type { CountOf } from './counters.ts'

const bufferDefault = 1024

export interface EventStreams {
  open(options: EventsOptions): AsyncIterableIterator<StreamedEvent, undefined>
  push(event: MemberEvent | UserEvent): void
  /** Ends all of them, and those opened later at once. */
  close(error?: Error): void
}

export interface EventStreamsOptions {
  /** Events were dropped; told once for each time that a reader falls behind. */
  readonly behind: () => void
  readonly count: CountOf
}

interface Reader {
  readonly inbox: Inbox<StreamedEvent>
  dropped: number
}

export function createEventStreams({ behind, count }: EventStreamsOptions): EventStreams {
  const readers = new Set<Reader>()
  let closed: { readonly error: Error | undefined } | undefined
  const push = (reader: Reader, event: MemberEvent | UserEvent): void => {
    if (reader.dropped > 0) {
      // The gap stands where it happened, before whatever comes after it.
      if (reader.inbox.push({ kind: 'dropped', count: reader.dropped })) reader.dropped = 0
    }
    if (reader.dropped === 0 && reader.inbox.push(event)) return
    if (reader.dropped === 0) behind()
    reader.dropped += 1
    count('eventsDropped')
  }
  return {
    open({ signal, bufferMax = bufferDefault }) {
      const end = (): void => {
        readers.delete(reader)
        signal?.removeEventListener('abort', end)
        inbox.end()
      }
      const inbox = new Inbox<StreamedEvent>({ itemsMax: bufferMax, abandoned: end })
      const reader: Reader = { inbox, dropped: 0 }
      readers.add(reader)
      signal?.addEventListener('abort', end, { once: true })
      if (signal?.aborted === true) end()
      if (closed !== undefined) {
        inbox.end(closed.error)
        end()
      }
      return inbox
    },
    push(event) {
      for (const reader of readers) push(reader, event)
    },
    close(error) {
      closed = { error }
      for (const { inbox } of readers) inbox.end(error)
      readers.clear()
    },
  }
}
