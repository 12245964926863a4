/**
 * Authenticated encryption as the wire needs it: AES-GCM with keys of 16, 24 or 32 bytes, nonces of
 * 12 and tags of 16. Given to the wire from outside, like checksums, because a core has no crypto.
 */
export interface Aead {
  /** 12 bytes that were never used with any key before, hence of the system's entropy. */
  nonce(): Uint8Array
  /** The ciphertext with its tag behind it. */
  seal(key: Uint8Array, nonce: Uint8Array, plain: Uint8Array, associated: Uint8Array): Uint8Array
  /**
   * Undefined where the tag does not fit: another key, other associated data, or damage. The
   * plaintext is a buffer of its own, for the caller to release.
   */
  open(
    key: Uint8Array,
    nonce: Uint8Array,
    sealed: Uint8Array,
    associated: Uint8Array,
  ): Uint8Array | undefined
}

export const nonceBytes = 12
export const tagBytes = 16
/** AES-128, AES-192 and AES-256. */
export const keySizes: readonly number[] = Object.freeze([16, 24, 32])
