/**
 * An encrypted member under attack by those who have no key: whatever they send, it stays a member
 * for those who have one, counts what it dropped, and its memory stays bounded.
 */
import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGossip, createKeyring } from '@kith/gossip'
import type { Gossip } from '@kith/gossip'
import { tcpTransport } from '@kith/transport-tcp'
import { udpTransport } from '@kith/transport-udp'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { evidence } from '../support/tier.ts'
import { closed, dropsIn, until } from './hostile/arena.ts'
import { pings, pour } from './hostile/floods.ts'
import { abuse, compression, framing, msgpack, values } from './hostile/packets.ts'
import { peakRss, TargetProcess } from './hostile/process.ts'
import { streamAttacks } from './hostile/streams.ts'

const host = '127.0.0.1'
const growthBytesMax = 32 * 1024 * 1024
const keys = [1, 2, 3].map((byte) => Buffer.alloc(32, byte).toString('base64'))

let folder = ''
let target: TargetProcess
let friend: Gossip
let socket: Socket
let port = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kith-hostile-'))
  const file = join(folder, 'keyring.json')
  await writeFile(file, JSON.stringify(keys), { mode: 0o600 })
  target = await TargetProcess.startEncrypted('target', file)
  port = target.first.gossip
  const local = { host, port: 0 }
  const transports = { packets: udpTransport(local), streams: tcpTransport(local) }
  friend = createGossip({ ...transports, name: 'friend', keyring: createKeyring({ keys }) })
  await friend.start()
  socket = createSocket('udp4').bind(0, host)
  await once(socket, 'listening')
}, 60_000)

afterAll(async () => {
  socket.close()
  await Promise.all([friend.stop(), target.kill()])
  await rm(folder, { recursive: true })
})

/** Whoever has the key is heard: an exchange over a stream, and each sees the other alive. */
async function expectAMember(): Promise<void> {
  expect(await friend.join([`${host}:${port}`])).toBe(1)
  expect(friend.member('target')?.status).toBe('alive')
  const { view } = await target.report()
  expect(view.map((line) => line.split(' ')[0])).toEqual(['friend', 'target'])
}

async function expectBounded(name: string, work: () => Promise<void>): Promise<void> {
  const idle = (await target.collect()).rssBytes
  const growth = (await peakRss(target, work)) - idle
  evidence(`hostile, without the key, ${name}: growth MiB`, (growth / 2 ** 20).toFixed(1))
  expect(target.alive, target.complaints).toBe(true)
  expect(growth).toBeLessThan(growthBytesMax)
}

async function counted(kind: string): Promise<number> {
  return (await target.report()).counters[kind] ?? 0
}

it('GOS-106 floods of packets without the key are dropped, counted and outlived', async () => {
  await expectAMember()
  // What a member keeps for its work anyway is no growth.
  await pour(socket, port, { ...pings, count: 20_000 })
  const sealed = Uint8Array.from({ length: 65_507 }, (_, at) => (at === 0 ? 1 : (at * 31) & 0xff))
  const floods = [
    ['keyUnknown', { title: 'ciphertext of 64 KiB', count: 3_000, packet: () => sealed }],
    ['keyUnknown', { title: 'ciphertext', count: 10_000, packet: () => sealed.subarray(0, 1_200) }],
    ['plaintextRefused', { ...pings, count: 10_000 }],
  ] as const
  for (const [kind, flood] of floods) {
    const before = await counted(kind)
    await expectBounded(flood.title, () => pour(socket, port, flood))
    await expect.poll(() => counted(kind), { timeout: 10_000 }).toBeGreaterThan(before)
  }
  await expectAMember()
}, 60_000)

it('GOS-106 the largest frames without the key are refused, one after another', async () => {
  await expectAMember()
  const length = 8_454_144
  const frame = Buffer.alloc(5 + length, 0x5a)
  frame[0] = 10
  frame.writeUInt32BE(length, 1)
  frame[5] = 1
  await expectBounded('frames of 8 MiB', async () => {
    for (let round = 0; round < 10; round += 1) {
      const caller = connect({ host, port })
      caller.on('error', () => {})
      caller.end(frame)
      caller.resume()
      await once(caller, 'close')
    }
  })
  const { counters } = await target.report()
  expect(counters['stream.keyTrialsExceeded']).toBe(10)
  await expectAMember()
}, 60_000)

it('GOS-181 nothing of the catalogue comes past the envelope, all of it counted', async () => {
  await expectAMember()
  const before = (await target.report()).view
  const drops = async (): Promise<number> => dropsIn((await target.report()).counters)
  await expectBounded('the catalogue', async () => {
    for (const { title, packets } of [framing, msgpack, compression, values, abuse].flat()) {
      const start = await drops()
      for (const packet of packets) socket.send(packet, port, host)
      await until(`${title} is counted`, async () => (await drops()) > start)
    }
    for (const { title, pieces } of streamAttacks) {
      const start = await drops()
      const caller = connect({ host, port })
      caller.on('error', () => {})
      for (const piece of pieces) caller.write(piece)
      caller.end()
      await closed(caller)
      await until(`${title} is counted`, async () => (await drops()) > start)
    }
  })
  await expectAMember()
  expect((await target.report()).view).toEqual(before)
}, 60_000)
