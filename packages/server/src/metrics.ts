/** Flat figures in Prometheus' text format, version 0.0.4. */

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/

/**
 * One line a figure, in order of name, each with its type. Names get the prefix `kith_`, except
 * those of the process, which have names that everybody uses. A name that the format does not
 * allow or a value that is not a number is left out: a scrape must not fail as a whole.
 */
export function metricsText(figures: Readonly<Record<string, number>>): string {
  let text = ''
  for (const [given, value] of Object.entries(figures).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const name = given.startsWith('process_') ? given : `kith_${given}`
    if (!NAME.test(name) || typeof value !== 'number' || Number.isNaN(value)) continue
    const type = name.endsWith('_total') ? 'counter' : 'gauge'
    text += `# TYPE ${name} ${type}\n${name} ${formatValue(value)}\n`
  }
  return text
}

function formatValue(value: number): string {
  if (Number.isFinite(value)) return String(value)
  return value > 0 ? '+Inf' : '-Inf'
}
