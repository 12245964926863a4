/** A registry and members as small as the ports allow, and questions over real sockets. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import { type Address, createRandom, type Member, type ServiceInstance } from '@kith/interface'
import {
  decode,
  type DecodedPacket,
  encode,
  type Packet,
  streamDecode,
  streamEncode,
} from 'dns-packet'
import { createDnsServer, type DnsServer, type DnsServerOptions } from '../../src/index.ts'

export function instance(id: string, changes: Partial<ServiceInstance> = {}): ServiceInstance {
  return {
    service: 'web',
    id,
    member: 'ada',
    address: '10.0.0.1',
    port: 80,
    tags: [],
    meta: {},
    checks: [],
    status: 'passing',
    version: 1,
    ...changes,
  }
}

export const ada: Member = {
  name: 'ada',
  address: { host: '192.0.2.7', port: 7946 },
  tags: { role: 'web' },
  status: 'alive',
  incarnation: 1,
}

export class Zone {
  services: Record<string, readonly ServiceInstance[]> = {}
  members: readonly Member[] = [ada]
  readonly server: DnsServer
  address: Address = { host: '', port: 0 }

  constructor(options: Partial<DnsServerOptions> = {}) {
    this.server = createDnsServer({
      registry: {
        resolve: (service, { passing }) =>
          (this.services[service] ?? []).filter((one) => !passing || one.status === 'passing'),
      },
      members: { member: (name) => this.members.find((one) => one.name === name) },
      random: createRandom(7),
      ...options,
    })
  }

  static async start(options: Partial<DnsServerOptions> = {}): Promise<Zone> {
    const zone = new Zone(options)
    zone.address = await zone.server.start()
    return zone
  }

  async ask(name: string, type: string, changes: Partial<Packet> = {}): Promise<DecodedPacket> {
    const packet = { type: 'query', id: 7, questions: [{ name, type: type as 'A' }], ...changes }
    return decode(await this.send(encode(packet as Packet)))
  }

  /** The answer to whatever this is; waits for ever where there is none. */
  async send(bytes: Uint8Array): Promise<Buffer> {
    const socket = createSocket('udp4')
    try {
      const answered = once(socket, 'message')
      socket.send(bytes, this.address.port, this.address.host)
      return ((await answered) as [Buffer])[0]
    } finally {
      socket.close()
    }
  }

  async askTcp(name: string, type: string): Promise<DecodedPacket> {
    const socket = connect(this.address.port, this.address.host)
    try {
      const packet = { type: 'query', id: 9, questions: [{ name, type: type as 'A' }] }
      socket.write(streamEncode(packet as Packet))
      let held = Buffer.alloc(0)
      for await (const chunk of socket) {
        held = Buffer.concat([held, chunk as Buffer])
        if (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) break
      }
      return streamDecode(held) as DecodedPacket
    } finally {
      socket.destroy()
    }
  }
}
