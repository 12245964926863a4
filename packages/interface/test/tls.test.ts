import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  forCurrentTls,
  readCertificates,
  tlsClientProblems,
  tlsContext,
  tlsFailure,
  tlsServerProblems,
} from '../src/node/index.ts'

const folder = new URL('../../../tests/support/certificates/', import.meta.url)
const pem = (name: string): string => readFileSync(new URL(`${name}.pem`, folder), 'utf8')
const [cert, key, ca] = [pem('member'), pem('member-key'), pem('ca')]

const fieldsOf = (problems: readonly { readonly field: string }[]): string[] =>
  problems.map(({ field }) => field)

describe('options of TLS', () => {
  it('are taken as text and as bytes, with one authority or several', () => {
    expect(tlsServerProblems({ cert, key }, 'tls')).toEqual([])
    const bytes = { cert: Buffer.from(cert), key: new Uint8Array(Buffer.from(key)) }
    expect(tlsServerProblems({ ...bytes, ca: [ca, Buffer.from(pem('other-ca'))] }, 'tls')).toEqual(
      [],
    )
    expect(tlsServerProblems({ cert: cert + ca, key, ca: ca + pem('other-ca') }, 'tls')).toEqual([])
    expect(tlsClientProblems({}, 'tls')).toEqual([])
    expect(tlsClientProblems(() => ({ ca, cert, key, serverName: 'x.y' }), 'tls')).toEqual([])
    expect(readCertificates(cert + ca)).toHaveLength(2)
    expect(tlsContext({ ca, key: Buffer.from(key) })).toEqual({
      minVersion: 'TLSv1.2',
      ca: [ca],
      key: Buffer.from(key),
    })
  })

  it.each([
    [7, ['tls']],
    [{ cert }, ['tls.key']],
    [{ key }, ['tls.cert']],
    [{ cert: key, key }, ['tls.cert']],
    [{ cert, key: cert }, ['tls.key']],
    [{ cert, key: pem('client-key') }, ['tls.key']],
    [{ cert, key, ca: 'nobody' }, ['tls.ca']],
    [{ cert, key, ca: [] }, ['tls.ca']],
    [{ cert, key, ca: [ca, 'half'] }, ['tls.ca']],
    [{ cert, key, ca: ca.replace(/\n[^-\n]+\n/, '\nAAAA\n') }, ['tls.ca']],
    [{ cert, key, clientCert: true }, ['tls.ca']],
    [{ cert, key, ca, clientCert: 'yes', more: 1 }, ['tls.more', 'tls.clientCert']],
  ])('of a server are refused by name: %#', (given, fields) => {
    expect(fieldsOf(tlsServerProblems(given, 'tls'))).toEqual(fields)
  })

  it('of a client are refused by name, and no key is shown', () => {
    const wrong = { ca: 7, serverName: 'a b', passphrase: 'secret' }
    const fields = ['tls.passphrase', 'tls.serverName', 'tls.ca']
    expect(fieldsOf(tlsClientProblems(wrong, 'tls'))).toEqual(fields)
    expect(fieldsOf(tlsClientProblems({ cert }, 'tls'))).toEqual(['tls.key'])
    const swapped = JSON.stringify(tlsClientProblems({ cert: key, key: cert }, 'tls'))
    expect(swapped).not.toContain(key.split('\n')[1])
  })

  it('are looked at anew once a function gives others', () => {
    let now = { ca }
    const made = forCurrentTls(
      () => now,
      (options) => ({ options }),
    )
    expect(made()).toBe(made())
    const before = made()
    now = { ca: pem('other-ca') }
    expect(made()).not.toBe(before)
    expect(made().options).toBe(now)
  })
})

it('says in words why TLS came to nothing', () => {
  const failure = (code: string): string | undefined => tlsFailure({ code, message: 'because' })
  expect(failure('CERT_HAS_EXPIRED')).toContain('it has expired')
  expect(failure('ERR_TLS_CERT_ALTNAME_INVALID')).toMatch(/another name.*because/)
  expect(failure('ERR_SSL_WRONG_VERSION_NUMBER')).toContain('it speaks no TLS')
  expect(failure('ERR_SSL_SOMETHING')).toBe('TLS failed (ERR_SSL_SOMETHING)')
  expect(failure('ECONNREFUSED')).toBeUndefined()
  expect(tlsFailure(undefined)).toBeUndefined()
})
