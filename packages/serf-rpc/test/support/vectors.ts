// What a real Serf sent, as it was captured: one direction of one connection a file.
import { readFileSync } from 'node:fs'
import { fromHex } from '@kith/interface'

export function vector(name: string): Uint8Array {
  const text = readFileSync(new URL(`../fixtures/${name}.hex`, import.meta.url), 'utf8')
  return hex(text)
}

export function hex(text: string): Uint8Array {
  const bytes = fromHex(text.replaceAll(/\s/g, ''))
  if (bytes === undefined) throw new Error(`not hex: ${text}`)
  return bytes
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}
