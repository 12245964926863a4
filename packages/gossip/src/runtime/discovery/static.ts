/** Addresses that are known beforehand. */
import type { DiscoveryFactory } from '@kith/interface'
import { optionsError } from '../../errors.ts'
import { seedProblems } from '../options.ts'
import { createDiscovery } from './lifecycle.ts'

/**
 * Always finds these: `host:port`, `host`, or either behind `name/`. Names are resolved anew each
 * time that somebody is looked for.
 */
export function staticDiscovery(seeds: readonly string[]): DiscoveryFactory {
  const problems = seedProblems(seeds).map((problem) => {
    return { ...problem, field: problem.field.replace(/^join/, 'seeds') }
  })
  const error = optionsError(problems)
  if (error !== undefined) throw error
  const found = [...seeds]
  return (context) =>
    createDiscovery({ name: `static ${found.length}`, look: async () => found }, context)
}
