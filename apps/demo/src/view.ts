/** What a person sees: a table that stays in place on a terminal, plain lines anywhere else. */
import { logOf, membersOf, servicesOf } from './api.ts'
import type { Seat } from './cluster.ts'
import type { Feed } from './feeder.ts'

/** One member as a row; undefined fields are not known at the moment. */
export interface Row {
  readonly name: string
  readonly state: string
  readonly pid: number | undefined
  /** Its port on loopback: with whole addresses a row would be wider than a terminal. */
  readonly http: string
  readonly alive: number | undefined
  /** Services that it hands out, of those that it knows. */
  readonly services: string | undefined
  /** The port of its own service on loopback, and whether that was made sick. */
  readonly desk: string
  readonly records: number | undefined
  readonly lag: number | 'unknown' | undefined
  readonly fed: string
}

export async function readRow(seat: Seat, feed: Feed | undefined): Promise<Row> {
  const { process } = seat
  const fed = feed ? `${percent(feed.acknowledged().length, feed.total)} %` : '-'
  const desk = seat.desk ? `:${seat.desk.port} ${seat.desk.sick ? 'sick' : 'well'}` : '-'
  const http = process ? `:${process.http.split(':').at(-1)}` : '-'
  const base = { name: seat.name, pid: process?.pid, http, desk, fed }
  const nothing = { alive: undefined, services: undefined, records: undefined, lag: undefined }
  if (!process) return { ...base, ...nothing, state: seat.late ? 'comes late' : 'starting' }
  if (!process.running()) return { ...base, ...nothing, state: 'ended' }
  try {
    const [members, services, log] = await Promise.all([
      membersOf(process.http),
      servicesOf(process.http),
      logOf(process.http),
    ])
    const alive = members.filter(({ status }) => status === 'alive').length
    return {
      ...base,
      state: 'running',
      alive,
      services: `${services.filter(({ passing }) => passing > 0).length}/${services.length}`,
      records: log.records,
      lag: sumLag(log.origins.map(({ lag }) => lag)),
    }
  } catch {
    return { ...base, ...nothing, state: 'silent' }
  }
}

function percent(part: number, whole: number): number {
  return whole === 0 ? 100 : Math.floor((100 * part) / whole)
}

function sumLag(lags: readonly (number | 'unknown')[]): number | 'unknown' {
  let sum = 0
  for (const lag of lags) {
    if (lag === 'unknown') return 'unknown'
    sum += lag
  }
  return sum
}

export function renderTable(rows: readonly Row[], footer: readonly string[]): string[] {
  const head = [
    ...['MEMBER', 'STATE', 'PID', 'HTTP', 'DESK'],
    ...['SEES', 'SERVICES', 'RECORDS', 'LAG', 'FED'],
  ]
  const cells = rows.map((row) => [
    row.name,
    row.state,
    String(row.pid ?? '-'),
    row.http,
    row.desk,
    ...[row.alive, row.services, row.records, row.lag].map((value) => String(value ?? '-')),
    row.fed,
  ])
  const widths = head.map((title, at) =>
    Math.max(title.length, ...cells.map((row) => row[at]?.length ?? 0)),
  )
  const lines = [head, ...cells].map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return [...lines, '', ...footer]
}

export interface Screen {
  show(lines: readonly string[]): void
  close(): void
}

interface Terminal {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/**
 * On a terminal each picture replaces the last in one write, line over line, so that nothing
 * flickers; elsewhere a picture is printed when it differs from the last.
 */
export function createScreen(out: Terminal): Screen {
  let height = 0
  let last = ''
  if (out.isTTY !== true) {
    return {
      show(lines) {
        const text = lines.filter((line) => line !== '').join('\n')
        if (text !== last) out.write(`${text}\n\n`)
        last = text
      },
      close() {},
    }
  }
  out.write('\u001b[?25l')
  return {
    show(lines) {
      const columns = out.columns ?? 80
      const up = height > 0 ? `\u001b[${height}F` : ''
      // A line that wrapped would take two rows and shift everything after it.
      const text = lines.map((line) => `${line.slice(0, columns - 1)}\u001b[K\n`).join('')
      const less = height > lines.length ? '\u001b[J' : ''
      out.write(`\u001b[?2026h${up}${text}${less}\u001b[?2026l`)
      height = lines.length
    },
    close: () => void out.write('\u001b[?25h'),
  }
}
