/** Bad options fail where they are given, all at once. */
import { isKithError } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { tcpTransport } from '../src/index.ts'
import { testTls } from './subject.ts'

function refusal(options: object): { code: string; message: string; fields: string[] } {
  try {
    tcpTransport(options)
  } catch (cause) {
    if (!isKithError(cause)) throw cause
    const { problems } = cause.details as { problems: { field: string }[] }
    return { code: cause.code, message: cause.message, fields: problems.map(({ field }) => field) }
  }
  throw new Error('the options were taken')
}

describe('tcpTransport', () => {
  it('reports every problem at once, with what would be right', () => {
    const bad = { host: 'localhost', port: -1, connectionsMax: 0, colour: 'red' }
    const { code, message, fields } = refusal(bad)
    expect(code).toBe('ERR_TCP_OPTIONS')
    expect(fields).toEqual(['colour', 'host', 'port', 'connectionsMax'])
    expect(message).toContain('connectionsMax must be an integer from 1 to 65535, got 0')
  })

  it.each([
    ['port', '7946'],
    ['connectionsPerAddressMax', 0],
    ['firstByteTimeoutMs', 0],
    ['idleTimeoutMs', -1],
    ['idleTimeoutMs', Number.POSITIVE_INFINITY],
  ])('refuses %s = %s', (field, value) => {
    expect(refusal({ [field]: value }).fields).toEqual([field])
  })

  it('refuses keys that are none, or that do not fit, before anything listens', () => {
    const tls = testTls()
    expect(refusal({ tls: { ...tls, cert: 'nonsense' } }).fields).toEqual(['tls'])
    expect(refusal({ tls: { ...tls, key: tls.cert } }).fields).toEqual(['tls'])
    expect(() => tcpTransport({ tls })).not.toThrow()
  })
})
