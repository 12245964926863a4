import { describe, expect, it } from 'vitest'
import { closedPort, fakeAgent, kith } from './support.ts'

const members = [
  {
    name: 'ada',
    host: '127.0.0.1',
    port: 7946,
    status: 'alive',
    incarnation: 1,
    tags: { role: 'web' },
    protocol: { min: 2, max: 5, version: 5 },
  },
  { name: 'b\u001b[2Jn', host: '::1', port: 1, status: 'failed', incarnation: 2, tags: {} },
]

describe('members', () => {
  it('prints what `serf members -format=json` prints', async () => {
    await using agent = await fakeAgent(() => ({ members: members.slice(0, 1) }))
    const run = await kith(['members', '--format', 'json', '--http-addr', agent.address])
    // Byte for byte what Serf 0.9.4 prints for such a member.
    expect(run.out).toBe(`{
  "members": [
    {
      "name": "ada",
      "addr": "127.0.0.1:7946",
      "port": 7946,
      "tags": {
        "role": "web"
      },
      "status": "alive",
      "protocol": {
        "max": 5,
        "min": 2,
        "version": 5
      }
    }
  ]
}
`)
  })

  it('prints a table in which a name cannot move the cursor', async () => {
    await using agent = await fakeAgent(() => ({ members }))
    const run = await kith(['members', '--http-addr', `http://${agent.address}/`])
    expect(run.out.split('\n')).toEqual([
      'ada          127.0.0.1:7946  alive   role=web',
      'b\\u001b[2Jn  [::1]:1         failed',
      '',
    ])
  })

  it('colours only for a terminal that wants it', async () => {
    await using agent = await fakeAgent(() => ({ members: [members[1]] }))
    const args = ['members', '--http-addr', agent.address]
    expect((await kith(args, { isTTY: true })).out).toContain('\u001b[31m')
    expect((await kith(args, { isTTY: true, env: { NO_COLOR: '1' } })).out).not.toContain('\u001b')
    expect((await kith(args)).out).not.toContain('\u001b')
  })
})

const instance = {
  service: 'web',
  id: 'web-1',
  member: 'ada',
  address: '127.0.0.1',
  port: 80,
  tags: ['blue', 'new'],
  meta: {},
  checks: [],
  status: 'passing',
  version: 1,
}

describe('services', () => {
  it('lists and resolves them', async () => {
    const others = [
      { ...instance, id: 'web-2', tags: ['blue'] },
      { ...instance, id: 'web-3', status: 'critical' },
      { ...instance, id: 'web-4' },
    ]
    await using agent = await fakeAgent(({ url }) =>
      url === '/v1/services'
        ? { services: [{ service: 'web', instances: 2, passing: 1 }] }
        : { service: 'web', instances: [instance, ...others] },
    )
    const address = ['--http-addr', agent.address]
    expect((await kith(['services', ...address])).out).toBe('web  2  1 passing\n')
    const args = ['resolve', 'web', '--tag', 'blue', '--tag', 'new', '--limit', '2', '--all']
    expect((await kith([...args, ...address])).out).toBe(
      '127.0.0.1:80  ada  web-1  passing\n127.0.0.1:80  ada  web-3  critical\n',
    )
    const asked = new URL(agent.asked.at(-1)?.url ?? '', 'http://x')
    expect(asked.searchParams.get('passing')).toBe('false')
    const json = await kith(['resolve', 'web', '--limit', '1', '--format', 'json', ...address])
    expect(JSON.parse(json.out)).toEqual({ service: 'web', instances: [instance] })
  })

  it('exits 1 when a service resolves nowhere', async () => {
    await using agent = await fakeAgent(() => ({ service: 'web', instances: [] }))
    const run = await kith(['resolve', 'web', '--http-addr', agent.address])
    expect(run).toEqual({ code: 1, out: '', err: 'kith: no passing instance of web\n' })
  })
})

describe('log read, tail, status and verify', () => {
  const lines =
    '{"offset":0,"value":"one\\u0007"}\n{"offset":1,"valueBase64":"/wA="}\n\n{"offset":2,"value":""}\n'

  it('prints the values as they are, or safely on a terminal, or the lines', async () => {
    await using agent = await fakeAgent((_asked, response) => void response.end(lines))
    const args = ['log', 'read', '--from', '0', '--limit', '9', '--http-addr', agent.address]
    expect((await kith(args)).out).toBe('one\u0007\n\ufffd\u0000\n\n')
    expect((await kith(args, { isTTY: true })).out).toBe('one\\u0007\nbase64:/wA=\n\n')
    expect((await kith([...args, '--format', 'json'])).out).toBe(lines.replace('\n\n', '\n'))
    expect(agent.asked[0]?.url).toBe('/v1/log/records?from=0&limit=9')
  })

  it('begins where it is told: at an offset, an end or a time', async () => {
    await using agent = await fakeAgent((_asked, response) => void response.end(lines))
    const local = new Date('2026-01-31T12:00').toISOString()
    const asked = {
      earliest: 'earliest',
      latest: 'latest',
      '2026-01-31T12:00:00+01:00': '2026-01-31T11:00:00.000Z',
      '2026-01-31': '2026-01-31T00:00:00.000Z',
      '2026-01-31T12:00': local,
    }
    for (const from of Object.keys(asked)) {
      await kith(['log', 'read', '--from', from, '--http-addr', agent.address])
    }
    await kith(['log', 'read', '--http-addr', agent.address])
    const seen = agent.asked.map(({ url }) => new URL(url, 'http://a').searchParams.get('from'))
    expect(seen).toEqual([...Object.values(asked), 'earliest'])
  })

  it('follows until a signal, and ends well', async () => {
    let interrupt: (() => void) | undefined
    await using agent = await fakeAgent((_asked, response) => {
      response.write('{"offset":7,"value":"new"}\n', () => interrupt?.())
    })
    const run = await kith(['log', 'tail', '--http-addr', agent.address], {
      onStart: (io, signal) => {
        interrupt = () => io.stdout.once('data', () => setImmediate(() => signal('SIGINT')))
      },
    })
    expect(run).toMatchObject({ code: 0, out: 'new\n' })
    expect(agent.asked[0]?.url).toBe('/v1/log/records?from=latest&follow=true')
  })

  it('says so when the agent ends what should go on, but not at a limit', async () => {
    await using agent = await fakeAgent((_asked, response) => {
      response.end('{"offset":7,"value":"new"}\n')
    })
    const args = ['log', 'tail', '--http-addr', agent.address]
    const run = await kith(args)
    expect(run).toMatchObject({ code: 3, out: 'new\n' })
    expect(run.err).toContain('stopped')
    expect(await kith([...args, '--limit', '1'])).toMatchObject({ code: 0, err: '' })
  })

  it('shows each origin, and says that an unknown lag is unknown', async () => {
    const origin = { origin: 'o'.repeat(32), member: 'ada', floor: 1, next: 9, status: 'live' }
    const status = { logId: 'l'.repeat(32), durable: true, records: 8, bytes: 99 }
    await using agent = await fakeAgent(() => ({
      ...status,
      floor: 4,
      next: 12,
      origins: [{ ...origin, chain: 'c'.repeat(64), own: false, holes: [], lag: 'unknown' }],
    }))
    const run = await kith(['log', 'status', '--http-addr', agent.address])
    expect(run.out).toContain('on disk: 8 records, 99 bytes, offsets 4 to 12\n')
    expect(run.out).toMatch(/ada\s+1\s+9\s+unknown\s+live\s+cccccccccccc\n/)
  })

  it('says why an origin is quarantined, and lets nobody write to the terminal by it', async () => {
    const state = { member: 'ada', floor: 1, next: 9, chain: 'c'.repeat(64), own: false, holes: [] }
    const why =
      'b\u001b[31m holds another history at 9, which parts from ours in the batch from 3 to 5'
    await using agent = await fakeAgent(() => ({
      ...{ logId: 'l'.repeat(32), durable: true, records: 8, bytes: 99, floor: 4, next: 12 },
      origins: [
        { ...state, origin: 'e'.repeat(32), status: 'quarantined', why, lag: 'unknown' },
        { ...state, origin: 'f'.repeat(32), status: 'sealed', why: 'asked', lag: 0 },
      ],
    }))
    const run = await kith(['log', 'status', '--http-addr', agent.address])
    expect(run.out).toMatch(/\ne{32} is quarantined: b.* in the batch from 3 to 5\n$/)
    expect(run.out).not.toContain('\u001b')
    expect(run.out).not.toContain('asked')
  })

  it('retires an origin, and takes nothing else for one', async () => {
    const origin = 'ab'.repeat(16)
    await using agent = await fakeAgent(() => ({ origin, status: 'retired' }))
    const run = await kith(['log', 'retire', origin, '--http-addr', agent.address])
    expect(run.out).toContain(`${origin} is retired`)
    const path = `/v1/log/origins/${origin}/retire`
    expect(agent.asked[0]).toMatchObject({ method: 'POST', url: path })
    const args = ['log', 'retire', origin, '--http-addr', agent.address, '--format', 'json']
    expect(JSON.parse((await kith(args)).out)).toEqual({ origin, status: 'retired' })
    for (const bad of ['../x', 'AB'.repeat(16), '']) {
      expect((await kith(['log', 'retire', bad, '--http-addr', agent.address])).code).toBe(2)
    }
    expect(agent.asked.length).toBe(2)
  })

  it('exits 1 when verify finds damage', async () => {
    await using agent = await fakeAgent(() => ({ ok: false, damage: [{ table: 'batch' }] }))
    const run = await kith(['log', 'verify', '--http-addr', agent.address])
    expect(run.code).toBe(1)
    expect(run.out).toContain('DAMAGED')
    expect(agent.asked[0]).toMatchObject({ method: 'POST', url: '/v1/log/verify' })
  })
})

describe('doctor', () => {
  const finding = {
    kind: 'nameTwice',
    member: 'ada',
    address: { host: '10.0.0.1', port: 7946 },
    other: { host: '10.0.0.2', port: 7946 },
    since: 1_790_000_000_000,
    lastAt: 1_790_000_060_000,
    times: 3,
    text: 'two members claim the name "a\u001b[2J"',
    advice: 'give one another name',
  }
  const seen = [
    '  since 2026-09-21T14:13:20.000Z, seen 3 times',
    '  give one another name',
    '',
  ] as const

  /** Answers what it found, and its members. */
  function doctored(
    findings: readonly object[],
    members: readonly object[] = [],
  ): (asked: { readonly url: string }) => object {
    return ({ url }) => (url === '/v1/diagnosis' ? { findings } : { members })
  }

  const living = (name: string, http?: string): object => ({
    ...{ name, host: '127.0.0.1', port: 1, status: 'alive', incarnation: 1 },
    tags: http === undefined ? {} : { 'kith.http': http },
  })

  it('prints what is wrong, in which nothing moves the cursor, and exits 1', async () => {
    await using agent = await fakeAgent(doctored([finding]))
    const run = await kith(['doctor', '--http-addr', agent.address])
    expect(run.code).toBe(1)
    expect(run.out).not.toContain('\u001b')
    expect(run.out.split('\n')).toEqual([
      'nameTwice: two members claim the name "a\\u001b[2J"',
      ...seen,
    ])
    const json = await kith(['doctor', '--format', 'json', '--http-addr', agent.address])
    expect(JSON.parse(json.out)).toEqual({ findings: [{ ...finding, seenFrom: ['agent'] }] })
  })

  it('says so where nothing is wrong, and exits 0', async () => {
    await using agent = await fakeAgent(doctored([]))
    const run = await kith(['doctor', '--http-addr', agent.address])
    expect([run.code, run.out]).toEqual([0, 'nothing is wrong, as far as this agent can tell\n'])
  })

  it('reaches the members that live and say where, and names those that it does not', async () => {
    await using other = await fakeAgent(() => ({ live: true }))
    const at = other.address
    const port = closedPort()
    const gone = `127.0.0.1:${port}`
    const members = [
      living('ada', at),
      { ...living('ben', gone), status: 'failed' },
      living('serf'),
      living('odd', 'nowhere'),
    ]
    await using well = await fakeAgent(doctored([], members))
    const run = await kith(['doctor', '--http-addr', well.address])
    expect(run).toMatchObject({
      code: 0,
      out: 'nothing is wrong, as far as this agent can tell; from here 1 of 1 members answer over HTTP\n',
    })
    expect(other.asked).toMatchObject([{ method: 'GET', url: '/livez' }])
    await using ill = await fakeAgent(doctored([], [...members, living('cleo', gone)]))
    const before = Date.now()
    const found = await kith(['doctor', '--format', 'json', '--http-addr', ill.address])
    expect(found.code).toBe(1)
    const { findings } = JSON.parse(found.out) as { findings: { since: number }[] }
    expect(findings).toMatchObject([
      {
        ...{ kind: 'httpUnreachable', member: 'cleo', url: `http://${gone}`, problem: 'refused' },
        ...{ seenFrom: ['here'], times: 1, here: { reached: false, problem: 'refused' } },
        text: `"cleo" says that its HTTP is at http://${gone}, and from here nothing listens there (ECONNREFUSED)`,
      },
    ])
    expect(findings[0]?.since).toBeGreaterThanOrEqual(before)
    const asked = await kith(['doctor', '--no-network', '--http-addr', ill.address])
    expect([asked.code, asked.out]).toEqual([
      0,
      'nothing is wrong, as far as this agent can tell\n',
    ])
  })

  it('says of a member that the agent does not reach whether it answers here', async () => {
    await using other = await fakeAgent(() => ({ live: true }))
    const gone = `127.0.0.1:${closedPort()}`
    const at = other.address
    const found = ['ada', 'ben'].map((member) => ({ ...finding, kind: 'httpUnreachable', member }))
    const members = [living('ada', at), living('ben', gone)]
    await using agent = await fakeAgent(doctored(found, members))
    const run = await kith(['doctor', '--http-addr', agent.address])
    const [text, since, advice] = [`httpUnreachable: ${finding.text}`, ...seen]
    expect(run.out.replaceAll('\\u001b', '\u001b').split('\n')).toEqual([
      ...[text, since, '  from here it answers', advice],
      ...[text, since, '  from here nothing listens there (ECONNREFUSED)', advice, ''],
    ])
    const json = await kith(['doctor', '--format', 'json', '--http-addr', agent.address])
    expect(JSON.parse(json.out)).toMatchObject({
      findings: [
        { member: 'ada', seenFrom: ['agent'], here: { reached: true } },
        { member: 'ben', seenFrom: ['agent', 'here'], here: { problem: 'refused' } },
      ],
    })
  })

  it('waits no longer than it may, and says what is no agent', async () => {
    await using deaf = await fakeAgent(() => new Promise<object>(() => {}))
    await using odd = await fakeAgent((_asked, response) => void response.writeHead(404).end())
    const members = [living('deaf', deaf.address), living('odd', odd.address)]
    await using agent = await fakeAgent(doctored([], members))
    const ask = ['doctor', '--http-addr', agent.address]
    const run = await kith([...ask, '--timeout', '300ms', '--format', 'json'])
    expect(JSON.parse(run.out)).toMatchObject({
      findings: [
        { member: 'deaf', problem: 'timedOut' },
        { member: 'odd', problem: 'other', text: expect.stringContaining('it answers 404') },
      ],
    })
    for (const wrong of ['61s', '0s', 'x']) {
      const refused = await kith([...ask, '--timeout', wrong])
      expect([refused.code, refused.out]).toEqual([2, ''])
    }
  })

  it('tries many at one time, and ends although none of them answers', async () => {
    await using deaf = await fakeAgent(() => new Promise<object>(() => {}))
    const at = deaf.address
    const members = Array.from({ length: 400 }, (_, index) => living(`m${index}`, at))
    await using agent = await fakeAgent(doctored([], members))
    const ask = ['doctor', '--http-addr', agent.address, '--timeout', '50ms', '--format', 'json']
    const run = await kith(ask)
    const { findings } = JSON.parse(run.out) as { findings: { problem: string }[] }
    const untried = findings.filter(({ problem }) => problem === 'untried').length
    expect(findings.length).toBe(400)
    // 32 at one time, each 50 ms, for 250 ms: those that come later are named all the same.
    expect(untried).toBeGreaterThanOrEqual(400 - 32 * 6)
    expect(untried).toBeLessThan(400)
  })
})
