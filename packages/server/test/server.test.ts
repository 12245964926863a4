import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { Agent, request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createServer, type RequestMessage, type ServerParts } from '../src/index.ts'
import { type Bench, startServer } from './fakes.ts'

let bench: Bench | undefined
afterEach(async () => {
  await bench?.server.stop()
  bench = undefined
})

async function problem(response: Response): Promise<{ code: string; detail: string }> {
  expect(response.headers.get('content-type')).toContain('application/problem+json')
  return (await response.json()) as { code: string; detail: string }
}

const ndjson = { 'content-type': 'application/x-ndjson' }

describe('before and after its parts are bound', () => {
  it('answers 503 until bound, and says that it lives', async () => {
    await using server = createServer()
    const { host, port } = await server.start()
    const url = `http://${host}:${port}`
    const early = await fetch(`${url}/v1/status`)
    expect(early.status).toBe(503)
    expect(early.headers.get('retry-after')).toBe('1')
    expect((await problem(early)).code).toBe('ERR_SERVER_NOT_READY')
    expect((await fetch(`${url}/readyz`)).status).toBe(503)
    expect((await fetch(`${url}/livez`)).status).toBe(200)
  })

  it('names every option at fault at once', () => {
    expect(() => createServer({ port: -1, host: '', limits: { recordsMax: 0 } })).toThrow(
      /host must be .*port must be an integer from 0 to 65535, got -1.*limits.recordsMax/,
    )
  })

  it('says which address is taken', async () => {
    await using first = createServer()
    const { port } = await first.start()
    await using second = createServer({ port })
    await expect(second.start()).rejects.toMatchObject({ code: 'ERR_SERVER_LISTEN' })
  })

  it('is ready only when its parts say so', async () => {
    bench = await startServer()
    expect((await fetch(`${bench.url}/readyz`)).status).toBe(200)
    Object.assign(bench.parts, { unready: () => 'the log is closed' })
    const answer = await fetch(`${bench.url}/readyz`)
    expect(answer.status).toBe(503)
    expect((await problem(answer)).detail).toBe('the log is closed')
  })
})

describe('status, members and figures', () => {
  it('tells the member, its cluster and its log', async () => {
    bench = await startServer()
    const status = await (await fetch(`${bench.url}/v1/status`)).json()
    expect(status).toMatchObject({ member: 'alpha', ready: true, members: { alive: 1 } })
    const finding = { kind: 'nameTwice', member: 'beta', since: 1, lastAt: 2, times: 3 }
    const words = { text: 'two claim it', advice: 'rename one' }
    Object.assign(bench.parts, { diagnose: async () => [{ ...finding, ...words }] })
    const diagnosis = await (await fetch(`${bench.url}/v1/diagnosis`)).json()
    expect(diagnosis).toEqual({ findings: [{ ...finding, ...words }] })
    const { members } = (await (await fetch(`${bench.url}/v1/members`)).json()) as {
      members: object[]
    }
    expect(members).toEqual([
      {
        name: 'alpha',
        host: '127.0.0.1',
        port: 7946,
        status: 'alive',
        incarnation: 3,
        tags: { role: 'web' },
      },
    ])
  })

  it('never calls an unknown lag zero', async () => {
    bench = await startServer()
    const status = (await (await fetch(`${bench.url}/v1/log/status`)).json()) as {
      origins: object[]
    }
    expect(status.origins).toMatchObject([
      { own: true, lag: 0 },
      { own: false, lag: 'unknown' },
    ])
  })

  it('lists an origin of which nothing came yet, and none that has nothing', async () => {
    bench = await startServer()
    const [begun, empty] = ['e1'.repeat(16), 'e2'.repeat(16)]
    const lag: ServerParts['lag'] = () =>
      new Map([
        [begun, 70_000],
        [empty, 0],
      ])
    Object.assign(bench.parts, { lag })
    const status = (await (await fetch(`${bench.url}/v1/log/status`)).json()) as {
      origins: { origin: string }[]
    }
    expect(status.origins).toHaveLength(3)
    expect(status.origins.at(-1)).toEqual({
      origin: begun,
      member: '',
      floor: 1,
      next: 1,
      chain: '',
      status: 'live',
      holes: [],
      own: false,
      lag: 70_000,
    })
  })

  it('answers the metrics it is given, with their type', async () => {
    bench = await startServer()
    const answer = await fetch(`${bench.url}/metrics`)
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4')
    expect(await answer.text()).toBe('kith_test 1\n')
  })

  it('tells of each request that is over, by its route, and counts it', async () => {
    bench = await startServer()
    const { server, url } = bench
    const told: RequestMessage[] = []
    const listener = (message: unknown): void => void told.push(message as RequestMessage)
    await (await fetch(`${url}/livez`)).text()
    subscribe('kith:server:request', listener)
    try {
      await (await fetch(`${url}/v1/services/web?limit=5`)).text()
      await (await fetch(`${url}/v1/nothing`, { method: 'PUT' })).text()
      const gone = new AbortController()
      const followed = await fetch(`${url}/v1/services/web?follow=true`, { signal: gone.signal })
      expect(followed.status).toBe(200)
      expect(server.stats()).toMatchObject({ requests: 4, badRequests: 1, watchers: 1 })
      gone.abort()
      while (told.length < 3) await new Promise((next) => setImmediate(next))
    } finally {
      unsubscribe('kith:server:request', listener)
    }
    const common = { source: server, member: 'alpha' }
    const route = '/v1/services/:name'
    expect(told).toMatchObject([
      { ...common, method: 'GET', route, status: 200 },
      { ...common, method: 'PUT', route: undefined, status: 404 },
      { ...common, method: 'GET', route, status: 200 },
    ])
    for (const { durationMs } of told) expect(durationMs).toBeGreaterThan(0)
  })

  it('refuses what it does not know with the name of it', async () => {
    bench = await startServer()
    const unknown = await fetch(`${bench.url}/v1/nothing`)
    expect(unknown.status).toBe(404)
    expect((await problem(unknown)).detail).toContain('/v1/nothing')
    const query = await fetch(`${bench.url}/v1/members?x=1`)
    expect(query.status).toBe(400)
    expect((await problem(query)).detail).toMatch(/^x must be absent/)
  })
})

async function* linesOf(answer: Response): AsyncGenerator<string> {
  let text = ''
  for await (const chunk of (answer.body ?? []) as AsyncIterable<Uint8Array>) {
    text += Buffer.from(chunk).toString()
    const lines = text.split('\n')
    text = lines.pop() ?? ''
    yield* lines
  }
}

describe('services and checks', () => {
  it('registers, resolves by tag and deregisters', async () => {
    bench = await startServer()
    const { url } = bench
    const body = JSON.stringify({ service: 'web', port: 8080, tags: ['blue'] })
    const put = await fetch(`${url}/v1/services/web-1`, {
      method: 'PUT',
      body,
      headers: { 'content-type': 'application/json' },
    })
    expect(put.status).toBe(200)
    expect(await put.json()).toMatchObject({ id: 'web-1', service: 'web', port: 8080 })
    expect(await (await fetch(`${url}/v1/services`)).json()).toEqual({
      services: [{ service: 'web', instances: 1, passing: 1 }],
    })
    const blue = await (await fetch(`${url}/v1/services/web?tag=blue`)).json()
    expect(blue).toMatchObject({ service: 'web', instances: [{ id: 'web-1' }] })
    expect(await (await fetch(`${url}/v1/services/web?tag=blue&tag=red`)).json()).toEqual({
      service: 'web',
      instances: [],
    })
    expect((await fetch(`${url}/v1/services/web-1`, { method: 'DELETE' })).status).toBe(204)
    expect((await fetch(`${url}/v1/services/web-1`, { method: 'DELETE' })).status).toBe(404)
  })

  it('orders by distance and says how far each member is', async () => {
    bench = await startServer()
    await bench.registry.register({ service: 'web', id: 'web-1', port: 8080 })
    const near = await (await fetch(`${bench.url}/v1/services/web?near=beta`)).json()
    expect(near).toMatchObject({ instances: [{ id: 'web-1' }], distances: { alpha: 3.5 } })
  })

  it('follows a service: each state as a line, and empty lines in between', async () => {
    bench = await startServer({ watchBeatMs: 50, watchersMax: 1 })
    const { url, registry } = bench
    const gone = new AbortController()
    const answer = await fetch(`${url}/v1/services/web?follow=true`, { signal: gone.signal })
    expect(answer.headers.get('content-type')).toBe('application/x-ndjson')
    const lines = linesOf(answer)
    const next = async (): Promise<string> => (await lines.next()).value ?? 'the end'
    expect(JSON.parse(await next())).toEqual({ service: 'web', instances: [] })
    expect(await next()).toBe('')
    await registry.register({ service: 'web', id: 'web-1', port: 8080 })
    let line = ''
    while (line === '') line = await next()
    expect(JSON.parse(line)).toMatchObject({ service: 'web', instances: [{ id: 'web-1' }] })
    const second = await fetch(`${url}/v1/services/web?follow=true`)
    expect([second.status, (await problem(second)).code]).toEqual([429, 'ERR_SERVER_BUSY'])
    gone.abort()
    await expect(next()).rejects.toThrow()
    while (bench.server.stats().watchers > 0) await new Promise((next) => setImmediate(next))
  })

  it('follows all services: a line for each, then for each that changed', async () => {
    bench = await startServer({ watchBeatMs: 50 })
    const { url, registry } = bench
    await registry.register({ service: 'web', id: 'web-1', port: 8080 })
    const answer = await fetch(`${url}/v1/services?follow=true`)
    const lines = linesOf(answer)
    const next = async (): Promise<object> => {
      for (;;) {
        const { value = 'the end' } = await lines.next()
        if (value !== '') return JSON.parse(value) as object
      }
    }
    expect(await next()).toMatchObject({ service: 'web', instances: [{ id: 'web-1' }] })
    await registry.register({ service: 'db', id: 'db-1', port: 5432 })
    expect(await next()).toMatchObject({ service: 'db', instances: [{ id: 'db-1' }] })
    await registry.deregister('web-1')
    expect(await next()).toEqual({ service: 'web', instances: [] })
    const stopped = bench.server.stop()
    expect((await lines.next()).done).toBe(true)
    await stopped
  })

  it('holds an instance, or all of the member, back and gives it back', async () => {
    bench = await startServer()
    const { url } = bench
    const ask = async (method: string, path: string, body?: object): Promise<number> => {
      const headers = { 'content-type': 'application/json' }
      const sent = body === undefined ? {} : { body: JSON.stringify(body), headers }
      return (await fetch(`${url}${path}`, { method, ...sent })).status
    }
    await ask('PUT', '/v1/services/web-1', { service: 'web', port: 8080 })
    const reason = 'new disk'
    expect(await ask('PUT', '/v1/services/web-1/maintenance', { reason })).toBe(204)
    expect(await ask('PUT', '/v1/services/none/maintenance', { reason })).toBe(404)
    expect(await ask('DELETE', '/v1/services/web-1/maintenance')).toBe(204)
    expect(await ask('PUT', '/v1/maintenance', { reason })).toBe(204)
    expect(await ask('DELETE', '/v1/maintenance')).toBe(204)
    expect(bench.registry.checks).toEqual([
      ['maintain', reason, 'web-1'],
      ['resume', 'web-1'],
      ['maintain', reason, undefined],
      ['resume', undefined],
    ])
  })

  it.each([
    [{ service: 'web' }, 'port must be an integer from 1 to 65535, got nothing'],
    [{ service: 'web', port: 70_000 }, 'port must be an integer from 1 to 65535, got 70000'],
    [{ service: '', port: 1 }, 'service must be text of 1 to 128 characters, got ""'],
    [{ service: 'web', port: 1, tags: 'x' }, 'tags must be a list of texts, got "x"'],
    [{ service: 'web', port: 1, prot: 2 }, 'prot must be absent'],
    [{ service: 'web', port: 1, checks: [{}] }, 'checks[0].kind must be text'],
    [[], 'body must be an object { service'],
  ])('refuses %j and names the field', async (body, text) => {
    bench = await startServer()
    const put = await fetch(`${bench.url}/v1/services/a`, {
      method: 'PUT',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    })
    expect(put.status).toBe(400)
    expect((await problem(put)).detail).toContain(text)
  })

  it('refuses a body that is no JSON, no JSON type, or too long', async () => {
    bench = await startServer({ jsonBytesMax: 100 })
    const send = (body: string, type: string): Promise<Response> =>
      fetch(`${bench?.url}/v1/services/a`, {
        method: 'PUT',
        body,
        headers: { 'content-type': type },
      })
    expect((await problem(await send('{', 'application/json'))).detail).toContain('valid JSON')
    expect((await send('{}', 'text/plain')).status).toBe(415)
    expect((await send('x'.repeat(101), 'application/json')).status).toBe(413)
  })

  it('takes the status of a check whose id holds a slash', async () => {
    bench = await startServer()
    const url = `${bench.url}/v1/checks/${encodeURIComponent('web-1/alive')}`
    const body = JSON.stringify({ output: 'fine' })
    const headers = { 'content-type': 'application/json' }
    expect((await fetch(`${url}/passing`, { method: 'PUT', body, headers })).status).toBe(204)
    expect((await fetch(`${url}/warning`, { method: 'PUT' })).status).toBe(204)
    expect(bench.registry.checks).toEqual([
      ['web-1/alive', 'passing', 'fine'],
      ['web-1/alive', 'warning', undefined],
    ])
    const bad = await fetch(`${url}/green`, { method: 'PUT' })
    expect(bad.status).toBe(400)
    expect((await problem(bad)).detail).toBe(
      'status must be "passing", "warning" or "critical", got "green"',
    )
  })
})

describe('stop', () => {
  it('answers parked pulls, ends followers and closes idle connections, all within 3 s', async () => {
    const started = await startServer()
    const { url, replication, server } = started
    const pull = fetch(`${url}/v1/replication/pull`, { method: 'POST', body: 'x' })
    const follow = await fetch(`${url}/v1/log/records?follow=true`)
    const watch = await fetch(`${url}/v1/services/web?follow=true`)
    const agent = new Agent({ keepAlive: true })
    await once(httpRequest(`${url}/livez`, { agent }).end(), 'response')
    const half = connect(Number(new URL(url).port), '127.0.0.1')
    half.write('POST /v1/log/records HTTP/1.1\r\nhost: x\r\ncontent-le')
    half.on('error', () => {})
    while (replication.parked === 0) await new Promise((resolve) => setImmediate(resolve))
    const from = performance.now()
    await server.stop()
    expect(performance.now() - from).toBeLessThan(3000)
    expect(await (await pull).text()).toBe('nothing new')
    expect(await follow.text()).toBe('')
    expect(await watch.text()).toBe('{"service":"web","instances":[]}\n')
    await expect(fetch(`${url}/livez`)).rejects.toThrow()
    agent.destroy()
    half.destroy()
  })

  it('gives up on a request that never ends, within its bound', async () => {
    const { url, server } = await startServer({ stopTimeoutMs: 200 })
    const stuck = httpRequest(`${url}/v1/log/records`, { method: 'POST', headers: ndjson })
    const broken = new Promise((resolve) => stuck.on('close', resolve))
    stuck.on('error', () => {})
    stuck.write('{"value":"a"}\n')
    await once(stuck, 'socket')
    await new Promise<void>((resolve) => void fetch(`${url}/livez`).then(() => resolve()))
    const from = performance.now()
    await server.stop()
    await broken
    expect(performance.now() - from).toBeLessThan(3000)
  })
})
