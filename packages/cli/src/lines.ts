/** Lines of files and of standard input, as bytes and within bounds. */
import type { Readable } from 'node:stream'
import { CliError } from './errors.ts'

/** A line is a record's value, and a record has at most this many bytes. */
export const LINE_BYTES_MAX: number = 1024 * 1024

const NEWLINE = 0x0a

/**
 * Every line without its newline, in groups as they are read. A last line without a newline counts;
 * nothing after the last newline does not.
 */
export async function* readLines(source: Readable, name: string): AsyncGenerator<Buffer[]> {
  let rest = Buffer.alloc(0)
  let read = 0
  for await (const chunk of source) {
    const bytes = Buffer.concat([rest, chunk as Buffer])
    const lines: Buffer[] = []
    let start = 0
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
      lines.push(bytes.subarray(start, end))
      start = end + 1
    }
    rest = bytes.subarray(start)
    const long = [...lines, rest].findIndex((line) => line.length > LINE_BYTES_MAX)
    if (long !== -1) throw tooLong(name, read + long + 1)
    read += lines.length
    if (lines.length > 0) yield lines
  }
  if (rest.length > 0) yield [rest]
}

function tooLong(name: string, line: number): CliError {
  return new CliError(
    'ERR_CLI_INPUT',
    `line ${line} of ${name} must have at most ${LINE_BYTES_MAX} bytes; nothing of it was appended`,
  )
}
