/** Keys in text and the keyring file as Serf writes it: a JSON list of base64, primary first. */
import { sameBytes } from './address.ts'
import { keySizes } from './aead.ts'
import { fromBase64, toBase64 } from './base64.ts'
import { decodeText } from './text.ts'

/** Keys of one member. A rotation needs two; more cost a trial for each packet of a stranger. */
export const keysMax = 32
/** A keyring file; 32 keys take two kilobytes. */
export const keyringBytesMax = 65_536

/** What can be wrong with a keyring file beside not being readable. */
export type KeyringProblemKind =
  /** No bytes, or nothing but white space. */
  | 'empty'
  | 'tooLarge'
  /** Cut off, or something else. */
  | 'notJson'
  | 'notList'
  | 'noKeys'
  | 'tooManyKeys'
  | 'keyNotText'
  | 'keyNotBase64'
  | 'keySize'

export interface KeyringProblem {
  readonly kind: KeyringProblemKind
  /** Which key of the list, from 0. */
  readonly index?: number
}

/** A key as text; the name of what is wrong with it. Never shows the key. */
export function decodeKey(text: string): Uint8Array | 'keyNotBase64' | 'keySize' {
  const key = fromBase64(text.trim())
  if (key === undefined) return 'keyNotBase64'
  return keySizes.includes(key.length) ? key : 'keySize'
}

/** The keys of a file, each once. Never throws. */
export function decodeKeyring(bytes: Uint8Array): readonly Uint8Array[] | KeyringProblem {
  if (bytes.length > keyringBytesMax) return { kind: 'tooLarge' }
  const list = parse(bytes)
  if (!Array.isArray(list)) return { kind: list as 'empty' | 'notJson' | 'notList' }
  if (list.length === 0) return { kind: 'noKeys' }
  const keys: Uint8Array[] = []
  for (const [index, text] of (list as readonly unknown[]).entries()) {
    if (typeof text !== 'string') return { kind: 'keyNotText', index }
    const key = decodeKey(text)
    if (typeof key === 'string') return { kind: key, index }
    if (!keys.some((known) => sameBytes(known, key))) keys.push(key)
    if (keys.length > keysMax) return { kind: 'tooManyKeys' }
  }
  return keys
}

export function encodeKeyring(keys: readonly Uint8Array[]): string {
  return `${JSON.stringify(keys.map(toBase64), null, 2)}\n`
}

function parse(bytes: Uint8Array): readonly unknown[] | 'empty' | 'notJson' | 'notList' {
  const text = decodeText(bytes, 0, bytes.length)
  if (text?.trim() === '') return 'empty'
  if (text === undefined) return 'notJson'
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) ? (value as readonly unknown[]) : 'notList'
  } catch {
    return 'notJson'
  }
}
