/**
 * Bounds and name rules of everything that travels. They are part of the protocol: all members
 * agree.
 */
import { utf8Length } from './bytes.ts'

export const memberBytesMax = 128
export const serviceCharactersMax = 63
export const idCharactersMax = 128
export const addressCharactersMax = 253
export const tagsMax = 32
export const tagBytesMax = 128
export const metaPairsMax = 64
export const metaKeyCharactersMax = 64
export const metaValueBytesMax = 1_024
/** All keys and values of one instance together. */
export const metaBytesMax = 4_096
export const checksMax = 16
/** The name and kind of the check that an instance in maintenance has beside its own. */
export const maintenanceName = 'maintenance'
export const checkNameCharactersMax = 64
export const kindCharactersMax = 32
/** What a check's output keeps at its owner. */
export const outputBytesMax = 4_096
/** What other members see of it. */
export const outputWireBytesMax = 256
/** More instances than any owner may have, and still little memory. */
export const instancesWireMax = 4_096
export const partsMax = 4_096
/** Encoded bytes of all instances of one owner: so much, and its message, fits one fetch. */
export const ownerBytesMax = 3_145_728
/**
 * Encoded bytes of an instance that still travels by broadcasts alone. What is larger is named in
 * them and fetched over a stream.
 */
export const broadcastInstanceBytesMax = 1_024
/** Broadcasts into which one message is cut at most, and bytes of it that one of them carries. */
export const fragmentsMax = 4
export const fragmentBytesMax = 1_024
/** Owners in one digest message or one fetch. */
export const digestsMax = 4_096
export const wantsMax = 128
/** Epochs are wall milliseconds; this is far past any clock and leaves room for + 1. */
export const epochMax = 4_503_599_627_370_496
export const versionMax = 4_503_599_627_370_496

const servicePattern = /^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$/
const idPattern = /^[A-Za-z0-9._:-]{1,128}$/
const checkNamePattern = /^[A-Za-z0-9._-]{1,64}$/
const kindPattern = /^[a-z][a-z0-9-]{0,31}$/
const addressPattern = /^[A-Za-z0-9.:_%-]{1,253}$/
const metaKeyPattern = /^[A-Za-z0-9._-]{1,64}$/

export function isServiceName(text: string): boolean {
  return servicePattern.test(text)
}

export function isInstanceId(text: string): boolean {
  return idPattern.test(text)
}

export function isCheckName(text: string): boolean {
  return checkNamePattern.test(text)
}

export function isKindName(text: string): boolean {
  return kindPattern.test(text)
}

export function isAddress(text: string): boolean {
  return addressPattern.test(text)
}

export function isMetaKey(text: string): boolean {
  return metaKeyPattern.test(text)
}

/** Well-formed text of 1 to 128 bytes without control characters. */
export function isTag(text: string): boolean {
  return text !== '' && isPlain(text) && utf8Length(text) <= tagBytesMax
}

export function isMetaValue(text: string): boolean {
  return isWellFormed(text) && utf8Length(text) <= metaValueBytesMax
}

/** Member names come from other programs: 1 to 128 bytes without control characters. */
export function isMemberName(text: string): boolean {
  return text !== '' && isPlain(text) && utf8Length(text) <= memberBytesMax
}

function isPlain(text: string): boolean {
  if (!isWellFormed(text)) return false
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index)
    if (unit < 32 || (unit >= 127 && unit < 160)) return false
  }
  return true
}

/** Without halves of surrogate pairs, which UTF-8 cannot carry. */
function isWellFormed(text: string): boolean {
  return !/\p{Cs}/u.test(text)
}
