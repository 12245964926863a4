/** Who may hold how many streams of a member over real TCP, and for how long saying nothing. */
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { createGossip, createKeyring } from '@kith/gossip'
import type { GossipOptions } from '@kith/gossip'
import { tcpTransport } from '@kith/transport-tcp'
import { udpTransport } from '@kith/transport-udp'
import { expect, it } from 'vitest'

const host = '127.0.0.1'
/** A whole other address of this machine, as Linux has them without being told. */
const strangerHost = '127.0.0.2'

function open(port: number): Socket {
  const socket = connect({ host, port, localAddress: strangerHost })
  socket.on('error', () => {})
  socket.resume()
  return socket
}

const local = { host, port: 0 }
const member = (name: string, options: GossipOptions): ReturnType<typeof createGossip> =>
  createGossip({ ...options, name, packets: udpTransport(local), streams: tcpTransport(local) })
const key = Buffer.alloc(32, 3)

it.skipIf(process.platform !== 'linux').each([
  { where: 'in the clear', options: () => ({}) },
  { where: 'with a key', options: () => ({ keyring: createKeyring({ keys: [key] }) }) },
])(
  'GOS-183 one address gets 64 streams, and loses them when it says nothing: $where',
  async ({ options }) => {
    const [target, friend] = [member('target', options()), member('friend', options())]
    await Promise.all([target.start(), friend.start()])
    try {
      const { port } = target.address
      const startedAt = performance.now()
      const sockets = Array.from({ length: 80 }, () => open(port))
      const closed = sockets.map(
        // Not `once`, which rejects where the stream was reset.
        (socket) =>
          new Promise<number>((resolve) => {
            socket.on('close', () => resolve(performance.now() - startedAt))
          }),
      )
      // While one address has all it may have, another is heard.
      await expect.poll(() => target.stats().streamsOpen, { timeout: 5_000 }).toBe(64)
      expect(await friend.join([`${host}:${port}`])).toBe(1)
      const times = (await Promise.all(closed)).toSorted((a, b) => a - b)
      // 16 were refused at once; the others had two seconds, and at most the time of a frame.
      expect(times.filter((ms) => ms >= 1_900)).toHaveLength(64)
      expect(times.at(-1)).toBeLessThan(10_000)
      await expect.poll(() => target.stats().streamsOpen, { timeout: 5_000 }).toBe(0)
    } finally {
      await Promise.all([target.stop(), friend.stop()])
    }
  },
  30_000,
)
