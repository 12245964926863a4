// Ports that a test may have to itself.
import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'

/** Below those that Linux gives to whoever asks for any, or another test would be given ours. */
const [portMin, portMax] = [20_000, 32_768]

/** A port that is free for TCP and UDP on loopback now. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(portMin, portMax)
    if ((await isFreeForStreams(port)) && (await isFreeForPackets(port))) return port
  }
}

async function isFreeForStreams(port: number): Promise<boolean> {
  const server = createServer()
  const bound = new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => resolve(true))
  })
  if (!(await bound)) return false
  server.close()
  await once(server, 'close')
  return true
}

async function isFreeForPackets(port: number): Promise<boolean> {
  const socket = createSocket('udp4')
  const bound = new Promise<boolean>((resolve) => {
    socket.once('error', () => resolve(false))
    socket.bind(port, '127.0.0.1', () => resolve(true))
  })
  const free = await bound
  socket.close()
  return free
}
