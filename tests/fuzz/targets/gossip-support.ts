/** What the targets of gossip share: captured bytes, messages and an envelope with keys. */
import { readdirSync, readFileSync } from 'node:fs'
import { fromHex } from '@kith/interface'
import { createAead } from '../../../packages/gossip/src/runtime/aead.ts'
import type { Envelope } from '../../../packages/gossip/src/wire/envelope.ts'
import type { PushPullRow } from '../../../packages/gossip/src/wire/message.ts'
import { ascii } from '../target.ts'

const fixtures = new URL('../../../packages/gossip/test/fixtures/', import.meta.url)

/** Captured from real agents, those whose name matches. */
export function captured(name: RegExp): readonly Uint8Array[] {
  return readdirSync(fixtures)
    .filter((file) => name.test(file))
    .map((file) => readHex(readFileSync(new URL(file, fixtures), 'utf8')))
}

export function readHex(text: string): Uint8Array {
  return fromHex(text.trim()) ?? new Uint8Array(0)
}

export const row: PushPullRow = Object.freeze({
  name: 'a',
  incarnation: 1,
  address: Uint8Array.of(127, 0, 0, 1),
  port: 7946,
  meta: Uint8Array.of(0xff, 0x80),
  state: 'alive',
  versions: [1, 5, 2, 2, 5, 4] as const,
})

const keys = [16, 32].map((length) => new Uint8Array(length).fill(length))

/** Real encryption, but nonces that are counted: an input must do the same each time. */
export function envelopeWith(label: string): Envelope {
  const aead = createAead()
  let count = 0
  const nonce = (): Uint8Array => {
    count = (count + 1) >>> 0
    const bytes = new Uint8Array(12)
    new DataView(bytes.buffer).setUint32(0, count)
    return bytes
  }
  return {
    aead: { ...aead, nonce },
    label: ascii(label),
    keys: () => keys,
    verifyIncoming: true,
    verifyOutgoing: true,
  }
}

/** Names of fields and of members, and what must not be taken for an object's own. */
export const gossipWords: readonly Uint8Array[] = [
  '\u00a5SeqNo',
  '\u00a4Node',
  '\u00abIncarnation',
  '\u00a4From',
  '\u00a4Addr',
  '\u00a4Port',
  '\u00a4Meta',
  '\u00a3Vsn',
  '\u00a5LTime',
  '\u00a7Payload',
  '\u00a7Filters',
  '\u00a7Timeout',
  '\u00a4Algo',
  '\u00a3Buf',
  '\u00a5Nodes',
  '\u00acUserStateLen',
  '\u00aaUserMsgLen',
  '\u00a9__proto__',
  '\u00abconstructor',
  '\u00a8toString',
  '\u00aeprototype\u0000\u0000\u0000\u0000\u0000',
].map((text) => new Uint8Array(Buffer.from(text, 'latin1')))
