/** What may be appended (LOG-8). Everything is checked before the first record is packed. */
import type { AppendRecord } from '@kith/interface'
import { LogError } from '../errors.ts'
import {
  HEADER_NAME_BYTES_MAX,
  HEADERS_BYTES_MAX,
  HEADERS_MAX,
  KEY_BYTES_MAX,
  recordLength,
} from '../wire/record.ts'
import { utf8Length } from '../wire/text.ts'

const loneSurrogate = /\p{Surrogate}/u

/** Encoded bytes a time delta may add beyond the one that a fresh batch takes. */
const deltaSlack = 4

/** Throws a typed error for the first record that cannot be stored; returns their encoded bytes. */
export function validateRecords(
  records: readonly AppendRecord[],
  recordBytesMax: number,
  appendBytesMax: number,
): number {
  if (records.length === 0) throw invalid(0, 'records must not be empty')
  let bytes = 0
  for (let index = 0; index < records.length; index += 1) {
    const record = records[index]
    if (record === undefined) throw invalid(index, 'is not there')
    checkShape(record, index)
    const length = recordLength(record, 0) + deltaSlack
    if (length > recordBytesMax) {
      throw new LogError(
        'ERR_LOG_RECORD_TOO_LARGE',
        `record ${index} takes ${length} bytes with its key, headers and framing; the limit ` +
          `recordBytesMax is ${recordBytesMax}`,
        { details: { index, bytes: length, recordBytesMax } },
      )
    }
    bytes += length
  }
  if (bytes > appendBytesMax) {
    throw new LogError(
      'ERR_LOG_APPEND_TOO_LARGE',
      `one append takes ${bytes} bytes; the limit appendBytesMax is ${appendBytesMax}`,
      { details: { bytes, appendBytesMax } },
    )
  }
  return bytes
}

function checkShape(record: AppendRecord, index: number): void {
  const { key, headers, value } = record
  if (!(value instanceof Uint8Array)) throw invalid(index, 'value must be a Uint8Array')
  if (key !== undefined && !(key instanceof Uint8Array)) {
    throw invalid(index, 'key must be a Uint8Array')
  }
  if (key !== undefined && key.length > KEY_BYTES_MAX) {
    throw invalid(index, `key must be at most ${KEY_BYTES_MAX} bytes, got ${key.length}`)
  }
  if (headers !== undefined) checkHeaders(headers, index)
}

function checkHeaders(headers: Readonly<Record<string, string>>, index: number): void {
  const entries = Object.entries(headers)
  if (entries.length > HEADERS_MAX) {
    throw invalid(index, `headers must be at most ${HEADERS_MAX}, got ${entries.length}`)
  }
  let bytes = 0
  for (const [name, value] of entries) {
    if (typeof value !== 'string') throw invalid(index, `header ${name} must be a string`)
    const length = utf8Length(name)
    if (length < 1 || length > HEADER_NAME_BYTES_MAX) {
      throw invalid(
        index,
        `header names must be 1 to ${HEADER_NAME_BYTES_MAX} bytes, got ${length}`,
      )
    }
    // A lone surrogate would come back as another character, and two names could become one.
    if (loneSurrogate.test(name) || loneSurrogate.test(value)) {
      throw invalid(index, `header ${JSON.stringify(name)} must be well-formed Unicode`)
    }
    bytes += length + utf8Length(value)
  }
  if (bytes > HEADERS_BYTES_MAX) {
    throw invalid(index, `headers must be at most ${HEADERS_BYTES_MAX} bytes, got ${bytes}`)
  }
}

function invalid(index: number, problem: string): LogError {
  return new LogError('ERR_LOG_RECORD_INVALID', `record ${index}: ${problem}`, {
    details: { index },
  })
}
