// What the wire's tests share: captured vectors and small messages.
import { readdirSync, readFileSync } from 'node:fs'
import { fromHex } from '@kith/interface'
import { createAead } from '../../src/runtime/aead.ts'
import { openState } from '../../src/wire/codec.ts'
import type { Aead, Envelope } from '../../src/wire/codec.ts'
import type {
  AliveMessage,
  PushPullMessage,
  PushPullRow,
  SerfState,
} from '../../src/wire/message.ts'

const fixtures = new URL('../fixtures/', import.meta.url)

export function vectorNames(): readonly string[] {
  const files = readdirSync(fixtures).filter((name) => name.endsWith('.hex'))
  return files.map((name) => name.slice(0, -'.hex'.length))
}

export function vector(name: string): Uint8Array {
  return hex(readFileSync(new URL(`${name}.hex`, fixtures), 'utf8').trim())
}

/** Bytes of hex digits; spaces are for the eye. */
export function hex(text: string): Uint8Array {
  const bytes = fromHex(text.replaceAll(' ', ''))
  if (bytes === undefined) throw new Error(`not hex: ${text}`)
  return bytes
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

export const alive: AliveMessage = Object.freeze({
  kind: 'alive',
  incarnation: 1,
  node: 'a',
  address: Uint8Array.of(127, 0, 0, 1),
  port: 7946,
  meta: hex('ff80'),
  versions: [1, 5, 2, 2, 5, 5] as const,
})

export function row(name: string): PushPullRow {
  const { incarnation, address, port, meta, versions } = alive
  return { name, incarnation, address, port, meta, versions, state: 'alive' }
}

export function pushPull(names: readonly string[], userState = utf8('state')): PushPullMessage {
  return { kind: 'pushPull', join: true, rows: names.map(row), userState }
}

/** Of random ones, behind another version or key, some read as a ping in plaintext. */
export const fixedNonce: Uint8Array = Uint8Array.from({ length: 12 }, (_, at) => at)

/** An envelope of given keys and label; without any, what an open cluster has. */
export function envelopeOf(
  given: {
    readonly label?: Uint8Array
    readonly keys?: readonly Uint8Array[]
    readonly nonce?: Aead['nonce']
    readonly verifyIncoming?: boolean
    readonly verifyOutgoing?: boolean
  } = {},
): Envelope {
  const { label = hex(''), keys = [], verifyIncoming = true, verifyOutgoing = true } = given
  const plain = createAead()
  const aead = { ...plain, nonce: given.nonce ?? ((): Uint8Array => fixedNonce) }
  return { aead, label, keys: () => keys, verifyIncoming, verifyOutgoing }
}

/** All of a user state at once, as it would be written. */
export function decodeState(bytes: Uint8Array): SerfState | undefined {
  const state = openState(bytes)
  if (state === undefined) return undefined
  const { lamportTime, eventLamportTime, queryLamportTime, leftMembers } = state
  const [statusTimes, extensions] = [new Map<string, bigint>(), new Map<string, Uint8Array>()]
  const events: (SerfState['events'][number] | undefined)[] = []
  state.eachTime((name, time) => statusTimes.set(name, time))
  state.eachExtension((name, body) => extensions.set(name, body))
  state.eachSlot((slot) => {
    const inner: { name: string; payload: Uint8Array }[] = []
    slot?.eachEvent((name, payload) => inner.push({ name, payload }))
    events.push(slot && { lamportTime: slot.lamportTime, events: inner })
  })
  const clocks = { lamportTime, eventLamportTime, queryLamportTime }
  return { ...clocks, statusTimes, leftMembers, events, extensions }
}
