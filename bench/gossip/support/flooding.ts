/**
 * One side of a flood as a process of its own, which needs nothing but Node.js: `pour` sends so
 * many packets a second, `ask` pings as a member does and prints how long each answer took, and
 * `sink` is a socket that reads and does nothing, which is the least that any program spends.
 */
import { createSocket } from 'node:dgram'

export interface FloodingSpec {
  readonly role: 'pour' | 'ask' | 'sink'
  readonly host: string
  readonly port: number
  /** Of the member that is asked. */
  readonly name: string
  /** Packets, or questions, a second. */
  readonly perSecond: number
  readonly lastsMs: number
}

const spec = JSON.parse(process.argv[2] ?? '') as FloodingSpec
const { host, port, perSecond, lastsMs } = spec
/** No memberlist has a message of this type. */
const garbage = new Uint8Array(100).fill(0xee)
/** Who was kept from sending does not make up for it: no socket has room for that. */
const burstMax = 250
/** An answer that comes later is lost to whoever probes. */
const lateMs = 2000

function pour(): void {
  const socket = createSocket('udp4')
  // Refused or not sent: the count below is of what was handed over.
  socket.on('error', () => {})
  socket.connect(port, host, () => {
    const begun = performance.now()
    let [sent, before] = [0, begun]
    const turn = (): void => {
      const now = performance.now()
      const due = Math.min(burstMax, Math.round(((now - before) / 1000) * perSecond))
      before = now
      for (let left = due; left > 0; left -= 1) socket.send(garbage)
      sent += due
      if (now - begun < lastsMs) return void setTimeout(turn, 1)
      process.stdout.write(`${sent}\n`, () => process.exit(0))
    }
    turn()
  })
}

/** memberlist's ping: type 0 and a map of two fields. */
function ping(sequenceNumber: number): Uint8Array {
  const number = Buffer.alloc(5)
  number[0] = 0xce
  number.writeUInt32BE(sequenceNumber, 1)
  const name = Buffer.from(spec.name)
  const text = (value: Buffer): Buffer => Buffer.concat([Buffer.of(0xa0 | value.length), value])
  const fields = [text(Buffer.from('SeqNo')), number, text(Buffer.from('Node')), text(name)]
  return Buffer.concat([Buffer.of(0, 0x82), ...fields])
}

/** Each question from a socket of its own: whatever comes back there is the answer. */
function ask(): void {
  const count = Math.floor((lastsMs / 1000) * perSecond)
  const took: number[] = []
  const question = (number: number): void => {
    const socket = createSocket('udp4')
    const askedAt = performance.now()
    const end = (ms: number): void => {
      clearTimeout(timer)
      socket.close()
      took.push(ms)
      if (took.length < count) return
      process.stdout.write(`${JSON.stringify(took)}\n`, () => process.exit(0))
    }
    const timer = setTimeout(end, lateMs, lateMs)
    socket.on('error', () => {}).on('message', () => end(performance.now() - askedAt))
    socket.send(ping(number), port, host)
  }
  let asked = 0
  const asking = setInterval(() => {
    asked += 1
    question(asked)
    if (asked === count) clearInterval(asking)
  }, 1000 / perSecond)
}

function sink(): void {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 2 * 1024 * 1024 })
  socket.on('message', () => {}).bind(port, host)
}

const roles = { pour, ask, sink }
roles[spec.role]()
// A benchmark that was killed must not leave anybody behind.
process.stdin.on('end', () => process.exit(1)).resume()
