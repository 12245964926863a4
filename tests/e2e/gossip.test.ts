// Members over real UDP and TCP on loopback, in one process: what the virtual network cannot show.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createGossip } from '@kith/gossip'
import type { Gossip, GossipOptions } from '@kith/gossip'
import { formatAddress } from '@kith/interface'
import type { MemberEventKind } from '@kith/interface'
import { tcpTransport } from '@kith/transport-tcp'
import { udpTransport } from '@kith/transport-udp'
import { afterEach, describe, expect, it } from 'vitest'
import { freePort } from '../support/ports.ts'

const open: Gossip[] = []

afterEach(async () => {
  await Promise.all(open.splice(0).map((member) => member.stop()))
})

async function start(name: string, options: GossipOptions = {}): Promise<Gossip> {
  const transports = { packets: udpTransport(), streams: tcpTransport() }
  const member = createGossip({ name, profile: 'local', ...transports, ...options })
  open.push(member)
  await member.start()
  return member
}

/** Resolves when `viewer` hears this of `name`. */
function hears(viewer: Gossip, kind: MemberEventKind, name: string): Promise<void> {
  return new Promise((resolve) => {
    const off = viewer.on(kind, ({ member }) => {
      if (member.name !== name) return
      off()
      resolve()
    })
  })
}

async function three(): Promise<readonly [Gossip, Gossip, Gossip]> {
  const first = await start('m1')
  const seed = formatAddress(first.address)
  const both = [hears(first, 'join', 'm2'), hears(first, 'join', 'm3')]
  const second = await start('m2', { join: [seed] })
  const known = hears(second, 'join', 'm3')
  const third = await start('m3', { join: [seed] })
  await Promise.all([...both, known])
  return [first, second, third]
}

describe('over real sockets', () => {
  it('GOS-33 members find each other, and see a leave and a failure as such', async () => {
    const [first, second, third] = await three()
    const left = Promise.all([hears(first, 'leave', 'm3'), hears(second, 'leave', 'm3')])
    await third.leave()
    await left
    const failed = hears(first, 'fail', 'm2')
    await second.stop()
    await failed
    expect(first.members().map(({ name, status }) => `${name} ${status}`)).toEqual([
      'm1 alive',
      'm2 failed',
      'm3 left',
    ])
  })

  it('GOS-33 members find each other over IPv6', async () => {
    const sixfold = (): GossipOptions => ({
      packets: udpTransport({ host: '::1' }),
      streams: tcpTransport({ host: '::1' }),
    })
    const first = await start('m1', sixfold())
    const joined = hears(first, 'join', 'm2')
    const second = await start('m2', sixfold())
    expect(await second.join([formatAddress(first.address)])).toBe(1)
    await joined
    expect(first.member('m2')?.address).toEqual(second.address)
    expect(second.address.host).toBe('::1')
  })

  it('GOS-33 a member on the wildcard is reached at the address it advertises', async () => {
    const first = await start('m1', {
      packets: udpTransport({ host: '0.0.0.0' }),
      streams: tcpTransport({ host: '0.0.0.0' }),
      advertise: { host: '127.0.0.1', port: 0 },
    })
    const joined = hears(first, 'join', 'm2')
    const second = await start('m2')
    expect(await second.join([formatAddress(first.address)])).toBe(1)
    await joined
    expect(second.member('m1')?.address).toEqual(first.address)
    expect(first.address.host).toBe('127.0.0.1')
  })

  it('GOS-33 packets and streams share one port that is free for others after stop', async () => {
    const member = await start('m1')
    const { host, port } = member.address
    const socket = connect(port, host)
    await once(socket, 'connect')
    socket.destroy()
    await member.stop()
    const again = await start('m2', {
      packets: udpTransport({ port }),
      streams: tcpTransport({ port }),
    })
    expect(again.address).toEqual({ host, port })
  })

  it('GOS-33 a start that fails because a port is taken leaves nothing open', async () => {
    // Any free one of UDP may be taken on TCP, where the second start needs it.
    const port = await freePort()
    const taken = createSocket('udp4')
    await new Promise<void>((resolve) => taken.bind(port, '127.0.0.1', resolve))
    const fixed = (): GossipOptions => ({
      packets: udpTransport({ port }),
      streams: tcpTransport({ port }),
    })
    await expect(start('m1', fixed())).rejects.toThrow(/EADDRINUSE|in use/i)
    taken.close()
    await once(taken, 'close')
    expect((await start('m2', fixed())).address.port).toBe(port)
  })

  it('GOS-33 a fetch carries megabytes both ways', async () => {
    const [first, second] = await three()
    second.extend('echo', { onFetch: (request) => request })
    const request = new Uint8Array(4_000_000).map((_, index) => index % 251)
    const answer = await first.fetch('m2', 'echo', request)
    expect(Buffer.compare(answer, request)).toBe(0)
  })

  it('GOS-33 a hostile neighbour changes no view', async () => {
    const [first] = await three()
    // Where members are moves with every probe.
    const view = (): readonly object[] =>
      first.members().map(({ coordinate: _coordinate, ...rest }) => rest)
    const before = view()
    const socket = createSocket('udp4')
    for (let type = 0; type < 256; type += 1) {
      const packet = Uint8Array.from([type, 0x81, 0xa1, 0x78, 0xdd, 0xff, 0xff, 0xff, 0xff])
      await new Promise((resolve) => socket.send(packet, first.address.port, '127.0.0.1', resolve))
      const stream = connect(first.address.port, '127.0.0.1')
      stream.on('error', () => {})
      const closed = once(stream, 'close')
      stream.end(packet)
      stream.resume()
      await closed
    }
    socket.close()
    expect(view()).toEqual(before)
    const { counters } = first.stats()
    expect(counters['packetsFromStrangers']).toBeGreaterThan(200)
  })
})
