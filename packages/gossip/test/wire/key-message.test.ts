// What Serf's queries about keys carry: as captured, as written, and as anybody may send it.
import { createRandom } from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import { describe, expect, it } from 'vitest'
import {
  decodeKeyRequest,
  decodeKeyResponse,
  decodePacket,
  encodeKeyRequest,
  encodeKeyResponse,
  openPacket,
} from '../../src/wire/codec.ts'
import type { SerfMessage } from '../../src/wire/message.ts'
import { envelopeOf, hex, vector } from './support.ts'

const envelope = envelopeOf({ keys: [hex('000102030405060708090a0b0c0d0e0f')] })
const fresh = hex('101112131415161718191a1b1c1d1e1f')
const keys = ['AAECAwQFBgcICQoLDA0ODw==', 'EBESExQVFhcYGRobHB0eHw==']

function serfIn(name: string): readonly (SerfMessage | undefined)[] {
  const { bytes = hex('') } = openPacket(envelope, vector(name))
  const { messages } = decodePacket(bytes, nodeDigests)
  return messages.map((message) => (message.kind === 'user' ? message.message : undefined))
}

describe('captured', () => {
  it('GOS-109 requests to install and to list are read, and written the same', () => {
    const [install, list] = serfIn('enc-udp-query-install-key')
    if (install?.kind !== 'query' || list?.kind !== 'query') throw new Error('two queries')
    expect([install.name, list.name]).toEqual(['_serf_install-key', '_serf_list-keys'])
    expect(decodeKeyRequest(install.payload)).toEqual(fresh)
    expect(encodeKeyRequest(fresh)).toEqual(install.payload)
    expect(decodeKeyRequest(list.payload)).toEqual(hex(''))
    expect(encodeKeyRequest(hex(''))).toEqual(list.payload)
  })

  it('GOS-109 the answer with the list is read, and written the same', () => {
    const [answer] = serfIn('enc-udp-key-response')
    if (answer?.kind !== 'queryResponse') throw new Error('an answer')
    const expected = { ok: true, message: '', keys, primary: keys[0] ?? '' }
    expect(decodeKeyResponse(answer.payload)).toEqual(expected)
    expect(encodeKeyResponse(expected)).toEqual(answer.payload)
  })
})

describe('key messages', () => {
  it('GOS-109 without keys have nil for them, as Serf', () => {
    const answer = { ok: false, message: 'no', keys: [], primary: '' }
    expect(encodeKeyResponse(answer)).toEqual(
      hex(
        '08 84 a44b657973 c0 a74d657373616765 a26e6f aa5072696d6172794b6579 a0 a6526573756c74 c2',
      ),
    )
    expect(decodeKeyResponse(encodeKeyResponse(answer))).toEqual(answer)
  })

  it.each([
    ['nothing', hex('')],
    ['another type', hex('06 c0')],
    ['cut off', encodeKeyResponse({ ok: true, message: 'x', keys, primary: '' }).subarray(0, -3)],
    ['a number for a key', hex('08 81 a44b657973 91 07')],
  ])('GOS-109 %s is no answer', (_what, bytes) => {
    expect(decodeKeyResponse(bytes)).toBeUndefined()
    expect(decodeKeyRequest(bytes)).toEqual(hex(''))
  })

  it('GOS-109 of an absurd list are read up to a bound', () => {
    const many = Array.from({ length: 5_000 }, () => 'k')
    const read = decodeKeyResponse(
      encodeKeyResponse({ ok: true, message: '', keys: many, primary: '' }),
    )
    expect(read?.keys.length).toBe(1_024)
  })

  it('GOS-109 of any bytes never throw', () => {
    const random = createRandom(7)
    const good = encodeKeyResponse({ ok: true, message: 'm', keys, primary: keys[0] ?? '' })
    for (let round = 0; round < 10_000; round += 1) {
      const bytes = good.slice(0, 1 + random.below(good.length))
      bytes[random.below(bytes.length)] = random.below(256)
      decodeKeyResponse(bytes)
      bytes[0] = 7
      decodeKeyRequest(bytes)
    }
  })
})
