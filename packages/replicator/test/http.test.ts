import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { PullRequest, PullResponse, ReplicationSource } from '@kith/interface'
import { createLog } from '@kith/log'
import { afterEach, describe, expect, it } from 'vitest'
import { createReplicationHandler, httpSource } from '../src/http/index.ts'
import { createReplicator } from '../src/index.ts'
import { createCodec } from '../src/wire/codec.ts'
import { hello, serve } from './support.ts'

const never = new AbortController().signal
const pull: PullRequest = {
  logId: hello.logId,
  want: [],
  bytesMax: 1_000,
  maxWaitMs: 30_000,
  ack: new Map(),
  vectorVersion: 0,
}

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

async function openSource(): Promise<ReplicationSource> {
  const log = createLog()
  await log.start()
  const replicator = createReplicator({ log, member: 'm', source: () => undefined })
  await replicator.start()
  cleanups.push(async () => {
    await replicator.stop()
    await log.stop()
  })
  return replicator.local
}

/** A server that answers as a test says. */
async function openServer(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<ReplicationSource> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const address = { host: '127.0.0.1', port }
  const source = httpSource({ address, answerTimeoutMs: 200, connectTimeoutMs: 500 })
  cleanups.push(async () => {
    await source.close()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return source
}

async function* endless(chunk: number, stats: { sent: number }): AsyncGenerator<Uint8Array> {
  for (;;) {
    stats.sent += chunk
    yield new Uint8Array(chunk)
  }
}

describe('the handler', () => {
  it('REP-35 stops reading a body at its limit and answers 413', async () => {
    const handler = createReplicationHandler({ source: await openSource() })
    for (const [operation, limit] of [
      ['chain', 64 * 1024],
      ['hello', 20 * 1024 * 1024],
    ] as const) {
      const stats = { sent: 0 }
      const reply = await handler.handle(operation, endless(16_384, stats), never)
      expect(reply.status).toBe(413)
      expect(stats.sent).toBeLessThanOrEqual(limit + 16_384)
      const document = JSON.parse(new TextDecoder().decode(reply.body)) as { code: string }
      expect(document.code).toBe('ERR_REPLICATOR_TOO_LARGE')
    }
  })

  it('REP-35 answers rubbish with 400 and a problem document', async () => {
    const handler = createReplicationHandler({ source: await openSource() })
    async function* rubbish(): AsyncGenerator<Uint8Array> {
      yield Uint8Array.of(1, 2, 3, 4, 5, 6)
    }
    for (const operation of ['hello', 'pull', 'chain', 'fetch'] as const) {
      const reply = await handler.handle(operation, rubbish(), never)
      expect([operation, reply.status]).toEqual([operation, 400])
      expect(reply.headers['content-type']).toBe('application/problem+json')
    }
  })

  it('REP-35 stop answers a parked pull and an endless body, and refuses what comes', async () => {
    const source = await openSource()
    const handler = createReplicationHandler({ source })
    await source.hello(hello, never)
    const vectorVersion = (await source.hello(hello, never)).vectorVersion
    const request = createCodec().pullRequest.encode({ ...pull, vectorVersion })
    async function* body(): AsyncGenerator<Uint8Array> {
      yield request
    }
    async function* stuck(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(1)
      await new Promise(() => {})
    }
    const parked = handler.handle('pull', body(), never)
    const reading = handler.handle('hello', stuck(), never)
    await new Promise((resolve) => setTimeout(resolve, 20))
    await handler.stop()
    expect((await parked).status).toBe(503)
    expect((await reading).status).toBe(503)
    expect((await handler.handle('pull', body(), never)).status).toBe(503)
    await handler.stop()
  })

  it('REP-35 a failing source is a 503 that says nothing of what broke', async () => {
    const fail = async (): Promise<never> => {
      throw new Error('/secret/path')
    }
    const source = { hello: fail, pull: fail, chainAt: fail, fetch: fail, close: async () => {} }
    const handler = createReplicationHandler({ source })
    async function* body(): AsyncGenerator<Uint8Array> {
      yield createCodec().hello.encode(hello)
    }
    const reply = await handler.handle('hello', body(), never)
    expect(reply.status).toBe(503)
    expect(new TextDecoder().decode(reply.body)).not.toContain('secret')
  })
})

describe('the HTTP source', () => {
  it('REP-35 an answer past its limit is cut off, announced or not', async () => {
    let written = 0
    const streaming = await openServer((_, response) => {
      response.on('error', () => {})
      const write = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536))) written += 65_536
      }
      response.on('drain', write)
      write()
    })
    await expect(streaming.chainAt('00'.repeat(16), [1], never)).rejects.toMatchObject({
      code: 'ERR_REPLICATOR_TOO_LARGE',
    })
    expect(written).toBeLessThan(16 * 1024 * 1024)
    const announcing = await openServer((_, response) => {
      response.writeHead(200, { 'content-length': String(2 ** 40) })
      response.write('x')
    })
    await expect(announcing.pull(pull, never)).rejects.toMatchObject({
      code: 'ERR_REPLICATOR_TOO_LARGE',
    })
  })

  it('REP-35 a member that never answers, or stops in the middle, times out', async () => {
    const silent = await openServer(() => {})
    await expect(silent.hello(hello, never)).rejects.toMatchObject({
      code: 'ERR_REPLICATOR_UNAVAILABLE',
    })
    const stuck = await openServer((_, response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('x')
    })
    await expect(stuck.hello(hello, never)).rejects.toMatchObject({
      code: 'ERR_REPLICATOR_UNAVAILABLE',
    })
  })

  it('REP-35 other programs on that port are named as unavailable or malformed', async () => {
    const other = await openServer((_, response) => response.writeHead(404).end('<html>no</html>'))
    await expect(other.hello(hello, never)).rejects.toMatchObject({
      code: 'ERR_REPLICATOR_UNAVAILABLE',
      details: { status: 404 },
    })
    const wrong = await openServer((_, response) => response.end('hello there'))
    await expect(wrong.hello(hello, never)).rejects.toMatchObject({
      code: 'ERR_REPLICATOR_MALFORMED',
    })
  })

  it('REP-35 a parked pull blocks no other call', async () => {
    const source = await openSource()
    const server = await serve(source)
    const remote = httpSource({ url: server.url })
    const { vectorVersion } = await remote.hello(hello, never)
    const aborted = new AbortController()
    const parked = remote.pull({ ...pull, vectorVersion }, aborted.signal)
    expect(await remote.chainAt('00'.repeat(16), [1], never)).toEqual([null])
    aborted.abort(new Error('enough'))
    await expect(parked).rejects.toThrow('enough')
    await remote.close()
    await server.stop()
  })

  it('REP-47 an answer that was given back is memory for the next, and no other is', async () => {
    const log = createLog()
    await log.start()
    const replicator = createReplicator({ log, member: 'm', source: () => undefined })
    await replicator.start()
    const server = await serve(replicator.local)
    const remote = httpSource({ url: server.url })
    cleanups.push(
      () => log.stop(),
      () => replicator.stop(),
      server.stop,
      remote.close,
    )
    for (const fill of [1, 2, 3, 4]) await log.append({ value: new Uint8Array(100_000).fill(fill) })
    await remote.hello(hello, never)
    const ask = async (next: number): Promise<PullResponse> =>
      remote.pull({ ...pull, want: [{ origin: log.origin, next, chain: null }] }, never)
    const memoryOf = ({ batches }: PullResponse): unknown => batches[0]?.buffer
    const first = await ask(1)
    const used = memoryOf(first)
    const second = await ask(2)
    expect(memoryOf(second) === used).toBe(false)
    first.release?.()
    // Again it is nothing, also where another answer is in that memory by now.
    first.release?.()
    const third = await ask(3)
    first.release?.()
    expect(memoryOf(third) === used).toBe(true)
    const fourth = await ask(4)
    expect([used, memoryOf(second)].includes(memoryOf(fourth))).toBe(false)
    // At its end a batch of one record has the end of its value, and one number.
    for (const [at, { batches }] of [second, third, fourth].entries()) {
      expect(batches.map((bytes) => bytes.at(-8))).toEqual([at + 2])
    }
  })

  it('REP-36 names every bad option', () => {
    expect(() => httpSource({ url: 'ftp://x', connectTimeoutMs: 1, connectionsMax: 99 })).toThrow(
      /connectTimeoutMs must be .*; connectionsMax must be .*; url must be/,
    )
    expect(() => httpSource({})).toThrow(/url must be an http: or https: address/)
  })
})
