/** Checks that speak TLS, against servers with a certificate for web.example and localhost. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type sendUnaryData, Server, ServerCredentials } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { grpcCheck } from '../src/checks/grpc.ts'
import { httpCheck } from '../src/checks/http.ts'

const pem = (name: string): string =>
  readFileSync(new URL(`fixtures/web-${name}.pem`, import.meta.url), 'utf8')
const [key, cert] = [pem('key'), pem('cert')]
// Where grpc-js, when it is loaded, looks for authorities before it asks Node.js.
vi.hoisted(() => {
  const file = new URL('fixtures/web-cert.pem', import.meta.url).pathname
  process.env['GRPC_DEFAULT_SSL_ROOTS_FILE_PATH'] = file
})
const unused = new AbortController().signal

describe('http', () => {
  const asked: (string | undefined)[] = []
  const web = createServer({ key, cert }, (request, response) => {
    asked.push(request.headers.host)
    response.end('all is well')
  })
  let port = 0
  beforeAll(async () => {
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
    port = (web.address() as AddressInfo).port
  })
  afterAll(() => web.close())

  async function run(host: string, tls?: object): Promise<string> {
    const kind = httpCheck()
    const given = { url: `https://${host}:${port}/`, ...(tls && { tls }) }
    const options = kind.parse(given, { address: '127.0.0.1', port })
    return await kind.run(options, unused, {} as never).then(
      ({ status }) => status,
      (cause: Error) => cause.message,
    )
  }

  it('REG-21: takes a certificate of its authority, in the name that is asked for', async () => {
    expect(await run('localhost', { ca: cert })).toBe('passing')
    expect(await run('127.0.0.1', { ca: cert, serverName: 'web.example' })).toBe('passing')
  })

  it('REG-21: refuses one of nobody it trusts or of another name, and says so', async () => {
    asked.length = 0
    expect(await run('localhost')).toMatch(/^GET https:\/\/localhost:\d+\/: self-signed/)
    expect(await run('127.0.0.1', { ca: cert })).toMatch(/IP: 127\.0\.0\.1 is not in the cert/)
    expect(await run('localhost', { ca: cert, serverName: 'shop.example' })).toMatch(
      /shop\.example/,
    )
    // Nothing was asked of whoever could not show who they are.
    expect(asked).toEqual([])
  })

  it('REG-21: takes any certificate only where it is told to', async () => {
    expect(await run('127.0.0.1', { verify: false })).toBe('passing')
    expect(await run('127.0.0.1', { verify: true })).toMatch(/self-signed/)
  })
})

describe('grpc', () => {
  const server = new Server()
  let port = 0
  const same = (bytes: Buffer): Buffer => bytes
  const check = {
    path: '/grpc.health.v1.Health/Check',
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  } as const
  beforeAll(async () => {
    server.addService(
      { check },
      { check: (_call: unknown, reply: sendUnaryData<Buffer>) => reply(null, Buffer.of(8, 1)) },
    )
    const own = [{ private_key: Buffer.from(key), cert_chain: Buffer.from(cert) }]
    port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createSsl(null, own), (cause, bound) =>
        cause === null ? resolve(bound) : reject(cause),
      )
    })
  })
  afterAll(() => server.forceShutdown())

  async function run(host: string, tls: boolean): Promise<string> {
    const kind = grpcCheck()
    const options = kind.parse({ host, port, tls }, { address: '127.0.0.1', port })
    return await kind.run(options, unused, {} as never).then(
      ({ status }) => status,
      (cause: Error) => cause.message,
    )
  }

  it("REG-21: speaks TLS where it is told to, with those the system's authorities vouch for", async () => {
    expect(await run('localhost', true)).toBe('passing')
    expect(await run('127.0.0.1', true)).toMatch(/^127\.0\.0\.1:\d+: .* is not in the cert/)
    expect(await run('localhost', false)).toMatch(/^localhost:\d+: .*UNAVAILABLE/)
  })
})
