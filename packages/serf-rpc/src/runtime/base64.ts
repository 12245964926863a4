/** What is wrong with a key in base64, in the words of Serf's agent. */

const letters = /^[A-Za-z0-9+/]*/

/** Undefined for base64 with its padding, as a key is written. */
export function base64Problem(text: string): string | undefined {
  const plain = letters.exec(text)?.[0].length ?? 0
  const padding = text.slice(plain)
  const whole = text.length % 4 === 0 && (padding === '' || padding === '=' || padding === '==')
  if (whole) return undefined
  return `illegal base64 data at input byte ${Math.min(plain, Math.max(0, text.length))}`
}
