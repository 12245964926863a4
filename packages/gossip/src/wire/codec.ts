/**
 * The door of the wire layer: everything the core and the runtime need to turn bytes into messages
 * and back. Nothing behind it throws on bytes from the network; nothing keeps state.
 */
export { addressBytes, addressText, isUnicast, sameBytes } from './address.ts'
export { decodeCoordinate, encodeCoordinate } from './coordinate.ts'
export { filterFor, isPattern, matchFilters } from './filter.ts'
export { addLabel, stripLabel } from './label.ts'
export { encodeMessage } from './memberlist.ts'
export { inNetwork, parseNetwork } from './network.ts'
export type { Dialect } from './msgpack.ts'
export {
  broadcastCost,
  decodePacket,
  encodePacket,
  packetBytesTarget,
  piggybackBudget,
  understandsCrc,
} from './packet.ts'
export { decodeConflictResponse, decodeSerf, encodeConflictResponse } from './serf.ts'
export { encodeSerf, userMessage } from './serf.ts'
export { decodeState, encodeState } from './state.ts'
export { createStreamDecoder, defaultStreamLimits, encodeStream } from './stream.ts'
export type { AnyStreamMessage, StreamStep } from './stream.ts'
export { decodeTags, encodeTags, tagsRecord } from './tags.ts'
