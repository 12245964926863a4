/**
 * Records inside a body: `flags, time delta, [key], [headers], value` one after another, then one
 * u32 end for each (LOG-4). The value runs to the record's end.
 */
import type { AppendRecord } from '@kith/interface'
import { readSlice, readU32, readVarint, varintLength, writeVarint } from './bytes.ts'
import type { ByteReader } from './bytes.ts'
import { readUtf8, utf8Length, writeUtf8 } from './text.ts'

export const KEY_BYTES_MAX = 1024
export const HEADERS_MAX = 64
export const HEADER_NAME_BYTES_MAX = 128
/** Names and values together, UTF-8. */
export const HEADERS_BYTES_MAX: number = 16 * 1024

const hasKey = 1
const hasHeaders = 2

export interface DecodedRecord {
  readonly timeDelta: number
  readonly key?: Uint8Array
  readonly value: Uint8Array
  readonly headers?: Readonly<Record<string, string>>
}

/** Exact encoded size of a record that passed validation. */
export function recordLength(record: AppendRecord, timeDelta: number): number {
  let length = 1 + varintLength(timeDelta) + record.value.length
  if (record.key !== undefined) length += varintLength(record.key.length) + record.key.length
  if (record.headers !== undefined) {
    const entries = Object.entries(record.headers)
    length += varintLength(entries.length)
    for (const [name, value] of entries) length += textLength(name) + textLength(value)
  }
  return length
}

function textLength(text: string): number {
  const length = utf8Length(text)
  return varintLength(length) + length
}

/** Writes a record at `at` and returns its end; the caller made room for `recordLength`. */
export function writeRecord(
  target: Uint8Array,
  at: number,
  record: AppendRecord,
  timeDelta: number,
): number {
  const { key, headers, value } = record
  target[at] = (key === undefined ? 0 : hasKey) | (headers === undefined ? 0 : hasHeaders)
  let end = writeVarint(target, at + 1, timeDelta)
  if (key !== undefined) {
    end = writeVarint(target, end, key.length)
    target.set(key, end)
    end += key.length
  }
  if (headers !== undefined) {
    const entries = Object.entries(headers)
    end = writeVarint(target, end, entries.length)
    for (const [name, text] of entries) end = writeText(target, writeText(target, end, name), text)
  }
  target.set(value, end)
  return end + value.length
}

function writeText(target: Uint8Array, at: number, text: string): number {
  return writeUtf8(target, writeVarint(target, at, utf8Length(text)), text)
}

/**
 * Where each record of a body ends, with 0 in front, so that record `i` is `[ends[i], ends[i +
 * 1])`. Undefined where the table does not fit its body.
 */
export function readEnds(body: Uint8Array, count: number): Uint32Array | undefined {
  const table = body.length - count * 4
  if (table < 0) return undefined
  const ends = new Uint32Array(count + 1)
  for (let index = 0; index < count; index += 1) {
    const end = readU32(body, table + index * 4)
    if (end < (ends[index] ?? 0) || end > table) return undefined
    ends[index + 1] = end
  }
  return ends[count] === table ? ends : undefined
}

/** Decodes one record; undefined where it is not one. Its bytes are views into `body`. */
export function readRecord(body: Uint8Array, from: number, end: number): DecodedRecord | undefined {
  const reader: ByteReader = { bytes: body, at: from, end, failed: false }
  const flags = readVarint(reader)
  const timeDelta = readVarint(reader)
  if (flags > (hasKey | hasHeaders)) return undefined
  const key = flags & hasKey ? readSlice(reader, readVarint(reader)) : undefined
  if (key !== undefined && key.length > KEY_BYTES_MAX) return undefined
  const headers = flags & hasHeaders ? readHeaders(reader) : undefined
  if (reader.failed) return undefined
  return {
    timeDelta,
    value: body.subarray(reader.at, end),
    ...(key === undefined ? {} : { key }),
    ...(headers === undefined ? {} : { headers }),
  }
}

function readHeaders(reader: ByteReader): Readonly<Record<string, string>> {
  const count = readVarint(reader)
  const entries = new Map<string, string>()
  if (count > HEADERS_MAX) reader.failed = true
  let bytes = 0
  for (let index = 0; index < count && !reader.failed; index += 1) {
    const name = readSlice(reader, readVarint(reader))
    const value = readSlice(reader, readVarint(reader))
    bytes += name.length + value.length
    const nameText = readUtf8(name)
    const valueText = readUtf8(value)
    if (nameText === undefined || valueText === undefined || entries.has(nameText)) {
      reader.failed = true
      break
    }
    if (name.length === 0 || name.length > HEADER_NAME_BYTES_MAX || bytes > HEADERS_BYTES_MAX) {
      reader.failed = true
      break
    }
    entries.set(nameText, valueText)
  }
  // `fromEntries` defines own properties, so a header named `__proto__` is only a header.
  return Object.fromEntries(entries)
}

/** True where every record of a checked body decodes and lies within the batch's time range. */
export function wellFormedBody(body: Uint8Array, count: number, timeMaxDelta: number): boolean {
  const ends = readEnds(body, count)
  if (ends === undefined) return false
  for (let index = 0; index < count; index += 1) {
    const record = readRecord(body, ends[index] ?? 0, ends[index + 1] ?? 0)
    if (record === undefined || record.timeDelta > timeMaxDelta) return false
  }
  return true
}
