/** Query filters: who a query is for. */
import type { QueryFilter } from './message.ts'
import { MsgpackReader, MsgpackWriter } from './msgpack.ts'
import { compilePattern } from './pattern.ts'

const filterType = { names: 0, tag: 1 } as const
const namesMax = 4096
/**
 * Characters of all expressions of one query of others together. A whole query of Serf's is 1,024
 * bytes, and each expression costs up to its thousand steps for every character of a tag.
 */
const expressionsLengthMax = 1024
/** Real tags are at most 512 bytes in total. */
const tagValueMax = 512

/** Never fails: what is not understood is kept as it came. */
export function decodeFilter(bytes: Uint8Array): QueryFilter {
  const reader = new MsgpackReader(bytes, 1)
  const filter = readFilter(bytes[0], reader)
  const understood = reader.failure === undefined && !reader.textInvalid
  return understood && filter !== undefined ? filter : { kind: 'unknown', bytes }
}

function readFilter(type: number | undefined, reader: MsgpackReader): QueryFilter | undefined {
  if (type === filterType.names) {
    const names: string[] = []
    reader.array((index) => {
      if (index < namesMax) names.push(reader.text())
      else reader.skip()
    })
    return names.length < namesMax ? { kind: 'names', names } : undefined
  }
  if (type !== filterType.tag) return undefined
  let [tag, expression] = ['', '']
  reader.struct(['Tag', 'Expr'], (field) => {
    if (field === 'Tag') tag = reader.text()
    else if (field === 'Expr') expression = reader.text()
    else reader.skip()
  })
  return { kind: 'tag', tag, expression }
}

export function encodeFilter(filter: QueryFilter): Uint8Array {
  if (filter.kind === 'unknown') return filter.bytes
  const writer = new MsgpackWriter()
  if (filter.kind === 'names') {
    writer.byte(filterType.names).array(filter.names.length)
    for (const name of filter.names) writer.text(name)
    return writer.finish()
  }
  writer.byte(filterType.tag).map(2).text('Expr').text(filter.expression)
  return writer.text('Tag').text(filter.tag).finish()
}

/**
 * Whether a query is for the member: all filters match. `unknown` where a filter or its expression
 * is not understood: pass the query on, do not process it, count it. Linear in time.
 */
export function matchFilters(
  filters: readonly QueryFilter[],
  name: string,
  tags: Tags,
): FilterVerdict {
  let length = 0
  for (const filter of filters) if (filter.kind === 'tag') length += filter.expression.length
  return length > expressionsLengthMax ? 'unknown' : filterFor(filters)(name, tags)
}

export type FilterVerdict = 'match' | 'mismatch' | 'unknown'
type Tags = Readonly<Record<string, string>>

/** The same for many members: what can be prepared once is. */
export function filterFor(
  filters: readonly QueryFilter[],
): (name: string, tags: Tags) => FilterVerdict {
  const tests = filters.map(testFor)
  return (name, tags) => {
    let verdict: FilterVerdict = 'match'
    for (const test of tests) {
      const matches = test(name, tags)
      if (matches === undefined) return 'unknown'
      if (!matches) verdict = 'mismatch'
    }
    return verdict
  }
}

function testFor(filter: QueryFilter): (name: string, tags: Tags) => boolean | undefined {
  if (filter.kind === 'unknown') return () => undefined
  if (filter.kind === 'names') {
    const names = new Set(filter.names)
    return (name) => names.has(name)
  }
  const pattern = compilePattern(filter.expression)
  return (_name, tags) => {
    const value = Object.hasOwn(tags, filter.tag) ? (tags[filter.tag] ?? '') : ''
    return value.length > tagValueMax ? undefined : pattern?.test(value)
  }
}

/** Whether an expression is understood here; Go understands more. */
export function isPattern(expression: string): boolean {
  return compilePattern(expression) !== undefined
}
