/** A reader of TypeScript that is just good enough to find identifiers outside strings. */

const regexBefore =
  /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|of|in|await|yield|do|else))\s*$/

interface Cursor {
  readonly text: string
  at: number
}

/** Moves past a quoted string; the cursor stands on its opening quote. */
function skipQuoted(cursor: Cursor): void {
  const quote = cursor.text[cursor.at]
  cursor.at++
  while (cursor.at < cursor.text.length && cursor.text[cursor.at] !== quote) {
    if (cursor.text[cursor.at] === '\n') return
    cursor.at += cursor.text[cursor.at] === '\\' ? 2 : 1
  }
  cursor.at++
}

/** Moves past a template and returns the code inside its `${}`. */
function skipTemplate(cursor: Cursor): string {
  let code = ''
  cursor.at++
  while (cursor.at < cursor.text.length && cursor.text[cursor.at] !== '`') {
    if (cursor.text.startsWith('${', cursor.at)) {
      cursor.at += 2
      code += `${codeOnly(cursor, '}')}\n`
    } else {
      cursor.at += cursor.text[cursor.at] === '\\' ? 2 : 1
    }
  }
  cursor.at++
  return code
}

function skipRegex(cursor: Cursor): void {
  let inClass = false
  cursor.at++
  while (cursor.at < cursor.text.length) {
    const char = cursor.text[cursor.at]
    if (char === '\n' || (char === '/' && !inClass)) break
    if (char === '[') inClass = true
    if (char === ']') inClass = false
    cursor.at += char === '\\' ? 2 : 1
  }
  cursor.at++
}

/** Code with strings, comments and regular expressions blanked, up to an unmatched `end`. */
function codeOnly(cursor: Cursor, end?: '}'): string {
  const { text } = cursor
  let code = ''
  let depth = 0
  while (cursor.at < text.length) {
    const char = text[cursor.at] ?? ''
    if (end === char && depth === 0) break
    if (char === '{') depth++
    if (char === '}') depth--
    if (char === "'" || char === '"') skipQuoted(cursor)
    else if (char === '`') code += ` ${skipTemplate(cursor)}`
    else if (text.startsWith('//', cursor.at)) cursor.at = endOf(text, '\n', cursor.at)
    else if (text.startsWith('/*', cursor.at)) {
      const stop = endOf(text, '*/', cursor.at) + 2
      code += text.slice(cursor.at, stop).replaceAll(/[^\n]/g, '')
      cursor.at = stop
    } else if (char === '/' && regexBefore.test(code.slice(-40))) skipRegex(cursor)
    else {
      code += char
      cursor.at++
    }
  }
  cursor.at++
  return code
}

function endOf(text: string, mark: string, from: number): number {
  const at = text.indexOf(mark, from)
  return at < 0 ? text.length : at
}

/** The text with everything blanked that is not code. Lines stay where they are, mostly. */
export function stripped(text: string): string {
  return codeOnly({ text, at: 0 })
}

export interface Identifier {
  readonly name: string
  /** `probeIntervalMs` has `probe`, `interval` and `ms`. */
  readonly words: readonly string[]
}

/** Every identifier of a file, each once. */
export function identifiers(text: string): readonly Identifier[] {
  const names = new Set(stripped(text).match(/[A-Za-z_$][\w$]*/g))
  return [...names].map((name) => ({
    name,
    words: name
      .split(/[_$\d]+|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/)
      .filter((word) => word !== '')
      .map((word) => word.toLowerCase()),
  }))
}
