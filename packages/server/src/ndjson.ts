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

/**
 * The records of an NDJSON body, read as it comes, so that the body and its records are never held
 * both. Empty lines are skipped; every bad line is named, from 1 on.
 */
export async function linesToRecords(
  body: AsyncIterable<Uint8Array>,
  limits: LineLimits,
): Promise<AppendRecord[]> {
  const reading = new LineReading(limits)
  for await (const part of body) reading.push(part)
  return reading.finish()
}

class LineReading {
  readonly #limits: LineLimits
  readonly #problems: OptionProblem[] = []
  #records: AppendRecord[] = []
  #line = 0
  /** The line that has begun and not ended; not kept beyond its limit, only counted. */
  #begun: Uint8Array[] = []
  #begunBytes = 0

  constructor(limits: LineLimits) {
    this.#limits = limits
  }

  push(part: Uint8Array): void {
    let start = 0
    for (let end = part.indexOf(NEWLINE); end !== -1; end = part.indexOf(NEWLINE, start)) {
      this.#keep(part.subarray(start, end))
      this.#endLine()
      start = end + 1
    }
    this.#keep(part.subarray(start))
  }

  finish(): AppendRecord[] {
    if (this.#begunBytes > 0) this.#endLine()
    if (this.#problems.length > 0) throw badRequest(this.#problems)
    if (this.#records.length === 0) {
      throw badRequest([{ field: 'body', got: 'no records', want: 'at least one line of JSON' }])
    }
    return this.#records
  }

  #keep(bytes: Uint8Array): void {
    this.#begunBytes += bytes.length
    if (this.#begunBytes > this.#limits.lineBytesMax) this.#begun = []
    else if (bytes.length > 0) this.#begun.push(bytes)
  }

  #endLine(): void {
    const { lineBytesMax, recordsMax } = this.#limits
    const [bytes, length] = [Buffer.concat(this.#begun), this.#begunBytes]
    this.#begun = []
    this.#begunBytes = 0
    this.#line += 1
    const field = `line ${this.#line}`
    if (length > lineBytesMax) {
      this.#refuse([{ field, got: `${length} bytes`, want: `at most ${lineBytesMax} bytes` }])
    } else if (!isBlank(bytes)) {
      if (this.#records.length === recordsMax) {
        const want = `one of at most ${recordsMax} records in one request`
        throw badRequest([{ field, got: 'one more record', want }])
      }
      const parsed = parseLine(bytes, field)
      if (Array.isArray(parsed)) this.#refuse(parsed)
      // Nothing is stored of a body with a bad line, so there is nothing to keep.
      else if (this.#problems.length === 0) this.#records.push(parsed)
    }
  }

  #refuse(problems: readonly OptionProblem[]): void {
    this.#records = []
    this.#problems.push(...problems)
    if (this.#problems.length >= PROBLEMS_MAX) throw badRequest(this.#problems)
  }
}

function parseLine(bytes: Buffer, field: string): AppendRecord | OptionProblem[] {
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
