// Programs that run on events: what they are given, what their output does, and their bounds.
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatAddress, type Logger } from '@kith/interface'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startEventHandlers } from '../src/event-handlers.ts'
import { resolveAgentOptions } from '../src/options.ts'
import { type Agent, createAgent, type EventHandler } from '../src/index.ts'

const agents: Agent[] = []
let folder = ''
let heard = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kith-handlers-'))
  heard = join(folder, 'heard')
})
afterEach(async () => {
  await Promise.all(agents.splice(0).map((agent) => agent.stop()))
  await rm(folder, { recursive: true })
})

/** A program that no shell needs to run: its own first line says what runs it. */
async function program(name: string, lines: string): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, `#!/bin/sh\n${lines}\n`)
  await chmod(path, 0o755)
  return path
}

interface Warned {
  readonly message: string
  readonly [field: string]: unknown
}

async function started(
  eventHandlers: readonly EventHandler[],
  options: { readonly name?: string; readonly join?: readonly string[] } = {},
): Promise<{ agent: Agent; warned: Warned[] }> {
  const warned: Warned[] = []
  const nothing = (): void => {}
  const warn = (fields: object, message = ''): void => {
    if (message.startsWith('event handler:')) warned.push({ ...fields, message })
  }
  const logger: Logger = { debug: nothing, info: nothing, warn, error: nothing }
  const tags = { role: 'web', 'a-b': 'x y' }
  const agent = createAgent({
    ...{ profile: 'local', name: 'ada', tags, eventHandlers, logger },
    ...options,
  })
  agents.push(agent)
  await agent.start()
  return { agent, warned }
}

/** Asks until it holds; the test's own time is the bound. */
async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 10))
}

async function lines(): Promise<string[]> {
  const text = await readFile(heard, 'utf8').catch(() => '')
  return text.split('\n').filter(Boolean)
}

describe('event handlers', { timeout: 30_000 }, () => {
  it('are told of members, the member itself first, and of events that they are for', async () => {
    const tell = await program('tell', `(env | grep ^SERF_ | sort; cat; echo end) >> ${heard}`)
    const on = 'member-join,user:deploy'
    const { agent } = await started([{ on, command: [tell] }])
    await until(async () => (await lines()).includes('end'))
    const http = formatAddress(agent.httpAddress)
    const tags = [
      'SERF_SELF_NAME=ada',
      'SERF_SELF_ROLE=web',
      'SERF_TAG_A_B=x y',
      `SERF_TAG_KITH_HTTP=${http}`,
      'SERF_TAG_KITH_V=1',
      'SERF_TAG_ROLE=web',
    ]
    const [first = '', ...rest] = await lines()
    expect([first, ...rest.slice(0, -2)]).toEqual(['SERF_EVENT=member-join', ...tags])
    const [name, host, role, pairs] = rest.at(-2)?.split('\t') ?? []
    expect([name, host, role]).toEqual(['ada', '127.0.0.1', 'web'])
    expect(pairs?.split(',')).toContain('a-b=x y')
    await rm(heard)
    await agent.gossip.emit('other', Buffer.from('x'))
    const { lamportTime } = await agent.gossip.emit('deploy', Buffer.from('one\ntwo'))
    await until(async () => (await lines()).includes('end'))
    const own = [`SERF_USER_EVENT=deploy`, `SERF_USER_LTIME=${lamportTime}`, 'one', 'two', 'end']
    expect(await lines()).toEqual(['SERF_EVENT=user', ...tags, ...own])
  })

  it('answer queries with what they print, unless they fail or take too long', async () => {
    const { agent, warned } = await started([
      { on: 'query:load', command: ['/bin/echo', '-n', 'low; $HOME'] },
      { on: 'query:echo', command: ['/bin/cat'] },
      { on: 'query:bad', command: [await program('bad', 'echo no; exit 3')] },
      { on: 'query:slow', command: [await program('slow', 'echo no; sleep 60')], timeoutMs: 100 },
      { on: 'query:none', command: [join(folder, 'nowhere')] },
    ])
    const answers: Record<string, string> = {}
    const done = new AbortController()
    const ask = async (name: string, payload = ''): Promise<void> => {
      const asked = { timeoutMs: 60_000, signal: done.signal }
      const query = agent.gossip.query(name, Buffer.from(payload), asked)
      for await (const answer of query) answers[name] = Buffer.from(answer.payload).toString()
    }
    const asking = [ask('load'), ask('echo', 'hi'), ask('bad'), ask('slow'), ask('none')]
    await until(() => warned.length >= 3 && Object.keys(answers).length >= 2)
    done.abort()
    await Promise.allSettled(asking)
    expect(answers).toEqual({ load: 'low; $HOME', echo: 'hi\n' })
    const said = warned.map(({ on, message }) => `${String(on)} ${message}`)
    expect(new Set(said)).toEqual(
      new Set([
        'query:bad event handler: it failed',
        'query:none event handler: it did not run',
        'query:slow event handler: it took too long and was ended',
      ]),
    )
    expect(warned.find(({ on }) => on === 'query:bad')).toMatchObject({ code: 3, output: 'no' })
  })

  it('are counted by how they end, and what is not run by why', async () => {
    const { agent } = await started([])
    const bad = await program('bad', 'exit 3')
    const slow = await program('slow', `echo began >> ${heard}; sleep 60`)
    const { eventHandlers } = resolveAgentOptions({
      eventHandlers: [
        { on: 'user:well', command: ['/bin/true'] },
        { on: 'user:bad', command: [bad] },
        { on: 'user:slow', command: [slow], timeoutMs: 100 },
        { on: 'user:stuck', command: [slow], timeoutMs: 60_000 },
      ],
    })
    const logger: Logger = { debug() {}, info() {}, warn() {}, error() {} }
    const running = startEventHandlers({ handlers: eventHandlers, gossip: agent.gossip, logger })
    for (const name of ['well', 'bad', 'slow']) await agent.gossip.emit(name)
    await until(() => running.stats().timedOut === 1 && running.stats().failed === 1)
    // One runs, as many as may wait do, and two are too many.
    for (let at = 0; at < 1_027; at += 1) await agent.gossip.emit('stuck', Buffer.from(`${at}`))
    const stats = { succeeded: 1, failed: 1, timedOut: 1, dropped: 2, late: 0, waiting: 1_024 }
    await until(() => running.stats().dropped === 2)
    expect(running.stats()).toEqual(stats)
    await running.stop()
  })

  it('take a zero byte in a name, which no variable can hold', async () => {
    const { agent } = await started([{ on: 'user', command: ['/bin/sh', '-c', `env >> ${heard}`] }])
    await agent.gossip.emit('a\0b')
    await until(async () => (await lines()).includes('SERF_USER_EVENT=ab'))
  })

  it('keep the end of a long output', async () => {
    const flood = await program('flood', 'head -c 300000 /dev/zero | tr "\\0" x; echo; echo last')
    const { agent } = await started([{ on: 'query', command: [flood] }])
    const query = agent.gossip.query('q', new Uint8Array(0), { timeoutMs: 60_000 })
    for await (const { payload } of query) {
      expect(payload.length).toBe(8_192)
      expect(Buffer.from(payload).subarray(-7).toString()).toBe('x\nlast\n')
      break
    }
  })

  it('run one at a time in order, and drop what is too much', async () => {
    const gate = join(folder, 'gate')
    const wait = `read word; while [ ! -e ${gate} ]; do sleep 0.05; done; echo $word >> ${heard}`
    const other = join(folder, 'other')
    const { agent, warned } = await started([
      { on: 'user', command: [await program('wait', wait)] },
      { on: 'user:e0', command: ['/bin/touch', other] },
    ])
    for (let at = 0; at < 1_100; at += 1) await agent.gossip.emit(`e${at}`, Buffer.from(`w${at}`))
    // The one that waits holds up no other.
    await until(() =>
      readFile(other).then(
        () => true,
        () => false,
      ),
    )
    expect(warned.map(({ message }) => message)).toEqual([
      'event handler: it is behind; events are dropped',
    ])
    await writeFile(gate, '')
    await until(async () => (await lines()).length >= 20)
    expect((await lines()).slice(0, 20)).toEqual(Array.from({ length: 20 }, (_, at) => `w${at}`))
    // And a stop does not wait for the other thousand.
    await agent.stop()
  })

  it('are ended by a stop, with what they started', async () => {
    const pids = join(folder, 'pids')
    const long = await program(
      'long',
      `sleep 300 & echo $! $$ > ${pids}.new; mv ${pids}.new ${pids}; wait`,
    )
    const { agent } = await started([{ on: 'user', command: [long] }])
    await agent.gossip.emit('e')
    await until(() =>
      readFile(pids).then(
        () => true,
        () => false,
      ),
    )
    const [child = 0, parent = 0] = (await readFile(pids, 'utf8')).trim().split(' ').map(Number)
    await agent.stop()
    await until(() => [child, parent].every((pid) => !lives(pid)))
  })
})

function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
