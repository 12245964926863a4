/** AES-GCM of Node.js for the wire. */
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from 'node:crypto'
import type { CipherGCMTypes, KeyObject } from 'node:crypto'
import { releaseBytes } from '@kith/interface'
import { nonceBytes, tagBytes } from '../wire/codec.ts'
import type { Aead } from '../wire/codec.ts'

const options = { authTagLength: tagBytes }

export function createAead(): Aead {
  // An imported key is twice as fast as its bytes; it goes when the keyring drops them.
  const imported = new WeakMap<Uint8Array, KeyObject>()
  const keyObject = (key: Uint8Array): KeyObject => {
    const known = imported.get(key) ?? createSecretKey(key)
    imported.set(key, known)
    return known
  }
  return {
    nonce: () => randomBytes(nonceBytes),
    seal(key, nonce, plain, associated) {
      const cipher = createCipheriv(algorithm(key), keyObject(key), nonce, options)
      cipher.setAAD(associated)
      return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
    },
    open(key, nonce, sealed, associated) {
      const decipher = createDecipheriv(algorithm(key), keyObject(key), nonce, options)
      decipher.setAAD(associated)
      decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes))
      const plain = decipher.update(sealed.subarray(0, sealed.length - tagBytes))
      try {
        decipher.final()
        // Not a Buffer, whose slices are views: what is kept of a message must be a copy.
        return new Uint8Array(plain.buffer, plain.byteOffset, plain.length)
      } catch {
        releaseBytes(plain)
        return undefined
      }
    },
  }
}

function algorithm(key: Uint8Array): CipherGCMTypes {
  if (key.length === 16) return 'aes-128-gcm'
  return key.length === 24 ? 'aes-192-gcm' : 'aes-256-gcm'
}
