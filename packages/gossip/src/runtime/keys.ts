/**
 * Keys of the whole cluster: asked for and changed by Serf's queries, and what this member answers
 * to those of others.
 */
import type { Logger } from '@kith/interface'
import { keyQueries } from '../core/index.ts'
import type { KeyCommand, Output } from '../core/index.ts'
import { GossipError } from '../errors.ts'
import { decodeKeyResponse, encodeKeyRequest, encodeKeyResponse } from '../wire/codec.ts'
import type { Envelope, KeyResponse } from '../wire/codec.ts'
import { readKey } from './keyring.ts'
import type { Keyring } from './keyring.ts'
import type { GossipKeys, KeyOptions, KeyReport, KeyResult } from './key-types.ts'
import type { Query } from './talk-types.ts'
import type { CountOf } from './counters.ts'

type KeyQuery = Output & { readonly kind: 'keyQuery' }

export interface KeysOptions {
  readonly keyring: Keyring | undefined
  readonly envelope: Envelope
  readonly logger: Logger
  /** Asks everybody, this member included. */
  readonly ask: (name: string, payload: Uint8Array, options: KeyOptions) => Query
  readonly respond: (queryId: number, payload: Uint8Array) => Promise<unknown>
  readonly count: CountOf
}

export interface Keys {
  readonly commands: GossipKeys
  /** What a member asks of this one; answered by `respond`, whatever goes wrong. */
  answer(query: KeyQuery): void
}

export function createKeys(options: KeysOptions): Keys {
  return new ClusterKeys(options)
}

/** A reason in an answer; all of it must fit a packet. */
const reasonMax = 300

class ClusterKeys implements Keys {
  readonly commands: GossipKeys
  readonly #options: KeysOptions

  constructor(options: KeysOptions) {
    this.#options = options
    this.commands = Object.freeze({
      install: (key: string | Uint8Array, given?: KeyOptions) =>
        this.#change('install', key, given),
      use: (key: string | Uint8Array, given?: KeyOptions) => this.#change('use', key, given),
      remove: (key: string | Uint8Array, given?: KeyOptions) => this.#change('remove', key, given),
      list: async (given: KeyOptions = {}) => this.#ask('list', new Uint8Array(0), given),
    })
  }

  async #change(
    command: KeyCommand,
    key: string | Uint8Array,
    options: KeyOptions = {},
  ): Promise<KeyReport> {
    const secret = readKey(key)
    const refusal = this.#refusal()
    // The query would tell the key to whoever listens.
    if (refusal !== undefined) throw new GossipError('ERR_GOSSIP_KEY_MISSING', refusal)
    return this.#ask(command, secret, options)
  }

  async #ask(command: KeyCommand, key: Uint8Array, options: KeyOptions): Promise<KeyReport> {
    const query = this.#options.ask(keyQueries[command], encodeKeyRequest(key), options)
    const results: KeyResult[] = []
    for await (const { from, payload: answer } of query) results.push(resultOf(from, answer))
    const { missing, ended } = await query.summary
    if (ended === 'cancelled') {
      const message = 'the wait was ended; list says what the members have done'
      throw new GossipError('ERR_GOSSIP_ABORTED', message)
    }
    return reportOf(results, missing)
  }

  answer(query: KeyQuery): void {
    this.#answer(query).catch(() => this.#options.count('keyAnswersFailed'))
  }

  async #answer({ id, command, key, from, bytesMax }: KeyQuery): Promise<void> {
    const { respond, logger, count } = this.#options
    const response = await this.#perform(command, key)
    const fields = { command, from, ...(response.ok ? {} : { reason: response.message }) }
    if (command !== 'list') logger.info(fields, 'the keys of the cluster are changed')
    count(response.ok ? `keys.${command}` : 'keysRefused')
    await respond(id, encodeFitting(response, bytesMax))
  }

  async #perform(command: KeyCommand, key: Uint8Array): Promise<KeyResponse> {
    const { keyring } = this.#options
    const refusal = this.#refusal(command)
    if (keyring === undefined || refusal !== undefined) return failed(refusal ?? '')
    if (command === 'list') {
      const { keys } = keyring
      return { ok: true, message: '', keys, primary: keys[0] ?? '' }
    }
    try {
      await keyring[command](key)
      return { ok: true, message: '', keys: [], primary: '' }
    } catch (cause) {
      return failed((cause as Error).message)
    }
  }

  /** Why keys are neither changed nor shown here; in Serf's words where Serf has some. */
  #refusal(command?: KeyCommand): string | undefined {
    const { keyring, envelope } = this.#options
    if (keyring === undefined) {
      if (command === 'list') return 'Keyring is empty (encryption not enabled)'
      return 'No keyring to modify (encryption not enabled)'
    }
    if (envelope.verifyIncoming && envelope.verifyOutgoing) return undefined
    return 'keys are neither changed nor shown while plaintext is sent or taken'
  }
}

function failed(message: string): KeyResponse {
  return { ok: false, message: message.slice(0, reasonMax), keys: [], primary: '' }
}

/** A list that is too long for a packet is cut, and says so, in Serf's words. */
function encodeFitting(response: KeyResponse, bytesMax: number): Uint8Array {
  const { length: all } = response.keys
  let encoded = encodeKeyResponse(response)
  for (let shown = all - 1; encoded.length > bytesMax && shown >= 0; shown -= 1) {
    const message = `truncated key list response, showing first ${shown} of ${all} keys`
    encoded = encodeKeyResponse({ ...response, message, keys: response.keys.slice(0, shown) })
  }
  return encoded
}

function resultOf(from: string, payload: Uint8Array): KeyResult {
  const response = decodeKeyResponse(payload)
  if (response === undefined) {
    return { member: from, ok: false, message: 'the answer is malformed', keys: [] }
  }
  const { ok, message, keys, primary } = response
  return { member: from, ok, message, keys, ...(primary === '' ? {} : { primary }) }
}

function reportOf(results: readonly KeyResult[], missing: readonly string[]): KeyReport {
  const errors = results.filter(({ ok }) => !ok).length
  const told = results.filter(({ message }) => message !== '')
  const primaries = results.flatMap(({ primary }) => (primary === undefined ? [] : [primary]))
  return Object.freeze({
    ok: errors === 0 && missing.length === 0,
    members: results.length + missing.length,
    responses: results.length,
    errors,
    keys: counted(results.flatMap(({ ok, keys }) => (ok ? keys : []))),
    primaryKeys: counted(primaries),
    messages: Object.fromEntries(told.map(({ member, message }) => [member, message])),
    missing,
    results,
  })
}

function counted(keys: readonly string[]): Readonly<Record<string, number>> {
  const counts = new Map<string, number>()
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
  return Object.fromEntries(counts)
}
