/** Reading and writing the structs, maps and lists that the messages are made of. */
import { MsgpackReader } from '@kith/msgpack'
import type { MsgpackWriter } from '@kith/msgpack'

/** Field to how it is read; in order of declaration, for those who send arrays. */
export type Fields = Readonly<Record<string, (reader: MsgpackReader) => void>>

/** Reads one struct into whatever the fields write to. */
export function readFields(reader: MsgpackReader, fields: Fields): void {
  reader.struct(Object.keys(fields), (name) => {
    const read = Object.hasOwn(fields, name) ? fields[name] : undefined
    if (read === undefined) reader.skip()
    else read(reader)
  })
}

/** False where the frame is not such a struct; what was read until then means nothing. */
export function readFrame(frame: Uint8Array, fields: Fields): boolean {
  const reader = new MsgpackReader(frame)
  readFields(reader, fields)
  return reader.failure === undefined && !reader.textInvalid
}

type ReadText = (reader: MsgpackReader) => string

export const strictText: ReadText = (reader) => reader.text()
/** For what a client shows: a member that is no UTF-8 must not hide all the others. */
export const shownText: ReadText = (reader) => reader.shownText()

export function readBytes(reader: MsgpackReader): Uint8Array | undefined {
  return reader.nil() ? undefined : reader.bytes()
}

export function readList(reader: MsgpackReader): readonly string[] | undefined {
  if (reader.nil()) return undefined
  const texts: string[] = []
  reader.array(() => void texts.push(reader.text()))
  return texts
}

/** Entries whose key is no UTF-8 are left out. */
export function readMap<Value>(
  reader: MsgpackReader,
  value: (reader: MsgpackReader) => Value,
): ReadonlyMap<string, Value> | undefined {
  if (reader.nil()) return undefined
  const map = new Map<string, Value>()
  reader.entries((key) => {
    const read = value(reader)
    if (key !== undefined) map.set(key, read)
  })
  return map
}

export function writeBytes(writer: MsgpackWriter, bytes: Uint8Array | undefined): void {
  if (bytes === undefined) writer.nil()
  else writer.bytes(bytes)
}

export function writeList(writer: MsgpackWriter, texts: readonly string[] | undefined): void {
  if (texts === undefined) return void writer.nil()
  writer.array(texts.length)
  for (const text of texts) writer.text(text)
}

export function writeTexts(
  writer: MsgpackWriter,
  texts: ReadonlyMap<string, string> | undefined,
): void {
  if (texts === undefined) return void writer.nil()
  writer.map(texts.size)
  for (const [key, text] of texts) writer.text(key).text(text)
}
