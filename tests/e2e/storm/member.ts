// One member as a process of its own, on the built packages: tells what it sees and what it sends.
import { createGossip, resolveOptions } from '@kith/gossip'
import type { PacketTransportFactory } from '@kith/interface'
import { tcpTransport } from '@kith/transport-tcp'
import { udpTransport } from '@kith/transport-udp'
import { beatMs } from './lines.ts'
import type { StormLine, StormOptions } from './lines.ts'

const options = JSON.parse(process.argv[2] ?? '') as StormOptions
const tell = (line: StormLine): void => void process.stdout.write(`${JSON.stringify(line)}\n`)
const windowMs = resolveOptions(options.profile).probeIntervalMs * 0.95

/** Times of the packets sent within the last window; a packet leaves right after its step. */
const recent: number[] = []
let [sent, mostInWindow] = [0, 0]

function counted(make: PacketTransportFactory): PacketTransportFactory {
  return (context) => {
    const transport = make(context)
    const send = transport.send.bind(transport)
    transport.send = (to, bytes) => {
      const now = performance.now()
      recent.push(now)
      while ((recent[0] ?? now) <= now - windowMs) recent.shift()
      sent += 1
      mostInWindow = Math.max(mostInWindow, recent.length)
      send(to, bytes)
    }
    return transport
  }
}

const gossip = createGossip({
  name: options.name,
  profile: options.profile,
  packets: counted(udpTransport({ port: options.port })),
  streams: tcpTransport({ port: options.port }),
  join: options.join,
})
gossip.on('join', ({ member }) => tell({ kind: 'join', about: member.name }))
gossip.on('fail', ({ member }) => tell({ kind: 'fail', about: member.name }))
await gossip.start()
tell({ kind: 'ready', port: gossip.address.port })
setInterval(() => tell({ kind: 'sent', sent, mostInWindow }), beatMs)
// Ends with the test, however that ends.
process.stdin.on('end', () => process.exit(0)).resume()
