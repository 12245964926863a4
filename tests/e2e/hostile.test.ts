/**
 * The bad-input catalogue against a real member in a process of its own, over its real sockets. The
 * process lives, counts what it dropped, believes none of it, and keeps its memory.
 */
import { createSocket } from 'node:dgram'
import type { Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { evidence } from '../support/tier.ts'
import { floods, pings, pour } from './hostile/floods.ts'
import { abuse, compression, framing, msgpack, values } from './hostile/packets.ts'
import type { Attack } from './hostile/packets.ts'
import { peakRss, TargetProcess } from './hostile/process.ts'
import { streamAttacks } from './hostile/streams.ts'
import type { TargetReport } from './hostile/target.ts'
import { message } from './hostile/wire.ts'

const host = '127.0.0.1'
const growthBytesMax = 32 * 1024 * 1024

/** Counters that move by themselves in a healthy cluster. */
const ordinary = new Set(
  (
    'packetsIn packetsOut probes gossipPackets pushPulls streamsIn streamsOut suspicions ' +
    'refutations stream. reconnects indirectProbes pauses probesFailed'
  ).split(' '),
)

let target: TargetProcess
let witness: TargetProcess
let socket: UdpSocket
let before: TargetReport
/** What the target takes at work, before the first attack. */
let idleBytes = 0
const strangers: Socket[] = []

function dropped(report: TargetReport): number {
  let sum = 0
  for (const [name, count] of Object.entries(report.counters)) if (!ordinary.has(name)) sum += count
  return sum
}

async function until(
  what: string,
  condition: () => Promise<boolean> | boolean,
  ms = 10_000,
): Promise<void> {
  const end = performance.now() + ms
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}`)
    await pause(25)
  }
}

/** Statuses and addresses as they were, once whatever was refuted has been. */
async function expectSameView(): Promise<void> {
  const view = async (): Promise<string> => (await target.report()).view.join('\n')
  await expect.poll(view, { timeout: 10_000, interval: 25 }).toBe(before.view.join('\n'))
  const others = await witness.report()
  expect(others.view.map((line) => line.split(' ')[0])).toEqual(['target', 'witness'])
}

/** Over the one measure of all cases, so that what a case leaves behind costs the next ones. */
async function expectBounded(name: string, work: () => Promise<void>): Promise<void> {
  const peak = await peakRss(target, work)
  expect(target.alive, target.complaints).toBe(true)
  const growthMiB = (peak - idleBytes) / 2 ** 20
  evidence(`hostile ${name}: growth MiB`, growthMiB.toFixed(1))
  console.log(`${name}: grew to ${(peak / 2 ** 20).toFixed(1)} MiB, by ${growthMiB.toFixed(1)}`)
  expect(peak - idleBytes).toBeLessThan(growthBytesMax)
}

async function send(packets: readonly Uint8Array[]): Promise<void> {
  for (const packet of packets) {
    socket.send(packet, before.gossip, host)
    await turn()
  }
}

/** A ping that is answered shows that everything sent before it has been read. */
async function expectAnswering(): Promise<void> {
  const answered = once(socket, 'message')
  const again = setInterval(() => {
    socket.send(message(0, { SeqNo: 77, Node: 'target' }), before.gossip, host)
  }, 100)
  await answered.finally(() => clearInterval(again))
}

async function stranger(port: number = before.gossip): Promise<Socket> {
  const caller = connect({ host, port })
  strangers.push(caller)
  caller.on('error', () => {})
  await new Promise<void>((resolve) => {
    caller.once('connect', resolve).once('close', () => resolve())
  })
  return caller
}

async function closed(caller: Socket): Promise<void> {
  caller.resume()
  if (caller.closed) return
  await new Promise<void>((resolve) => void caller.once('close', () => resolve()))
}

beforeAll(async () => {
  target = await TargetProcess.start('target')
  witness = await TargetProcess.start('witness', `${host}:${target.first.gossip}`)
  await until(
    'the two know each other',
    async () => {
      before = await target.report()
      return before.view.length === 2 && (await witness.report()).view.length === 2
    },
    30_000,
  )
  socket = createSocket('udp4').bind(0, host)
  await once(socket, 'listening')
  // What a member keeps for its work anyway is no growth: it touches all of V8's space for young
  // objects within a minute of ordinary work, and this is that minute.
  await expectAnswering()
  await pour(socket, before.gossip, pings)
  await expectAnswering()
  idleBytes = (await target.collect()).rssBytes
}, 120_000)

afterEach(() => {
  for (const caller of strangers.splice(0)) caller.destroy()
})

afterAll(async () => {
  socket.close()
  await Promise.all([target.kill(), witness.kill()])
})

const groups: Readonly<Record<string, readonly Attack[]>> = {
  framing,
  msgpack,
  compression,
  values,
  'protocol abuse': abuse,
}

describe.each(Object.entries(groups))('packets: %s', (group, attacks) => {
  it('is dropped, counted and not believed, and memory stays', async () => {
    await expectBounded(`packets: ${group}`, async () => {
      for (const { title, packets, uncounted } of attacks) {
        const start = dropped(await target.report())
        await send(packets)
        await expectAnswering()
        if (uncounted === true) continue
        const rise = dropped(await target.report()) - start
        expect(rise, `${title}: counted drops`).toBeGreaterThan(0)
      }
    })
    await expectSameView()
  }, 60_000)
})

describe.each(floods.map((flood) => [flood.title, flood] as const))('a flood of %s', (_, flood) => {
  it('leaves the member answering and in the cluster, and memory stays', async () => {
    await expectBounded(`a flood of ${flood.title}`, async () => {
      await pour(socket, before.gossip, flood)
      await expectAnswering()
    })
    await expectSameView()
  }, 60_000)
})

describe('streams', () => {
  // What a stream is read into is left to the collector, so each case has a measure of its own.
  beforeEach(async () => {
    idleBytes = (await target.collect()).rssBytes
  })

  it('of nonsense are ended, counted and not believed, and memory stays', async () => {
    await expectBounded('streams', async () => {
      for (const { title, pieces } of streamAttacks) {
        const start = dropped(await target.report())
        const caller = await stranger()
        for (const piece of pieces) caller.write(piece)
        caller.end()
        await closed(caller)
        const rise = dropped(await target.report()) - start
        expect(rise, `${title}: counted drops`).toBeGreaterThan(0)
      }
    })
    await expectSameView()
  }, 60_000)

  it('that are bombs leave nothing behind, however many', async () => {
    const bombs = streamAttacks.filter(({ title }) => title.startsWith('a bomb'))
    const idle = (await target.collect()).heldBytes
    const peak = await peakRss(target, async () => {
      for (let round = 0; round < 5; round += 1) {
        for (const { pieces } of bombs) {
          const caller = await stranger()
          for (const piece of pieces) caller.write(piece)
          caller.end()
          await closed(caller)
        }
      }
    })
    evidence('hostile stream bombs in a row: peak MiB', (peak / 2 ** 20).toFixed(0))
    // One collection does not free it all: buffers are swept behind its back.
    const growth = async (): Promise<number> => (await target.collect()).heldBytes - idle
    await expect.poll(growth, { timeout: 15_000, interval: 250 }).toBeLessThan(growthBytesMax / 4)
    await expectSameView()
  }, 60_000)

  it('that only sit there are cut off, by the hundred too', async () => {
    await expectBounded('idle connections', async () => {
      const idle = await Promise.all(Array.from({ length: 300 }, () => stranger()))
      const slow = await Promise.all(Array.from({ length: 10 }, () => stranger()))
      for (const caller of slow) caller.write(Uint8Array.of(6))
      await Promise.all([...idle, ...slow].map(closed))
    })
    await expectSameView()
    // Whoever comes in good faith is served again.
    const caller = await stranger()
    caller.write(message(0, { SeqNo: 5, Node: 'target' }))
    const [answer] = (await once(caller, 'data')) as [Buffer]
    expect(answer[0]).toBe(2)
  }, 60_000)
})
