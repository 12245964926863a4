/** Routes of plugins: what may be added, who may use it, and what becomes of wrong answers. */
import { request as httpRequest } from 'node:http'
import { KithError } from '@kith/interface'
import { afterEach, describe, expect, it } from 'vitest'
import { createServer, type PluginRoute, type Server } from '../src/index.ts'
import { type Bench, deferred, startServer } from './fakes.ts'

let bench: Bench | undefined
afterEach(async () => {
  await bench?.server.stop()
  bench = undefined
})

const route = (given: Partial<PluginRoute>): PluginRoute => {
  return { method: 'GET', path: '/x', role: 'read', handle: () => ({ text: 'x' }), ...given }
}

async function started(...routes: Partial<PluginRoute>[]): Promise<Bench> {
  bench = await startServer()
  for (const one of routes) bench.server.addRoute('notes', route(one))
  return bench
}

async function ask(
  path: string,
  init: RequestInit = {},
): Promise<{ status: number; body: string }> {
  const answer = await fetch(`${bench?.url}/v1/plugins/${path}`, init)
  return { status: answer.status, body: await answer.text() }
}

const json = (method: string, body: string, type = 'application/json'): RequestInit => {
  return { method, body, headers: { 'content-type': type } }
}

const refusal = (server: Server, plugin: string, given: unknown): unknown => {
  try {
    server.addRoute(plugin, given as PluginRoute)
  } catch (cause) {
    return cause
  }
  return undefined
}

describe('a route of a plugin', () => {
  it('answers below the name of its plugin, until it is removed', async () => {
    const { server } = await started()
    expect((await ask('notes/x')).status).toBe(404)
    const remove = server.addRoute('notes', route({ handle: () => ({ json: { fine: true } }) }))
    expect(await ask('notes/x')).toEqual({ status: 200, body: '{"fine":true}' })
    for (const path of ['other/x', 'notes/x/', 'notes', 'notes/', 'notes/y', 'Notes/x']) {
      expect([path, (await ask(path)).status]).toEqual([path, 404])
    }
    expect((await ask('notes/x', { method: 'DELETE' })).status).toBe(404)
    remove()
    remove()
    expect(await ask('notes/x')).toMatchObject({
      status: 404,
      body: expect.stringContaining(
        'no plugin of this member has GET /v1/plugins/notes/x',
      ) as string,
    })
    server.addRoute('notes', route({}))
    expect(await ask('notes/x')).toEqual({ status: 200, body: 'x' })
  })

  it('gets its parameters, its query and its body, each decoded and checked', async () => {
    const seen: unknown[] = []
    const handle: PluginRoute['handle'] = ({ params, query, body, caller }) => {
      seen.push([params, query, body, caller])
    }
    await started({ method: 'PUT', path: '/a/:id/b/:more', query: ['from', 'to'], handle })
    const path = 'notes/a/x%2Fy%20z/b/..%2Fq?from=1%262&to='
    expect(await ask(path, json('PUT', '{"n":[1]}'))).toEqual({ status: 204, body: '' })
    expect((await ask('notes/a/1/b/2', { method: 'PUT' })).status).toBe(204)
    expect(seen).toEqual([
      [{ id: 'x/y z', more: '../q' }, { from: '1&2', to: '' }, { n: [1] }, undefined],
      [{ id: '1', more: '2' }, {}, undefined, undefined],
    ])
    const bad: [string, RequestInit, number, string][] = [
      ['notes/a/1/b/2?other=1', json('PUT', '{}'), 400, 'other must be absent'],
      ['notes/a/1/b/2?from=1&from=2', json('PUT', '{}'), 400, 'from must be given once'],
      ['notes/a/1/b/2', json('PUT', '{'), 400, 'valid JSON'],
      ['notes/a/1/b/2', json('PUT', '{}', 'text/plain'), 415, 'application/json'],
      ['notes/a/1/b/2', json('PUT', `"${'x'.repeat(65_536)}"`), 413, '65536'],
      [`notes/a/${'x'.repeat(513)}/b/2`, json('PUT', '{}'), 404, 'ERR_SERVER_NOT_FOUND'],
      ['notes/a//b/2', json('PUT', '{}'), 404, 'ERR_SERVER_NOT_FOUND'],
      ['notes/a/%ff/b/2', json('PUT', '{}'), 400, 'ERR_SERVER_BAD_REQUEST'],
    ]
    for (const [where, init, status, said] of bad) {
      const answer = await ask(where, init)
      expect([where.slice(0, 40), answer.status]).toEqual([where.slice(0, 40), status])
      expect(answer.body).toContain(said)
    }
    expect(seen).toHaveLength(2)
  })

  it('is the one with the earlier fixed segment where several fit', async () => {
    await started(
      { path: '/:a/:b', handle: () => ({ text: 'any' }) },
      { path: '/:a/last', handle: ({ params }) => ({ text: `last of ${params['a']}` }) },
      { path: '/first/:b', handle: () => ({ text: 'first' }) },
    )
    const answers = ['notes/q/r', 'notes/q/last', 'notes/first/last'].map(async (path) => {
      return (await ask(path)).body
    })
    expect(await Promise.all(answers)).toEqual(['any', 'last of q', 'first'])
  })

  it('is found as the router finds it, however its address is written', async () => {
    const { server, url } = await started({})
    const { port } = new URL(url)
    const get = (path: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const sent = httpRequest({ port, path, agent: false }, (answer) => {
          resolve(answer.resume().statusCode ?? 0)
        })
        sent.on('error', reject).end()
      })
    expect(await get(`${url}/v1/plugins/notes/x`)).toBe(200)
    expect(await get('/v1/%70lugins/not%65s/%78')).toBe(200)
    expect(await get('/v1/plugins/notes/../notes/x')).toBe(404)
    expect(await get('/v1/plugins/notes/y/%2e%2e/x')).toBe(404)
    expect(server.stats().failures).toBe(0)
  })

  it('waits, as all others do, until the parts are bound', async () => {
    await using server = createServer()
    const { port } = await server.start()
    server.addRoute('notes', route({}))
    expect((await fetch(`http://127.0.0.1:${port}/v1/plugins/notes/x`)).status).toBe(503)
  })
})

describe('adding a route', () => {
  const wrong: [string, unknown, string][] = [
    ['notes', undefined, 'route must be'],
    ['notes', {}, 'role must be "read", "write" or "operator": who may use it has to be said'],
    ['notes', { ...route({}), role: undefined }, 'role must be'],
    ['notes', { ...route({}), role: 'anybody' }, 'role must be'],
    ['notes', { ...route({}), method: 'PATCH' }, 'method must be'],
    ['notes', { ...route({}), method: 'get' }, 'method must be'],
    ['notes', { ...route({}), handle: 'x' }, 'handle must be a function'],
    ['notes', { ...route({}), query: ['a', 'a'] }, 'query must be'],
    ['notes', { ...route({}), query: 'a' }, 'query must be'],
    ['notes', { ...route({}), query: Array.from({ length: 33 }, (_, n) => `q${n}`) }, 'query'],
    ['notes', { ...route({}), open: true }, 'open must be absent'],
    ...['x', '', '/', '//', '/x/', '/..', '/a/../b', '/a b', '/%61', '/:', '/:a/:a', '/*', '/a?b']
      .concat('/a'.repeat(17), `/${'a'.repeat(65)}`)
      .map((path): [string, unknown, string] => ['notes', { ...route({}), path }, 'path must be']),
    ...['', 'a b', '..', '-x', 'a/b', 'x'.repeat(65), 'ü'].map(
      (name): [string, unknown, string] => [name, route({}), 'plugin must be'],
    ),
  ]
  it.each(wrong)('refuses that of %j: %j', (plugin, given, said) => {
    const refused = refusal(createServer(), plugin, given) as KithError
    expect(refused).toMatchObject({ code: 'ERR_SERVER_ROUTE' })
    expect(refused.message).toContain(said)
  })

  it('names both where one would stand in the place of another', () => {
    const server = createServer()
    const remove = server.addRoute('notes', route({ path: '/:id' }))
    expect(refusal(server, 'notes', route({ path: '/:name' }))).toMatchObject({
      code: 'ERR_SERVER_ROUTE',
      message:
        'GET /v1/plugins/notes/:name would stand where GET /v1/plugins/notes/:id is: ' +
        'give one of them another path',
    })
    server.addRoute('other', route({ path: '/:name' }))
    server.addRoute('notes', route({ path: '/:name', method: 'POST' }))
    remove()
    expect(refusal(server, 'notes', route({ path: '/:name' }))).toBeUndefined()
    // The removal of one that is gone takes nothing away from the one in its place.
    remove()
    expect(refusal(server, 'notes', route({ path: '/:id' }))).toMatchObject({
      code: 'ERR_SERVER_ROUTE',
    })
  })

  it('takes 256 in all', () => {
    const server = createServer()
    for (let n = 0; n < 256; n += 1) server.addRoute('notes', route({ path: `/x${n}` }))
    expect(refusal(server, 'notes', route({}))).toMatchObject({
      message: expect.stringContaining('one too many: at most 256') as string,
    })
  })
})

describe('what a plugin answers', () => {
  it.each<[string, unknown, number, string]>([
    ['nothing', undefined, 204, ''],
    ['a status alone', { status: 202 }, 202, ''],
    ['JSON', { json: [1], status: 201 }, 201, '[1]'],
    ['null', { json: null }, 200, 'null'],
    ['text', { text: 'hi', type: 'text/html' }, 200, 'hi'],
    ['no text', { text: '' }, 200, ''],
    [
      'a refusal',
      { status: 404, refusal: { code: 'ERR_NOTES_NONE', detail: 'no such note' } },
      404,
      '{"title":"A plugin refuses this","status":404,"detail":"no such note","code":"ERR_NOTES_NONE"}',
    ],
  ])('%s arrives', async (_what, answer, status, body) => {
    await started({ handle: () => answer as never })
    expect(await ask('notes/x')).toEqual({ status, body })
  })

  it('says of what kind it is, with headers of its own', async () => {
    const { url } = await started({
      handle: () => ({ text: '<p>', type: 'text/html', headers: { 'cache-control': 'no-store' } }),
    })
    const answer = await fetch(`${url}/v1/plugins/notes/x`)
    expect(answer.headers.get('content-type')).toBe('text/html')
    expect(answer.headers.get('cache-control')).toBe('no-store')
  })

  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  it.each<[string, unknown, string]>([
    ['no object', 'text', 'answer must be'],
    ['a number', 5, 'answer must be'],
    ['two bodies', { json: 1, text: 'x' }, 'one of json, text and refusal'],
    ['something else', { html: '<p>' }, 'html must be absent'],
    ['a failure without a refusal', { status: 500 }, 'status must be an integer from 200 to 299'],
    [
      'a refusal that succeeds',
      { status: 200, refusal: { code: 'X', detail: 'x' } },
      'status must',
    ],
    ['a refusal without a code', { refusal: { detail: 'x' } }, 'refusal must be'],
    ['a type of nothing', { type: 'text/html' }, 'type must be'],
    ['a header in two', { text: '', headers: { 'x-a': 'a\r\nx-b: b' } }, 'headers must be'],
    ['a length', { text: '', headers: { 'content-length': '5' } }, 'headers must be'],
    ['no JSON', { json: cycle }, 'its answer is no JSON'],
    ['a large number', { json: 1n }, 'its answer is no JSON'],
    ['too much', { text: 'x'.repeat(2_000) }, 'its answer has 2000 bytes; at most 1000 are sent'],
  ])('%s is a mistake of the plugin, told in the log alone', async (_what, answer, said) => {
    const lines: { cause?: Error; plugin?: string }[] = []
    const error = (fields: object): void => void lines.push(fields)
    const logger = { debug() {}, info() {}, warn() {}, error } as never
    bench = await startServer({ bodyBytesMax: 1_000 }, logger)
    bench.server.addRoute('notes', route({ handle: () => answer as never }))
    const { status, body } = await ask('notes/x')
    expect([status, body]).toEqual([500, expect.stringContaining('ERR_SERVER_PLUGIN')])
    expect(body).toContain('the plugin notes failed; the log of the member has why')
    expect(lines).toMatchObject([{ plugin: 'notes', route: 'GET /v1/plugins/notes/x' }])
    expect(lines[0]?.cause?.message).toContain(said)
  })

  it('by throwing is its mistake, unless a part refused something', async () => {
    await started(
      { path: '/mine', handle: () => Promise.reject(new Error('the secret is 7')) },
      {
        path: '/theirs',
        handle: () => {
          throw new KithError('ERR_REGISTRY_UNKNOWN_INSTANCE', 'no instance web')
        },
      },
      {
        path: '/unknown',
        handle: () => {
          throw new KithError('ERR_OF_MINE', 'the secret is 8')
        },
      },
    )
    const answers = await Promise.all(['mine', 'theirs', 'unknown'].map((it) => ask(`notes/${it}`)))
    expect(answers.map(({ status }) => status)).toEqual([500, 404, 500])
    expect(answers[1]?.body).toContain('no instance web')
    expect(JSON.stringify(answers)).not.toContain('secret')
  })
})

describe('a plugin that takes its time', () => {
  it('has so long, and so many at a time, those among them that nobody waits for', async () => {
    bench = await startServer({ pluginTimeoutMs: 20, pluginRequestsMax: 2 })
    const slow = deferred<void>()
    const reasons: unknown[] = []
    bench.server.addRoute(
      'notes',
      route({
        async handle({ signal }) {
          await slow.promise
          reasons.push((signal.reason as Error).message)
          throw new Error('late')
        },
      }),
    )
    const late = await Promise.all([ask('notes/x'), ask('notes/x')])
    for (const { status, body } of late) {
      expect(status).toBe(500)
      expect(body).toContain('the plugin notes did not answer within 20 ms')
    }
    expect(await ask('notes/x')).toMatchObject({
      status: 429,
      body: expect.stringContaining('ERR_SERVER_BUSY') as string,
    })
    slow.resolve()
    while (reasons.length < 2) await new Promise((next) => setImmediate(next))
    expect((await ask('notes/x')).status).not.toBe(429)
  })

  it.each(['removed', 'stopped'])('is told, and so is who waits, when it is %s', async (how) => {
    bench = await startServer()
    const begun = deferred<AbortSignal>()
    const remove = bench.server.addRoute(
      'notes',
      route({
        handle: ({ signal }) => {
          begun.resolve(signal)
          return new Promise(() => {})
        },
      }),
    )
    const answer = ask('notes/x')
    const signal = await begun.promise
    if (how === 'removed') remove()
    else void bench.server.stop()
    expect(await answer).toMatchObject({
      status: 503,
      body: expect.stringContaining('ERR_SERVER_STOPPING') as string,
    })
    expect(signal.aborted).toBe(true)
  })

  it('is told when its caller goes, which is no failure', async () => {
    bench = await startServer()
    const begun = deferred<AbortSignal>()
    bench.server.addRoute(
      'notes',
      route({
        handle: ({ signal }) => {
          begun.resolve(signal)
          return new Promise((_, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason as Error))
          })
        },
      }),
    )
    const gone = new AbortController()
    const answer = ask('notes/x', { signal: gone.signal })
    const signal = await begun.promise
    gone.abort()
    await expect(answer).rejects.toThrow()
    while (!signal.aborted) await new Promise((next) => setImmediate(next))
    expect((signal.reason as Error).message).toBe('the reader went away')
    expect(bench.server.stats().failures).toBe(0)
  })
})
