/** From a schema library's findings to the problems that Kith reports: all at once, each named. */
import type { OptionProblem } from './errors.ts'

/** One finding of a schema; zod's issues have this shape. Its message says what would be right. */
export interface SchemaIssue {
  readonly code?: string | undefined
  readonly path: readonly PropertyKey[]
  readonly message: string
  /** Names that the schema does not know, where `code` is `unrecognized_keys`. */
  readonly keys?: readonly string[] | undefined
}

const SHOWN_CHARACTERS_MAX = 60

/** A value as an error message shows it: short, on one line, and telling text from numbers. */
export function showValue(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'bigint') return `${value}n`
  let text: string
  try {
    text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? typeof value)
  } catch {
    text = `something of type ${typeof value}`
  }
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text
}

/** `services[0].port`: a path as the caller would write it. */
export function fieldPath(path: readonly PropertyKey[]): string {
  let field = ''
  for (const part of path) {
    if (typeof part === 'number') field += `[${part}]`
    else field += field === '' ? String(part) : `.${String(part)}`
  }
  return field
}

/**
 * The findings about `input` as problems. `whole` names the input itself, for findings that concern
 * all of it.
 */
export function schemaProblems(
  issues: readonly SchemaIssue[],
  input: unknown,
  whole: string,
): OptionProblem[] {
  return issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      return (issue.keys ?? []).map((key) => ({
        field: fieldPath([...issue.path, key]),
        got: showValue(valueAt(input, [...issue.path, key])),
        want: 'absent (the name is not known here)',
      }))
    }
    const field = fieldPath(issue.path)
    return [
      {
        field: field === '' ? whole : field,
        got: showValue(valueAt(input, issue.path)),
        want: issue.message,
      },
    ]
  })
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
    value = (value as Record<PropertyKey, unknown>)[part]
  }
  return value
}
