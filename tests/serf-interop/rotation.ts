// The key of a mixed cluster is changed under traffic, told by either side, and nothing is lost.
import { createGossip, createKeyring } from '@kith/gossip'
import type { Gossip, KeyReport, Keyring } from '@kith/gossip'
import { formatAddress } from '@kith/interface'
import { createSerfClient } from '@kith/serf-rpc'
import type { SerfClient } from '@kith/serf-rpc'
import { tcpTransport } from '@kith/transport-tcp'
import { udpTransport } from '@kith/transport-udp'
import { expect } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'
import type { Crew } from './support/crew.ts'
import { pause, within } from './support/process.ts'
import type { SerfParty } from './support/serf.ts'

const [first, second, third] = [1, 2, 3].map((byte) => Buffer.alloc(32, byte).toString('base64'))
/** Members of each kind. */
const each = atTier({ serf: 1, kith: 2 }, { serf: 3, kith: 3 })
/** Between two events: ten a second, or fifty. */
const eventMs = atTier(100, 20)
/** Of that rate, what a machine with ten times its work reaches: a late event is made up for. */
const rateShareMin = 0.6
/** Traffic before and after each step of a rotation. */
const talkMs = atTier(500, 10_000)
const spreadMsMax = 20_000
/** Long, because the machine may be busy; whoever is well answers at once. */
const answerMs = 15_000
const attemptsMax = 5

interface Voice {
  readonly name: string
  say(event: string): Promise<unknown>
  readonly heard: ReadonlySet<string>
}

/** Serfs and Kith members under one key; both kinds start a rotation, one after the other. */
export async function rotated(crew: Crew): Promise<void> {
  if (first === undefined || second === undefined || third === undefined) throw new Error('keys')
  const serfs = await Promise.all(
    Array.from({ length: each.serf }, (_, at) => crew.serf({ name: `s${at}`, encrypt: first })),
  )
  const rings = Array.from({ length: each.kith }, () => createKeyring({ keys: [first] }))
  const members = rings.map((keyring, at) => ours(`k${at}`, keyring))
  const clients = serfs.map(({ rpc }) => createSerfClient({ address: rpc }))
  const listening = new AbortController()
  try {
    await together(members, serfs)
    const voices = [
      ...members.map(kithVoice),
      ...clients.map((client, at) => serfVoice(`s${at}`, client, listening.signal)),
    ]
    await rotateUnderTraffic(members, serfs, rings, voices)
  } finally {
    listening.abort()
    await Promise.all([...members, ...clients].map((one) => one[Symbol.asyncDispose]()))
  }
}

function ours(name: string, keyring: Keyring): Gossip {
  const at = { host: '127.0.0.1', port: 0 }
  return createGossip({ name, keyring, packets: udpTransport(at), streams: tcpTransport(at) })
}

async function together(members: readonly Gossip[], serfs: readonly SerfParty[]): Promise<void> {
  const [leading] = members
  if (leading === undefined) throw new Error('nobody')
  for (const member of members) await member.start()
  for (const member of members.slice(1)) await member.join([formatAddress(leading.address)])
  expect(await leading.join(serfs.map(({ address }) => address))).toBe(serfs.length)
  const all = members.length + serfs.length
  const whole = (): boolean =>
    members.every((member) => member.members().filter(isAlive).length === all)
  await within(spreadMsMax, 'all see all', whole)
}

function isAlive({ status }: { readonly status: string }): boolean {
  return status === 'alive'
}

function kithVoice(member: Gossip): Voice {
  const heard = new Set<string>()
  member.on('event', ({ name }) => void heard.add(name))
  return { name: member.self.name, heard, say: (event) => member.emit(event) }
}

function serfVoice(name: string, client: SerfClient, signal: AbortSignal): Voice {
  const heard = new Set<string>()
  void (async () => {
    for await (const event of client.events('user', { signal })) {
      if (event.kind === 'user') heard.add(event.name)
    }
  })().catch(() => {})
  return { name, heard, say: (event) => client.event(event, '', { coalesce: false }) }
}

async function rotateUnderTraffic(
  members: readonly Gossip[],
  serfs: readonly SerfParty[],
  rings: readonly Keyring[],
  voices: readonly Voice[],
): Promise<void> {
  await everyoneListens(voices)
  const talking = new AbortController()
  const talk = keepTalking(voices, talking.signal)
  const asked = members[0]
  const serf = serfs[0]
  if (asked === undefined || serf === undefined) throw new Error('one of each')
  const step = async (change: () => Promise<unknown>): Promise<void> => {
    await pause(talkMs)
    await change()
    await pause(talkMs)
  }
  const options = { timeoutMs: answerMs }
  await step(async () => expectDone(await asked.keys.install(second ?? '', options)))
  await step(async () => expectDone(await asked.keys.use(second ?? '', options)))
  await step(async () => expectDone(await asked.keys.remove(first ?? '', options)))
  for (const flag of [`-install=${third}`, `-use=${third}`, `-remove=${second}`]) {
    await step(() => patiently(() => serf.command('keys', flag)))
  }
  talking.abort()
  const { sent, ms } = await talk
  const heardAll = (): boolean => voices.every(({ heard }) => sent.every((one) => heard.has(one)))
  const lost = (): readonly string[] =>
    voices.map(({ name, heard }) => `${name} lacks ${sent.filter((one) => !heard.has(one)).length}`)
  await within(spreadMsMax, `everybody heard of ${sent.length} events`, heardAll, lost)
  evidence('serf interop: events under two rotations of the key, none lost', sent.length)
  const rate = (sent.length * 1000) / ms
  evidence('serf interop: events a second under two rotations', rate.toFixed(1))
  expect(rate).toBeGreaterThanOrEqual((rateShareMin * 1000) / eventMs)
  await theThirdKeyIsAllThereIs(members, serfs, rings)
}

/** RPC tells a reader of what comes after it asked: until then nothing is said that counts. */
async function everyoneListens(voices: readonly Voice[]): Promise<void> {
  let tries = 0
  const ready = (): boolean => voices.every(({ heard }) => heard.has(`ready-${tries}`))
  for (; tries === 0 || !ready();) {
    tries += 1
    await voices[0]?.say(`ready-${tries}`)
    await within(2_000, 'everybody listens', ready).catch(() => {})
    expect(tries).toBeLessThan(20)
  }
}

interface Talk {
  readonly sent: readonly string[]
  /** How long it lasted. */
  readonly ms: number
}

/** Resolves with everything that was said, by everybody in turn. */
async function keepTalking(voices: readonly Voice[], signal: AbortSignal): Promise<Talk> {
  const sent: string[] = []
  const began = performance.now()
  while (!signal.aborted) {
    const event = `e${sent.length}`
    await voices[sent.length % voices.length]?.say(event)
    sent.push(event)
    await pause(Math.max(0, began + sent.length * eventMs - performance.now()))
  }
  return { sent, ms: performance.now() - began }
}

function expectDone(report: KeyReport): void {
  const all = each.serf + each.kith
  expect(report).toMatchObject({ ok: true, members: all, responses: all, errors: 0, messages: {} })
}

/** Serf waits for its own time only; asking again changes nothing that is done. */
async function patiently(change: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await change()
      return
    } catch (cause) {
      if (attempt === attemptsMax) throw cause
    }
  }
}

async function theThirdKeyIsAllThereIs(
  members: readonly Gossip[],
  serfs: readonly SerfParty[],
  rings: readonly Keyring[],
): Promise<void> {
  const all = each.serf + each.kith
  const report = await members[0]?.keys.list({ timeoutMs: answerMs })
  expect(report?.keys).toEqual({ [third ?? '']: all })
  expect(report?.primaryKeys).toEqual({ [third ?? '']: all })
  for (const ring of rings) expect(ring.keys).toEqual([third])
  for (const member of members) {
    const { counters } = member.stats()
    const refused = ['keyUnknown', 'stream.keyUnknown', 'plaintextRefused', 'encryptionVersion']
    expect(refused.map((kind) => counters[kind] ?? 0)).toEqual([0, 0, 0, 0])
    expect(member.members().filter(isAlive)).toHaveLength(all)
  }
  for (const { lines } of serfs) {
    expect(lines.filter((line) => /decrypt|keyring/i.test(line) && /ERR/.test(line))).toEqual([])
  }
  await patiently(async () => expect(await serfs[0]?.command('keys', '-list')).toContain(third))
}
