// The client against our own server: every command, every iteration, every way to fail.
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'
import { isKithError } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { RpcError } from '../../src/errors.ts'
import { createSerfClient } from '../../src/runtime/client.ts'
import type { SerfEvent } from '../../src/runtime/types.ts'
import type { SerfKeyReport, SerfQueryAnswer } from '../../src/words.ts'
import { encodeResponse } from '../../src/wire/response.ts'
import { answersOf, member } from '../support/host.ts'
import { openPair, until } from '../support/pair.ts'
import { hex, joined } from '../support/vectors.ts'

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

/** The error that the work rejects with; fails where it does not. */
async function failure(work: Promise<unknown>): Promise<RpcError> {
  const cause: unknown = await work.then(
    () => new Error('it did not fail'),
    (rejected: unknown) => rejected,
  )
  if (isKithError(cause)) return cause as RpcError
  throw cause
}

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = []
  for await (const item of items) found.push(item)
  return found
}

describe('commands', () => {
  it('RPC-40 each reaches the agent with all it says, and gives back what it answers', async () => {
    const members = [
      member('ada', { tags: { role: 'web', 1: 'x' } }),
      member('ben', { address: { host: '::1', port: 1 }, status: 'failed' }),
    ]
    await using pair = await openPair({ members })
    const { client, host } = pair
    const place = { vector: [0.5], error: 1.5, adjustment: 0, height: 1e-5 }
    host.on('coordinate', (name) => (name === 'ada' ? place : undefined))
    expect(await client.members()).toEqual(members)
    expect(await client.members({ status: 'fail.*' })).toEqual([members[1]])
    expect(await client.members({ tags: { role: 'web|db' } })).toEqual([members[0]])
    expect(await client.members({ name: 'a', tags: { none: '' } })).toEqual([])
    expect(await client.join(['a:1', 'b:2'], { replay: true })).toBe(2)
    await client.forceLeave('ben', { prune: true })
    await client.event('deploy', 'v1')
    await client.event('raw', Uint8Array.of(0, 255), { coalesce: false })
    await client.setTags({ set: { x: '1' }, remove: ['dc'] })
    expect(await client.stats()).toEqual({ agent: { name: 'ada' }, serf: { members: '2' } })
    expect(await client.coordinate('ada')).toEqual(place)
    expect(await client.coordinate('nobody')).toBeUndefined()
    expect(await client.keys.install('a2V5')).toMatchObject({ members: 2, responses: 2 })
    await client.keys.use('a2V5')
    await client.keys.remove('a2V5')
    await client.keys.list()
    await client.leave()
    await until(() => host.calls.length === 11)
    expect(host.calls).toEqual([
      ['join', ['a:1', 'b:2'], { replay: true }],
      ['forceLeave', 'ben', { prune: true }],
      ['event', 'deploy', text('v1'), { coalesce: true }],
      ['event', 'raw', Uint8Array.of(0, 255), { coalesce: false }],
      ['setTags', { set: { x: '1' }, remove: ['dc'] }],
      ['keys', 'install', 'a2V5'],
      ['keys', 'use', 'a2V5'],
      ['keys', 'remove', 'a2V5'],
      ['keys', 'list', undefined],
      ['leave'],
      ['shutdown'],
    ])
    expect(client.figures.connections).toBe(1)
  })

  it('RPC-40 many at once share a connection, and each gets its own answer', async () => {
    await using pair = await openPair()
    pair.host.on('join', async (addresses) => Number(addresses[0]))
    const counts = Array.from({ length: 100 }, (_, at) => at)
    const joins = counts.map((count) => pair.client.join([String(count)]))
    expect(await Promise.all(joins)).toEqual(counts)
    expect(pair.client.figures.connections).toBe(1)
  })

  const refusals: readonly (readonly [string, string])[] = [
    ['ERR_RPC_TOO_LARGE', 'user event exceeds configured limit of 512 bytes before encoding'],
    [
      'ERR_RPC_TOO_LARGE',
      'encoded user event exceeds configured limit of 512 bytes after encoding',
    ],
    ['ERR_RPC_TOO_LARGE', 'Encoded length of tags exceeds limit of 512 bytes'],
    ['ERR_RPC_QUERY_LATE', 'failed to respond to key query: response is past the deadline'],
    ['ERR_RPC_QUERY_ANSWERED', 'failed to respond to key query: response already sent'],
    ['ERR_RPC_QUERY_UNKNOWN', 'No pending queries matching ID'],
    ['ERR_RPC_REFUSED', 'something that no version ever said'],
  ]
  it.each(refusals)('RPC-41 %s keeps the words: %s', async (code, words) => {
    await using pair = await openPair()
    pair.host.on('event', () => Promise.reject(new Error(words)))
    const error = await failure(pair.client.event('x'))
    expect(error).toMatchObject({ code, message: words })
    expect(error.details).toMatchObject({ agentError: words, command: 'event' })
    await pair.client.stats()
  })

  it('RPC-41 keys that not all members took fail with the whole report', async () => {
    await using pair = await openPair()
    const reports: readonly (readonly [SerfKeyReport, string])[] = [
      [
        { keys: {}, messages: { b: 'no' }, errors: 1, members: 3, responses: 3 },
        '1/3 nodes reported failure',
      ],
      [
        { keys: { a: 1 }, messages: {}, errors: 0, members: 3, responses: 1 },
        '1/3 nodes reported success',
      ],
    ]
    for (const [report, words] of reports) {
      pair.host.on('keys', async () => report)
      const error = await failure(pair.client.keys.list())
      expect(error).toMatchObject({ code: 'ERR_RPC_KEYS', message: words })
      expect(error.details?.report).toEqual(report)
    }
    // What Go says of each of them.
    const malformed = { '!': 0, foo: 0, 'AAA!': 3, AAAAA: 4, 'A===': 1, 'AA=': 3, 'AA=A': 2 }
    for (const [key, byte] of Object.entries({ ...malformed, 'AA==AAAA': 4, 'AAA=A': 4 })) {
      const { message } = await failure(pair.client.keys.install(key))
      expect(message, key).toBe(`illegal base64 data at input byte ${byte}`)
    }
  })

  it('RPC-41 an expression that is none is an error, not the end of the connection', async () => {
    await using pair = await openPair()
    const error = await failure(pair.client.members({ name: '(' }))
    expect(error).toMatchObject({ code: 'ERR_RPC_FILTER', message: 'Invalid expression: (' })
    expect(await pair.client.members()).toEqual([])
    expect(pair.client.figures.connections).toBe(1)
  })

  it('RPC-41 the key is asked for, refused and accepted', async () => {
    await using pair = await openPair({ server: { authKey: 'right' } })
    const address = pair.server.address ?? { host: '', port: 1 }
    expect((await failure(pair.client.stats())).code).toBe('ERR_RPC_AUTH_REQUIRED')
    expect((await failure(pair.client.members())).code).toBe('ERR_RPC_AUTH_REQUIRED')
    await using wrong = createSerfClient({ address, authKey: 'wrong' })
    expect(await failure(wrong.stats())).toMatchObject({
      code: 'ERR_RPC_AUTH_INVALID',
      message: 'Invalid authentication token',
    })
    await using right = createSerfClient({ address, authKey: 'right' })
    expect(await right.stats()).toMatchObject({ agent: { name: 'ada' } })
  })

  it('RPC-42 waits no longer than it may, and goes on', async () => {
    await using pair = await openPair()
    const { client, host } = pair
    let release: () => void = () => {}
    host.on(
      'forceLeave',
      () =>
        new Promise((resolve) => {
          release = resolve
        }),
    )
    const late = await failure(client.forceLeave('a', { timeoutMs: 30 }))
    expect(late).toMatchObject({ code: 'ERR_RPC_TIMEOUT', details: { maybeDone: true } })
    const reason = new Error('enough')
    const stop = new AbortController()
    const aborted = client.stats({ signal: stop.signal })
    stop.abort(reason)
    await expect(aborted).rejects.toBe(reason)
    await expect(client.stats({ signal: stop.signal })).rejects.toBe(reason)
    release()
    expect(await client.stats()).toMatchObject({ agent: { name: 'ada' } })
    expect(client.figures.connections).toBe(1)
  })

  it('RPC-42 lets only so many wait', async () => {
    await using pair = await openPair({ client: { requestsMax: 2 } })
    pair.host.on('forceLeave', () => new Promise(() => {}))
    await pair.client.stats()
    const waiting = [pair.client.forceLeave('a'), pair.client.forceLeave('b')].map(failure)
    expect((await failure(pair.client.stats())).code).toBe('ERR_RPC_BUSY')
    await pair.client.close()
    expect((await Promise.all(waiting)).map(({ code }) => code)).toEqual([
      'ERR_RPC_CLOSED',
      'ERR_RPC_CLOSED',
    ])
    expect((await failure(pair.client.stats())).code).toBe('ERR_RPC_CLOSED')
  })
})

describe('connections', () => {
  it('RPC-44 the next command after a loss opens another one', async () => {
    await using pair = await openPair()
    const { client, host, server } = pair
    const { port } = server.address ?? { port: 0 }
    await client.stats()
    host.on('forceLeave', () => new Promise(() => {}))
    const lost = failure(client.forceLeave('a'))
    await until(() => server.stats().counters['requests'] === 3)
    await server.stop()
    expect(await lost).toMatchObject({
      code: 'ERR_RPC_CONNECTION_LOST',
      details: { maybeDone: true },
    })
    expect((await failure(client.stats())).code).toBe('ERR_RPC_CONNECT')
    await using again = await openPair({ server: { address: { host: '127.0.0.1', port } } })
    expect(await client.stats()).toMatchObject({ agent: { name: 'ada' } })
    expect(client.figures.connections).toBe(2)
    expect(again.server.stats().connections).toBe(1)
  })

  it('RPC-44 tries as often as it may until an agent is there', async () => {
    const { port } = await freeAddress()
    await using client = createSerfClient({
      address: { host: '127.0.0.1', port },
      connectAttemptsMax: 100,
      reconnectDelayMs: 5,
      reconnectDelayMsMax: 20,
    })
    const stats = client.stats()
    await using pair = await openPair({ server: { address: { host: '127.0.0.1', port } } })
    expect(await stats).toMatchObject({ agent: { name: 'ada' } })
    expect(pair.server.stats().connections).toBe(1)
  })

  it('RPC-44 says who does not answer and why', async () => {
    const { port } = await freeAddress()
    const refused = await failure(createSerfClient({ address: `127.0.0.1:${port}` }).stats())
    expect(refused.code).toBe('ERR_RPC_CONNECT')
    expect(refused.message).toContain(`127.0.0.1:${port}: ECONNREFUSED`)
    await using silent = await imposter(() => {})
    const late = await failure(
      createSerfClient({ address: silent.address, connectTimeoutMs: 40 }).stats(),
    )
    expect(late.message).toMatch(/did not answer within 40 ms/)
    await using rude = await imposter((socket) => socket.destroy())
    const closed = await failure(createSerfClient({ address: rude.address }).stats())
    expect(closed.code).toBe('ERR_RPC_CONNECT')
  })

  const greeting = encodeResponse(1n, '', undefined)
  const nonsense: readonly (readonly [string, Uint8Array])[] = [
    ['text of another protocol', text('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['no msgpack', hex('c1')],
    ['more than it may', hex('dbffffffff')],
    ['an answer to nothing', joined([greeting, encodeResponse(77n, '', undefined)])],
    ['a body that is none', joined([greeting, encodeResponse(2n, '', undefined), hex('07')])],
  ]
  it.each(nonsense)('RPC-45 an agent that sends %s is hung up on', async (_title, bytes) => {
    await using other = await imposter((socket) => void socket.write(bytes))
    await using client = createSerfClient({ address: other.address })
    expect((await failure(client.stats())).code).toBe('ERR_RPC_PROTOCOL')
  })

  it('RPC-45 an answer is held to the bytes it may have', async () => {
    const members = Array.from({ length: 50 }, (_, at) => member(`m${at}`))
    await using pair = await openPair({ members, client: { responseBytesMax: 4_000 } })
    expect((await failure(pair.client.members())).code).toBe('ERR_RPC_PROTOCOL')
  })

  it('RPC-45 an agent that refuses the handshake is understood', async () => {
    const words = 'Unsupported IPC version'
    await using other = await imposter(
      (socket) => void socket.write(encodeResponse(1n, words, undefined)),
    )
    await using client = createSerfClient({ address: other.address })
    expect(await failure(client.stats())).toMatchObject({ code: 'ERR_RPC_VERSION', message: words })
  })

  it('RPC-46 options that are wrong are named, all of them, and no key is shown', () => {
    const wrong = { address: 'x', path: '', authKey: '', recordsMax: 0, colour: 1 } as object
    expect(() => createSerfClient(wrong)).toThrowError(
      expect.objectContaining({ code: 'ERR_RPC_OPTIONS' }) as Error,
    )
    try {
      createSerfClient({ ...wrong, authKey: 's'.repeat(2_000) })
    } catch (cause) {
      const { message } = cause as Error
      for (const field of ['address', 'path', 'authKey', 'recordsMax', 'colour']) {
        expect(message).toContain(field)
      }
      expect(message).not.toContain('sss')
    }
  })
})

describe('iterations', () => {
  it('RPC-43 events come as they happen, and end with the signal', async () => {
    await using pair = await openPair()
    const { client, host, server } = pair
    const stop = new AbortController()
    const seen: SerfEvent[] = []
    let responded = false
    const reading = (async () => {
      for await (const event of client.events('user,member-join,query', { signal: stop.signal })) {
        seen.push(event)
        if (event.kind !== 'query') continue
        await event.respond('yes')
        responded = true
      }
    })()
    await until(() => (server.stats().counters['requests'] ?? 0) === 2)
    const answers: unknown[] = []
    host.tell({ kind: 'members', event: 'member-join', members: [member('ben')] })
    host.tell({ kind: 'members', event: 'member-leave', members: [member('ben')] })
    const shared = { payload: text('p'), lamportTime: 2n ** 60n }
    host.tell({ kind: 'user', name: 'deploy', coalesce: true, ...shared })
    host.tell({
      kind: 'query',
      name: 'load',
      timeoutMs: 60_000,
      ...shared,
      respond: async (payload) => void answers.push(payload),
    })
    await until(() => responded)
    stop.abort()
    await reading
    expect(answers).toEqual([text('yes')])
    expect(seen).toEqual([
      { kind: 'members', event: 'member-join', members: [member('ben')] },
      { kind: 'user', name: 'deploy', coalesce: true, ...shared },
      { kind: 'query', name: 'load', ...shared, respond: expect.any(Function) as unknown },
    ])
    await until(() => server.stats().connections === 0)
  })

  it('RPC-43 a query gives acks and answers, and ends with its time', async () => {
    await using pair = await openPair()
    const answers: readonly SerfQueryAnswer[] = [
      { kind: 'ack', from: 'ada', payload: text('') },
      { kind: 'response', from: 'ada', payload: text('0.3') },
    ]
    pair.host.on('query', async (query) => {
      pair.host.calls.push(['query', query])
      const ofNobody = { kind: 'ack', from: '', payload: text('') } as const
      return answersOf([...answers, ofNobody, { ...ofNobody, kind: 'response' }])
    })
    const options = { members: ['ada'], tags: { role: 'web' }, acks: true, relayFactor: 2 }
    const found = await collect(pair.client.query('load', 'now', { ...options, timeoutMs: 1.5 }))
    expect(found).toEqual(answers)
    expect(pair.host.calls).toEqual([
      [
        'query',
        {
          name: 'load',
          payload: text('now'),
          filterMembers: ['ada'],
          filterTags: { role: 'web' },
          acks: true,
          relayFactor: 2,
          timeoutMs: 2,
        },
      ],
    ])
  })

  it('RPC-25 a query is done a while after its last answer, and never after its time', async () => {
    const limits = { doneDelayMs: 60_000 }
    await using pair = await openPair({ server: { limits } })
    const ack = { kind: 'ack', from: 'ada', payload: text('') } as const
    pair.host.on('query', async () => answersOf([ack]))
    // Would take a minute, but for its own time.
    expect(await collect(pair.client.query('q', '', { timeoutMs: 20 }))).toEqual([ack])
    const waiting = pair.client.query('q')
    expect((await waiting.next()).value).toEqual(ack)
    let over = false
    const end = waiting.next().finally(() => (over = true))
    await pair.client.stats()
    expect(over).toBe(false)
    pair.host.on('query', async () => answersOf([]))
    expect(await collect(pair.client.query('q'))).toEqual([])
    await waiting.return?.()
    await end
  })

  it('RPC-43 a query that is refused, or left, is over for the agent too', async () => {
    await using pair = await openPair()
    const words = 'query exceeds limit of 1024 bytes'
    pair.host.on('query', () => Promise.reject(new Error(words)))
    const refused = await failure(collect(pair.client.query('x')))
    expect(refused).toMatchObject({ code: 'ERR_RPC_TOO_LARGE', message: words })
    let given: AbortSignal | undefined
    pair.host.on('query', async (_query, signal) => {
      given = signal
      return (async function* () {
        yield { kind: 'ack', from: 'ada', payload: text('') } as const
        await once(signal, 'abort')
      })()
    })
    for await (const { from } of pair.client.query('x')) {
      expect(from).toBe('ada')
      break
    }
    await until(() => given?.aborted === true && pair.server.stats().connections === 0)
  })

  it('RPC-43 the log begins with what was said before', async () => {
    await using pair = await openPair()
    pair.host.say({ level: 'DEBUG', text: '[DEBUG] no' })
    pair.host.say({ level: 'WARN', text: '[WARN] one' })
    const lines: string[] = []
    for await (const line of pair.client.monitor('WARN')) {
      lines.push(line)
      if (lines.length === 1) pair.host.say({ level: 'ERR', text: '[ERR] two' })
      else break
    }
    expect(lines).toEqual(['[WARN] one', '[ERR] two'])
    const error = await failure(collect(pair.client.monitor('LOUD' as 'INFO')))
    expect(error).toMatchObject({ code: 'ERR_RPC_FILTER', message: 'Unknown log level: LOUD' })
  })

  it('RPC-43 the end of the connection or of the client ends them with an error', async () => {
    await using pair = await openPair()
    const lost = failure(collect(pair.client.events()))
    await until(() => pair.server.stats().counters['requests'] === 2)
    await pair.server.stop()
    expect((await lost).code).toBe('ERR_RPC_CONNECTION_LOST')
    await using other = await openPair()
    const closed = failure(collect(other.client.events()))
    await until(() => other.server.stats().counters['requests'] === 2)
    await other.client.close()
    expect((await closed).code).toBe('ERR_RPC_CLOSED')
    const bad = failure(collect((await openPair()).client.events('nonsense')))
    expect((await bad).message).toBe('Invalid event filter')
  })

  it('RPC-44 come back after a loss where they shall, and say so', async () => {
    const first = await openPair()
    const { port } = first.server.address ?? { port: 0 }
    await using client = createSerfClient({
      address: { host: '127.0.0.1', port },
      reconnectDelayMs: 5,
      reconnectDelayMsMax: 20,
    })
    const events = client.events('user', { reconnect: true })
    await until(() => first.server.stats().counters['requests'] === 2)
    const shared = { kind: 'user', payload: text(''), lamportTime: 1n, coalesce: true } as const
    first.host.tell({ ...shared, name: 'one' })
    expect((await events.next()).value).toMatchObject({ name: 'one' })
    await first[Symbol.asyncDispose]()
    await using second = await openPair({ server: { address: { host: '127.0.0.1', port } } })
    await until(() => second.server.stats().counters['requests'] === 2)
    second.host.tell({ ...shared, name: 'two' })
    expect((await events.next()).value).toEqual({ kind: 'resumed' })
    expect((await events.next()).value).toMatchObject({ name: 'two' })
    await events.return?.()
  })

  it('RPC-45 a slow consumer stops the reading, not the answers', async () => {
    await using pair = await openPair({
      client: { recordsMax: 10 },
      server: { limits: { recordsMax: 50, recordsBytesMax: 100_000_000 } },
    })
    const { client, host, server } = pair
    let answered = 0
    const respond = async (): Promise<void> => void (answered += 1)
    const shared = { payload: text('x'.repeat(9_000)), lamportTime: 1n }
    const events = client.events('*')
    await until(() => server.stats().counters['requests'] === 2)
    host.tell({ kind: 'query', name: 'q', timeoutMs: 600_000, ...shared, respond })
    const asked = await events.next()
    while ((server.stats().counters['recordsDropped'] ?? 0) === 0) {
      host.tell({ kind: 'user', name: 'e', coalesce: false, ...shared })
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(asked.value?.kind).toBe('query')
    if (asked.value?.kind === 'query') await asked.value.respond('still')
    expect(answered).toBe(1)
    expect((await events.next()).value).toMatchObject({ kind: 'user' })
    await events.return?.()
  })
})

async function freeAddress(): Promise<AddressInfo> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return address
}

/** Something that listens and is no agent. */
async function imposter(
  greet: (socket: Socket) => void,
): Promise<AsyncDisposable & { readonly address: string }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    greet(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
