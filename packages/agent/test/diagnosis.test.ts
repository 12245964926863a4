// What an agent finds of itself, with real sockets where there are any.
import { randomInt } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { formatAddress } from '@kith/interface'
import type { LogStatus } from '@kith/log'
import { afterEach, describe, expect, it } from 'vitest'
import { DiskFindings, fullLastsMs, roomBytesMin, stuckMsMin } from '../src/disk-findings.ts'
import type { AgentFinding, AgentOptions, Room } from '../src/index.ts'
import { type Agent, createAgent, findingKinds } from '../src/index.ts'

const agents: Agent[] = []

async function start(options: AgentOptions = {}): Promise<Agent> {
  const agent = createAgent({ profile: 'local', ...options })
  agents.push(agent)
  await agent.start()
  return agent
}

afterEach(async () => {
  for (const each of agents.splice(0).toReversed()) await each.stop()
})

const seedOf = (agent: Agent): string[] => [formatAddress(agent.gossip.address)]

type Of<Kind extends AgentFinding['kind']> = AgentFinding & { readonly kind: Kind }

/** Asks until there is such a finding; the test's own time is the bound. */
async function found<Kind extends AgentFinding['kind']>(
  agent: Agent,
  kind: Kind,
): Promise<Of<Kind>> {
  for (;;) {
    const all = await agent.diagnose()
    const one = all.find((finding): finding is Of<Kind> => finding.kind === kind)
    if (one !== undefined) return one
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Whoever runs this may have had no processor for a while, which is true and no matter here. */
async function findings(agent: Agent): Promise<readonly AgentFinding[]> {
  return (await agent.diagnose()).filter(({ kind }) => kind !== 'loopLate')
}

async function nothing(agent: Agent): Promise<void> {
  while ((await findings(agent)).length > 0) await new Promise((resolve) => setTimeout(resolve, 20))
}

/** A port at which nobody listens: systems give others to whoever asks for any. */
function closedPort(): number {
  return randomInt(20_000, 32_768)
}

const certificate = (name: string): string =>
  fileURLToPath(new URL(`../../../tests/support/certificates/${name}.pem`, import.meta.url))

describe('diagnose', () => {
  it('has kinds in order, and finds nothing where nothing is wrong', async () => {
    expect(findingKinds).toEqual([...findingKinds].sort())
    const agent = createAgent()
    await expect(agent.diagnose()).rejects.toMatchObject({ code: 'ERR_AGENT_STATE' })
    const a = await start()
    const b = await start({ join: seedOf(a) })
    const connected = new Promise((resolve) => b.replicator.on('memberConnected', resolve))
    await connected
    expect([await findings(a), await findings(b)]).toEqual([[], []])
  })

  it('names a member at whose HTTP nothing listens, until it tells another place', async () => {
    const a = await start({ name: 'ada' })
    const before = Date.now()
    const port = closedPort()
    const b = await start({ join: seedOf(a), name: 'ben', httpAdvertise: `127.0.0.1:${port}` })
    const finding = await found(a, 'httpUnreachable')
    expect(finding).toMatchObject({
      member: 'ben',
      url: `http://127.0.0.1:${port}`,
      problem: 'refused',
    })
    expect(finding.text).toBe(
      `"ben" says that its HTTP is at http://127.0.0.1:${port}, and nothing listens there (ECONNREFUSED); no records are copied`,
    )
    expect(finding.advice).toContain('--http-advertise')
    expect(finding.since).toBeGreaterThanOrEqual(before)
    expect(finding.lastAt).toBeGreaterThanOrEqual(finding.since)
    await b.gossip.setTags({ 'kith.http': formatAddress(b.httpAddress) })
    await nothing(a)
  })

  it('names a member that has left no more', async () => {
    const a = await start()
    const port = closedPort()
    const b = await start({ join: seedOf(a), httpAdvertise: `127.0.0.1:${port}` })
    await found(a, 'httpUnreachable')
    await b.leave()
    await nothing(a)
  })

  it('names a member whose address leads back to this one', async () => {
    const a = await start()
    const http = formatAddress(a.httpAddress)
    const b = await start({ join: seedOf(a), name: 'ben', httpAdvertise: http })
    const finding = await found(a, 'httpUnreachable')
    expect(finding).toMatchObject({ member: 'ben', problem: 'leadsBack', url: `http://${http}` })
    expect(b.httpAddress).not.toEqual(a.httpAddress)
  })

  it('names a member that takes other tokens, and one of another cluster id', async () => {
    const token = 'a'.repeat(32)
    const a = await start({ name: 'ada' })
    await start({
      ...{ name: 'ben', join: seedOf(a), httpToken: token },
      httpTokens: [{ token, role: 'operator' }],
    })
    const closed = await found(a, 'httpUnreachable')
    expect(closed).toMatchObject({ member: 'ben', problem: 'token' })
    expect(closed.advice).toContain('`httpToken`')
    await start({ name: 'cleo', join: seedOf(a), clusterId: 'other' })
    const refused = await found(a, 'copyRefused')
    expect(refused).toMatchObject({ member: 'cleo', code: 'ERR_REPLICATOR_CLUSTER' })
    expect(refused.advice).toContain('`clusterId`')
    expect(refused.text).toContain('"cleo" at http://127.0.0.1:')
  })

  it('names a member with whom TLS comes to nothing, and one that speaks none', async () => {
    const a = await start({ name: 'ada' })
    const files = (name: string) => ({
      tlsCert: certificate(name),
      tlsKey: certificate(`${name}-key`),
      tlsCa: certificate('ca'),
    })
    const b = await start({ name: 'ben', join: seedOf(a), ...files('member') })
    const untrusted = await found(a, 'httpUnreachable')
    expect(untrusted).toMatchObject({ member: 'ben', problem: 'tls' })
    expect(untrusted.url).toMatch(/^https:/)
    expect(untrusted.text).toContain('its certificate is refused')
    const plain = await found(b, 'httpUnreachable')
    expect(plain).toMatchObject({ member: 'ada', problem: 'noTls' })
    expect(plain.advice).toContain('`tlsCert`')
  })
})

describe('the disk', () => {
  const room = (availableBytes: number, totalBytes: number): Room => ({
    availableBytes,
    totalBytes,
  })

  interface Bench {
    readonly disk: DiskFindings
    now: number
    room: Room | Promise<Room>
    status: Pick<LogStatus, 'disk' | 'gate'>
  }

  function bench(): Bench {
    const made: Bench = {
      disk: new DiskFindings({
        directory: '/data',
        log: { status: () => made.status as LogStatus },
        wallNow: () => made.now,
        room: async () => made.room,
      }),
      now: 1_700_000_000_000,
      room: room(50 * roomBytesMin, 100 * roomBytesMin),
      status: { disk: { waitingMs: 0 }, gate: 'open' },
    }
    return made
  }

  it('is nearly full below a twentieth of it, or 2 GiB where that is less', async () => {
    const made = bench()
    const kinds = async (next: Room): Promise<unknown> => {
      made.room = next
      return (await made.disk.findings()).map(({ kind }) => kind)
    }
    expect(await kinds(room(50, 1_000))).toEqual([])
    expect(await kinds(room(49, 1_000))).toEqual(['diskNearlyFull'])
    expect(await kinds(room(roomBytesMin, 1_000 * roomBytesMin))).toEqual([])
    expect(await kinds(room(roomBytesMin - 1, 1_000 * roomBytesMin))).toEqual(['diskNearlyFull'])
  })

  it('is told since when, and no more once there is room', async () => {
    const made = bench()
    const began = made.now
    made.room = room(3 * 1024 ** 2, 1024 ** 3)
    await made.disk.findings()
    made.now += 90_000
    expect(await made.disk.findings()).toMatchObject([
      {
        ...{ kind: 'diskNearlyFull', directory: '/data', since: began, lastAt: made.now, times: 2 },
        text: 'where /data is, 3.0 MiB of 1.0 GiB are free; appends are refused once nothing is',
      },
    ])
    made.room = room(1024 ** 3, 1024 ** 3)
    expect(await made.disk.findings()).toEqual([])
    made.room = room(0, 1024 ** 3)
    expect(await made.disk.findings()).toMatchObject([{ since: made.now, times: 1 }])
  })

  it('is full where appends are refused, while there is no room or they were just now', async () => {
    const made = bench()
    const full = { since: made.now, lastAt: made.now, times: 4 }
    made.status = { disk: { waitingMs: 0, full }, gate: 'open' }
    expect(await made.disk.findings()).toMatchObject([{ kind: 'diskFull', ...full }])
    made.now += fullLastsMs + 1
    expect(await made.disk.findings()).toEqual([])
    made.room = room(0, 1_000)
    const [finding] = await made.disk.findings()
    expect(finding).toMatchObject({ kind: 'diskNearlyFull' })
    const last = (await made.disk.findings()).at(-1)
    expect(last).toMatchObject({ kind: 'diskFull', availableBytes: 0, totalBytes: 1_000, ...full })
    expect(last?.text).toContain('0 bytes of 1000 bytes are free')
  })

  it('is slow after three slow commits, one very slow one, or one that does not end', async () => {
    const made = bench()
    const { now } = made
    const slow = { since: now - 9_000, lastAt: now - 1_000, times: 2, longestMs: 4_999 }
    const told = async (disk: LogStatus['disk']): Promise<unknown> => {
      made.status = { disk, gate: 'open' }
      return await made.disk.findings()
    }
    expect(await told({ slow, waitingMs: 4_999 })).toEqual([])
    expect(await told({ slow: { ...slow, times: 3 }, waitingMs: 0 })).toMatchObject([
      { kind: 'diskSlow', since: now - 9_000, lastAt: now - 1_000, times: 3, longestMs: 4_999 },
    ])
    const once = { ...slow, times: 1, longestMs: stuckMsMin }
    expect(await told({ slow: once, waitingMs: 0 })).toMatchObject([{ times: 1, longestMs: 5_000 }])
    expect(await told({ waitingMs: 7_040 })).toMatchObject([
      {
        ...{ since: now - 7_040, lastAt: now, times: 1, longestMs: 7_040 },
        text: 'the disk of /data has been busy with one commit for 7.0 s',
      },
    ])
  })

  it('that does not even say how full it is holds nobody up', async () => {
    const made = bench()
    made.room = new Promise(() => {})
    made.status = { disk: { waitingMs: 6_000 }, gate: 'open' }
    expect(await made.disk.findings()).toMatchObject([{ kind: 'diskSlow' }])
    const other = bench()
    other.room = Promise.reject(new Error('no such directory'))
    expect(await other.disk.findings()).toEqual([])
  })

  it.each(['poisoned', 'damaged', 'refused'] as const)('has a log that is %s', async (gate) => {
    const made = bench()
    const began = made.now
    made.status = { disk: { waitingMs: 0 }, gate }
    await made.disk.findings()
    made.now += 5_000
    const [finding] = await made.disk.findings()
    expect(finding).toMatchObject({ kind: 'logStopped', gate, since: began, lastAt: made.now })
    expect(finding?.advice.length).toBeGreaterThan(20)
    made.status = { disk: { waitingMs: 0 }, gate: 'waiting' }
    expect(await made.disk.findings()).toEqual([])
  })

  it('of the system has so many bytes, and an agent with data is well', async () => {
    const data = await mkdtemp(join(tmpdir(), 'kith-disk-'))
    try {
      const agent = await start({ data })
      await agent.log.append({ value: Buffer.from('x') })
      expect(await findings(agent)).toEqual([])
      const log = { status: () => ({ disk: { waitingMs: 0 }, gate: 'poisoned' }) as LogStatus }
      const full = { since: 1, lastAt: Date.now(), times: 1 }
      const disk = new DiskFindings({
        directory: data,
        log: { status: () => ({ ...log.status(), disk: { waitingMs: 0, full } }) },
      })
      const [finding] = await disk.findings()
      expect(finding).toMatchObject({ kind: 'diskFull' })
      expect((finding as Of<'diskFull'>).totalBytes).toBeGreaterThan(1_000_000)
    } finally {
      await agents.pop()?.stop()
      await rm(data, { recursive: true })
    }
  })
})
