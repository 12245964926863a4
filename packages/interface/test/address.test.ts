import { describe, expect, it } from 'vitest'
import { formatAddress, parseAddress, sameAddress } from '../src/index.ts'

describe('parseAddress', () => {
  it.each([
    ['127.0.0.1:7946', { host: '127.0.0.1', port: 7946 }],
    ['db-1.kith.internal:0', { host: 'db-1.kith.internal', port: 0 }],
    ['[::1]:65535', { host: '::1', port: 65535 }],
  ])('reads %s', (text, address) => {
    expect(parseAddress(text)).toEqual(address)
    expect(formatAddress(address)).toBe(text)
  })

  it.each([
    ['10.0.0.1', '10.0.0.1'],
    ['::1', '::1'],
    ['[::1]', '::1'],
    ['fe80::1.2.3.4', 'fe80::1.2.3.4'],
  ])('gives %s the default port', (text, host) => {
    expect(parseAddress(text, 7946)).toEqual({ host, port: 7946 })
    expect(parseAddress(text)).toBeUndefined()
  })

  it.each([
    '',
    ':1',
    'a:',
    'a:65536',
    'a:123456',
    'a:-1',
    'a b:1',
    '[::1',
    '[x]:1',
    'a:1:2',
    'ü:1',
  ])('refuses %j', (text) => {
    expect(parseAddress(text)).toBeUndefined()
  })

  it('compares by value', () => {
    expect(sameAddress({ host: 'a', port: 1 }, { host: 'a', port: 1 })).toBe(true)
    expect(sameAddress({ host: 'a', port: 1 }, { host: 'a', port: 2 })).toBe(false)
    expect(sameAddress({ host: 'a', port: 1 }, { host: 'b', port: 1 })).toBe(false)
  })
})
