/** Tags as they stand in a member's meta. */
import { decodeText } from './text.ts'
import { MsgpackReader, MsgpackWriter } from './msgpack.ts'

const tagsType = 0xff

/** `ff` and a map, in the map's order. Callers hold the limit of 512 bytes. */
export function encodeTags(tags: ReadonlyMap<string, string>): Uint8Array {
  const writer = new MsgpackWriter().byte(tagsType).map(tags.size)
  for (const [key, value] of tags) writer.text(key).text(value)
  return writer.finish()
}

/** Meta without `ff` is the tag `role`, as protocol 2 had it. Undefined when malformed. */
export function decodeTags(meta: Uint8Array): ReadonlyMap<string, string> | undefined {
  if (meta[0] !== tagsType) {
    const role = decodeText(meta, 0, meta.length)
    return role === undefined ? undefined : new Map([['role', role]])
  }
  const tags = new Map<string, string>()
  const reader = new MsgpackReader(meta, 1)
  let keysValid = true
  reader.entries((key) => {
    const value = reader.text()
    if (key === undefined) keysValid = false
    else tags.set(key, value)
  })
  return reader.failure === undefined && !reader.textInvalid && keysValid ? tags : undefined
}

/** A frozen object without prototype, so that a tag may be called anything. */
export function tagsRecord(tags: ReadonlyMap<string, string>): Readonly<Record<string, string>> {
  // Made in this order it takes a fifth of the memory, and a tag may be called `__proto__`.
  const record = Object.fromEntries(tags)
  Object.setPrototypeOf(record, null)
  return Object.freeze(record)
}
