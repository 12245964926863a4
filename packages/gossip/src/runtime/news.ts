/** Tells everybody who listens what the core saw, and writes it to the log. */
import { formatAddress } from '@kith/interface'
import type {
  EventSource,
  Logger,
  MemberEvent,
  MembershipHandler,
  Unsubscribe,
} from '@kith/interface'
import { type ChannelOrigin, createChannelEmitter } from '@kith/interface/node'
import type { GossipEvent } from '../core/index.ts'
import { createEventStreams } from './event-streams.ts'
import type { EventStreams } from './event-streams.ts'
import { receivedQuery } from './queries.ts'
import type { GossipEvents, GossipWarning } from './types.ts'
import type { CountOf } from './counters.ts'

export interface News extends EventSource<GossipEvents> {
  subscribe(handler: MembershipHandler): Unsubscribe
  tell(event: GossipEvent): void
  warn(warning: GossipWarning): void
  readonly events: EventStreams['open']
  /** Ends all that `events` opened. */
  readonly close: EventStreams['close']
}

export interface NewsOptions {
  readonly logger: Logger
  /** Whose news these are. */
  readonly origin: () => ChannelOrigin
  readonly count: CountOf
  /** Sends a listener's answer to a query. */
  readonly respond: (queryId: number, payload: Uint8Array) => Promise<unknown>
}

export function createNews({ logger, origin, count, respond }: NewsOptions): News {
  const handlers = new Set<MembershipHandler>()
  const emitter = createChannelEmitter<GossipEvents>('kith:gossip:event', origin, (cause) => {
    logger.error({ err: cause }, 'a listener of gossip threw')
  })
  const warn = (warning: GossipWarning): void => {
    count(`warning.${warning.kind}`)
    logger.warn(warning, `gossip: ${warning.kind}`)
    emitter.emit('warning', warning)
  }
  const streams = createEventStreams({ behind: () => warn({ kind: 'eventsDropped' }), count })
  const tellMember = (event: MemberEvent): void => {
    const { name, address, status } = event.member
    // Names come from the network: quoted, so that they can forge no line of a log.
    const fields = { member: name, address: formatAddress(address), status }
    logger.info(fields, `${event.kind} ${JSON.stringify(name)}`)
    for (const handler of handlers) {
      try {
        handler.memberChanged(event)
      } catch (cause) {
        logger.error({ err: cause }, 'a membership handler threw')
      }
    }
    streams.push(event)
    emitter.emit(event.kind, event)
  }
  return {
    on: (kind, listener) => emitter.on(kind, listener),
    subscribe(handler) {
      // Wrapped so that one handler subscribed twice is two subscriptions.
      const entry: MembershipHandler = { memberChanged: (event) => handler.memberChanged(event) }
      handlers.add(entry)
      return () => void handlers.delete(entry)
    },
    warn,
    events: streams.open,
    close: streams.close,
    tell(event) {
      switch (event.kind) {
        case 'event':
          streams.push(event)
          return emitter.emit('event', event)
        case 'query':
          return emitter.emit('query', receivedQuery(event, respond))
        case 'suspect':
          logger.info(event, `${JSON.stringify(event.name)} does not answer`)
          return emitter.emit('suspect', event)
        case 'refute':
          logger.info(event, 'others doubted this member, which is alive')
          return emitter.emit('refute', event)
        case 'conflict':
        case 'nameHeld':
        case 'conflictLost':
        case 'packetsBlocked':
        case 'mergeRefused':
        case 'paused':
          return warn(event)
        default:
          return tellMember(event)
      }
    },
  }
}
