/** Networks in CIDR form, compared with the platform's. */
import { BlockList, isIPv4 } from 'node:net'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addressBytes, inNetwork, parseNetwork } from '../../src/wire/codec.ts'

const v4 = fc.ipV4()
const v6 = fc.ipV6().filter((text) => addressBytes(text) !== undefined)

describe('networks', () => {
  it('GOS-121 hold the same addresses as the platform says', () => {
    const near = fc.constantFrom('10.1.2.3', '10.1.255.3', '10.200.0.1', 'fd00::1', 'fd00:0:1::5')
    const any = fc.oneof(v4, v6, near)
    fc.assert(
      fc.property(any, any, fc.nat(128), (base, address, wanted) => {
        const [family, bitsMax] = isIPv4(base) ? (['ipv4', 32] as const) : (['ipv6', 128] as const)
        if (family !== (isIPv4(address) ? 'ipv4' : 'ipv6')) return
        const bits = Math.min(wanted, bitsMax)
        const list = new BlockList()
        list.addSubnet(base, bits, family)
        const network = parseNetwork(`${base}/${bits}`)
        const bytes = addressBytes(address)
        if (network === undefined || bytes === undefined) throw new Error(`${base} or ${address}`)
        expect(inNetwork(network, bytes)).toBe(list.check(address, family))
      }),
      { numRuns: 2000 },
    )
  })

  it('GOS-121 hold an IPv4 address in either of its forms, and no IPv6 one', () => {
    const network = parseNetwork('10.0.0.0/8')
    if (network === undefined) throw new Error('no network')
    const holds = (text: string): boolean => {
      return inNetwork(network, addressBytes(text) ?? new Uint8Array(0))
    }
    expect(['10.9.9.9', '::ffff:10.9.9.9', '11.0.0.1', 'a00::1', ''].map(holds)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ])
  })

  it.each(['10.0.0.0', '10.0.0.0/33', '10.0.0/8', 'fd00::/129', '10.0.0.0/8/8', '10.0.0.0/', ''])(
    'GOS-121 %j is none',
    (text) => {
      expect(parseNetwork(text)).toBeUndefined()
    },
  )
})
