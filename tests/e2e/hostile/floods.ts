/** Datagrams by the ten thousand, each flood of one kind. */
import type { Socket } from 'node:dgram'
import { setImmediate as turn } from 'node:timers/promises'
import { compressed, lzw, message, serf } from './wire.ts'

export interface Flood {
  readonly title: string
  readonly count: number
  packet(index: number): Uint8Array
}

/** As fast as they go; what the system drops for want of room never reached the target. */
export async function pour(socket: Socket, port: number, { count, packet }: Flood): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    socket.send(packet(index), port, '127.0.0.1')
    if (index % 50 === 0) await turn()
  }
}

const ping = message(0, { SeqNo: 1, Node: 'target' })
const garbage = Uint8Array.from({ length: 1_200 }, (_, index) => (index * 7) & 0xff)
/** As large as a datagram may be: what is read but not collected adds up fastest. */
const largest = new Uint8Array(65_507).fill(0x91)
/** A few hundred bytes that become as much as a datagram may. */
const bomb = compressed(lzw(new Uint8Array(65_000)))
const deploy = new Uint8Array(200)

/** Ordinary work: probes, each answered. */
export const pings: Flood = { title: 'pings', count: 50_000, packet: () => ping }

export const floods: readonly Flood[] = [
  { title: 'garbage', count: 50_000, packet: () => garbage },
  { title: 'datagrams of 64 KiB', count: 10_000, packet: () => largest },
  { title: 'small bombs', count: 5_000, packet: () => bomb },
  pings,
  {
    title: 'events, each new',
    count: 20_000,
    packet: (index) => serf(3, { LTime: index, Name: `e${index}`, Payload: deploy, CC: false }),
  },
  {
    title: 'suspicions of members that do not exist',
    count: 20_000,
    packet: (index) => message(3, { Incarnation: 1, Node: `ghost-${index}`, From: 'mallory' }),
  },
  {
    title: 'intents of members that do not exist',
    count: 20_000,
    packet: (index) => serf(1, { LTime: index, Node: `ghost-${index}` }),
  },
]
