// The commands over Serf's RPC: what they ask, what they print, what they exit with.
import { describe, expect, it } from 'vitest'
import { answers, serfAgent, serfMember } from './serf-agent.ts'
import { closedPort, fakeAgent, kith, type Run } from './support.ts'

async function json(args: readonly string[]): Promise<unknown> {
  return JSON.parse((await kith([...args, '--format', 'json'])).out)
}

describe('members over the RPC', () => {
  it('prints the table and the JSON of Serf, and filters', async () => {
    await using agent = await serfAgent()
    const at = ['--rpc-addr', agent.address]
    expect((await kith(['members', ...at])).out.split('\n')).toEqual([
      'ada          127.0.0.1:7946  alive   role=web',
      'b\\u001b[2Jn  [::1]:1         failed',
      '',
    ])
    const detailed = await kith(['members', '--detailed', '--status', 'al.*', ...at])
    expect(detailed.out).toBe(
      'ada  127.0.0.1:7946  alive  role=web  Protocol Version: 5  ' +
        'Available Protocol Range: [2, 5]\n',
    )
    expect(await json(['members', '--role', 'w.b', '--name', 'a.*', ...at])).toEqual({
      members: [
        {
          name: 'ada',
          addr: '127.0.0.1:7946',
          port: 7946,
          tags: { role: 'web' },
          status: 'alive',
          protocol: { max: 5, min: 2, version: 5 },
        },
      ],
    })
    expect((await kith(['members', '--tag', 'role=d', ...at])).out).toBe('')
  })

  it('asks the door that is named: a flag before the environment, the RPC before HTTP', async () => {
    await using serf = await serfAgent({ members: () => [serfMember('serf')] })
    await using http = await fakeAgent(() => ({ members: [{ ...serfMember('http'), host: 'h' }] }))
    const ask = async (args: string[], env: Record<string, string>): Promise<string> =>
      (await kith(['members', ...args], { env })).out.split(' ')[0] ?? ''
    const [KITH_RPC_ADDR, KITH_HTTP_ADDR] = [serf.address, http.address]
    expect(await ask([], { KITH_RPC_ADDR, KITH_HTTP_ADDR })).toBe('serf')
    expect(await ask([], { SERF_RPC_ADDR: KITH_RPC_ADDR })).toBe('serf')
    expect(await ask([], { KITH_HTTP_ADDR })).toBe('http')
    expect(await ask(['--http-addr', KITH_HTTP_ADDR], { KITH_RPC_ADDR })).toBe('http')
    expect(await ask(['--rpc-addr', KITH_RPC_ADDR], { KITH_HTTP_ADDR })).toBe('serf')
    const both = ['members', '--http-addr', KITH_HTTP_ADDR]
    for (const more of [
      ['--rpc-addr', KITH_RPC_ADDR],
      ['--name', 'a'],
      ['--tag', 'a=b'],
    ]) {
      expect(await kith([...both, ...more])).toMatchObject({ code: 2, out: '' })
    }
  })
})

const commands: readonly (readonly [readonly string[], unknown, string, unknown])[] = [
  [
    ['join', 'a:1', 'b:2', '--replay'],
    ['join', ['a:1', 'b:2'], { replay: true }],
    'Successfully joined cluster by contacting 2 nodes.\n',
    { joined: 2 },
  ],
  [['leave'], ['leave'], 'Graceful leave complete\n', { left: true }],
  [
    ['force-leave', 'ben', '--prune'],
    ['forceLeave', 'ben', { prune: true }],
    '',
    { name: 'ben', prune: true },
  ],
  [
    ['event', 'deploy', 'v1'],
    ['event', 'deploy', 'v1', { coalesce: true }],
    "Event 'deploy' dispatched! Coalescing enabled: true\n",
    { event: 'deploy', coalesce: true },
  ],
  [
    ['event', 'deploy', '--no-coalesce'],
    ['event', 'deploy', '', { coalesce: false }],
    "Event 'deploy' dispatched! Coalescing enabled: false\n",
    { event: 'deploy', coalesce: false },
  ],
  [
    ['tags', '--set', 'a=b=c', '--set', 'x=', '--delete', 'dc'],
    ['setTags', { set: { a: 'b=c', x: '' }, remove: ['dc'] }],
    'Successfully updated agent tags\n',
    { set: { a: 'b=c', x: '' }, deleted: ['dc'] },
  ],
  [
    ['keys', '--list'],
    ['keys', 'list', undefined],
    '==> Asking all members for installed keys...\n' +
      '==> Keys gathered, listing cluster keys...\nAAAA/w==  [2/2]\n',
    { keys: {}, messages: {}, errors: 0, members: 2, responses: 2 },
  ],
  [
    ['keys', '--install', 'AAAA'],
    ['keys', 'install', 'AAAA'],
    '==> Installing key on all members...\n==> Successfully installed key!\n',
    { keys: {}, messages: {}, errors: 0, members: 2, responses: 2 },
  ],
  [
    ['keys', '--use', 'AAAA'],
    ['keys', 'use', 'AAAA'],
    '==> Changing primary key on all members...\n==> Successfully changed primary key!\n',
    { keys: {}, messages: {}, errors: 0, members: 2, responses: 2 },
  ],
  [
    ['keys', '--remove', 'AAAA'],
    ['keys', 'remove', 'AAAA'],
    '==> Removing key on all members...\n==> Successfully removed key!\n',
    { keys: {}, messages: {}, errors: 0, members: 2, responses: 2 },
  ],
]

describe('commands over the RPC', () => {
  it.each(commands)(
    '%j asks, and prints for people and programs',
    async (args, call, text, out) => {
      await using agent = await serfAgent()
      const at = ['--rpc-addr', agent.address]
      expect(await kith([...args, ...at])).toEqual({ code: 0, out: text, err: '' })
      expect(agent.asked).toEqual([call])
      if (args[1] !== '--list') expect(await json([...args, ...at])).toEqual(out)
    },
  )

  it('says in the words of the agent what it refused', async () => {
    const words = 'user event exceeds configured limit of 512 bytes before encoding'
    await using agent = await serfAgent({ event: () => Promise.reject(new Error(words)) })
    const run = await kith(['event', 'x', '--rpc-addr', agent.address])
    expect(run).toEqual({ code: 1, out: '', err: `kith: ${words}\n` })
  })

  it('names the members on which a key failed, and exits 1', async () => {
    const messages = { ben: 'Keyring is empty\u0007' }
    const report = { keys: {}, messages, errors: 1, members: 2, responses: 2 }
    await using agent = await serfAgent({ keys: () => Promise.resolve(report) })
    const at = ['--rpc-addr', agent.address]
    expect(await kith(['keys', '--list', ...at])).toEqual({
      code: 1,
      out:
        '==> Asking all members for installed keys...\n' +
        'failed:  ben  Keyring is empty\\u0007\n',
      err: 'kith: 1/2 nodes reported failure\n',
    })
    const run = await kith(['keys', '--list', '--format', 'json', ...at])
    expect([run.code, JSON.parse(run.out)]).toEqual([1, report])
  })

  it('shows a key where one is wanted, from the flag or the environment', async () => {
    await using agent = await serfAgent({}, 'sesame')
    const ask = async (args: string[], env: Record<string, string> = {}): Promise<Run> =>
      await kith(['info', '--rpc-addr', agent.address, ...args], { env })
    expect(await ask([])).toMatchObject({
      code: 1,
      err: 'kith: Authentication required: set KITH_RPC_AUTH\n',
    })
    expect(await ask(['--rpc-auth', 'x'])).toMatchObject({
      code: 1,
      err: 'kith: Invalid authentication token\n',
    })
    expect((await ask(['--rpc-auth', 'sesame'])).code).toBe(0)
    expect((await ask([], { KITH_RPC_AUTH: 'sesame' })).code).toBe(0)
    expect((await ask([], { SERF_RPC_AUTH: 'sesame' })).code).toBe(0)
  })

  it('says who does not answer, and exits 3', async () => {
    const address = `127.0.0.1:${closedPort()}`
    const run = await kith(['info', '--rpc-addr', address])
    expect(run).toMatchObject({ code: 3, out: '' })
    expect(run.err).toContain(`at ${address}: ECONNREFUSED; start one with "kith agent"`)
    const bad = await kith(['info'], { env: { KITH_RPC_ADDR: 'nowhere' } })
    expect(bad).toMatchObject({ code: 2, out: '' })
    expect(bad.err).toContain("the environment's KITH_RPC_ADDR is invalid")
  })

  it('prints sections in order, and estimates round trips', async () => {
    await using agent = await serfAgent()
    const at = ['--rpc-addr', agent.address]
    expect((await kith(['info', ...at])).out).toBe(
      'agent:\n\tname = ada\nserf:\n\tfailed = 1\n\tmembers = 2\n',
    )
    expect((await kith(['rtt', 'ada', 'ben', ...at])).out).toBe(
      'Estimated ada <-> ben rtt: 12.000 ms\n',
    )
    expect(await json(['rtt', 'ben', ...at])).toEqual({ from: 'ben', to: 'ada', rttMs: 12 })
    expect(await kith(['rtt', 'cyd', ...at])).toEqual({
      code: 1,
      out: '',
      err: 'kith: Could not find a coordinate for node "cyd"\n',
    })
  })
})

describe('query', () => {
  const given = [
    ['ack', 'ada', ''],
    ['response', 'ada', '0.3\n'],
    ['response', 'b\u001bn', 'two\nlines\u0007\n\n'],
  ] as const

  it('prints acks and answers as they come, or the JSON of Serf', async () => {
    const asked: unknown[] = []
    await using agent = await serfAgent({
      query: (query) => {
        asked.push(query)
        return Promise.resolve(answers(given))
      },
    })
    const at = ['--rpc-addr', agent.address]
    const flags = ['--node', 'ada', '--tag', 'role=w.*', '--timeout', '1.5s', '--relay-factor', '2']
    expect(await kith(['query', 'load', 'now', ...flags, ...at])).toEqual({
      code: 0,
      out:
        "Query 'load' dispatched\nAck from 'ada'\nResponse from 'ada': 0.3\n" +
        "Response from 'b\\u001bn': two\nlines\\u0007\n\nTotal Acks: 1\nTotal Responses: 2\n",
      err: '',
    })
    expect(asked).toEqual([
      {
        name: 'load',
        payload: new TextEncoder().encode('now'),
        filterMembers: ['ada'],
        filterTags: { role: 'w.*' },
        acks: true,
        relayFactor: 2,
        timeoutMs: 1_500,
      },
    ])
    expect(await json(['query', 'load', '--no-ack', ...at])).toEqual({
      Acks: ['ada'],
      Responses: { ada: '0.3', 'b\u001bn': 'two\nlines\u0007\n' },
    })
  })

  it('says nothing of a query that was refused but why', async () => {
    await using agent = await serfAgent()
    const run = await kith(['query', '_serf_x', '--rpc-addr', agent.address])
    expect(run).toEqual({
      code: 1,
      out: '',
      err: "kith: Queries cannot contain the '_serf_' prefix\n",
    })
  })
})

describe('reachability', () => {
  it('exits 0 where every living member answers once, and else 1', async () => {
    const reach = async (acks: readonly string[], ...flags: string[]): Promise<Run> => {
      const rows = acks.map((name) => ['ack', name, ''] as const)
      await using agent = await serfAgent({ query: () => Promise.resolve(answers(rows)) })
      return await kith(['reachability', ...flags, '--rpc-addr', agent.address])
    }
    expect(await reach(['ada'], '--verbose')).toMatchObject({
      code: 0,
      out:
        'Total members: 2, live members: 1\nStarting reachability test...\n' +
        "\tAck from 'ada'\nSuccessfully contacted all live nodes\n",
    })
    const missing = await reach([])
    expect(missing.code).toBe(1)
    expect(missing.out).toContain("Missing ack from 'ada'")
    const odd = await reach(['ada', 'ada', 'eve'])
    expect(odd.code).toBe(1)
    expect(odd.out).toMatch(/Unexpected ack from 'eve'\nMore than one ack from 'ada'/)
    const { code, out } = await reach(['eve'], '--format', 'json')
    expect([code, JSON.parse(out)]).toEqual([
      1,
      {
        ok: false,
        members: 2,
        alive: ['ada'],
        acks: ['eve'],
        missing: ['ada'],
        unexpected: ['eve'],
        twice: [],
      },
    ])
  })
})

describe('monitor', () => {
  const history = () => [{ level: 'INFO', text: '2026/11/22 [INFO] \u001bone\ntwo' } as const]
  const told = [
    { kind: 'members', event: 'member-join', members: [serfMember('ben')] },
    {
      kind: 'user',
      name: 'deploy',
      payload: new TextEncoder().encode('v1\u0007'),
      lamportTime: 3n,
      coalesce: false,
    },
  ] as const

  async function monitor(...flags: string[]): Promise<Run> {
    let subscribed: (() => void) | undefined
    await using agent = await serfAgent({
      logs: { history, subscribe: () => () => {} },
      subscribe(listener) {
        subscribed = () => told.forEach((event) => listener(event))
        return () => {}
      },
    })
    return await kith(['monitor', '--rpc-addr', agent.address, ...flags], {
      onStart: (io, signal) => {
        let printed = 0
        // Events are told until the command has begun to listen.
        const telling = setInterval(() => subscribed?.(), 20)
        io.stdout.on('data', (chunk: Buffer) => {
          printed += chunk.toString().match(/one|ben|deploy/g)?.length ?? 0
          if (printed < 3) return
          clearInterval(telling)
          signal('SIGINT')
        })
      },
    })
  }

  it('prints lines and events until a signal, and ends well', async () => {
    const { code, out, err } = await monitor()
    expect([code, err]).toEqual([0, ''])
    expect(out).toContain('2026/11/22 [INFO] \\u001bone\ntwo\n')
    expect(out).toContain('==> member-join: ben 127.0.0.1:7946\n==> user deploy: v1\\u0007\n')
  })

  it('prints a JSON object a line', async () => {
    const { out } = await monitor('--format', 'json', '--log-level', 'debug')
    const lines = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object)
    expect(lines).toContainEqual({ log: '2026/11/22 [INFO] \u001bone\ntwo' })
    expect(lines).toContainEqual({ event: 'member-join', members: [serfMember('ben')] })
    expect(lines).toContainEqual({
      event: 'user',
      name: 'deploy',
      payload: 'v1\u0007',
      lamportTime: '3',
    })
  })
})

describe('what is not right', () => {
  it.each([
    [['keys'], 'give one of --list'],
    [['keys', '--list', '--use', 'AAAA'], 'give one of --list'],
    [['tags'], '--set or --delete'],
    [['query', 'x', '--timeout', '5'], 'a time as 500ms'],
    [['query', 'x', '--relay-factor', '256'], 'an integer from 0 to 255'],
    [['monitor', '--log-level', 'loud'], 'Allowed choices are'],
    [['info', '--rpc-addr', 'unix:'], 'unix:PATH'],
    [['join'], 'address'],
    [['event', ''], 'a name'],
  ])('%j is refused before anything is asked', async (args, named) => {
    const run = await kith(args)
    expect(run).toMatchObject({ code: 2, out: '' })
    expect(run.err).toContain(named)
  })
})
