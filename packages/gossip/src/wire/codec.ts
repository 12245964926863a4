/**
 * The door of the wire layer: everything the core and the runtime need to turn bytes into messages
 * and back. Nothing behind it throws on bytes from the network; nothing keeps state.
 */
export { keySizes, nonceBytes, tagBytes } from './aead.ts'
export type { Aead } from './aead.ts'
export { addressBytes, addressText, isLoopback, isPrivate, isRoutable } from './address.ts'
export { isUnicast, sameBytes } from './address.ts'
export { fromBase64, toBase64 } from './base64.ts'
export { decodeCoordinate, encodeCoordinate } from './coordinate.ts'
export { filterFor, isPattern, matchFilters } from './filter.ts'
export { openPacket, packetOverhead, sealPacket, sealStream } from './envelope.ts'
export type { Envelope } from './envelope.ts'
export { addLabel, labelBytesMax, stripLabel } from './label.ts'
export { encodeMessage } from './memberlist.ts'
export { inNetwork, parseNetwork } from './network.ts'
export type { Dialect, WriterRoom } from './msgpack.ts'
export { isPacked, packBytes, unpackBytes } from './packed.ts'
export {
  broadcastCost,
  decodePacket,
  encodePacket,
  packetBytesTarget,
  piggybackBudget,
  understandsCrc,
} from './packet.ts'
export { createSealedDecoder } from './sealed-stream.ts'
export {
  decodeKeyRequest,
  decodeKeyResponse,
  encodeKeyRequest,
  encodeKeyResponse,
} from './key-message.ts'
export type { KeyResponse } from './key-message.ts'
export { decodeKey, decodeKeyring, encodeKeyring, keyringBytesMax, keysMax } from './keyring.ts'
export type { KeyringProblem, KeyringProblemKind } from './keyring.ts'
export { decodeConflictResponse, decodeSerf, encodeConflictResponse } from './serf.ts'
export { encodeSerf, userMessage } from './serf.ts'
export { encodeState } from './state.ts'
export { openState } from './state-reader.ts'
export type { StateReader } from './state-reader.ts'
export { createStreamDecoder, defaultStreamLimits, encodeStream } from './stream.ts'
export type { AnyStreamMessage, StreamDecoder, StreamStep } from './stream.ts'
export { decodeTags, encodeTags, tagsRecord } from './tags.ts'
