import type { ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { fakeAgent, kith } from './support.ts'

const check = { id: 'web-1/tcp', kind: 'tcp', status: 'passing', output: 'connected' }
const instance = {
  service: 'web',
  id: 'web-1',
  member: 'ada',
  address: '127.0.0.1',
  port: 80,
  tags: [],
  meta: {},
  checks: [check],
  status: 'passing',
  version: 1,
}
const sick = {
  ...instance,
  id: 'web-2',
  member: 'ben',
  address: '::1',
  checks: [{ ...check, id: 'web-2/tcp', status: 'critical', output: 'refused\n\u001b[2J  twice' }],
  status: 'critical',
}

describe('services with their checks', () => {
  it('shows each instance, and what each of its checks last said', async () => {
    await using agent = await fakeAgent(({ url }) =>
      url === '/v1/services'
        ? { services: [{ service: 'web', instances: 2 }] }
        : { service: 'web', instances: [instance, sick] },
    )
    const address = ['--http-addr', agent.address]
    const { out } = await kith(['services', '--checks', ...address])
    expect(out.split('\n')).toEqual([
      'web',
      '  web-1  ada  127.0.0.1:80  passing',
      '    tcp  tcp                passing   connected',
      '  web-2  ben  [::1]:80      critical',
      '    tcp  tcp                critical  refused \\u001b[2J twice',
      '',
    ])
    expect(agent.asked.at(-1)?.url).toBe('/v1/services/web?passing=false')
    const one = await kith(['services', 'web', ...address])
    expect(one.out).toContain('critical  tcp: refused')
    const json = await kith(['services', 'web', '--format', 'json', ...address])
    const services = [{ service: 'web', instances: [instance, sick] }]
    expect(JSON.parse(json.out)).toEqual({ services })
    const painted = await kith(['services', 'web', ...address], { isTTY: true })
    expect(painted.out).toContain('\u001b[31m  web-2')
  })

  it('says so where a service has no instance', async () => {
    await using agent = await fakeAgent(() => ({ service: 'web', instances: [] }))
    const run = await kith(['services', 'web', '--http-addr', agent.address])
    expect(run).toEqual({ code: 0, out: 'web\n  no instances\n', err: '' })
  })
})

const line = (service: string, ...instances: readonly object[]): string =>
  `${JSON.stringify({ service, instances })}\n`

/** Sends each line once the one before was printed, then the signal. */
async function watching(
  args: readonly string[],
  lines: readonly string[],
  options: { isTTY?: boolean } = {},
): Promise<{ out: string; code: number; asked: string }> {
  let response: ServerResponse | undefined
  const left = [...lines]
  await using agent = await fakeAgent((_asked, answer) => {
    response = answer
    answer.write(`\n${left.shift() ?? ''}`)
  })
  const run = await kith(['services', '--watch', ...args, '--http-addr', agent.address], {
    ...options,
    onStart: (io, signal) => {
      io.stdout.on('data', (chunk: Buffer) => {
        // A terminal is first cleared, with a picture of nothing.
        if (!chunk.includes('web')) return
        const next = left.shift()
        if (next === undefined) setImmediate(() => signal('SIGINT'))
        else response?.write(next)
      })
    },
  })
  return { ...run, asked: agent.asked[0]?.url ?? '' }
}

describe('services --watch', () => {
  const lines = [
    line('web', instance),
    line('web', { ...sick, id: 'web-1', member: 'ada' }),
    line('web'),
  ]

  it('prints what the agent says as JSON lines, until a signal', async () => {
    const { out, code, asked } = await watching(['--format', 'json'], lines)
    expect([out, code]).toEqual([lines.join(''), 0])
    expect(asked).toBe('/v1/services?follow=true')
  })

  it('prints a line for each change where there is no terminal', async () => {
    const { out, code, asked } = await watching(['web'], lines)
    expect(code).toBe(0)
    expect(asked).toBe('/v1/services/web?follow=true&passing=false')
    expect(out.replaceAll(/^\S+/gm, 'TIME').split('\n')).toEqual([
      'TIME  web  web-1  ada  127.0.0.1:80  passing',
      'TIME  web  web-1  ada  [::1]:80  critical  tcp: refused \\u001b[2J twice',
      'TIME  web  web-1  ada  [::1]:80  gone',
      '',
    ])
  })

  it('draws a terminal again in place, never higher than it is', async () => {
    const many = Array.from({ length: 40 }, (_, at) => ({ ...instance, id: `web-${at}` }))
    const { out, code } = await watching([], [line('web', ...many)], { isTTY: true })
    expect(code).toBe(0)
    const pictures = out.split('\u001b[H')
    const last = pictures.at(-1) ?? ''
    expect(last).toContain('web-18')
    expect(last).toContain('... and 21 lines more')
    expect(last.split('\n')).toHaveLength(24)
    expect(last.endsWith('\u001b[J\u001b[?7h')).toBe(true)
  })

  it('exits 3 when the agent stops, and 1 when it is none', async () => {
    await using agent = await fakeAgent((_asked, response) => void response.end(lines[0]))
    const run = await kith(['services', '--watch', '--http-addr', agent.address])
    expect([run.code, run.err]).toEqual([3, expect.stringContaining('stopped')])
    await using other = await fakeAgent((_asked, response) => void response.end('<html>\n'))
    const wrong = await kith(['services', '--watch', '--http-addr', other.address])
    expect([wrong.code, wrong.err]).toEqual([1, expect.stringContaining('no service')])
  })
})

describe('register, deregister and drain', () => {
  it('registers what the flags say, under an id', async () => {
    await using agent = await fakeAgent(() => instance)
    const address = ['--http-addr', agent.address]
    const args = ['--id', 'web-1', '--address', '::1', '--tag', 'a', '--tag', 'b', '--meta', 'x=y']
    const json = '{"kind":"tcp","intervalMs":2000}'
    const checks = ['--check', 'http', '--check', json]
    const run = await kith(['register', 'web:80', ...args, ...checks, ...address])
    expect(run).toEqual({
      code: 0,
      out: 'registered web-1 of web at 127.0.0.1:80: passing\n',
      err: '',
    })
    const [asked] = agent.asked
    expect(asked).toMatchObject({
      method: 'PUT',
      url: '/v1/services/web-1',
      type: 'application/json',
    })
    expect(JSON.parse(asked?.body ?? '')).toEqual({
      service: 'web',
      port: 80,
      address: '::1',
      tags: ['a', 'b'],
      meta: { x: 'y' },
      checks: [{ kind: 'http' }, { kind: 'tcp', intervalMs: 2000 }],
    })
    const plain = await kith(['register', 'web:80', '--format', 'json', ...address])
    expect(JSON.parse(plain.out)).toEqual(instance)
    expect(JSON.parse(agent.asked[1]?.body ?? '')).toEqual({ service: 'web', port: 80 })
    expect(agent.asked[1]?.url).toBe('/v1/services/web')
  })

  it('takes an instance down, holds back and gives back', async () => {
    await using agent = await fakeAgent((_asked, response) => {
      response.statusCode = 204
      response.end()
    })
    const run = (...args: readonly string[]) => kith([...args, '--http-addr', agent.address])
    expect((await run('deregister', 'web:1')).out).toBe('deregistered web:1\n')
    expect((await run('drain', '--reason', 'new\u0007 disk')).out).toBe(
      'the agent is drained: new\\u0007 disk\n',
    )
    expect((await run('drain', 'web-1')).out).toContain('web-1 is drained: ')
    expect((await run('drain', 'web-1', '--end')).out).toBe('web-1 is given back\n')
    const json = await run('drain', '--end', '--format', 'json')
    expect(JSON.parse(json.out)).toEqual({ drained: false })
    expect(agent.asked.map(({ method, url, body }) => [method, url, body])).toEqual([
      ['DELETE', '/v1/services/web%3A1', ''],
      ['PUT', '/v1/maintenance', '{"reason":"new\\u0007 disk"}'],
      ['PUT', '/v1/services/web-1/maintenance', '{"reason":"drained by kith drain"}'],
      ['DELETE', '/v1/services/web-1/maintenance', ''],
      ['DELETE', '/v1/maintenance', ''],
    ])
  })

  it('passes on what the agent refuses', async () => {
    await using agent = await fakeAgent((_asked, response) => {
      response.statusCode = 404
      return { detail: 'no own instance "web-9"', code: 'ERR_REGISTRY_UNKNOWN_INSTANCE' }
    })
    const run = await kith(['deregister', 'web-9', '--http-addr', agent.address])
    expect(run.code).toBe(1)
    expect(run.err).toBe('kith: no own instance "web-9" (ERR_REGISTRY_UNKNOWN_INSTANCE)\n')
  })
})
