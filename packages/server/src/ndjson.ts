/** Records as lines of JSON: text where the bytes are text, base64 where they are not. */
import { isUtf8 } from 'node:buffer'
import {
  type AppendRecord,
  type LogRecord,
  type OptionProblem,
  schemaProblems,
} from '@kith/interface'
import { badRequest, type RecordLine, recordLine } from './schema.ts'

const NEWLINE = 0x0a
/** Enough to see what is wrong without answering a bad upload with a larger one. */
const PROBLEMS_MAX = 20

/**
 * One record as it is read:
 * `{ offset, origin, sequence, time, key?, value | valueBase64, headers? }`.
 */
export function recordToLine(record: LogRecord): string {
  const { offset, origin, sequence, time } = record
  return `${JSON.stringify({
    offset,
    origin,
    sequence,
    time,
    ...(record.key === undefined ? {} : bytesField('key', record.key)),
    ...bytesField('value', record.value),
    ...(record.headers === undefined ? {} : { headers: record.headers }),
  })}\n`
}

function bytesField(name: 'key' | 'value', bytes: Uint8Array): Record<string, string> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  if (isUtf8(buffer)) return { [name]: buffer.toString('utf8') }
  return { [`${name}Base64`]: buffer.toString('base64') }
}

export interface LineLimits {
  readonly lineBytesMax: number
  readonly recordsMax: number
}

/** The records of an NDJSON body. Empty lines are skipped; every bad line is named, from 1 on. */
export function linesToRecords(body: Buffer, limits: LineLimits): AppendRecord[] {
  const records: AppendRecord[] = []
  const problems: OptionProblem[] = []
  let line = 0
  for (let start = 0; start < body.length && problems.length < PROBLEMS_MAX;) {
    const found = body.indexOf(NEWLINE, start)
    const end = found === -1 ? body.length : found
    line += 1
    const bytes = body.subarray(start, end)
    start = end + 1
    if (isBlank(bytes)) continue
    if (records.length === limits.recordsMax) {
      const want = `one of at most ${limits.recordsMax} records in one request`
      throw badRequest([{ field: `line ${line}`, got: 'one more record', want }])
    }
    const parsed = parseLine(bytes, line, limits.lineBytesMax)
    if (Array.isArray(parsed)) problems.push(...parsed)
    else records.push(parsed)
  }
  if (problems.length > 0) throw badRequest(problems)
  if (records.length === 0) {
    throw badRequest([{ field: 'body', got: 'no records', want: 'at least one line of JSON' }])
  }
  return records
}

function parseLine(bytes: Buffer, line: number, bytesMax: number): AppendRecord | OptionProblem[] {
  const field = `line ${line}`
  if (bytes.length > bytesMax) {
    return [{ field, got: `${bytes.length} bytes`, want: `at most ${bytesMax} bytes` }]
  }
  if (!isUtf8(bytes)) return [{ field, got: 'other bytes', want: 'valid UTF-8' }]
  let json: unknown
  try {
    json = JSON.parse(bytes.toString('utf8'))
  } catch {
    return [{ field, got: JSON.stringify(bytes.toString('utf8', 0, 40)), want: 'valid JSON' }]
  }
  const result = recordLine.safeParse(json)
  if (result.success) return toRecord(result.data)
  return schemaProblems(result.error.issues, json, 'record').map((problem) => ({
    ...problem,
    field: `${field}: ${problem.field}`,
  }))
}

function toRecord(line: RecordLine): AppendRecord {
  const key = toBytes(line.key, line.keyBase64)
  return {
    value: toBytes(line.value, line.valueBase64) ?? new Uint8Array(0),
    ...(key === undefined ? {} : { key }),
    ...(line.headers === undefined ? {} : { headers: line.headers }),
  }
}

function toBytes(text: string | undefined, base64: string | undefined): Uint8Array | undefined {
  if (text !== undefined) return Buffer.from(text, 'utf8')
  return base64 === undefined ? undefined : Buffer.from(base64, 'base64')
}

function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x0d || byte === 0x09)
}
