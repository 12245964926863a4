/**
 * How long a test may look for trouble. Tier 1 is `npm test`; tier 2 is `npm run prove`, which sets
 * `KITH_TIER=2`. Tests inside a package read `process.env.KITH_TIER === '2'` themselves, because a
 * package imports nothing from this folder.
 */
import { appendFileSync } from 'node:fs'

export const tier: 1 | 2 = process.env['KITH_TIER'] === '2' ? 2 : 1

/** `atTier(300, 2_000)` seeds: the first in every run, the second when proving. */
export function atTier<Value>(one: Value, two: Value): Value {
  return tier === 2 ? two : one
}

/**
 * Adds a figure to the evidence of this run: seeds, kills, lines read. Outside `npm run prove` it
 * does nothing.
 */
export function evidence(name: string, value: string | number): void {
  const file = process.env['KITH_EVIDENCE']
  if (file) appendFileSync(file, `${name}: ${value}\n`)
}
