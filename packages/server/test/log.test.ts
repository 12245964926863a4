import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { KithError, silentLogger } from '@kith/interface'
import { afterEach, describe, expect, it } from 'vitest'
import { type Bench, deferred, ORIGIN, startServer } from './fakes.ts'

let bench: Bench
afterEach(() => bench.server.stop())

const ndjson = { 'content-type': 'application/x-ndjson' }
const octets = { 'content-type': 'application/octet-stream' }

function post(
  query: string,
  body: string | Uint8Array | ReadableStream<Uint8Array>,
  headers: Record<string, string>,
): Promise<Response> {
  const request = { method: 'POST', body: body as string, headers, duplex: 'half' as const }
  return fetch(`${bench.url}/v1/log/records${query}`, request)
}

async function detail(response: Response): Promise<string> {
  return ((await response.json()) as { detail: string }).detail
}

async function lines(response: Response): Promise<Record<string, unknown>[]> {
  const text = await response.text()
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

describe('append', () => {
  it('stores all lines of a request as one append, with its options', async () => {
    bench = await startServer()
    const body = '{"value":"one","key":"k","headers":{"a":"b"}}\n\n{"valueBase64":"/w=="}\r\n'
    const query =
      '?durability=os&replicas=2&timeoutMs=5&producer=p&producerSequence=281474976710655'
    const answer = await post(query, body, ndjson)
    expect(answer.status).toBe(200)
    expect(await answer.json()).toEqual({
      origin: ORIGIN,
      first: 1,
      count: 2,
      offset: 0,
      duplicate: false,
    })
    expect(bench.log.appends).toHaveLength(1)
    expect(bench.log.appends[0]?.options).toMatchObject({
      durability: 'os',
      replicas: 2,
      timeoutMs: 5,
      producer: { id: 'p', sequence: 2 ** 48 - 1 },
    })
    const stored = await lines(await fetch(`${bench.url}/v1/log/records`))
    expect(stored).toEqual([
      {
        offset: 0,
        origin: ORIGIN,
        sequence: 1,
        time: 1000,
        key: 'k',
        value: 'one',
        headers: { a: 'b' },
      },
      { offset: 1, origin: ORIGIN, sequence: 2, time: 1000, valueBase64: '/w==' },
    ])
  })

  it('stores lines that come in pieces as they were sent, also of an unknown length', async () => {
    bench = await startServer()
    interface Line {
      readonly key?: string
      readonly value?: string
      readonly valueBase64?: string
      readonly headers?: Readonly<Record<string, string>>
    }
    const given = Array.from({ length: 3_000 }, (_, index): Line => ({
      ...(index % 3 === 0 ? {} : { key: `k${index}${'é'.repeat(index % 5)}` }),
      ...(index % 2 === 0
        ? { value: `${index} \u{1f600} ${'x'.repeat((index * 37) % 900)}` }
        : {
            valueBase64: Buffer.alloc(index % 400, index)
              .fill(0xff, 0, 1)
              .toString('base64'),
          }),
      ...(index % 7 === 0 ? { headers: { at: String(index) } } : {}),
    }))
    const text = given.map((line) => `${JSON.stringify(line)}\n`).join('')
    const sent = new TextEncoder().encode(text.replaceAll('é', String.raw`\u00e9`))
    const chunked = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < sent.length; at += 7_001) {
          controller.enqueue(sent.subarray(at, at + 7_001))
        }
        controller.close()
      },
    })
    for (const body of [sent, chunked]) expect((await post('', body, ndjson)).status).toBe(200)
    for (const { records } of bench.log.appends) {
      const stored = records.map(({ key, value, headers }) => ({ key, value, headers }))
      expect(stored).toEqual(
        given.map(({ key, value, valueBase64, headers }) => ({
          key: key === undefined ? undefined : Uint8Array.from(Buffer.from(key)),
          value: Uint8Array.from(
            value === undefined ? Buffer.from(valueBase64 ?? '', 'base64') : Buffer.from(value),
          ),
          headers,
        })),
      )
    }
    expect(bench.log.appends).toHaveLength(2)
  })

  it('takes one record of any bytes', async () => {
    bench = await startServer()
    const value = new Uint8Array([0, 255, 10, 13])
    expect((await post('', value, octets)).status).toBe(200)
    expect(new Uint8Array(bench.log.records[0]?.value ?? [])).toEqual(value)
  })

  it.each([
    ['{"value":"a"}\n{"valu":1}', 'line 2: valu must be absent'],
    ['nope', 'line 1 must be valid JSON, got "nope"'],
    ['{"value":"a","valueBase64":"YQ=="}', 'line 1: value must be given, unless valueBase64 is'],
    ['{"valueBase64":"?"}', 'line 1: valueBase64 must be base64'],
    ['{"value":"\\ud800"}', 'line 1: record must be well-formed Unicode'],
    ['[]', 'line 1: record must be an object'],
    ['\n\n', 'body must be at least one line of JSON'],
  ])('refuses %j, names the line, and stores nothing', async (body, text) => {
    bench = await startServer()
    const answer = await post('', body, ndjson)
    expect(answer.status).toBe(400)
    expect(await detail(answer)).toContain(text)
    expect(bench.log.appends).toHaveLength(0)
  })

  it.each([
    ['?replicas=-1', 'replicas must be an integer from 0 to 1000, got "-1"'],
    ['?timeoutMs=1e3', 'timeoutMs must be an integer from 0 to 600000, got "1e3"'],
    ['?durability=paper', 'durability must be "disk", "os" or "memory", got "paper"'],
    ['?producer=p', 'producerSequence must be given exactly when producer is given'],
    ['?producer=p&producerSequence=9007199254740993', 'producerSequence must be an integer'],
    ['?durabilty=os', 'durabilty must be absent'],
    ['?replicas=1&replicas=2', 'replicas must be an integer from 0 to 1000'],
  ])('refuses %s and says what is right', async (query, text) => {
    bench = await startServer()
    const answer = await post(query, '{"value":"a"}', ndjson)
    expect(answer.status).toBe(400)
    expect(await detail(answer)).toContain(text)
  })

  it('refuses bodies of another type, and more records or longer lines than its limits', async () => {
    bench = await startServer({ recordsMax: 2, lineBytesMax: 50 })
    expect((await post('', 'a', { 'content-type': 'text/plain' })).status).toBe(415)
    const many = await post('', '{"value":"a"}\n'.repeat(3), ndjson)
    expect(await detail(many)).toContain('line 3 must be one of at most 2 records in one request')
    const long = await post('', `{"value":"${'a'.repeat(50)}"}`, ndjson)
    expect(await detail(long)).toBe('line 1 must be at most 50 bytes, got 62 bytes')
  })

  it('passes on what the log says, with a status that tells whether to retry', async () => {
    bench = await startServer()
    for (const [code, status] of [
      ['ERR_LOG_NOT_READY', 503],
      ['ERR_LOG_RECORD_TOO_LARGE', 413],
      ['ERR_LOG_SOMETHING_NEW', 500],
    ] as const) {
      bench.log.fail = new KithError(code, 'as the log put it')
      const answer = await post('', 'x', octets)
      expect(answer.status).toBe(status)
      expect(await answer.json()).toMatchObject({ code, detail: 'as the log put it' })
    }
    bench.log.fail = new Error('a secret path')
    expect(await (await post('', 'x', octets)).text()).not.toContain('secret')
  })
})

describe('the limit of a body', () => {
  it('refuses an announced length at once', async () => {
    bench = await startServer({ bodyBytesMax: 1000 })
    const answer = await post('', new Uint8Array(1001), octets)
    expect(answer.status).toBe(413)
    expect(await detail(answer)).toContain('at most 1000 bytes')
  })

  it('counts a streamed body itself and keeps none of what is over', async () => {
    bench = await startServer({ bodyBytesMax: 100_000 })
    const upload = httpRequest(`${bench.url}/v1/log/records`, { method: 'POST', headers: octets })
    upload.on('error', () => {})
    const answered = once(upload, 'response')
    const chunk = Buffer.alloc(64 * 1024)
    let open = true
    void answered.then(() => (open = false))
    let written = 0
    // Written for as long as nobody answers: only the limit ends this loop.
    while (open) {
      written += chunk.length
      if (!upload.write(chunk)) await Promise.race([once(upload, 'drain'), answered])
    }
    const [response] = (await answered) as [{ statusCode: number }]
    expect(response.statusCode).toBe(413)
    expect(written).toBeGreaterThan(100_000)
    expect(bench.log.appends).toHaveLength(0)
    upload.destroy()
  })

  it('makes uploads wait for room instead of taking them all at once', async () => {
    bench = await startServer({ bodyBytesMax: 1000, bodiesBytesMax: 1000 })
    const slow = httpRequest(`${bench.url}/v1/log/records`, {
      method: 'POST',
      headers: { ...octets, 'content-length': '1000' },
    })
    slow.write('begun')
    await waitFor(() => bench.server.stats().bodyBytesReserved === 1000)
    const second = post('', 'short', octets)
    let answered = false
    void second.then(() => (answered = true))
    await (await fetch(`${bench.url}/livez`)).text()
    expect(answered).toBe(false)
    slow.end('x'.repeat(995))
    expect((await second).status).toBe(200)
    expect(bench.log.records).toHaveLength(2)
  })
})

describe('read', () => {
  it('reads a range, and everything without one', async () => {
    bench = await startServer()
    await post('', Array.from({ length: 1200 }, (_, i) => `{"value":"${i}"}\n`).join(''), ndjson)
    const all = await lines(await fetch(`${bench.url}/v1/log/records`))
    expect(all.map(({ value }) => value)).toEqual(Array.from({ length: 1200 }, (_, i) => String(i)))
    const some = await lines(await fetch(`${bench.url}/v1/log/records?from=1190&limit=3`))
    expect(some.map(({ offset }) => offset)).toEqual([1190, 1191, 1192])
    expect(await lines(await fetch(`${bench.url}/v1/log/records?from=latest`))).toEqual([])
  })

  it('begins at either end, and at a time with a zone', async () => {
    bench = await startServer()
    await post('', Array.from({ length: 30 }, (_, i) => `{"value":"${i}"}\n`).join(''), ndjson)
    const first = async (from: string): Promise<unknown> => {
      const url = `${bench.url}/v1/log/records?limit=1&from=${encodeURIComponent(from)}`
      return (await lines(await fetch(url)))[0]?.offset
    }
    bench.log.floor = 5
    expect(await first('earliest')).toBe(5)
    expect(await first('1970-01-01T00:00:00.020Z')).toBe(20)
    expect(await first('1970-01-01T01:00:00.021+01:00')).toBe(21)
    expect(await first('1969-12-31T23:59:59Z')).toBe(5)
    expect(await first('latest')).toBe(undefined)
    const url = `${bench.url}/v1/log/records?from=1970-01-01T00:00:00.020`
    expect(await detail(await fetch(url))).toContain('from must be "earliest", "latest", a time')
  })

  it('names the floor where records were dropped, and begins there without a wish', async () => {
    bench = await startServer()
    await post('', '{"value":"a"}\n{"value":"b"}\n{"value":"c"}', ndjson)
    bench.log.floor = 2
    for (const query of ['from=1', 'from=1&follow=true']) {
      const gone = await fetch(`${bench.url}/v1/log/records?${query}`)
      expect(gone.status).toBe(410)
      expect(await gone.json()).toMatchObject({ code: 'ERR_LOG_DROPPED', floor: 2 })
    }
    const rest = await lines(await fetch(`${bench.url}/v1/log/records`))
    expect(rest.map(({ offset }) => offset)).toEqual([2])
    const status = await fetch(`${bench.url}/v1/log/status`)
    expect(await status.json()).toMatchObject({ floor: 2, next: 3 })
  })

  it('says which offsets it has not, and refuses what is no offset', async () => {
    bench = await startServer()
    expect((await fetch(`${bench.url}/v1/log/records?from=5`)).status).toBe(416)
    const bad = await fetch(`${bench.url}/v1/log/records?from=-1`)
    expect(await detail(bad)).toContain('from must be "earliest", "latest", a time')
  })

  it('follows from an offset, sending its headers before there is a record', async () => {
    bench = await startServer()
    const abort = new AbortController()
    const response = await fetch(`${bench.url}/v1/log/records?follow=true`, {
      signal: abort.signal,
    })
    const reader = createInterface(Readable.fromWeb(response.body as never))[Symbol.asyncIterator]()
    const first = reader.next()
    await post('', '{"value":"a"}\n{"value":"b"}', ndjson)
    expect(JSON.parse((await first).value as string)).toMatchObject({ offset: 0, value: 'a' })
    expect(JSON.parse((await reader.next()).value as string)).toMatchObject({
      offset: 1,
      value: 'b',
    })
    abort.abort()
    await waitFor(() => followers() === 0)
  })

  it('ends a follow at its limit and refuses more followers than it takes', async () => {
    bench = await startServer({ followersMax: 1 })
    await post('', '{"value":"a"}\n{"value":"b"}', ndjson)
    const two = await fetch(`${bench.url}/v1/log/records?follow=true&limit=2`)
    expect(await lines(two)).toHaveLength(2)
    const abort = new AbortController()
    await fetch(`${bench.url}/v1/log/records?follow=true`, { signal: abort.signal })
    const refused = await fetch(`${bench.url}/v1/log/records?follow=true`)
    expect(refused.status).toBe(429)
    abort.abort()
  })

  it('reads the log no faster than the reader takes it', async () => {
    const gaveUp = deferred<string>()
    const warn = (_fields: object, text = ''): void => gaveUp.resolve(text)
    bench = await startServer({ writeTimeoutMs: 500 }, { ...silentLogger, warn })
    const value = new Uint8Array(4096)
    await bench.log.append(Array.from({ length: 60_000 }, () => ({ value })))
    bench.log.reads = 0
    const ask = httpRequest(`${bench.url}/v1/log/records`)
    ask.on('error', () => {})
    ask.on('response', (response) => response.on('error', () => {}))
    ask.end()
    // Nobody reads: the buffers of both ends fill up, then the writing stops, then it is given up.
    expect(await gaveUp.promise).toBe('an answer with records broke off')
    ask.destroy()
    expect(bench.log.reads).toBeLessThan(60)
  })

  it('verifies one at a time', async () => {
    bench = await startServer()
    const verified = await fetch(`${bench.url}/v1/log/verify`, { method: 'POST' })
    expect(await verified.json()).toEqual({ ok: true })
    const held = deferred<{ ok: boolean }>()
    bench.log.verify = () => held.promise
    const first = fetch(`${bench.url}/v1/log/verify`, { method: 'POST' })
    await waitFor(async () => {
      const second = await fetch(`${bench.url}/v1/log/verify`, {
        method: 'POST',
        signal: AbortSignal.timeout(200),
      }).catch(() => undefined)
      return second?.status === 429
    })
    held.resolve({ ok: false })
    expect(await (await first).json()).toEqual({ ok: false })
  })
})

describe('replication', () => {
  it('carries raw bytes to the handler and back', async () => {
    bench = await startServer()
    const body = new Uint8Array([1, 0, 255])
    const answer = await fetch(`${bench.url}/v1/replication/hello`, { method: 'POST', body })
    expect(new Uint8Array(await answer.arrayBuffer())).toEqual(body)
    expect((await fetch(`${bench.url}/v1/replication/steal`, { method: 'POST' })).status).toBe(404)
  })

  it('stops a body at its limit', async () => {
    bench = await startServer({ replicationBytesMax: 10 })
    const body = new Uint8Array(11)
    const answer = await fetch(`${bench.url}/v1/replication/hello`, { method: 'POST', body })
    expect(answer.status).toBe(413)
  })
})

function followers(): number {
  return bench.server.stats().followers
}

async function waitFor(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setImmediate(resolve))
}
