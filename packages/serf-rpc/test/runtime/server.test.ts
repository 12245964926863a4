// The server over real sockets: raw callers, limits, the Unix socket, and its own end.
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { toHex } from '@kith/interface'
import { createSerfClient } from '../../src/runtime/client.ts'
import { createSerfRpcServer } from '../../src/runtime/server.ts'
import { encodeRequest } from '../../src/wire/request.ts'
import { createFakeHost, member } from '../support/host.ts'
import { openPair, type Pair, until } from '../support/pair.ts'
import { hex, joined, vector } from '../support/vectors.ts'

const folder = mkdtempSync(join(tmpdir(), 'kith-rpc-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Raw {
  readonly socket: Socket
  received(): Uint8Array
  readonly closed: Promise<unknown>
}

async function dial({ server }: Pick<Pair, 'server'>): Promise<Raw> {
  const { host, port } = server.address ?? { host: '', port: 0 }
  const socket = connect({ host, port })
  const parts: Uint8Array[] = []
  socket.on('error', () => {})
  socket.on('data', (chunk) => parts.push(new Uint8Array(chunk as Buffer)))
  const closed = once(socket, 'close')
  await once(socket, 'connect')
  return { socket, received: () => joined(parts), closed }
}

describe('sessions', () => {
  it('RPC-1 the captured members session is answered byte for byte', async () => {
    const port = 17_946
    const members = [
      member('a', { address: { host: '127.0.0.11', port }, tags: { role: 'web', dc: 'east' } }),
      member('b', { address: { host: '127.0.0.12', port }, tags: { role: 'db' } }),
      member('c', { address: { host: '127.0.0.13', port } }),
    ]
    await using pair = await openPair({ members })
    const wanted = toHex(vector('rpc-members-response'))
    for (const piece of [1, 7, 1_000]) {
      const raw = await dial(pair)
      const bytes = vector('rpc-members-request')
      for (let at = 0; at < bytes.length; at += piece) {
        raw.socket.write(bytes.subarray(at, at + piece))
      }
      await until(() => raw.received().length * 2 >= wanted.length)
      expect(toHex(raw.received())).toBe(wanted)
      raw.socket.end()
      await raw.closed
    }
  })

  it('RPC-13 whoever sends all and then its end gets all answers', async () => {
    await using pair = await openPair()
    const raw = await dial(pair)
    raw.socket.end(
      joined([
        encodeRequest(1n, { command: 'handshake', version: 1 }),
        encodeRequest(2n, { command: 'event', name: 'e', payload: undefined, coalesce: true }),
        encodeRequest(3n, { command: 'event', name: 'f', payload: undefined, coalesce: true }),
      ]),
    )
    await raw.closed
    expect(pair.host.calls.map(([, name]) => name)).toEqual(['e', 'f'])
    const answers = [1, 2, 3].map((sequence) => `82a54572726f72a0a35365710${sequence}`)
    expect(toHex(raw.received())).toBe(answers.join(''))
    const counted = { accepted: 1, requests: 3, 'command.handshake': 1, 'command.event': 2 }
    expect(pair.server.stats().counters).toEqual(counted)
  })

  it('RPC-12 hangs up after the answer that says why', async () => {
    await using pair = await openPair()
    const raw = await dial(pair)
    raw.socket.write(encodeRequest(5n, { command: 'stats' }))
    await raw.closed
    expect(Buffer.from(raw.received()).toString()).toContain('Handshake required')
    await until(() => pair.server.stats().connections === 0)
    expect(pair.server.stats().counters).toEqual({ accepted: 1, handshakeMissing: 1 })
  })
})

describe('limits', () => {
  it('RPC-14 whoever does not get known in time is sent away', async () => {
    await using pair = await openPair({ server: { limits: { handshakeMs: 30 } } })
    const raw = await dial(pair)
    await raw.closed
    await until(() => pair.server.stats().connections === 0)
    expect(pair.server.stats().counters).toEqual({ accepted: 1, handshakeLate: 1 })
  })

  it('RPC-14 strangers make room for the next one, the longest there first', async () => {
    await using pair = await openPair({ server: { limits: { strangersMax: 2 } } })
    const idle = [await dial(pair), await dial(pair)]
    await until(() => pair.server.stats().strangers === 2)
    await pair.client.stats()
    await idle[0]?.closed
    expect(pair.server.stats().counters['strangersEvicted']).toBe(1)
    expect(idle[1]?.socket.destroyed).toBe(false)
    idle[1]?.socket.destroy()
  })

  it('RPC-14 there are at most so many connections', async () => {
    await using pair = await openPair({ server: { limits: { connectionsMax: 1 } } })
    await pair.client.stats()
    const raw = await dial(pair)
    await raw.closed
    expect(pair.server.stats().counters['refused']).toBe(1)
    await pair.client.stats()
  })

  it('RPC-14 a flood of announced bytes is not waited for', async () => {
    await using pair = await openPair()
    const raw = await dial(pair)
    raw.socket.write(hex('dbffffffff'))
    await raw.closed
    expect(pair.server.stats().counters['frameTooLarge']).toBe(1)
  })

  it('RPC-34 a reader that takes nothing costs no more than it may', async () => {
    await using pair = await openPair({ server: { limits: { recordsBytesMax: 20_000 } } })
    const raw = await dial(pair)
    raw.socket.write(
      joined([
        encodeRequest(1n, { command: 'handshake', version: 1 }),
        encodeRequest(2n, { command: 'stream', filter: '*' }),
      ]),
    )
    await until(() => pair.server.stats().counters['requests'] === 2)
    raw.socket.pause()
    const payload = new Uint8Array(9_000)
    const dropped = (): number => pair.server.stats().counters['recordsDropped'] ?? 0
    while (dropped() < 10) {
      pair.host.tell({ kind: 'user', name: 'e', payload, lamportTime: 1n, coalesce: false })
      await new Promise((resolve) => setImmediate(resolve))
    }
    raw.socket.destroy()
    await raw.closed
  })
})

describe('where it listens', () => {
  it('RPC-35 on a Unix socket that only its owner may open', async () => {
    const path = join(folder, 'rpc.sock')
    await using pair = await openPair({ server: { path }, client: { path } })
    expect(pair.server.address).toBeUndefined()
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(await pair.client.stats()).toMatchObject({ agent: { name: 'ada' } })
    const second = createSerfRpcServer({ host: createFakeHost(), path })
    await expect(second.start()).rejects.toMatchObject({ code: 'ERR_RPC_LISTEN' })
    expect(await pair.client.stats()).toMatchObject({ agent: { name: 'ada' } })
  })

  it('RPC-35 a socket that a dead process left is no obstacle; another file is', async () => {
    const path = join(folder, 'stale.sock')
    const dead = createServer().listen(path)
    await once(dead, 'listening')
    // Closed without the tidying up that a killed process does not do either.
    const handle = (dead as unknown as { _handle: { close(): void } })._handle
    const link = join(folder, 'kept.sock')
    const { linkSync } = await import('node:fs')
    linkSync(path, link)
    handle.close()
    await using pair = await openPair({ server: { path: link }, client: { path: link } })
    expect(await pair.client.stats()).toMatchObject({ agent: { name: 'ada' } })
    const file = join(folder, 'file')
    writeFileSync(file, 'mine')
    const blocked = createSerfRpcServer({ host: createFakeHost(), path: file })
    await expect(blocked.start()).rejects.toMatchObject({ code: 'ERR_RPC_LISTEN' })
    expect(statSync(file).size).toBe(4)
  })

  it('RPC-35 a port that is taken is an error that names it', async () => {
    await using pair = await openPair()
    const address = pair.server.address ?? { host: '', port: 1 }
    const second = createSerfRpcServer({ host: createFakeHost(), address })
    await expect(second.start()).rejects.toMatchObject({
      code: 'ERR_RPC_LISTEN',
      message: expect.stringContaining(`127.0.0.1:${address.port}: EADDRINUSE`) as unknown,
    })
    await expect(second.start()).rejects.toMatchObject({ code: 'ERR_RPC_STATE' })
  })

  it('RPC-46 refuses to be open to the network, and all else that is wrong, by name', () => {
    const host = createFakeHost()
    expect(() => createSerfRpcServer({ host, address: '0.0.0.0:7373' })).toThrow(/authKey/)
    expect(() => createSerfRpcServer({ host, address: '10.0.0.1:1', authKey: 'k' })).not.toThrow()
    const wrong = { limits: { handshakeMs: -1, speed: 1 }, path: 'x'.repeat(200) } as object
    expect(() => createSerfRpcServer({ host, ...wrong })).toThrow(
      /handshakeMs.*path|path.*handshakeMs/,
    )
    expect(() => createSerfRpcServer({ host, ...wrong })).toThrow(/limits\.speed/)
    expect(() => createSerfRpcServer({} as { host: typeof host })).toThrow(/host/)
  })
})

describe('its end', () => {
  it('RPC-35 stop ends every connection, also of those who do not look', async () => {
    await using pair = await openPair()
    const raw = await dial(pair)
    raw.socket.pause()
    await pair.client.stats()
    const waiting = pair.client.events()
    const ended = waiting.next().catch((cause: { code: string }) => cause.code)
    await until(() => pair.server.stats().counters['requests'] === 4)
    await pair.server.stop()
    await pair.server.stop()
    expect(await ended).toBe('ERR_RPC_CONNECTION_LOST')
    expect(pair.server.stats().connections).toBe(0)
    raw.socket.destroy()
  })

  it('RPC-33 after leave the agent is told to end once the answer is out', async () => {
    await using pair = await openPair()
    await using client = createSerfClient({ address: pair.server.address ?? '' })
    await client.leave()
    await until(() => pair.host.calls.length === 2)
    expect(pair.host.calls).toEqual([['leave'], ['shutdown']])
  })
})
