/** The parts' own figures as flat names for `/metrics`. */

const DEPTH_MAX = 4

/**
 * Every number inside `value`, named by its path: `gossip`, `{ queue: { depth: 3 } }` gives
 * `gossip_queue_depth 3`. What stands in a group `counters` only grows: its name ends in `_total`
 * and leaves the group out. Flags count 0 or 1; texts and lists are left out.
 */
export function flatten(prefix: string, value: unknown): Record<string, number> {
  const figures: Record<string, number> = {}
  collect(prefix, '', value, 0, figures)
  return figures
}

function collect(
  name: string,
  suffix: string,
  value: unknown,
  depth: number,
  figures: Record<string, number>,
): void {
  if (typeof value === 'number') figures[name + suffix] = value
  else if (typeof value === 'boolean') figures[name + suffix] = value ? 1 : 0
  else if (typeof value === 'bigint') figures[name + suffix] = Number(value)
  else if (typeof value === 'object' && value !== null && depth < DEPTH_MAX) {
    if (Array.isArray(value) || ArrayBuffer.isView(value)) return
    for (const [key, inner] of Object.entries(value)) {
      if (key === 'counters') collect(name, '_total', inner, depth + 1, figures)
      else collect(`${name}_${snakeCase(key)}`, suffix, inner, depth + 1, figures)
    }
  }
}

function snakeCase(text: string): string {
  return text
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replaceAll(/[^A-Za-z0-9]+/g, '_')
    .toLowerCase()
}
