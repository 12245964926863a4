/**
 * Bounded msgpack in the dialects of go-msgpack, for the wires of Serf.
 * @packageDocumentation
 */
export { MsgpackReader } from './wire/reader.ts'
export type { ReadFailure } from './wire/reader.ts'
export { decodeText, encodeText } from './wire/text.ts'
export { MsgpackWriter } from './wire/writer.ts'
export type { Dialect, WriterRoom } from './wire/writer.ts'
