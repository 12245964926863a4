/** Serf's queries about keys: handed to whoever has the keyring, which a core has not. */
import { decodeKeyRequest, encodeSerf } from '../wire/codec.ts'
import type { QueryMessage } from '../wire/message.ts'
import { remember } from './asked.ts'
import { emit } from './state.ts'
import type { State } from './state.ts'
import type { KeyCommand } from './talk.ts'

export const keyQueries: Readonly<Record<KeyCommand, string>> = Object.freeze({
  install: '_serf_install-key',
  use: '_serf_use-key',
  remove: '_serf_remove-key',
  list: '_serf_list-keys',
})

export const keyCommands: readonly KeyCommand[] = ['install', 'use', 'remove', 'list']
const names: ReadonlySet<string> = new Set(Object.values(keyQueries))

export function isKeyQuery(name: string): boolean {
  return names.has(name)
}

/** What the header of a payload grows by from the shortest to the longest that is sent. */
const headerGrowth = 2

/** The answer comes as a `respond` command, like that of a user. */
export function askKeyring(state: State, message: QueryMessage, command: KeyCommand): undefined {
  const { sourceNode: from, lamportTime, id: queryId } = message
  const key = decodeKeyRequest(message.payload)
  const { id } = remember(state, message)
  const payload = new Uint8Array(0)
  const header = { lamportTime, id: queryId, from: state.name, flags: 0, payload } as const
  const overhead = encodeSerf({ kind: 'queryResponse', ...header }).length + headerGrowth
  const bytesMax = state.timings.queryResponseBytesMax - overhead
  emit(state, { kind: 'keyQuery', id, command, key, from, bytesMax })
}
