/** The msgpack of the gossip wire, in the two dialects that Go members of any age read. */
import type { Dialect as AnyDialect } from '@kith/msgpack'

export { MsgpackReader, MsgpackWriter } from '@kith/msgpack'
export type { WriterRoom } from '@kith/msgpack'
export type Dialect = Exclude<AnyDialect, 'ext'>
