/** What can be selected in an answer, and what each selector may be asked. */

/**
 * `texts` is a list of them, `pairs` an object of texts by any key; a list of one record is a list
 * of such records.
 */
export type Shape =
  | 'text'
  | 'number'
  | 'flag'
  | 'texts'
  | 'pairs'
  | ShapeRecord
  | readonly [ShapeRecord]

export interface ShapeRecord {
  readonly [field: string]: Shape
}

export type Leaf = 'text' | 'number' | 'flag' | 'texts' | 'pairs' | 'records'

export interface Selected {
  readonly leaf: Leaf
  /** The values of one item: several where the path leads through a list, none where it ends. */
  read(item: unknown): readonly unknown[]
}

/** Undefined where the path leads to nothing that can be asked. */
export function select(shape: ShapeRecord, path: readonly string[]): Selected | undefined {
  let current: Shape = shape
  const steps: ((value: unknown) => readonly unknown[])[] = []
  for (const name of path) {
    if (isList(current)) {
      steps.push((value) => (Array.isArray(value) ? value : []))
      current = current[0]
    }
    if (current === 'pairs') {
      steps.push((value) => [fieldOf(value, name) ?? ''])
      current = 'text'
      continue
    }
    if (typeof current === 'string' || !Object.hasOwn(current, name)) return undefined
    steps.push((value) => [fieldOf(value, name)])
    current = (current as ShapeRecord)[name] ?? 'text'
  }
  const leaf = isList(current) ? 'records' : current
  if (typeof leaf !== 'string') return undefined
  return {
    leaf,
    read: (item) =>
      steps.reduce<readonly unknown[]>((values, step) => values.flatMap(step), [item]),
  }
}

/** Every selector there is, for whoever named another one. */
export function selectorsOf(shape: ShapeRecord, before = ''): readonly string[] {
  return Object.entries(shape).flatMap(([name, inner]) => {
    const own = `${before}${name}`
    if (isList(inner)) return [own, ...selectorsOf(inner[0], `${own}.`)]
    if (inner === 'pairs') return [own, `${own}.<any>`]
    return typeof inner === 'string' ? [own] : selectorsOf(inner, `${own}.`)
  })
}

function isList(shape: Shape): shape is readonly [ShapeRecord] {
  return Array.isArray(shape)
}

function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
  return (value as Record<string, unknown>)[name]
}
