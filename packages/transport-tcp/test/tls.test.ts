/** TLS between members: who is let in and who is not. */
import { connect as connectTls } from 'node:tls'
import type { ByteStream } from '@kith/interface'
import { systemClock } from '@kith/interface/node'
import { Mailbox } from '@kith/testkit'
import { afterEach, describe, expect, it } from 'vitest'
import { tcpTransport } from '../src/index.ts'
import type { TcpTlsOptions, TcpTransport } from '../src/index.ts'
import { testContext, testTls } from './subject.ts'

const open: TcpTransport[] = []

afterEach(async () => {
  for (const transport of open.splice(0)) await transport.stop()
})

async function start(tls?: TcpTlsOptions) {
  const transport = tcpTransport(tls === undefined ? {} : { tls })(testContext())
  open.push(transport)
  const streams = new Mailbox<ByteStream>(systemClock)
  const address = await transport.start({ stream: (stream) => streams.put(stream) })
  return { transport, streams, address }
}

describe('with tls', () => {
  it('nothing that is written can be read on the wire', async () => {
    const [a, b] = [await start(testTls()), await start(testTls())]
    const near = await a.transport.connect(b.address)
    await near.write(new TextEncoder().encode('hello'))
    const [far] = await b.streams.take(1, 'a stream')
    expect(new TextDecoder().decode(await far?.read())).toBe('hello')
  })

  it('a common server name stands in for addresses in the certificate', async () => {
    const named = { ...testTls(), servername: 'members.kith.test' }
    const [a, b] = [await start(named), await start(named)]
    const near = await a.transport.connect({ host: 'localhost', port: b.address.port })
    near.destroy()
    const wrong = await start({ ...testTls(), servername: 'others.kith.test' })
    await expect(wrong.transport.connect(b.address)).rejects.toMatchObject({
      code: 'ERR_TCP_CONNECT',
      details: { reason: 'system' },
      cause: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' },
    })
  })

  it('a member whose authority is unknown is not trusted', async () => {
    const { key, cert } = testTls()
    const [a, b] = [await start({ key, cert }), await start({ key, cert })]
    await expect(a.transport.connect(b.address)).rejects.toMatchObject({
      cause: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' },
    })
  })

  it('a caller without a certificate gets no stream', async () => {
    const { transport, streams, address } = await start(testTls())
    const { ca } = testTls()
    const socket = connectTls({ ...address, ca: ca as string })
    socket.on('error', () => {})
    socket.write('let me in')
    socket.resume()
    await new Promise((resolve) => void socket.once('close', resolve))
    expect(streams.items).toEqual([])
    while (transport.stats().connections > 0) await new Promise((next) => setImmediate(next))
    expect(transport.stats().handshakesFailed).toBe(1)
  })

  it('plain and encrypted members do not understand each other, and nobody hangs', async () => {
    const [plain, secure] = [await start(), await start(testTls())]
    const attempt = secure.transport.connect(plain.address, { timeoutMs: 500 })
    const refused = expect(attempt).rejects.toMatchObject({ code: 'ERR_TCP_CONNECT' })
    const [got] = await plain.streams.take(1, 'a stream')
    await got?.read()
    got?.destroy()
    await refused
    const near = await plain.transport.connect(secure.address)
    await near.write(new TextEncoder().encode('plain text'))
    // An alert of TLS may come first; then the stream is over.
    let last: Uint8Array | string | undefined = 'unread'
    while (last !== undefined) last = await near.read().catch(() => undefined)
  })
})
