/** Checking own tags before they become the meta of this member. */
import type { OptionProblem } from '@kith/interface'
import { encodeTags } from '../wire/codec.ts'
import { metaBytesMax } from '../options.ts'

/** What is wrong with tags to be set; undefined where nothing is. */
export function tagsProblem(tags: unknown): OptionProblem | undefined {
  if (typeof tags !== 'object' || tags === null || Array.isArray(tags)) {
    return { field: 'tags', got: String(tags), want: 'an object of strings' }
  }
  for (const [key, value] of Object.entries(tags)) {
    if (typeof value !== 'string') {
      return { field: `tags.${key.slice(0, 80)}`, got: typeof value, want: 'a string' }
    }
  }
  if ('kith.v' in tags) {
    return { field: 'tags.kith.v', got: 'a value', want: 'left out; every member carries its own' }
  }
  const all: [string, string][] = [
    ['kith.v', '1'],
    ...Object.entries(tags as Record<string, string>),
  ]
  const length = encodeTags(new Map(all)).length
  if (length <= metaBytesMax) return undefined
  return { field: 'tags', got: `${length} bytes encoded`, want: `at most ${metaBytesMax} bytes` }
}
