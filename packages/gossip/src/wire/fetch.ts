/**
 * Kith's own stream messages: one extension asks its like on another member. Their first bytes are
 * types that memberlist does not have, at which it closes the stream without a word.
 */
import type { FetchMessage, FetchReplyMessage } from './message.ts'
import { MsgpackWriter } from './msgpack.ts'
import type { MsgpackReader } from './msgpack.ts'

export const fetchType = { fetch: 0x4b, fetchReply: 0x6b } as const

export function readFetch(reader: MsgpackReader): FetchMessage {
  let [extension, from, node] = ['', '', '']
  let request: Uint8Array = new Uint8Array(0)
  reader.struct([], (field) => {
    if (field === 'Ext') extension = reader.text()
    else if (field === 'From') from = reader.text()
    else if (field === 'Node') node = reader.text()
    else if (field === 'Body') request = reader.bytes()
    else reader.skip()
  })
  return { kind: 'fetch', extension, from, node, request }
}

export function readFetchReply(reader: MsgpackReader): FetchReplyMessage {
  let [refused, text] = [false, '']
  let body: Uint8Array = new Uint8Array(0)
  reader.struct([], (field) => {
    if (field === 'Refused') refused = reader.bool()
    else if (field === 'Error') text = reader.text()
    else if (field === 'Body') body = reader.bytes()
    else reader.skip()
  })
  return { kind: 'fetchReply', refused, text, body }
}

export function encodeFetch(message: FetchMessage | FetchReplyMessage): Uint8Array {
  const writer = new MsgpackWriter().byte(fetchType[message.kind])
  if (message.kind === 'fetch') {
    writer.map(4).text('Body').bytes(message.request).text('Ext').text(message.extension)
    return writer.text('From').text(message.from).text('Node').text(message.node).finish()
  }
  writer.map(3).text('Body').bytes(message.body).text('Error').text(message.text)
  return writer.text('Refused').bool(message.refused).finish()
}
