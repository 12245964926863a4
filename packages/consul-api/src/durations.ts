/** Times as Go writes them: `90s`, `1m30s`, `1.5h`. */

const TEXT_CHARACTERS_MAX = 64
const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
}

/** Milliseconds, not below 0; undefined for what is no such time. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0
  if (text.length > TEXT_CHARACTERS_MAX) return undefined
  if (!/^(?:\d+(?:\.\d*)?(?:ns|us|µs|μs|ms|s|m|h))+$/.test(text)) return undefined
  let ms = 0
  for (const [, number = '', unit = ''] of text.matchAll(
    /(\d+(?:\.\d*)?)(ns|us|µs|μs|ms|s|m|h)/g,
  )) {
    ms += Number(number) * (unitMs[unit] ?? 0)
  }
  return Number.isFinite(ms) ? ms : undefined
}
