/** Networks in CIDR form, and whether an address lies in one. */
import { addressBytes } from './address.ts'

export interface Network {
  /** 16 bytes; those of IPv4 are mapped, so that both forms of one address are in one network. */
  readonly bytes: Uint8Array
  /** Leading bits that count, of 128. */
  readonly bits: number
}

const mappedBits = 96

/** `10.0.0.0/8` or `fd00::/8`; undefined for anything else. */
export function parseNetwork(text: string): Network | undefined {
  const [host = '', bits = '', ...rest] = text.split('/')
  const bytes = addressBytes(host)
  if (bytes === undefined || rest.length > 0 || !/^\d{1,3}$/.test(bits)) return undefined
  const bitsMax = bytes.length * 8
  if (Number(bits) > bitsMax) return undefined
  return { bytes: mapped(bytes), bits: Number(bits) + 128 - bitsMax }
}

export function inNetwork({ bytes, bits }: Network, address: Uint8Array): boolean {
  if (address.length !== 4 && address.length !== 16) return false
  const other = mapped(address)
  for (let at = 0; at * 8 < bits; at += 1) {
    const left = Math.min(8, bits - at * 8)
    const mask = (0xff << (8 - left)) & 0xff
    if (((bytes[at] ?? 0) & mask) !== ((other[at] ?? 0) & mask)) return false
  }
  return true
}

function mapped(bytes: Uint8Array): Uint8Array {
  if (bytes.length === 16) return bytes
  const whole = new Uint8Array(16)
  whole.fill(0xff, mappedBits / 8 - 2, mappedBits / 8)
  whole.set(bytes, mappedBits / 8)
  return whole
}
