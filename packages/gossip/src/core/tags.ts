/** Own tags on their way into the meta of this member, and those of others out of it. */
import { formatAddress, invariant } from '@kith/interface'
import type { Address, OptionProblem } from '@kith/interface'
import { decodeTags, encodeTags, tagsRecord } from '../wire/codec.ts'
import { metaBytesMax } from '../options.ts'

/** By this Kith members know each other. */
export const markTag = 'kith.v'
/** Where a member was before, the last address first; told, and shown to nobody. */
const formerTag = 'kith.was'
/** Addresses in it at most; fewer where the other tags leave no room. */
export const formerMax = 4

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
  const own = [markTag, formerTag].find((key) => key in tags)
  if (own !== undefined) {
    return { field: `tags.${own}`, got: 'a value', want: 'left out; every member carries its own' }
  }
  const all: [string, string][] = [
    [markTag, '1'],
    ...Object.entries(tags as Record<string, string>),
  ]
  const length = encodeTags(new Map(all)).length
  if (length <= metaBytesMax) return undefined
  return { field: 'tags', got: `${length} bytes encoded`, want: `at most ${metaBytesMax} bytes` }
}

/** Own meta: the mark, the tags, and where this member was, as far as there is room for that. */
export function encodeOwnTags(
  tags: Readonly<Record<string, string>>,
  former: readonly Address[] = [],
): Uint8Array {
  const all: [string, string][] = [[markTag, '1'], ...Object.entries(tags)]
  for (let told = former.length; told > 0; told -= 1) {
    const was = former.slice(0, told).map(formatAddress).join(',')
    const meta = encodeTags(new Map([...all, [formerTag, was]]))
    if (meta.length <= metaBytesMax) return meta
  }
  const meta = encodeTags(new Map(all))
  invariant(meta.length <= metaBytesMax, 'own tags fit the member meta')
  return meta
}

/** The tags that the owner of this member gave it. */
export function givenTags(meta: Uint8Array): Readonly<Record<string, string>> {
  const tags = decodeTags(meta) ?? new Map<string, string>()
  return Object.fromEntries([...tags].filter(([key]) => key !== markTag && key !== formerTag))
}

/** The tags of a member as they are shown; none where its meta cannot be read. */
export function shownTags(meta: Uint8Array): Readonly<Record<string, string>> {
  const tags = decodeTags(meta)
  if (tags?.has(formerTag) !== true) return tagsRecord(tags ?? new Map())
  return tagsRecord(new Map([...tags].filter(([key]) => key !== formerTag)))
}

/** Whether this is the meta of a Kith member. */
export function isMarked(meta: Uint8Array): boolean {
  return decodeTags(meta)?.has(markTag) === true
}

/** Whether this meta says that its member was at that address. */
export function namesFormer(meta: Uint8Array, address: Address): boolean {
  const was = decodeTags(meta)?.get(formerTag)
  return was !== undefined && was.split(',', formerMax).includes(formatAddress(address))
}
