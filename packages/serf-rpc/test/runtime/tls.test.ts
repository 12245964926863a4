// The RPC over TLS: who is let in, what strangers may hold, and what a renewal ends.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createSerfClient } from '../../src/runtime/client.ts'
import type { SerfRpcServerOptions } from '../../src/options.ts'
import { openPair, type Pair, until } from '../support/pair.ts'

const folder = new URL('../../../../tests/support/certificates/', import.meta.url)
const pem = (name: string): string => readFileSync(new URL(`${name}.pem`, folder), 'utf8')
const own = (name: string) => ({ cert: pem(name), key: pem(`${name}-key`), ca: pem('ca') })

const sockets: Socket[] = []
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
})

function open(name = 'client', server: Partial<SerfRpcServerOptions> = {}): Promise<Pair> {
  return openPair({ server: { tls: own('member'), ...server }, client: { tls: own(name) } })
}

/** A connection that says nothing; resolves with its end. */
async function dial({ server }: Pair): Promise<{ readonly closed: Promise<unknown> }> {
  const socket = connect(server.address ?? { host: '', port: 0 })
  sockets.push(socket)
  // Reads, or it would not see the end.
  socket.on('error', () => {}).resume()
  const closed = new Promise((resolve) => socket.once('close', resolve))
  await once(socket, 'connect')
  return { closed }
}

describe('a server with certificates', () => {
  it('RPC-36 RPC-47 is commanded by whoever shows one of its authority', async () => {
    await using pair = await open()
    await pair.client.event('deploy', 'x')
    expect(pair.host.calls.map(([, name]) => name)).toEqual(['deploy'])
  })

  it('RPC-36 tells others why not, whatever they ask', async () => {
    await using pair = await open('stranger')
    await expect(pair.client.stats()).rejects.toMatchObject({
      code: 'ERR_RPC_CERTIFICATE',
      message: expect.stringContaining('signed by nobody who is trusted here') as string,
    })
    const { address = '' } = pair.server
    await using bare = createSerfClient({ address, tls: { ca: pem('ca') } })
    await expect(bare.event('x')).rejects.toThrow('Certificate required: none was shown')
    expect(pair.host.calls).toEqual([])
    expect(pair.server.stats().counters).toMatchObject({ certificateRefused: 2 })
  })

  it('RPC-36 asks nobody for a certificate without an authority', async () => {
    const { ca: _, ...tls } = own('member')
    await using pair = await openPair({ server: { tls }, client: { tls: { ca: pem('ca') } } })
    expect(await pair.client.stats()).toBeDefined()
  })

  it('RPC-36 bounds handshakes that do not end', async () => {
    const limits = { strangersMax: 2, handshakeMs: 1_000 }
    await using pair = await open('client', { limits })
    const silent = [await dial(pair), await dial(pair), await dial(pair)]
    await silent[0]?.closed
    expect(pair.server.stats().counters['strangersEvicted']).toBe(1)
    // The others have their time, and then no more.
    await Promise.all(silent.map(({ closed }) => closed))
    expect(await pair.client.stats()).toBeDefined()
  })

  it('RPC-36 waits for no handshake at its end', async () => {
    const pair = await open()
    const { closed } = await dial(pair)
    await pair[Symbol.asyncDispose]()
    await closed
  })

  it('RPC-36 counts what speaks no TLS, and its client says so', async () => {
    await using pair = await open()
    await using plain = createSerfClient({ address: pair.server.address ?? '' })
    await expect(plain.stats()).rejects.toMatchObject({ code: 'ERR_RPC_CONNECT' })
    await until(() => pair.server.stats().counters['handshakesFailed'] === 1)
    await using other = await openPair({ client: { tls: own('client') } })
    await expect(other.client.stats()).rejects.toMatchObject({
      code: 'ERR_RPC_CONNECT',
      message: expect.stringContaining('it may speak no TLS') as string,
    })
  })
})

describe('a renewal', () => {
  it('RPC-36 ends connections over TLS, and holds those to come to it', async () => {
    await using pair = await open()
    const events = pair.client.events('*', { reconnect: true })
    const next = events.next()
    await until(() => pair.server.stats().counters['requests'] === 2)
    pair.server.renewTls({ ...own('renewed'), ca: pem('ca') })
    expect(await next).toMatchObject({ value: { kind: 'resumed' } })
    await events.return?.()
    pair.server.renewTls({ ...own('renewed'), ca: pem('other-ca') })
    await using late = createSerfClient({ address: pair.server.address ?? '', tls: own('client') })
    await expect(late.stats()).rejects.toMatchObject({ code: 'ERR_RPC_CERTIFICATE' })
  })

  it('RPC-36 takes nothing that is not right, nor another rule', async () => {
    await using pair = await open()
    const { ca: _, ...rest } = own('renewed')
    expect(() => pair.server.renewTls(rest)).toThrow(/tls.clientCert must be what it was/)
    expect(() => pair.server.renewTls({ ...own('member'), key: 'x' })).toThrow(/tls.key must be/)
    expect(await pair.client.stats()).toBeDefined()
    await using plain = await openPair()
    expect(() => plain.server.renewTls(own('member'))).toThrow(/without TLS/)
  })
})

describe('a client', () => {
  it('RPC-47 holds the agent to its authority and its name', async () => {
    await using pair = await open()
    const { address = '' } = pair.server
    const words = {
      'signed by nobody': { ...own('client'), ca: pem('other-ca') },
      'for another name': { ...own('client'), serverName: 'nobody' },
    }
    for (const [text, tls] of Object.entries(words)) {
      await using client = createSerfClient({ address, tls })
      await expect(client.stats()).rejects.toThrow(text)
    }
    const tls = { ...own('client'), serverName: 'members.kith.test' }
    await using client = createSerfClient({ address, tls: () => tls })
    expect(await client.stats()).toBeDefined()
  })
})
