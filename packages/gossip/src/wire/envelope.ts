/**
 * What is around every message of a cluster that has a label or a key: the label header in the
 * clear, then the ciphertext. Nothing inside is looked at before its tag was found right.
 */
import { releaseBytes } from '@kith/interface'
import { nonceBytes, tagBytes } from './aead.ts'
import type { Aead } from './aead.ts'
import { addLabel, labelOverhead, stripLabel } from './label.ts'
import { decodeMessage, messageType } from './memberlist.ts'
import { concatBytes } from './packet.ts'
import type { DecodeProblemKind } from './problem.ts'

export interface Envelope {
  readonly aead: Aead
  /** Empty for none. */
  readonly label: Uint8Array
  /** Primary first, asked anew for each message, because keys change; empty: no encryption. */
  readonly keys: () => readonly Uint8Array[]
  /** Refuses what is not encrypted, where there is a key. Off only while a cluster migrates. */
  readonly verifyIncoming: boolean
  /** Encrypts what is sent, where there is a key. Off only while a cluster migrates. */
  readonly verifyOutgoing: boolean
}

/** Bytes, or why there are none; some that are used all the same are remarkable. */
export interface Opened {
  readonly bytes?: Uint8Array
  readonly problem?: DecodeProblemKind
}

/** Written; version 0, which pads, is only read. */
const version = 1
const versionPadded = 0
const blockBytes = 16
/** What encryption adds to a packet: version, nonce and tag. */
const sealBytes = 1 + nonceBytes + tagBytes
/**
 * What one message may cost in trials: all keys for whatever is of an ordinary size, few for a
 * frame that is large, so that nobody without a key gets the work and the memory of many copies.
 */
const trialBytesMax = 16_777_216
export const frameHeaderBytes = 5
/** One encrypted message of a stream. memberlist takes 20 MiB and sends far less. */
export const frameBytesMax = 8_454_144

/** A datagram ready to be sent. */
export function sealPacket(envelope: Envelope, bytes: Uint8Array): Uint8Array {
  const { label } = envelope
  const [primary] = outgoingKeys(envelope)
  return addLabel(label, primary === undefined ? bytes : seal(envelope, primary, bytes, label))
}

/** How much longer `sealPacket` makes a packet. */
export function packetOverhead(envelope: Envelope): number {
  const encrypts = outgoingKeys(envelope).length > 0
  return labelOverhead(envelope.label) + (encrypts ? sealBytes : 0)
}

/**
 * The layers of a datagram inside of the label and the encryption, in a buffer of their own for the
 * caller to release, which is that of the datagram only where there is neither. Never throws.
 */
export function openPacket(envelope: Envelope, received: Uint8Array): Opened {
  const bytes = stripLabel(envelope.label, received)
  if (typeof bytes === 'string') return { problem: bytes }
  if (envelope.keys().length === 0) return { bytes: own(bytes, received) }
  const opened = open(envelope, bytes, envelope.label)
  if (typeof opened !== 'string') return { bytes: opened }
  if (!isPlaintext(bytes)) return { problem: opened }
  if (envelope.verifyIncoming) return { problem: 'plaintextRefused' }
  return { bytes: own(bytes, received), problem: 'plaintextTaken' }
}

function own(bytes: Uint8Array, received: Uint8Array): Uint8Array {
  return bytes === received ? received : new Uint8Array(bytes)
}

/** A message of a stream, ready to be sent by the side that opened it or the one that answers. */
export function sealStream(
  envelope: Envelope,
  bytes: Uint8Array,
  side: 'opener' | 'answerer',
): Uint8Array {
  const [primary] = outgoingKeys(envelope)
  const label = side === 'opener' ? envelope.label : new Uint8Array(0)
  if (primary === undefined) return addLabel(label, bytes)
  const header = new Uint8Array(frameHeaderBytes)
  header[0] = messageType.encrypt
  new DataView(header.buffer).setUint32(1, bytes.length + sealBytes)
  const associated = concatBytes([header, envelope.label])
  return addLabel(label, concatBytes([header, seal(envelope, primary, bytes, associated)]))
}

/** The message in the frame that `header` begins. Its plaintext is never empty. */
export function openFrame(
  envelope: Envelope,
  header: Uint8Array,
  payload: Uint8Array,
): Uint8Array | DecodeProblemKind {
  const plain = open(envelope, payload, concatBytes([header, envelope.label]))
  if (typeof plain === 'string') return plain
  return plain.length === 0 ? 'emptyMessage' : plain
}

function outgoingKeys({ keys, verifyOutgoing }: Envelope): readonly Uint8Array[] {
  return verifyOutgoing ? keys() : []
}

function seal(
  { aead }: Envelope,
  key: Uint8Array,
  plain: Uint8Array,
  associated: Uint8Array,
): Uint8Array {
  const nonce = aead.nonce()
  return concatBytes([Uint8Array.of(version), nonce, aead.seal(key, nonce, plain, associated)])
}

/** Tries the keys in their order. */
function open(
  { aead, keys }: Envelope,
  bytes: Uint8Array,
  associated: Uint8Array,
): Uint8Array | DecodeProblemKind {
  const spoken = bytes[0] ?? 0
  if (bytes.length === 0) return 'emptyMessage'
  if (spoken > version) return 'encryptionVersion'
  const least = spoken === versionPadded ? sealBytes + blockBytes : sealBytes
  if (bytes.length < least) return 'encryptionTruncated'
  const nonce = bytes.subarray(1, 1 + nonceBytes)
  const sealed = bytes.subarray(1 + nonceBytes)
  let left = trialBytesMax
  for (const key of keys()) {
    left -= bytes.length
    if (left < 0) return 'keyTrialsExceeded'
    const plain = aead.open(key, nonce, sealed, associated)
    if (plain !== undefined) return spoken === versionPadded ? unpad(plain) : plain
  }
  return 'keyUnknown'
}

/**
 * PKCS#7, whose last byte says how many to drop; Go trusts it and dies of a wrong one. All of it is
 * looked at, and the length, because the version is not authenticated: who changes it on the way
 * would have the end of a message of version 1 dropped for padding.
 */
function unpad(plain: Uint8Array): Uint8Array | DecodeProblemKind {
  const padding = plain[plain.length - 1] ?? 0
  const end = plain.subarray(-padding)
  const whole = plain.length % blockBytes === 0 && end.every((byte) => byte === padding)
  const fits = whole && padding >= 1 && padding <= blockBytes
  const bytes = fits ? plain.slice(0, plain.length - padding) : undefined
  releaseBytes(plain)
  return bytes ?? 'encryptionPadding'
}

/**
 * Whether this is a packet without encryption. Those of types 0 and 1 begin like an encrypted one
 * and must be read to tell.
 */
function isPlaintext(bytes: Uint8Array): boolean {
  const type = bytes[0]
  if (type === undefined) return false
  if (type <= version) return typeof decodeMessage(bytes) !== 'string'
  return type <= messageType.error
}
