import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { feed } from '../src/feeder.ts'

const lines = Array.from({ length: 5 }, (_, at) => ({ key: `k${at}`, value: `v${at}` }))

/** A member that answers each request with the next of these statuses, then always with 200. */
async function member(
  statuses: number[],
): Promise<{ http: string; asked: string[]; close(): void }> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      asked.push(
        `${new URL(request.url ?? '', 'http://x').searchParams.get('producerSequence')} ${body}`,
      )
      response.statusCode = statuses.shift() ?? 200
      response.end('{}')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const close = (): void => {
    server.closeAllConnections()
    server.close()
  }
  return { http: `127.0.0.1:${port}`, asked, close }
}

function start(http: string, retryMs = 5000): ReturnType<typeof feed> {
  const { signal } = new AbortController()
  return feed({ http: () => http, producer: 'p', lines, recordsMax: 2, paceMs: 0, signal, retryMs })
}

describe('a feed', () => {
  it('repeats a request as it was until it is stored, then sends the next number', async () => {
    const { http, asked, close } = await member([200, 503, 503])
    const feeding = start(http)
    await feeding.done
    close()
    expect(feeding.acknowledged()).toEqual(lines)
    expect(feeding.retries()).toBe(2)
    expect(asked.map((request) => request.split(' ')[0])).toEqual(['1', '2', '2', '2', '3'])
    expect(new Set(asked.slice(1, 4)).size).toBe(1)
  })

  it('ends with what is refused for good, keeping count of what was stored', async () => {
    const { http, close } = await member([200, 400])
    const feeding = start(http)
    await expect(feeding.done).rejects.toThrow('answered 400')
    close()
    expect(feeding.acknowledged()).toEqual(lines.slice(0, 2))
  })
})
