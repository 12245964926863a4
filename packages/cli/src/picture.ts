/** A text that is drawn over and over on a terminal, in place. */
import type { Io } from './io.ts'

const rowsDefault = 24

/** Clears the terminal, for the first picture. */
export function clearScreen(io: Io): void {
  io.stdout.write('\u001b[2J')
}

/** Home, then line over line without wrapping, then clear what is left: nothing flickers. */
export function drawPicture(io: Io, text: string): void {
  const picture = fitting(text, io.stdout.rows ?? rowsDefault)
  const lines = picture.map((line) => `${line}\u001b[K\n`).join('')
  io.stdout.write(`\u001b[?7l\u001b[H${lines}\u001b[J\u001b[?7h`)
}

/** As many lines as a terminal shows, and how many it does not. */
function fitting(text: string, rows: number): readonly string[] {
  const lines = text.trimEnd().split('\n')
  const room = Math.max(rows - 1, 2)
  if (lines.length <= room) return lines
  return [...lines.slice(0, room - 1), `... and ${lines.length - room + 1} lines more`]
}
