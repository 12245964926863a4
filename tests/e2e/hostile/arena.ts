/** A member under attack, a witness beside it, a stranger's sockets, and the measure of memory. */
import { createSocket } from 'node:dgram'
import type { Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises'
import { expect } from 'vitest'
import { evidence } from '../../support/tier.ts'
import { pour } from './floods.ts'
import type { Flood } from './floods.ts'
import { exchange, probes } from './ordinary.ts'
import { peakRss, TargetProcess } from './process.ts'
import type { TargetReport } from './target.ts'
import { join, message, pack, uint32 } from './wire.ts'

const host = '127.0.0.1'
const growthBytesMax = 32 * 1024 * 1024
/** What the program may hold more after all attacks than before them. */
const heldBytesMax = 8 * 1024 * 1024

/** Counters that move by themselves in a healthy cluster. */
const ordinary = new Set(
  (
    'packetsIn packetsOut probes gossipPackets pushPulls streamsIn streamsOut suspicions ' +
    'refutations stream. reconnects indirectProbes pauses probesFailed'
  ).split(' '),
)

/** How many drops of any kind were counted. */
export function dropsIn(counters: TargetReport['counters']): number {
  return Object.entries(counters).reduce((sum, [name, count]) => {
    return ordinary.has(name) ? sum : sum + count
  }, 0)
}

export async function until(
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

export class Arena {
  readonly target: TargetProcess
  readonly #witness: TargetProcess
  readonly #socket: UdpSocket
  readonly #before: TargetReport
  readonly #strangers: Socket[] = []
  #idle: TargetReport

  private constructor(
    target: TargetProcess,
    witness: TargetProcess,
    socket: UdpSocket,
    before: TargetReport,
  ) {
    this.target = target
    this.#witness = witness
    this.#socket = socket
    this.#before = before
    this.#idle = before
  }

  static async open(): Promise<Arena> {
    const target = await TargetProcess.start('target')
    const witness = await TargetProcess.start('witness', `${host}:${target.first.gossip}`)
    let before = target.first
    await until(
      'the two know each other',
      async () => {
        before = await target.report()
        return before.view.length === 2 && (await witness.report()).view.length === 2
      },
      30_000,
    )
    const socket = createSocket('udp4').bind(0, host)
    await once(socket, 'listening')
    const arena = new Arena(target, witness, socket, before)
    await arena.#work()
    arena.#idle = await target.collect()
    return arena
  }

  /**
   * What a member keeps for its work anyway is no growth: V8 touches all of its space for young
   * objects and compiles what runs often, for which it takes some 16 MiB for a moment, within a
   * minute of ordinary work. This is that minute: probes with gossip, and exchanges. Few of the
   * probes are answered, since a stranger gets few answers; all of them are read.
   */
  async #work(): Promise<void> {
    for (let round = 0; round < 250; round += 1) {
      const before = await this.#packetsIn()
      // Not more than its receive buffer holds, so that all of it is work.
      for (let count = 0; count < 20; count += 1) {
        for (const probe of probes) this.#socket.send(probe, this.#before.gossip, host)
      }
      const wanted = before + 18 * probes.length
      await until('the packets are read', async () => (await this.#packetsIn()) >= wanted)
    }
    await this.expectAnswering()
    for (let round = 0; round < 100; round += 1) {
      const caller = await this.stranger()
      caller.end(exchange)
      await closed(caller)
    }
  }

  async #packetsIn(): Promise<number> {
    return (await this.target.report()).counters['packetsIn'] ?? 0
  }

  async close(): Promise<void> {
    this.#socket.close()
    await Promise.all([this.target.kill(), this.#witness.kill()])
  }

  /** How many drops of any kind were counted so far. */
  async dropped(): Promise<number> {
    return dropsIn((await this.target.report()).counters)
  }

  async expectBounded(name: string, work: () => Promise<void>): Promise<void> {
    const idle = (await this.target.collect()).rssBytes
    const peak = await peakRss(this.target, work)
    expect(this.target.alive, this.target.complaints).toBe(true)
    const growthMiB = (peak - idle) / 2 ** 20
    evidence(`hostile ${name}: growth MiB`, growthMiB.toFixed(1))
    console.log(`${name}: ${(idle / 2 ** 20).toFixed(1)} MiB idle, grew by ${growthMiB.toFixed(1)}`)
    expect(peak - idle).toBeLessThan(growthBytesMax)
  }

  /**
   * All attacks together; without this each could leave something behind that the next reuses. What
   * the program holds is bounded closer than what is resident, in which the allocator has a share.
   */
  async expectLittleLeft(): Promise<void> {
    const { rssBytes, heldBytes } = this.#idle
    const held = async (): Promise<number> => (await this.target.collect()).heldBytes - heldBytes
    await expect.poll(held, { timeout: 10_000, interval: 250 }).toBeLessThan(heldBytesMax)
    const left = (await this.target.collect()).rssBytes - rssBytes
    evidence('hostile: left behind by all attacks, MiB', (left / 2 ** 20).toFixed(1))
    console.log(`left behind: ${(left / 2 ** 20).toFixed(1)} MiB`)
    expect(left).toBeLessThan(growthBytesMax)
  }

  /** Statuses and addresses as they were, once whatever was refuted has been. */
  async expectSameView(): Promise<void> {
    const view = async (): Promise<string> => (await this.target.report()).view.join('\n')
    await expect.poll(view, { timeout: 10_000, interval: 25 }).toBe(this.#before.view.join('\n'))
    const others = await this.#witness.report()
    expect(others.view.map((line) => line.split(' ')[0])).toEqual(['target', 'witness'])
  }

  async send(packets: readonly Uint8Array[]): Promise<void> {
    for (const packet of packets) {
      this.#socket.send(packet, this.#before.gossip, host)
      await turn()
    }
  }

  pour(flood: Flood): Promise<void> {
    return pour(this.#socket, this.#before.gossip, flood)
  }

  /** A ping that is answered shows that everything sent before it has been read. */
  async expectAnswering(): Promise<void> {
    const sequence = (this.#sequence += 1)
    const ping = message(0, { SeqNo: sequence, Node: 'target' })
    const wanted = Buffer.from(join(pack('SeqNo'), [0xce], uint32(sequence)))
    const answered = new Promise<void>((resolve) => {
      this.#socket.on('message', function listen(this: UdpSocket, bytes: Buffer) {
        if (!bytes.includes(wanted)) return
        this.off('message', listen)
        resolve()
      })
    })
    const again = setInterval(() => this.#socket.send(ping, this.#before.gossip, host), 100)
    this.#socket.send(ping, this.#before.gossip, host)
    await answered.finally(() => clearInterval(again))
  }

  #sequence = 1_000_000

  async stranger(): Promise<Socket> {
    const caller = connect({ host, port: this.#before.gossip })
    this.#strangers.push(caller)
    caller.on('error', () => {})
    await new Promise<void>((resolve) => {
      caller.once('connect', resolve).once('close', () => resolve())
    })
    return caller
  }

  dismissStrangers(): void {
    for (const caller of this.#strangers.splice(0)) caller.destroy()
  }
}

export async function closed(caller: Socket): Promise<void> {
  caller.resume()
  if (caller.closed) return
  await new Promise<void>((resolve) => void caller.once('close', () => resolve()))
}
