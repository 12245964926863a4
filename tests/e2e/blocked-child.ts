/**
 * A member in a process of its own that blocks its event loop when it is told to. Usage: name,
 * profile, own port (0: any), port of a seed. It prints one JSON object a line: `ready` with its
 * port, and what it hears of others. After a line `block MS` on its standard input it prints
 * `armed` when a ping was just answered, and `pinged` when the next one has left; then it blocks
 * for `MS`, and inside of a timer: so all timers of that probe are late, and Node.js runs them
 * before it reads what came meanwhile. At the end it prints `blocked`, and after `wait MS` it
 * prints `waited`.
 */
import { createInterface } from 'node:readline'
import { createGossip } from '@kith/gossip'
import type { Profile } from '@kith/gossip'
import { decodePacket } from '@kith/gossip/core'
import type { PacketTransport, PacketTransportFactory } from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import { tcpTransport } from '@kith/transport-tcp'
import { udpTransport } from '@kith/transport-udp'

const [name = '', profile = 'lan', port = '0', seed = ''] = process.argv.slice(2)
/** Nobody waits so long; whoever started it may be gone without a word. */
const lifeMsMax = 120_000
setTimeout(() => process.exit(3), lifeMsMax).unref()

function say(line: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

let pinged: (() => void) | undefined

/** Tells of each ping that leaves. */
const watched: PacketTransportFactory = (context) => {
  const udp: PacketTransport = udpTransport({ port: Number(port) })(context)
  return {
    packetBytesMax: udp.packetBytesMax,
    start: (handlers, options) => udp.start(handlers, options),
    send(to, bytes) {
      udp.send(to, bytes)
      const { messages } = decodePacket(bytes, nodeDigests)
      if (messages.some(({ kind }) => kind === 'ping')) pinged?.()
    },
    stop: () => udp.stop(),
    [Symbol.asyncDispose]: () => udp[Symbol.asyncDispose](),
  }
}

const gossip = createGossip({
  name,
  profile: profile as Profile,
  packets: watched,
  streams: tcpTransport({ port: Number(port) }),
  join: seed === '' ? [] : [`127.0.0.1:${seed}`],
})
gossip.on('suspect', ({ name: about, from, via }) => say({ event: 'suspect', about, from, via }))
gossip.on('fail', ({ member, failure }) => say({ event: 'fail', about: member.name, failure }))
gossip.on('join', ({ member }) => say({ event: 'join', about: member.name }))
gossip.on('warning', (warning) => {
  if (warning.kind === 'paused') say({ event: 'paused', lateMs: warning.lateMs })
})
await gossip.start()
say({ event: 'ready', port: gossip.address.port })

/** Nothing else runs in this process meanwhile. */
function block(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

/** Between two probes: the one that runs was answered. */
function armed(): Promise<void> {
  return new Promise((resolve) => {
    pinged = () => {
      pinged = undefined
      setTimeout(() => {
        say({ event: 'armed' })
        resolve()
      }, 20)
    }
  })
}

/** After the system has taken the next ping. */
function blockAfterPing(ms: number): Promise<void> {
  return new Promise((resolve) => {
    pinged = () => {
      pinged = undefined
      process.nextTick(() =>
        process.nextTick(() => {
          say({ event: 'pinged' })
          setTimeout(() => {
            block(ms)
            resolve()
          }, 0)
        }),
      )
    }
  })
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms))

function tellHealth(event: string): void {
  const { awareness, longestStallMs } = gossip.stats()
  const found = gossip.diagnose().map(({ kind }) => kind)
  say({ event, awareness, longestStallMs, found })
}

for await (const line of createInterface({ input: process.stdin })) {
  const [word, number = '0'] = line.split(' ')
  if (word === 'block') {
    await armed()
    await blockAfterPing(Number(number))
    // A turn of the loop, in which it finds out.
    await wait(60)
    tellHealth('blocked')
  } else {
    await wait(Number(number))
    say({ event: 'waited' })
  }
}
