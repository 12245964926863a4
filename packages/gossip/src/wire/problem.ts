/** What can be wrong with bytes from the network. Each kind is the name of a counter. */

export type DecodeProblemKind =
  /** An address of another length than 4 or 16 bytes. */
  | 'addressInvalid'
  /** A compound too short for its own length table; nothing of it is used. */
  | 'compoundShort'
  /** A compound whose last parts are cut off; the parts before are used. */
  | 'compoundTruncated'
  | 'compressAlgorithm'
  | 'compressEmpty'
  | 'compressMalformed'
  | 'compressTooLarge'
  | 'crcMismatch'
  /** Nothing where a message should be: an empty packet, part, or checksummed rest. */
  | 'emptyMessage'
  /** An encrypted stream, which needs a key. */
  | 'encryptionMissing'
  /** Padding that no honest member writes, by somebody who has the key. */
  | 'encryptionPadding'
  /** Too short to hold a nonce and a tag. */
  | 'encryptionTruncated'
  /** Another version of encryption than 0 and 1. */
  | 'encryptionVersion'
  /** A count or length outside of what the format allows. */
  | 'headerOutOfRange'
  /** A frame so large that only the first keys were tried, which did not fit. */
  | 'keyTrialsExceeded'
  /** Encrypted with a key, or for a label, that this member does not have. */
  | 'keyUnknown'
  /** Another label than the configured one, or one where none is. */
  | 'labelForeign'
  /** A label header that is empty or cut off. */
  | 'labelMalformed'
  /** No label header where one is configured. */
  | 'labelMissing'
  | 'messageMalformed'
  | 'nestingTooDeep'
  | 'packetTooLarge'
  /** Not encrypted, at a member that has a key. */
  | 'plaintextRefused'
  /** Not encrypted and taken all the same, because `verifyIncoming` is off. */
  | 'plaintextTaken'
  /** A push/pull row without a usable name or state; the other rows are used. */
  | 'rowSkipped'
  /** A stream that ended before its first byte. */
  | 'streamEmpty'
  /** A stream message beyond the memory one may take. */
  | 'streamTooLarge'
  | 'streamTruncated'
  /** A text field that is not UTF-8. */
  | 'textInvalid'
  | 'tooManyParts'
  /** A known type where it may not stand: a push/pull in a packet, a checksum inside a compound. */
  | 'typeMisplaced'
  | 'typeUnknown'
  /** An alive with fewer than six version bytes, which would make later merges fail. */
  | 'versionsShort'

export interface DecodeProblem {
  readonly kind: DecodeProblemKind
  /** The type byte of the message it was met in, where there was one. */
  readonly type?: number
  /** How often, where more than once. */
  readonly count?: number
}
