/** The client for processes that are no members, against real HTTP servers. */
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ServiceInstance } from '@kith/interface'
import { afterEach, describe, expect, it } from 'vitest'
import {
  createRegistryClient,
  type RegistryClient,
  type RegistryClientOptions,
} from '../src/index.ts'

const servers: Server[] = []
const clients: RegistryClient[] = []
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.stop()))
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

function open(
  urls: readonly string[],
  options: Partial<RegistryClientOptions> = {},
): RegistryClient {
  const client = createRegistryClient({ urls, ...options })
  clients.push(client)
  return client
}

async function agent(handler: RequestListener): Promise<string> {
  const server = createServer(handler)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const answer = (body: unknown, status = 200): RequestListener => {
  return (_, response) => response.writeHead(status).end(JSON.stringify(body))
}

const web: ServiceInstance = {
  service: 'web',
  id: 'web-1',
  member: 'a',
  address: '10.0.0.1',
  port: 80,
  tags: ['eu'],
  meta: { zone: 'x' },
  checks: [{ id: 'web-1/tcp', kind: 'tcp', status: 'passing', output: 'ok' }],
  status: 'passing',
  version: 3,
}

describe('the client', () => {
  it('REG-24: asks for names', async () => {
    const client = open([await agent(answer({ services: [{ service: 'web', instances: 1 }] }))])
    expect([...(await client.services())]).toEqual([['web', 1]])
  })

  it('REG-24: goes on to the next agent, and stays with the one that answered', async () => {
    const counts = [0, 0, 0]
    const counted = (index: number, handler: RequestListener): Promise<string> =>
      agent((request, response) => {
        counts[index] = (counts[index] ?? 0) + 1
        handler(request, response)
      })
    const urls = [
      await counted(0, answer({}, 503)),
      await counted(1, (request) => void request.socket.destroy()),
      await counted(2, answer({ services: [] })),
    ]
    const client = open(urls)
    await client.services()
    await client.services()
    await client.services()
    expect(counts).toEqual([1, 1, 3])
  })

  it('REG-24: leaves an agent that does not answer in time', async () => {
    const urls = [await agent(() => {}), await agent(answer({ services: [] }))]
    const client = open(urls, { timeoutMs: 2_000 })
    expect((await client.services()).size).toBe(0)
  })

  it('REG-24: says when no agent answered, with each cause, and when the question is wrong', async () => {
    const down = open(['http://127.0.0.1:1', await agent(answer({}, 500))])
    const cause = await down.services().catch((error: unknown) => error)
    expect(cause).toMatchObject({ code: 'ERR_REGISTRY_CLIENT_UNAVAILABLE' })
    expect(((cause as Error).cause as AggregateError).errors).toHaveLength(2)
    const wrong = open([await agent(answer({ code: 'X' }, 400))])
    await expect(wrong.resolve('web', { limit: -1 })).rejects.toMatchObject({
      code: 'ERR_REGISTRY_CLIENT_REFUSED',
      details: { status: 400 },
    })
  })

  it('REG-24: passes on an abort at once', async () => {
    const client = open([await agent(() => {})])
    const abort = new AbortController()
    const asking = client.services({ signal: abort.signal })
    abort.abort(new Error('enough'))
    await expect(asking).rejects.toThrow('enough')
  })

  it.each([
    ['no JSON', '{'],
    ['no list', '{"instances":{}}'],
    ['no object', '[]'],
    ['a bad instance', JSON.stringify({ instances: [{ ...web, port: '80' }] })],
    ['a port out of range', JSON.stringify({ instances: [{ ...web, port: 0 }] })],
    ['an address that is none', JSON.stringify({ instances: [{ ...web, address: 'a/b' }] })],
    ['a bad distance', JSON.stringify({ instances: [], distances: { a: -1 } })],
    ['a bad status', JSON.stringify({ instances: [{ ...web, status: 'fine' }] })],
    ['a bad check', JSON.stringify({ instances: [{ ...web, checks: [5] }] })],
  ])('REG-24: refuses an answer with %s', async (_name, text) => {
    const client = open([await agent((_, response) => response.end(`${text}\n`))])
    await expect(client.resolve('web')).rejects.toMatchObject({ name: 'RegistryError' })
  })

  it('REG-24: stops reading an answer without end', async () => {
    let sent = 0
    const url = await agent((_, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(65_536))) sent += 65_536
      }
      response.on('drain', more)
      more()
    })
    const client = open([url], { timeoutMs: 20_000 })
    await expect(client.services()).rejects.toMatchObject({
      code: 'ERR_REGISTRY_CLIENT_UNAVAILABLE',
    })
    expect(sent).toBeLessThan(64 * 1_048_576)
  })

  it('REG-24: names every option at fault', () => {
    const make = (options: unknown): unknown => {
      try {
        return createRegistryClient(options as never)
      } catch (cause) {
        return (cause as Error).message
      }
    }
    expect(make({ urls: [] })).toContain('urls must be a list of 1 to 64 URLs')
    expect(make({ urls: ['ftp://x', 'nothing'], timeoutMs: 0 })).toMatch(
      /urls\[0\].*urls\[1\].*timeoutMs/,
    )
  })
})
