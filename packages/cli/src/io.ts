/** Everything the command touches outside itself, so that tests can hand it something else. */
import type { Readable, Writable } from 'node:stream'
import { styleText } from 'node:util'

export interface Io {
  readonly stdin: Readable
  /** `rows` is the height of a terminal; default 24. */
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly rows?: number }
  readonly stderr: Writable & { readonly isTTY?: boolean }
  readonly env: Readonly<Record<string, string | undefined>>
  /** Calls back for each SIGINT and SIGTERM; returns the removal. */
  onSignal(listener: (signal: 'SIGINT' | 'SIGTERM') => void): () => void
  /** Calls back for each SIGHUP; returns the removal. Absent where nothing is to be reloaded. */
  onReload?(listener: () => void): () => void
  /** Ends the process at once. */
  exit(code: number): void
}

export type Colour = 'red' | 'green' | 'yellow' | 'cyan' | 'dim' | 'bold'
export type Paint = (colour: Colour, text: string) => string

/** Colours only on a terminal that wants them. */
export function painter(io: Io, stream: { readonly isTTY?: boolean } = io.stdout): Paint {
  const wanted = stream.isTTY === true && !io.env['NO_COLOR'] && io.env['TERM'] !== 'dumb'
  return (colour, text) => (wanted ? styleText(colour, text, { validateStream: false }) : text)
}

/** Names and texts of others may hold anything; a terminal must not obey them. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- finding control characters is the point
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

/** The same for text of several lines, which it keeps. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}

/** Rows in columns, two spaces apart; the last column is not padded. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, cell.length)
    }
  }
  return rows
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('')
}

/** Resolves once the text was taken, so that a slow reader of ours slows us. */
export function write(stream: Writable, text: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (cause) => (cause ? reject(cause) : resolve()))
  })
}
