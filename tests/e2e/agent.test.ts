import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type AgentProcess, kith, killAll, startAgent } from './process.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kith-e2e-'))
})
afterEach(killAll)
afterAll(() => rm(folder, { recursive: true }))

function at({ http }: AgentProcess): string[] {
  return ['--http-addr', http]
}

async function values(agent: AgentProcess): Promise<string[]> {
  const { out } = await kith(['log', 'read', ...at(agent)])
  return out.split('\n').filter(Boolean)
}

async function recordsOf(agent: AgentProcess): Promise<number> {
  const answer = await fetch(`http://${agent.http}/v1/log/status`)
  return ((await answer.json()) as { records: number }).records
}

/** Asks until it holds; the test's own time is the bound. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20))
}

// Each test starts several processes: on a busy machine that alone takes its time.
describe('kith agent as a process', { timeout: 120_000 }, () => {
  it('killed and started again, finds back by what it remembers', async () => {
    const data = join(folder, 'remembers')
    const ada = await startAgent('--node', 'ada')
    const ben = await startAgent('--node', 'ben', '--data', data, '--join', ada.gossip)
    await ben.line(({ event, member }) => event === 'member-join' && member?.name === 'ada')
    // On the disk half a second after it was known.
    const kept = join(data, 'members.snapshot')
    await until(async () => (await readFile(kept, 'utf8')).includes('alive: ada '))
    ben.child.kill('SIGKILL')
    await ben.exited
    const back = await startAgent('--node', 'ben', '--data', data, '--bind', ben.gossip)
    await back.line(({ event, member }) => event === 'member-join' && member?.name === 'ada')
    await ada.line(({ event, member }) => event === 'member-join' && member?.name === 'ben')
  })

  it('says first that it is ready, where, and who is there', async () => {
    const agent = await startAgent('--node', 'ada', '--tag', 'role=web', '--service', 'web:80')
    expect(Object.keys(agent.lines[0] ?? {})).toEqual([
      'event',
      'node',
      'gossip',
      'http',
      'rpc',
      'pid',
    ])
    expect(agent.lines[0]).toMatchObject({ event: 'ready', node: 'ada' })
    expect(agent.rpc).toMatch(/^127\.0\.0\.1:\d+$/)
    expect((await startAgent('--no-rpc')).lines[0]).toMatchObject({ rpc: null })
    expect(agent.pid).toBe(agent.child.pid)
    const joined = await agent.line(({ event }) => event === 'member-join')
    const [addr, port] = agent.gossip.split(':')
    expect(joined).toMatchObject({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as string,
      member: { name: 'ada', addr, port: Number(port), status: 'alive', tags: { role: 'web' } },
    })
    const { out } = await kith(['members', '--format', 'json', ...at(agent)])
    expect(JSON.parse(out)).toEqual({
      members: [
        {
          name: 'ada',
          addr: agent.gossip,
          port: Number(port),
          tags: { role: 'web', 'kith.v': '1', 'kith.http': agent.http },
          status: 'alive',
          protocol: { max: 5, min: 2, version: 5 },
        },
      ],
    })
    expect((await kith(['resolve', 'web', ...at(agent)])).out).toContain('127.0.0.1:80  ada')
  })

  it('leaves on SIGTERM without being called failed, and ends with 0', async () => {
    const ada = await startAgent('--node', 'ada')
    const ben = await startAgent('--node', 'ben', '--join', ada.gossip)
    await ada.line(({ event, member }) => event === 'member-join' && member?.name === 'ben')
    // A connection that is kept open and a follower that never ends do not hold it up.
    const follow = fetch(`http://${ben.http}/v1/log/records?follow=true`).then((it) => it.text())
    await until(async () => (await followers(ben)) === 1)
    const from = performance.now()
    ben.child.kill('SIGTERM')
    expect(await ben.exited).toBe(0)
    expect(performance.now() - from).toBeLessThan(20_000)
    expect(await follow).toBe('')
    await ada.line(({ event, member }) => event === 'member-leave' && member?.status === 'left')
    expect(ada.lines.some(({ event }) => event === 'member-failed')).toBe(false)
  })

  it('goes on, and leaves well, when nobody reads its lines any more', async () => {
    const ada = await startAgent('--node', 'ada')
    const ben = await startAgent('--node', 'ben', '--log-level', 'debug')
    ben.child.stdout?.destroy()
    const joining = await fetch(`http://${ben.http}/v1/services/web`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ service: 'web', port: 80 }),
    })
    expect(joining.status).toBe(200)
    const cleo = await startAgent('--node', 'cleo', '--join', ben.gossip, '--join', ada.gossip)
    await cleo.line(({ event, member }) => event === 'member-join' && member?.name === 'ben')
    ben.child.kill('SIGTERM')
    expect(await ben.exited).toBe(0)
    await cleo.line(({ event, member }) => event === 'member-leave' && member?.name === 'ben')
  })

  it('ends at once on a second signal', async () => {
    const ada = await startAgent('--node', 'ada')
    await startAgent('--node', 'ben', '--join', ada.gossip)
    await ada.line(({ event, member }) => event === 'member-join' && member?.name === 'ben')
    ada.child.kill('SIGINT')
    await ada.line(({ message }) => String(message).startsWith('leaving the cluster'))
    ada.child.kill('SIGTERM')
    expect(await ada.exited).toBe(143)
  })

  it('keeps what it acknowledged over kill -9, and is found failed and alive again', async () => {
    const data = ['--data', join(folder, 'killed')]
    const ada = await startAgent('--node', 'ada')
    const first = await startAgent('--node', 'ben', '--join', ada.gossip, ...data)
    const input = Array.from({ length: 4000 }, (_, line) => `line ${line}\n`).join('')
    const appending = kith(['log', 'append', '--producer', 'p', ...at(first)], input)
    await until(async () => (await recordsOf(first)) >= 1000)
    first.child.kill('SIGKILL')
    await first.exited
    const again = ['--bind', first.gossip, '--http', first.http, '--join', ada.gossip, ...data]
    await ada.line(({ event, member }) => event === 'member-failed' && member?.name === 'ben')
    const second = await startAgent('--node', 'ben', ...again)
    const appended = await appending
    expect(appended.err + appended.out).toContain('appended 4000 records')
    const expected = input.split('\n').filter(Boolean)
    expect(await values(second)).toEqual(expected)
    await until(async () => (await recordsOf(ada)) === 4000)
    expect((await values(ada)).toSorted()).toEqual(expected.toSorted())
    const verified = await kith(['log', 'verify', ...at(second)])
    expect(verified.code).toBe(0)
    const failedAt = ada.lines.findIndex(({ event }) => event === 'member-failed')
    const after = ada.lines.slice(failedAt).map(({ event }) => event)
    expect(after).toContain('member-join')
  })

  it('says which address or directory is taken', async () => {
    const data = join(folder, 'taken')
    const ada = await startAgent('--node', 'ada', '--data', data)
    const port = ['agent', '--bind', '127.0.0.1:0', '--http', ada.http]
    const taken = await kith(port)
    expect(taken.code).toBe(1)
    expect(taken.err).toContain(`cannot listen on ${ada.http}`)
    const free = ['agent', '--bind', '127.0.0.1:0', '--http', '127.0.0.1:0']
    const locked = await kith([...free, '--data', data])
    expect(locked.code).toBe(1)
    expect(locked.err).toContain(data)
  })

  it('takes no more of an endless upload than its limit, and keeps none of it', async () => {
    const agent = await startAgent('--node', 'ada')
    await upload(agent, 20)
    const before = await memoryOf(agent)
    expect(await upload(agent, 200)).toBe(413)
    expect((await memoryOf(agent)) - before).toBeLessThan(32 * 1024 * 1024)
    expect(await recordsOf(agent)).toBe(0)
  })
})

async function figure(agent: AgentProcess, name: string): Promise<number> {
  const text = await (await fetch(`http://${agent.http}/metrics`)).text()
  const line = text.split('\n').find((it) => it.startsWith(`${name} `))
  return Number(line?.slice(name.length))
}

function followers(agent: AgentProcess): Promise<number> {
  return figure(agent, 'kith_http_readers{kind="following"}')
}

function memoryOf(agent: AgentProcess): Promise<number> {
  return figure(agent, 'process_resident_memory_bytes')
}

/** Sends so many MiB in chunks, whatever is answered meanwhile; resolves with the status. */
function upload(agent: AgentProcess, mebibytes: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/octet-stream' }
    const sending = request(`http://${agent.http}/v1/log/records`, { method: 'POST', headers })
    let status = 0
    sending.on('response', (response) => {
      status = response.statusCode ?? 0
      response.resume()
    })
    sending.on('close', () => resolve(status))
    // The agent may close what goes on for too long; the status it gave before counts.
    sending.on('error', (cause) => (status > 0 ? resolve(status) : reject(cause)))
    const chunk = Buffer.alloc(1024 * 1024)
    let left = mebibytes
    const send = (): void => {
      while (left > 0 && !sending.destroyed) {
        left -= 1
        if (!sending.write(chunk)) return void sending.once('drain', send)
      }
      sending.end()
    }
    send()
  })
}
