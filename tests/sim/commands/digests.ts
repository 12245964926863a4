/** One digest over what the runs of a scenario did, in their order: equal runs have equal ones. */
import { createHash } from 'node:crypto'
import type { Scenario } from '@kith/sim'

/** Digests in their order as one; the same, whatever part of them was one already. */
export function digestOf(parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\n')).digest('hex')
}

export interface Digested {
  /** Runs as the one given does, and remembers the digest of each run. */
  readonly scenario: Scenario
  /** Over all runs until now. */
  digest(): string
}

export function digested(scenario: Scenario): Digested {
  const parts: string[] = []
  return {
    async scenario(seed, context) {
      const report = await scenario(seed, context)
      parts.push(`${seed} ${report.digest ?? 'none'}`)
      return report
    },
    digest: () => digestOf(parts),
  }
}
