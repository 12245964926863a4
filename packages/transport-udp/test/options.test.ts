/** Bad options fail where they are given, all at once. */
import { isKithError } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { udpTransport } from '../src/index.ts'
import type { UdpOptions } from '../src/index.ts'

function refusal(options: object): { code: string; message: string; fields: string[] } {
  try {
    udpTransport(options)
  } catch (cause) {
    if (!isKithError(cause)) throw cause
    const { problems } = cause.details as { problems: { field: string }[] }
    return { code: cause.code, message: cause.message, fields: problems.map(({ field }) => field) }
  }
  throw new Error('the options were taken')
}

describe('udpTransport', () => {
  it('reports every problem at once, with what would be right', () => {
    const bad: UdpOptions = { host: 'localhost', port: 65_536, packetBytesMax: 100 }
    const { code, message, fields } = refusal({ ...bad, colour: 'red' })
    expect(code).toBe('ERR_UDP_OPTIONS')
    expect(fields).toEqual(['colour', 'host', 'port', 'packetBytesMax'])
    expect(message).toContain('host must be an IPv4 or IPv6 literal, got "localhost"')
    expect(message).toContain('port must be an integer from 0 to 65535, got 65536')
  })

  it.each([
    ['port', -1],
    ['port', 1.5],
    ['port', '7946'],
    ['receiveBufferBytes', 0],
    ['packetBytesMax', 65_508],
    ['packetBytesMax', Number.NaN],
    ['sendQueueBytesMax', 1],
  ])('refuses %s = %s', (field, value) => {
    expect(refusal({ [field]: value }).fields).toEqual([field])
  })

  it('takes undefined for left out', () => {
    expect(() => udpTransport({ host: undefined } as object)).not.toThrow()
  })
})
