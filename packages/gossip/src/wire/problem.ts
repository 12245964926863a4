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
  /** A count or length outside of what the format allows. */
  | 'headerOutOfRange'
  /** A label header that is missing, foreign, empty or cut off. */
  | 'labelInvalid'
  | 'messageMalformed'
  | 'nestingTooDeep'
  | 'packetTooLarge'
  /** A push/pull row without a usable name or state; the other rows are used. */
  | 'rowSkipped'
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
