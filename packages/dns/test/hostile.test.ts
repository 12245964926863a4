/** Bytes from anybody, and more of everything than there is room for. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { createRandom, type Random, type ServiceInstance } from '@kith/interface'
import { encode, type Packet, streamDecode, streamEncode } from 'dns-packet'
import { afterEach, describe, expect, it } from 'vitest'
import { answer } from '../src/answer.ts'
import { createDnsServer, dnsPlugin, type DnsServerOptions } from '../src/index.ts'
import { decodeQuery, encodeReply, type Reply } from '../src/message.ts'
import { resolveOptions } from '../src/options.ts'
import { evidence } from './support/evidence.ts'
import { ada, instance, Zone } from './support/zone.ts'

const zones: Zone[] = []
const sockets: Socket[] = []
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await Promise.all(zones.splice(0).map(({ server }) => server.stop()))
})

async function open(options: Partial<DnsServerOptions> = {}): Promise<Zone> {
  const zone = await Zone.start(options)
  zones.push(zone)
  zone.services = { web: [instance('w1')] }
  return zone
}

/** A port that nobody has on TCP, and the socket that has it on UDP. */
async function takenOnUdp(): Promise<{ readonly socket: UdpSocket; readonly port: number }> {
  for (;;) {
    const holder = createServer().listen({ host: '127.0.0.1', port: 0 })
    await once(holder, 'listening')
    const { port } = holder.address() as AddressInfo
    const socket = createSocket('udp4')
    socket.bind({ address: '127.0.0.1', port })
    const bound = await once(socket, 'listening').then(
      () => true,
      () => false,
    )
    holder.close()
    await once(holder, 'close')
    if (bound) return { socket, port }
    socket.close()
  }
}

async function dial(zone: Zone): Promise<Socket> {
  const socket = connect(zone.address.port, zone.address.host)
  sockets.push(socket)
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

const question = (name: string, type = 'A', more: Partial<Packet> = {}): Buffer => {
  const packet = { type: 'query', id: 1, questions: [{ name, type: type as 'A' }], ...more }
  return encode(packet as Packet)
}

/** Queries of every kind, from which the mutants are made. */
const seeds: readonly Buffer[] = [
  question('web.service.kith'),
  question('eu.web.service.kith', 'SRV'),
  question('ada.node.kith', 'TXT'),
  question('7f000001.addr.kith', 'AAAA'),
  question('web.service.kith', 'ANY', {
    additionals: [{ type: 'OPT', name: '.', udpPayloadSize: 4_096, options: [] } as never],
  }),
]

/** Nothing but noise, or a query with some bytes changed, cut off, doubled or put in. */
function mutant(random: Random): Buffer {
  const seed = seeds[random.below(seeds.length)] as Buffer
  const kind = random.below(5)
  if (kind === 0)
    return Buffer.from(Array.from({ length: random.below(80) }, () => random.below(256)))
  if (kind === 1) return seed.subarray(0, random.below(seed.length + 1))
  if (kind === 2) {
    const at = random.below(seed.length)
    return Buffer.concat([seed.subarray(0, at), seed, seed.subarray(at)])
  }
  const changed = Buffer.from(seed)
  for (let count = 1 + random.below(4); count > 0; count -= 1) {
    changed[random.below(changed.length)] = random.below(256)
  }
  return changed
}

describe('hostile bytes', () => {
  const packets = process.env['KITH_TIER'] === '2' ? 1_000_000 : 30_000

  it(`DNS-7: ${packets} mutants: none throws, each is dropped or answered within bounds`, () => {
    const random = createRandom(20_261_126)
    const options = resolveOptions({
      registry: { resolve: (name) => (name === 'web' ? [instance('w1', { tags: ['eu'] })] : []) },
      members: { member: (name) => (name === 'ada' ? ada : undefined) },
      random,
    })
    let [dropped, answered] = [0, 0]
    for (let count = 0; count < packets; count += 1) {
      const bytes = mutant(random)
      const query = decodeQuery(bytes, options.queryBytesMax)
      if (query === undefined) {
        dropped += 1
        continue
      }
      const reply = answer(query, options) as Reply
      const encoded = encodeReply(query, reply, 512, options.udpBytesMax, options.recordBytes)
      if (encoded.bytes.length > 512 || encoded.bytes.readUInt16BE(0) !== query.id) {
        throw new Error(`${bytes.toString('hex')} was answered ${encoded.bytes.toString('hex')}`)
      }
      answered += 1
    }
    evidence('DNS: hostile packets dropped', dropped)
    evidence('DNS: hostile packets answered', answered)
    expect(dropped).toBeGreaterThan(packets / 10)
    expect(answered).toBeGreaterThan(packets / 10)
  }, 600_000)

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['half a header', Buffer.alloc(11)],
    ['an answer', question('web.service.kith', 'A', { type: 'response' })],
    ['no question', encode({ type: 'query', questions: [] })],
    [
      'two questions',
      encode({
        type: 'query',
        questions: [
          { name: 'a.kith', type: 'A' },
          { name: 'b.kith', type: 'A' },
        ],
      }),
    ],
    [
      'an answer in a query',
      question('a.kith', 'A', { answers: [{ type: 'A', name: 'a', data: '1.2.3.4' }] }),
    ],
    [
      'a name that points to itself',
      Buffer.from('00010000000100000000000 0c00c00010001'.replace(' ', ''), 'hex'),
    ],
    [
      'a label with a zero byte',
      Buffer.from('000100000001000000000000016100'.replace('61', '00') + '00010001', 'hex'),
    ],
    ['thousands of records', Buffer.from('00010000000100000000ffff000001000100', 'hex')],
    ['more than queryBytesMax', Buffer.concat([question('a.kith'), Buffer.alloc(1_100)])],
  ])('DNS-7: %s is dropped and counted, and the next query answered', async (_name, bytes) => {
    const zone = await open()
    const socket = createSocket('udp4')
    // One socket, so that what was sent first arrives first.
    const answered = once(socket, 'message')
    socket.send(bytes, zone.address.port, zone.address.host)
    socket.send(question('web.service.kith'), zone.address.port, zone.address.host)
    await answered
    socket.close()
    expect(zone.server.stats()).toMatchObject({ malformed: 1, udpQueries: 1 })
  })

  it('DNS-7: on TCP a message in pieces is answered, several in one are', async () => {
    const zone = await open()
    const socket = await dial(zone)
    const one = streamEncode({
      type: 'query',
      id: 5,
      questions: [{ name: 'web.service.kith', type: 'A' }],
    })
    for (const byte of one) socket.write(Uint8Array.of(byte))
    socket.write(Buffer.concat([one, one]))
    let held = Buffer.alloc(0)
    let count = 0
    for await (const chunk of socket) {
      held = Buffer.concat([held, chunk as Buffer])
      while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
        expect(streamDecode(held)).toMatchObject({ id: 5 })
        held = held.subarray(2 + held.readUInt16BE(0))
        count += 1
      }
      if (count === 3) break
    }
    expect(zone.server.stats()).toMatchObject({ tcpQueries: 3, malformed: 0 })
  })

  it.each([
    ['a length over the bound', Buffer.from('ffff00', 'hex')],
    ['what is no query', Buffer.from('0004deadbeef', 'hex')],
    ['an empty message', Buffer.from('0000', 'hex')],
  ])('DNS-7: on TCP %s ends the connection', async (_name, bytes) => {
    const zone = await open()
    const socket = await dial(zone)
    socket.write(bytes)
    await once(socket, 'close')
    expect(zone.server.stats()).toMatchObject({ malformed: 1, tcpQueries: 0 })
  })
})

describe('bounds', () => {
  it('DNS-8: queries over waitingMax are dropped and counted', async () => {
    let go: (found: readonly ServiceInstance[]) => void = () => {}
    const found = new Promise<readonly ServiceInstance[]>((resolve) => (go = resolve))
    const zone = await open({ waitingMax: 2, registry: { resolve: () => found } })
    const first = zone.ask('web.service.kith', 'A')
    const second = zone.ask('web.service.kith', 'A')
    while (zone.server.stats().waiting < 2) await new Promise((resolve) => setImmediate(resolve))
    const socket = createSocket('udp4')
    socket.send(question('web.service.kith'), zone.address.port, zone.address.host)
    while (zone.server.stats().overloaded < 1) await new Promise((resolve) => setImmediate(resolve))
    socket.close()
    go([instance('w1')])
    expect((await first).answers).toHaveLength(1)
    expect((await second).answers).toHaveLength(1)
    expect(zone.server.stats()).toMatchObject({ waiting: 0, overloaded: 1 })
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('no')
      },
    ],
    ['rejects', () => Promise.reject(new Error('no'))],
  ])('DNS-8: a registry that %s is SERVFAIL', async (_name, resolve) => {
    const zone = await open({ registry: { resolve } })
    expect(await zone.ask('web.service.kith', 'A')).toMatchObject({ rcode: 'SERVFAIL' })
    expect(zone.server.stats().failures).toBe(1)
  })

  it('DNS-8: connections over connectionsMax are closed, idle ones end', async () => {
    const zone = await open({ connectionsMax: 1, idleMs: 200 })
    const [first, second] = [await dial(zone), await dial(zone)]
    await Promise.all([once(first, 'close'), once(second, 'close')])
    while (zone.server.stats().connections > 0)
      await new Promise((resolve) => setImmediate(resolve))
    expect(zone.server.stats().overloaded).toBe(1)
  })
})

describe('life', () => {
  it('DNS-9: starts once, on one port for both, and says where it cannot', async () => {
    const zone = await open()
    await expect(zone.server.start()).rejects.toMatchObject({ code: 'ERR_DNS_STATE' })
    const { port } = zone.address
    const registry = { resolve: () => [] }
    await expect(createDnsServer({ registry, port }).start()).rejects.toMatchObject({
      code: 'ERR_DNS_LISTEN',
      message: expect.stringContaining(`127.0.0.1:${port}`),
    })
    await zone.server.stop()
    await zone.server.stop()
    await using again = createDnsServer({ registry, port })
    expect(await again.start()).toEqual({ host: '127.0.0.1', port })
  })

  it('DNS-9: a port that is free on TCP and taken on UDP is taken', async () => {
    const { socket, port } = await takenOnUdp()
    const server = createDnsServer({ registry: { resolve: () => [] }, port })
    const refusal = { code: 'ERR_DNS_LISTEN', message: expect.stringContaining('taken on UDP') }
    await expect(server.start()).rejects.toMatchObject(refusal)
    socket.close()
    const tcp = createServer()
    tcp.listen({ host: '127.0.0.1', port })
    await once(tcp, 'listening')
    tcp.close()
  })

  it('DNS-9: stop ends connections', async () => {
    const zone = await open()
    const socket = await dial(zone)
    const closed = once(socket, 'close')
    while (zone.server.stats().connections < 1)
      await new Promise((resolve) => setImmediate(resolve))
    await zone.server.stop()
    await closed
  })

  it('DNS-9: is a plugin, and names every option at fault', async () => {
    const addresses: unknown[] = []
    const plugin = dnsPlugin({ onListening: (address) => addresses.push(address) })
    const logger = { debug() {}, info() {}, warn() {}, error() {} }
    const registry = { resolve: () => [] }
    const membership = { member: () => undefined }
    const stop = await plugin.setup({ registry, membership, logger })
    expect(addresses).toMatchObject([{ host: '127.0.0.1' }])
    await stop()
    expect(() => dnsPlugin({ port: -1, ttlSeconds: 0.5, host: 'x' })).toThrow(
      /port must be.*ttlSeconds must be.*host must be/,
    )
  })
})
