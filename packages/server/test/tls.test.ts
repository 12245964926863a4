/** HTTPS, and what becomes of connections when the certificates change. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { afterEach, describe, expect, it } from 'vitest'
import { createServer, type Server } from '../src/index.ts'

const folder = new URL('../../../tests/support/certificates/', import.meta.url)
const pem = (name: string): string => readFileSync(new URL(`${name}.pem`, folder), 'utf8')
const own = (name: string) => ({ cert: pem(name), key: pem(`${name}-key`), ca: pem('ca') })

let server: Server
const sockets: TLSSocket[] = []
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await server.stop()
})

interface Caller {
  readonly socket: TLSSocket
  /** The head of the answer to one more request. */
  ask(path?: string): Promise<string>
  readonly closed: Promise<unknown>
}

async function call(port: number, options: object = own('client')): Promise<Caller> {
  const socket = connect({ port, host: '127.0.0.1', ...options })
  sockets.push(socket)
  socket.on('error', () => {})
  const closed = new Promise((resolve) => socket.once('close', resolve))
  await once(socket, 'secureConnect')
  return {
    socket,
    closed,
    async ask(path = '/livez') {
      socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`)
      const [chunk] = (await once(socket, 'data')) as [Buffer]
      return chunk.toString()
    },
  }
}

async function start(name = 'member'): Promise<number> {
  server = createServer({ tls: own(name) })
  return (await server.start()).port
}

describe('a renewal', () => {
  it('ends what idles, and lets nobody ask who came before it', async () => {
    const port = await start()
    const [idle, silent] = [await call(port), await call(port)]
    expect(await idle.ask()).toMatch(/^HTTP\/1.1 200[^]*keep-alive/i)
    expect(await idle.ask()).toMatch(/^HTTP\/1.1 200/)
    server.renewTls(own('renewed'))
    await idle.closed
    // It has not asked anything yet: the server cannot tell it from one that is about to.
    expect(await silent.ask()).toMatch(/^HTTP\/1.1 403[^]*connection: close[^]*connect again/i)
    await silent.closed
    const next = await call(port)
    expect(next.socket.getPeerCertificate().subject.CN).toBe('renewed')
    expect(await next.ask()).toMatch(/^HTTP\/1.1 200/)
  })

  it('resumes no session, so that nobody goes round it', async () => {
    const port = await start()
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const first = await call(port, { ...own('client'), maxVersion })
      await first.ask()
      const session = first.socket.getSession()
      const second = await call(port, { ...own('client'), maxVersion, session })
      await second.ask()
      expect([maxVersion, second.socket.isSessionReused()]).toEqual([maxVersion, false])
    }
  })

  it('takes nothing that is not right, nor another rule', async () => {
    const port = await start()
    const { ca: _, ...open } = own('renewed')
    expect(() => server.renewTls(open)).toThrow(/tls.clientCert must be what it was/)
    expect(() => server.renewTls({ ...own('renewed'), key: pem('member-key') })).toThrow(
      /tls.key must be the private key of the certificate/,
    )
    const caller = await call(port)
    expect(caller.socket.getPeerCertificate().subject.CN).toBe('member')
    expect(await caller.ask()).toMatch(/^HTTP\/1.1 200/)
    await using plain = createServer()
    expect(() => plain.renewTls(own('member'))).toThrow(/without TLS/)
  })
})

it('waits for no handshake at its end', async () => {
  const port = await start()
  const silent = connectTcp({ port, host: '127.0.0.1' })
  const closed = new Promise((resolve) => silent.resume().once('close', resolve))
  await once(silent, 'connect')
  await server.stop()
  await closed
})

it('asks nobody for a certificate without an authority', async () => {
  const { ca: _, ...open } = own('member')
  server = createServer({ tls: open })
  const { port } = await server.start()
  expect(await (await call(port, { ca: pem('ca') })).ask()).toMatch(/^HTTP\/1.1 200/)
})
