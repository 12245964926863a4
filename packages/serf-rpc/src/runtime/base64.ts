/** What is wrong with a key in base64, in the words of Serf's agent. */

const letter = /[A-Za-z0-9+/]/

/** Undefined for base64 with its padding, as a key is written. */
export function base64Problem(text: string): string | undefined {
  const at = firstFault(text)
  return at === undefined ? undefined : `illegal base64 data at input byte ${at}`
}

/** Where Go stops: at what is no letter, or where a last group of less than four began. */
function firstFault(text: string): number | undefined {
  for (let start = 0; start < text.length; start += 4) {
    for (let at = start; at < start + 4; at += 1) {
      const character = text[at]
      if (character === undefined) return start
      if (letter.test(character)) continue
      const second = at - start === 2
      if (character !== '=' || at - start < 2) return at
      if (second && text[at + 1] === undefined) return text.length
      if (second && text[at + 1] !== '=') return at
      return start + 4 < text.length ? start + 4 : undefined
    }
  }
  return undefined
}
