/**
 * Packets under a key, as real members seal them. The nonces are counted, so that a run repeats;
 * nobody but a simulator may do that.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto'
import { openPacket, packetOverhead, sealPacket } from '@kith/gossip/core'
import type { Aead, Envelope } from '@kith/gossip/core'
import type { SimRandom } from '@kith/sim'

export interface Seal {
  readonly overheadBytes: number
  seal(bytes: Uint8Array): Uint8Array
  /** Undefined where it was damaged on the way. */
  open(bytes: Uint8Array): Uint8Array | undefined
}

const algorithm = 'aes-128-gcm'
const options = { authTagLength: 16 }

function createAead(): Aead {
  let sealed = 0
  return {
    nonce() {
      sealed += 1
      const nonce = new Uint8Array(12)
      new DataView(nonce.buffer).setUint32(0, sealed)
      return nonce
    },
    seal(key, nonce, plain, associated) {
      const cipher = createCipheriv(algorithm, key, nonce, options).setAAD(associated)
      return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
    },
    open(key, nonce, sealed, associated) {
      const decipher = createDecipheriv(algorithm, key, nonce, options).setAAD(associated)
      decipher.setAuthTag(sealed.subarray(-options.authTagLength))
      const plain = decipher.update(sealed.subarray(0, -options.authTagLength))
      try {
        decipher.final()
        return new Uint8Array(plain)
      } catch {
        return undefined
      }
    },
  }
}

export function createSeal(random: SimRandom): Seal {
  const key = Uint8Array.from({ length: 16 }, () => random.below(256))
  const envelope: Envelope = {
    aead: createAead(),
    label: new Uint8Array(0),
    keys: () => [key],
    verifyIncoming: true,
    verifyOutgoing: true,
  }
  return {
    overheadBytes: packetOverhead(envelope),
    seal: (bytes) => sealPacket(envelope, bytes),
    open: (bytes) => openPacket(envelope, bytes).bytes,
  }
}
