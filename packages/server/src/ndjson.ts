/** Records as lines of JSON: text where the bytes are text, base64 where they are not. */
import { isUtf8 } from 'node:buffer'
import {
  type AppendRecord,
  type LogRecord,
  type OptionProblem,
  schemaProblems,
} from '@kith/interface'
import type { BodyMemory } from './body.ts'
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
 * both: keys and values go to `memory`, where those of a line never take more than the line. Empty
 * lines are skipped; every bad line is named, from 1 on. What is returned lies in `memory`.
 */
export async function linesToRecords(
  body: AsyncIterable<Uint8Array>,
  limits: LineLimits,
  memory: BodyMemory,
): Promise<AppendRecord[]> {
  const reading = new LineReading(limits, memory)
  for await (const part of body) reading.push(part)
  return reading.finish()
}

class LineReading {
  readonly #limits: LineLimits
  readonly #memory: BodyMemory
  readonly #problems: OptionProblem[] = []
  /**
   * Of each record the length of its key, -1 without one, and of its value. Thousands of objects
   * that live as long as an upload would stay until the collector goes through everything.
   */
  #lengths: number[] = []
  readonly #headers = new Map<number, Readonly<Record<string, string>>>()
  #line = 0
  /** The line that has begun and not ended; not kept beyond its limit, only counted. */
  #begun: Uint8Array[] = []
  #begunBytes = 0

  constructor(limits: LineLimits, memory: BodyMemory) {
    this.#limits = limits
    this.#memory = memory
  }

  push(part: Uint8Array): void {
    let start = 0
    for (let end = part.indexOf(NEWLINE); end !== -1; end = part.indexOf(NEWLINE, start)) {
      this.#keep(part.subarray(start, end))
      this.#endLine()
      start = end + 1
    }
    // A copy: the part is its owner's again when this returns.
    this.#keep(new Uint8Array(part.subarray(start)))
  }

  finish(): AppendRecord[] {
    if (this.#begunBytes > 0) this.#endLine()
    if (this.#problems.length > 0) throw badRequest(this.#problems)
    if (this.#lengths.length === 0) {
      throw badRequest([{ field: 'body', got: 'no records', want: 'at least one line of JSON' }])
    }
    return this.#records()
  }

  #records(): AppendRecord[] {
    const records: AppendRecord[] = []
    let at = 0
    const next = (length: number): Uint8Array => {
      at += length
      return this.#memory.view(at - length, length)
    }
    for (let index = 0; index < this.#lengths.length; index += 2) {
      const [keyLength = -1, valueLength = 0] = this.#lengths.slice(index, index + 2)
      const key = keyLength < 0 ? undefined : next(keyLength)
      const headers = this.#headers.get(index)
      records.push({
        value: next(valueLength),
        ...(key === undefined ? {} : { key }),
        ...(headers === undefined ? {} : { headers }),
      })
    }
    return records
  }

  #keep(bytes: Uint8Array): void {
    this.#begunBytes += bytes.length
    if (this.#begunBytes > this.#limits.lineBytesMax) this.#begun = []
    else if (bytes.length > 0) this.#begun.push(bytes)
  }

  #endLine(): void {
    const { lineBytesMax, recordsMax } = this.#limits
    const [only] = this.#begun
    const bytes =
      only !== undefined && this.#begun.length === 1
        ? Buffer.from(only.buffer, only.byteOffset, only.length)
        : Buffer.concat(this.#begun)
    const length = this.#begunBytes
    this.#begun = []
    this.#begunBytes = 0
    this.#line += 1
    const field = `line ${this.#line}`
    if (length > lineBytesMax) {
      this.#refuse([{ field, got: `${length} bytes`, want: `at most ${lineBytesMax} bytes` }])
    } else if (!isBlank(bytes)) {
      if (this.#lengths.length === 2 * recordsMax) {
        const want = `one of at most ${recordsMax} records in one request`
        throw badRequest([{ field, got: 'one more record', want }])
      }
      const parsed = parseLine(bytes, field)
      if (Array.isArray(parsed)) this.#refuse(parsed)
      // Nothing is stored of a body with a bad line, so there is nothing to keep.
      else if (this.#problems.length === 0) this.#note(parsed)
    }
  }

  #note({ key, keyBase64, value, valueBase64, headers }: RecordLine): void {
    if (headers !== undefined) this.#headers.set(this.#lengths.length, headers)
    this.#lengths.push(this.#write(key, keyBase64), Math.max(0, this.#write(value, valueBase64)))
  }

  #write(text: string | undefined, base64: string | undefined): number {
    if (text !== undefined) return this.#memory.write(text, 'utf8')
    return base64 === undefined ? -1 : this.#memory.write(base64, 'base64')
  }

  #refuse(problems: readonly OptionProblem[]): void {
    this.#lengths = []
    this.#headers.clear()
    this.#problems.push(...problems)
    if (this.#problems.length >= PROBLEMS_MAX) throw badRequest(this.#problems)
  }
}

function parseLine(bytes: Buffer, field: string): RecordLine | OptionProblem[] {
  if (!isUtf8(bytes)) return [{ field, got: 'other bytes', want: 'valid UTF-8' }]
  let json: unknown
  try {
    json = JSON.parse(bytes.toString('utf8'))
  } catch {
    return [{ field, got: JSON.stringify(bytes.toString('utf8', 0, 40)), want: 'valid JSON' }]
  }
  const result = recordLine.safeParse(json)
  if (result.success) return result.data
  return schemaProblems(result.error.issues, json, 'record').map((problem) => ({
    ...problem,
    field: `${field}: ${problem.field}`,
  }))
}

function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x0d || byte === 0x09)
}
