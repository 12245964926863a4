/** The commands for services against real agents: put up, watched, drained, taken down. */
import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { afterEach, describe, expect, it } from 'vitest'
import { command, env, kith, killAll, startAgent } from './process.ts'

afterEach(killAll, 60_000)

interface Answer {
  readonly service: string
  readonly instances: readonly { readonly id: string; readonly status: string }[]
}

describe('kith services', { timeout: 120_000 }, () => {
  it('REG-27: shows at another member what was registered, got sick, was drained and went', async () => {
    let status = 200
    const web = createServer((_request, response) => response.writeHead(status).end('as told'))
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
    const { port } = web.address() as AddressInfo
    const ada = await startAgent('--node', 'ada')
    const ben = await startAgent('--node', 'ben', '--join', ada.gossip)
    const at = ['--http-addr', ada.http]

    const args = ['services', '--watch', '--format', 'json', '--http-addr', ben.http]
    const watch = spawn(process.execPath, [command, ...args], { env })
    const lines = createInterface({ input: watch.stdout })[Symbol.asyncIterator]()
    const until = async (wanted: string | undefined): Promise<void> => {
      for (;;) {
        const { value = '', done } = await lines.next()
        if (done) throw new Error(`the watch ended before web was ${wanted ?? 'gone'}`)
        const { service, instances } = JSON.parse(value) as Answer
        if (service === 'web' && instances[0]?.status === wanted) return
      }
    }
    try {
      const check = '{"kind":"http","intervalMs":100}'
      const put = await kith(['register', `web:${port}`, '--id', 'web-1', '--check', check, ...at])
      expect(put).toMatchObject({ code: 0, err: '' })
      await until('passing')
      status = 503
      await until('critical')
      const seen = await kith(['services', '--checks', '--http-addr', ben.http])
      expect(seen.out).toMatch(
        /^web\n {2}web-1 +ada +\S+ +critical\n {4}http +http +critical +.*503/,
      )
      status = 200
      await until('passing')
      expect((await kith(['drain', '--reason', 'new disk', ...at])).code).toBe(0)
      await until('critical')
      const drained = await kith(['services', 'web', '--http-addr', ben.http])
      expect(drained.out).toContain('critical  maintenance: new disk')
      expect((await kith(['drain', '--end', ...at])).code).toBe(0)
      await until('passing')
      expect((await kith(['deregister', 'web-1', ...at])).code).toBe(0)
      await until(undefined)
    } finally {
      watch.kill('SIGKILL')
      web.close()
    }
  })
})
