/** What a transport on an open network owes: limits on connections, silence and idleness. */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import type { Address, ByteStream } from '@kith/interface'
import { systemClock } from '@kith/interface/node'
import { Mailbox } from '@kith/testkit'
import { afterEach, describe, expect, it } from 'vitest'
import { tcpTransport } from '../src/index.ts'
import type { TcpOptions, TcpTransport } from '../src/index.ts'
import { testContext, testTls } from './subject.ts'

const open: TcpTransport[] = []
const sockets: Socket[] = []

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const transport of open.splice(0)) await transport.stop()
})

async function start(options: TcpOptions = {}) {
  const transport = tcpTransport(options)(testContext())
  open.push(transport)
  const streams = new Mailbox<ByteStream>(systemClock)
  const address = await transport.start({ stream: (stream) => streams.put(stream) })
  return { transport, streams, address }
}

/** A stranger: connects, or is turned away, and does nothing by itself. */
async function stranger(to: Address): Promise<Socket> {
  const socket = connect({ ...to })
  sockets.push(socket)
  socket.on('error', () => {})
  await new Promise<void>((resolve) => {
    socket.once('connect', resolve).once('close', () => resolve())
  })
  return socket
}

async function closed(socket: Socket): Promise<void> {
  socket.resume()
  if (!socket.closed)
    await new Promise<void>((resolve) => void socket.once('close', () => resolve()))
}

describe('connections', () => {
  it('count the bytes that were read and written', async () => {
    const { transport, streams, address } = await start()
    const there = await stranger(address)
    const [here] = await streams.take(1, 'a stream')
    there.write('hello')
    let text = ''
    while (text.length < 5) text += Buffer.from((await here?.read()) ?? []).toString()
    await here?.write(new Uint8Array(300))
    expect(transport.stats()).toMatchObject({ bytesIn: 5, bytesOut: 300 })
  })

  it('above connectionsMax are reset and counted, and room comes back', async () => {
    const { transport, streams, address } = await start({ connectionsMax: 3 })
    const first = [await stranger(address), await stranger(address), await stranger(address)]
    await streams.take(3, 'three streams')
    await closed(await stranger(address))
    expect(transport.stats()).toMatchObject({ connections: 3, connectionsRefused: 1, accepted: 3 })
    first[0]?.destroy()
    const [gone] = streams.items
    await gone?.read().catch(() => {})
    gone?.destroy()
    while (transport.stats().connections > 2) await new Promise((next) => setImmediate(next))
    await stranger(address)
    await streams.take(4, 'a fourth stream')
  })

  it('above connectionsPerAddressMax are reset for that host only', async () => {
    const { transport, streams, address } = await start({
      host: '::',
      connectionsPerAddressMax: 2,
    })
    const four = { host: '127.0.0.1', port: address.port }
    await stranger(four)
    await stranger(four)
    await closed(await stranger(four))
    await stranger({ host: '::1', port: address.port })
    const accepted = await streams.take(3, 'three streams')
    expect(accepted.map(({ remote }) => remote.host)).toEqual(['127.0.0.1', '127.0.0.1', '::1'])
    expect(transport.stats().connectionsRefused).toBe(1)
  })

  it('that say nothing are cut off; those that spoke stay', async () => {
    const { transport, streams, address } = await start({ firstByteTimeoutMs: 1_000 })
    const silent = await stranger(address)
    const speaking = await stranger(address)
    speaking.write('x')
    const [first] = await streams.take(2, 'two streams')
    await closed(silent)
    expect(transport.stats().connectionsSilent).toBe(1)
    await expect(first?.read()).rejects.toMatchObject({ details: { reason: 'reset' } })
    expect(speaking.destroyed).toBe(false)
  })

  it('that never finish a TLS handshake are cut off, and garbage is counted', async () => {
    const { transport, address } = await start({ tls: testTls(), firstByteTimeoutMs: 1_000 })
    await closed(await stranger(address))
    expect(transport.stats().connectionsSilent).toBe(1)
    const garbage = await stranger(address)
    garbage.write(new Uint8Array(100).fill(0x20))
    await closed(garbage)
    expect(transport.stats()).toMatchObject({ connectionsSilent: 1, handshakesFailed: 2 })
    while (transport.stats().connections > 0) await new Promise((next) => setImmediate(next))
  })

  it('on which nothing moves break with timeout at both members', async () => {
    const [a, b] = [await start({ idleTimeoutMs: 200 }), await start()]
    const near = await a.transport.connect(b.address)
    await near.write(Uint8Array.of(1))
    const [far] = await b.streams.take(1, 'a stream')
    await expect(near.read()).rejects.toMatchObject({ details: { reason: 'timeout' } })
    await far?.read()
    expect(await far?.read().catch(() => undefined)).toBeUndefined()
  })

  it('reset in the middle of a message break the read', async () => {
    const { streams, address } = await start()
    const caller = await stranger(address)
    caller.write('half a mess')
    const [stream] = await streams.take(1, 'a stream')
    await stream?.read()
    caller.resetAndDestroy()
    await expect(stream?.read()).rejects.toMatchObject({
      code: 'ERR_TCP_STREAM',
      details: { reason: 'reset' },
    })
  })

  it('flooding in by the hundred neither end the process nor stay', async () => {
    const { transport, address } = await start({ connectionsMax: 16, firstByteTimeoutMs: 300 })
    const flood = Array.from({ length: 400 }, () => {
      const socket = connect({ ...address })
      sockets.push(socket)
      socket.on('error', () => {})
      return closed(socket)
    })
    await Promise.all(flood)
    const { accepted, connectionsRefused } = transport.stats()
    expect(accepted + connectionsRefused).toBeLessThanOrEqual(400)
    expect(connectionsRefused).toBeGreaterThan(0)
    while (transport.stats().connections > 0) await new Promise((next) => setImmediate(next))
  })
})

describe('stop', () => {
  it('ends within a second with streams that neither read nor answer', async () => {
    const { transport, streams, address } = await start()
    for (let count = 0; count < 10; count += 1) (await stranger(address)).pause()
    const accepted = await streams.take(10, 'ten streams')
    const writes = accepted.map((stream) =>
      stream.write(new Uint8Array(8 * 1024 * 1024)).catch(() => 'broken'),
    )
    const before = performance.now()
    await transport.stop()
    expect(performance.now() - before).toBeLessThan(1_000)
    expect(new Set(await Promise.all(writes))).toEqual(new Set(['broken']))
  })
})

describe('connect', () => {
  it('gives up after timeoutMs where a handshake never ends', async () => {
    const mute = createServer((socket) => void sockets.push(socket.on('error', () => {})))
    mute.listen({ port: 0, host: '127.0.0.1' })
    await once(mute, 'listening')
    const to = { host: '127.0.0.1', port: (mute.address() as AddressInfo).port }
    const { transport } = await start({ tls: testTls() })
    // With TLS a listener that never says a word is as silent as a black hole.
    const attempt = transport.connect(to, { timeoutMs: 200 })
    await expect(attempt).rejects.toMatchObject({
      code: 'ERR_TCP_CONNECT',
      details: { reason: 'timeout', address: to },
    })
    expect(transport.stats().connectsFailed).toBe(1)
    mute.close()
  })

  it('takes names, and reports one that does not exist as address', async () => {
    const [a, b] = [await start(), await start()]
    const near = await a.transport.connect({ host: 'localhost', port: b.address.port })
    expect(near.remote).toEqual({ host: 'localhost', port: b.address.port })
    near.destroy()
    const nowhere = a.transport.connect({ host: 'member.invalid', port: 7946 })
    await expect(nowhere).rejects.toMatchObject({ details: { reason: 'address' } })
  })
})
