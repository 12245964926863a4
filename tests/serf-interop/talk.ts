// Events and queries between Kith and the real Serf, both ways.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGossip } from '@kith/gossip'
import type { Gossip, GossipOptions, Query, ReceivedQuery, UserEvent } from '@kith/gossip'
import { tcpTransport } from '@kith/transport-tcp'
import { udpTransport } from '@kith/transport-udp'
import { expect } from 'vitest'
import { evidence } from '../support/tier.ts'
import type { Crew } from './support/crew.ts'
import { within } from './support/process.ts'
import { expectAllOpened, type Sealing } from './support/sealing.ts'
import type { SerfParty } from './support/serf.ts'
import { complaints } from './traffic.ts'

const patienceMs = 10_000

function member(name: string, options: GossipOptions = {}): Gossip {
  return createGossip({ packets: udpTransport(), streams: tcpTransport(), ...options, name })
}

function bytes(words: string): Uint8Array {
  return new TextEncoder().encode(words)
}

function words(of: Uint8Array): string {
  return new TextDecoder().decode(of)
}

async function allOf(query: Query): Promise<Record<string, string>> {
  const answers: Record<string, string> = {}
  for await (const { from, payload } of query) answers[from] = words(payload)
  return answers
}

function allSeen(members: readonly Gossip[], count: number): Promise<number> {
  const alive = (of: Gossip): number =>
    of.members().filter(({ status }) => status === 'alive').length
  return within(patienceMs, `all see ${count}`, () => members.every((of) => alive(of) === count))
}

/** Two Serfs whose handlers write down what they hear and answer, and two of us. */
export async function talk(crew: Crew, keys: Sealing): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kith-talk-'))
  const heard = join(folder, 'heard')
  const script = `(echo "$SERF_EVENT $SERF_USER_EVENT $SERF_USER_LTIME"; cat; echo) >> ${heard}`
  const answer = 'query:load=echo "$SERF_SELF_NAME heard $(cat)"'
  const one = await crew.serf({
    ...keys.serf,
    name: 's1',
    tags: { role: 'web' },
    handlers: [`user=${script}`, answer],
  })
  const two = await crew.serf({
    ...keys.serf,
    name: 's2',
    tags: { role: 'db' },
    join: one.address,
    handlers: [answer],
  })
  const [first, second] = [
    member('k1', { ...keys.kith(), tags: { role: 'web' }, join: [one.address] }),
    member('k2', { ...keys.kith(), tags: { role: 'db' }, join: [two.address] }),
  ]
  try {
    await Promise.all([first.start(), second.start()])
    await allSeen([first, second], 4)
    await events(one, first, second, heard)
    await queriesOfSerf(one, first, second)
    await queriesOfKith(first, second)
    await largeAnswer(one, two, second)
    expectAllOpened([first, second])
    for (const serf of [one, two]) expect(grumbles(serf)).toEqual([])
  } finally {
    await Promise.all([first.stop(), second.stop()])
    await rm(folder, { recursive: true })
  }
}

/** How long its own handlers take is nothing that we have to do with. */
function grumbles(serf: SerfParty): readonly string[] {
  return complaints(serf, true).filter((line) => !/\[WARN\] agent: Script .* slow/.test(line))
}

async function events(one: SerfParty, first: Gossip, second: Gossip, file: string): Promise<void> {
  const heard: UserEvent[] = []
  const off = [first, second].map((of) => of.on('event', (event) => heard.push(event)))
  await one.command('event', '-coalesce=false', 'deploy', 'v1')
  await within(patienceMs, 'both hear the event of the Serf', () => heard.length === 2)
  for (const event of heard) expect(event).toMatchObject({ name: 'deploy', coalesce: false })
  expect(heard.map(({ payload }) => words(payload))).toEqual(['v1', 'v1'])
  const said = await second.emit('from-kith', bytes('v2'))
  // Coalesced, so that the Serf waits a moment before it shows the last one.
  await first.emit('often', bytes('a'), { coalesce: true })
  await first.emit('often', bytes('b'), { coalesce: true })
  const read = (): Promise<string> => readFile(file, 'utf8').catch(() => '')
  await within(patienceMs, 'the Serf hears ours', async () => (await read()).includes('\nb'))
  const text = await read()
  expect(text).toContain(`user from-kith ${said.lamportTime}\nv2`)
  expect(text).not.toContain('\na\n')
  await within(patienceMs, 'everybody hears all', () => heard.length === 8)
  for (const stop of off) stop()
}

interface Answers {
  readonly Acks: readonly string[] | null
  readonly Responses: Readonly<Record<string, string>> | null
}

/** `serf query` with these flags; who acknowledged and who answered what. */
async function ask(serf: SerfParty, ...flags: readonly string[]): Promise<Answers> {
  const output = await serf.command('query', '-format=json', `-timeout=${askMs}ms`, ...flags)
  return JSON.parse(output) as Answers
}

/** Serf's command line waits for the whole of it; handlers and gossip need a part. */
const askMs = 4000

async function queriesOfSerf(one: SerfParty, first: Gossip, second: Gossip): Promise<void> {
  const asked: ReceivedQuery[] = []
  const off = [first, second].map((of) =>
    of.on('query', async (query) => {
      asked.push(query)
      await query.respond(bytes(`${of.self.name} heard ${words(query.payload)}`))
    }),
  )
  const ours = { k1: 'k1 heard now', k2: 'k2 heard now' }
  /**
   * The next begins when this one is heard: a Serf that is asked twice at once gives both the same
   * Lamport time, and then hears the answers to only one of them.
   */
  const begin = async (hearers: number, ...flags: readonly string[]) => {
    const before = asked.length
    const answers = ask(one, ...flags)
    await within(patienceMs, 'it is heard', () => asked.length >= before + hearers)
    return { answers }
  }
  const begun = {
    all: await begin(2, 'load', 'now'),
    named: await begin(1, '-node=k2', '-node=s2', '-no-ack', 'load', 'now'),
    tagged: await begin(1, '-tag=role=^w', 'load', 'now'),
    relayed: await begin(2, '-relay-factor=2', '-node=k1', '-node=k2', 'load', 'now'),
  }
  const all = await begun.all.answers
  const named = await begun.named.answers
  const tagged = await begun.tagged.answers
  const relayed = await begun.relayed.answers
  expect(all.Acks?.toSorted()).toEqual(['k1', 'k2', 's1', 's2'])
  expect(all.Responses).toEqual({ ...ours, s1: 's1 heard now\n', s2: 's2 heard now\n' })
  expect([named.Acks ?? [], named.Responses]).toEqual([[], { k2: ours.k2, s2: 's2 heard now\n' }])
  expect(tagged.Acks?.toSorted()).toEqual(['k1', 's1'])
  expect(tagged.Responses).toEqual({ k1: ours.k1, s1: 's1 heard now\n' })
  expect(relayed.Responses).toEqual(ours)
  expect(asked).toHaveLength(6)
  for (const { name, from, timeoutMs } of asked) {
    expect([name, from, timeoutMs]).toEqual(['load', 's1', askMs])
  }
  for (const stop of off) stop()
}

async function queriesOfKith(first: Gossip, second: Gossip): Promise<void> {
  const off = [first, second].map((of) =>
    of.on('query', (query) => query.respond(bytes(`${of.self.name} too`))),
  )
  const query = first.query('load', bytes('later'), {
    ack: true,
    relayFactor: 2,
    timeoutMs: 10_000,
  })
  const answers = await allOf(query)
  const serfs = { s1: 's1 heard later\n', s2: 's2 heard later\n' }
  expect(answers).toEqual({ k1: 'k1 too', k2: 'k2 too', ...serfs })
  const summary = await query.summary
  expect(summary).toMatchObject({ ended: 'complete', missing: [] })
  expect(summary.acks.toSorted()).toEqual(['k1', 'k2', 's1', 's2'])
  await within(patienceMs, 'what was relayed comes as well', () => copies(first) > 0)
  const filtered = first.query('load', bytes('later'), {
    members: ['s1', 's2', 'k2'],
    tags: { role: '^db$' },
    timeoutMs: 10_000,
  })
  expect(await allOf(filtered)).toEqual({ k2: 'k2 too', s2: serfs.s2 })
  const ping = first.query('_serf_ping', undefined, { ack: true, timeoutMs: 10_000 })
  expect((await ping.summary).acks.toSorted()).toEqual(['k1', 'k2', 's1', 's2'])
  for (const stop of off) stop()
}

/** Acks and answers that were there already, or whose question was over. */
function copies(asker: Gossip): number {
  const { counters } = asker.stats()
  const kinds = ['queryAcksRepeated', 'queryResponsesRepeated', 'queryResponseUnasked']
  return kinds.reduce((sum, kind) => sum + (counters[kind] ?? 0), 0)
}

/** Five thousand bytes at the command line of a Serf, which by itself cannot send that much. */
async function largeAnswer(one: SerfParty, two: SerfParty, second: Gossip): Promise<void> {
  const sent: unknown[] = []
  const off = second.on('query', async (query) => {
    sent.push(await query.respond(bytes('x'.repeat(5000))).catch((cause: unknown) => cause))
  })
  const answers = await Promise.all([one, two].map((serf) => ask(serf, '-node=k2', 'large')))
  for (const { Responses } of answers) expect(Responses).toEqual({ k2: 'x'.repeat(5000) })
  // Both streams ended well: the Serfs read all of it.
  await within(patienceMs, 'both answers are sent', () => sent.length === 2)
  expect(sent).toEqual([undefined, undefined])
  evidence('serf interop: bytes of an answer at the command line of a Serf', 5000)
  off()
}
