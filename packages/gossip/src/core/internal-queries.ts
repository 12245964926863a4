/**
 * Queries that members ask each other without showing them to anybody. Each gives the payload of
 * its answer, or undefined where there is none, or not yet; acks, filters, relays and the way of
 * large answers are as for every query.
 */
import type { QueryMessage } from '../wire/message.ts'
import { askKeyring, keyCommands, keyQueries } from './key-queries.ts'
import { conflictAnswer, conflictQuery } from './name-conflict.ts'
import type { State } from './state.ts'

export type InternalQuery = (state: State, message: QueryMessage) => Uint8Array | undefined

/** Names that begin so are Serf's own. */
export const internalPrefix = '_serf_'
/** The ack is all of its answer. */
export const pingQuery = '_serf_ping'

export const internalQueries: ReadonlyMap<string, InternalQuery> = new Map<string, InternalQuery>([
  [pingQuery, () => undefined],
  [conflictQuery, (state, { payload }) => conflictAnswer(state, payload)],
  ...keyCommands.map((command): [string, InternalQuery] => [
    keyQueries[command],
    (state, message) => askKeyring(state, message, command),
  ]),
])
