/** Inputs on disk: a file a target, a line of hex an input, `#` for words about them. */
import { readFileSync, writeFileSync } from 'node:fs'
import { fromHex, toHex } from '@kith/interface'

const folder = new URL('corpus/', import.meta.url)

function parse(text: string): readonly Uint8Array[] {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return lines.map((line) => fromHex(line) ?? new Uint8Array(0))
}

/** Empty where the target has none yet. */
export function readCorpus(target: string): readonly Uint8Array[] {
  try {
    return parse(readFileSync(new URL(`${target}.hex`, folder), 'utf8'))
  } catch {
    return []
  }
}

export function writeCorpus(target: string, inputs: readonly Uint8Array[]): void {
  const about = `# Inputs that between them reach every block known of ${target}; made by npm run fuzz.\n`
  const lines = inputs.map((input) => `${toHex(input)}\n`).toSorted()
  writeFileSync(new URL(`${target}.hex`, folder), about + lines.join(''))
}
