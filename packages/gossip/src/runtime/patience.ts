/** Who did not answer is asked again, after longer and longer times. */

const waitMsMin = 10_000
const waitMsMax = 60_000

export interface Patience {
  /** Those of `names` that may be asked now; all others are forgotten. */
  due(names: readonly string[], now: number): readonly string[]
  asked(name: string, now: number): void
}

export function createPatience(): Patience {
  const waits = new Map<string, { at: number; waitMs: number }>()
  return {
    due(names, now) {
      const present = new Set(names)
      for (const name of waits.keys()) if (!present.has(name)) waits.delete(name)
      return names.filter((name) => (waits.get(name)?.at ?? 0) <= now)
    },
    asked(name, now) {
      const before = waits.get(name)?.waitMs
      const waitMs = before === undefined ? waitMsMin : Math.min(before * 2, waitMsMax)
      waits.set(name, { at: now + waitMs, waitMs })
    },
  }
}
