/** What the shared suite cannot know of UDP: families, counters, the queue, the receive buffer. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Address } from '@kith/interface'
import { silentLogger } from '@kith/interface'
import { systemClock, systemRandom } from '@kith/interface/node'
import { Mailbox } from '@kith/testkit'
import { afterEach, describe, expect, it } from 'vitest'
import { udpTransport } from '../src/index.ts'
import type { UdpOptions, UdpTransport } from '../src/index.ts'

const context = { clock: systemClock, random: systemRandom(), logger: silentLogger }
const open: UdpTransport[] = []

afterEach(async () => {
  for (const transport of open.splice(0)) await transport.stop()
})

async function start(options: UdpOptions = {}) {
  const transport = udpTransport(options)(context)
  open.push(transport)
  const packets = new Mailbox<{ from: Address; bytes: Uint8Array }>(systemClock)
  const failures = new Mailbox<{ to: Address; cause: Error }>(systemClock)
  const address = await transport.start({
    packet: (from, bytes) => packets.put({ from, bytes }),
    sendFailed: (to, cause) => failures.put({ to, cause }),
  })
  return { transport, packets, failures, address }
}

describe('udpTransport', () => {
  it('bound to :: talks IPv4 as well, and shows IPv4 addresses as such', async () => {
    const both = await start({ host: '::' })
    const four = await start()
    four.transport.send({ host: '127.0.0.1', port: both.address.port }, Uint8Array.of(1))
    const [got] = await both.packets.take(1, 'a packet over IPv4')
    expect(got?.from).toEqual(four.address)
    both.transport.send(four.address, Uint8Array.of(2))
    const [back] = await four.packets.take(1, 'the answer')
    expect([...(back?.bytes ?? [])]).toEqual([2])
  })

  it('bound to IPv4 reports an IPv6 destination as no address of its own', async () => {
    const four = await start()
    four.transport.send({ host: '::1', port: 7946 }, Uint8Array.of(1))
    const [failure] = await four.failures.take(1, 'a failure')
    expect(failure?.cause).toMatchObject({ code: 'ERR_UDP_SEND', details: { reason: 'address' } })
  })

  it('counts what it does, with the bytes', async () => {
    const [a, b] = [await start(), await start({ packetBytesMax: 600 })]
    a.transport.send(b.address, new Uint8Array(100))
    a.transport.send(b.address, new Uint8Array(50))
    await b.packets.take(2, 'two packets')
    b.transport.send(a.address, new Uint8Array(601))
    b.transport.send({ host: 'nowhere', port: 1 }, new Uint8Array(1))
    await b.failures.take(2, 'two failures')
    expect(a.transport.stats()).toMatchObject({ packetsOut: 2, bytesOut: 150, sendsFailed: 0 })
    const counted = { packetsIn: 2, bytesIn: 150, packetsOut: 0, sendsFailed: 2 }
    expect(b.transport.stats()).toMatchObject(counted)
  })

  it('counts and reports what the system refuses, and goes on', async () => {
    const a = await start()
    // Broadcasting needs a permission that this socket never asks for.
    a.transport.send({ host: '255.255.255.255', port: 7946 }, Uint8Array.of(1))
    const [failure] = await a.failures.take(1, 'a failure')
    expect(failure?.cause).toMatchObject({ code: 'ERR_UDP_SEND' })
    a.transport.send(a.address, Uint8Array.of(2))
    await a.packets.take(1, 'a packet to itself')
  })

  it('asks for a large receive buffer and says what it got', async () => {
    const small = await start({ receiveBufferBytes: 4_096 })
    const large = await start()
    const { receiveBufferBytes } = large.transport.stats()
    expect(receiveBufferBytes).toBeGreaterThan(small.transport.stats().receiveBufferBytes)
  })

  it('keeps a burst that arrives while nothing reads', async () => {
    const b = await start({ receiveBufferBytes: 1024 * 1024 })
    const sender = createSocket('udp4')
    sender.bind(0, '127.0.0.1')
    await once(sender, 'listening')
    for (let count = 0; count < 100; count += 1) sender.send(Uint8Array.of(count), b.address.port)
    const until = performance.now() + 50
    while (performance.now() < until);
    const got = await b.packets.take(100, '100 packets')
    expect(new Set(got.map(({ bytes }) => bytes[0])).size).toBe(100)
    sender.close()
  })

  it('keeps no process alive by a stopped socket, and names a taken port', async () => {
    const a = await start()
    const again = udpTransport({ port: a.address.port })(context)
    await expect(again.start({ packet() {} })).rejects.toMatchObject({
      code: 'ERR_UDP_BIND',
      details: { reason: 'address', address: { host: '127.0.0.1', port: a.address.port } },
    })
    const foreign = udpTransport({ host: '192.0.2.1' })(context)
    const notOurs = { code: 'ERR_UDP_BIND', details: { reason: 'address' } }
    await expect(foreign.start({ packet() {} })).rejects.toMatchObject(notOurs)
  })

  it('takes an empty packet without harm', async () => {
    const a = await start()
    a.transport.send(a.address, new Uint8Array(0))
    a.transport.send(a.address, Uint8Array.of(7))
    await a.packets.take(1, 'a packet')
    expect(a.failures.items).toEqual([])
  })
})
