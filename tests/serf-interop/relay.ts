// Answers that come only because somebody passed them on: the direct way is walled off.
import { createGossip, type Gossip } from '@kith/gossip'
import { decodePacket } from '@kith/gossip/core'
import { formatAddress } from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import { expect } from 'vitest'
import { evidence } from '../support/tier.ts'
import type { Crew } from './support/crew.ts'
import { within } from './support/process.ts'
import { expectAllOpened, type Sealing } from './support/sealing.ts'
import type { SerfParty } from './support/serf.ts'
import { createWall, walledPackets, walledStreams, type Wall } from './support/wall.ts'

const patienceMs = 10_000
const askMs = 2_000
/** In clusters of three: the one who asks is asked to relay as well, and in vain. */
const relayFactor = 2
/** Whoever answers draws its relays, and a Serf may draw fewer than it looked for. */
const triesMax = 6
const answerOfSerf = 'query:load=echo "$SERF_SELF_NAME heard it"'

interface Member {
  readonly gossip: Gossip
  readonly wall: Wall
}

function member(name: string, keys: Sealing, seed: string): Member {
  const wall = createWall()
  const [packets, streams] = [walledPackets(wall), walledStreams(wall)]
  const gossip = createGossip({ name, packets, streams, join: [seed], ...keys.kith() })
  gossip.on('query', (query) => query.respond(new TextEncoder().encode(`${name} heard it`)))
  return { gossip, wall }
}

/** Either kind asks, answers and relays; every answer that counts here came by a relay. */
export async function relayed(crew: Crew, keys: Sealing): Promise<void> {
  await Promise.all([besideOneSerf(crew, keys), besideTwoSerfs(crew, keys)])
}

async function besideOneSerf(crew: Crew, keys: Sealing): Promise<void> {
  const serf = await crew.serf({ ...keys.serf, name: 's1', handlers: [answerOfSerf] })
  const [asks, other] = [member('k1', keys, serf.address), member('k2', keys, serf.address)]
  try {
    await whole([asks, other])
    asks.wall.deafTo.add(formatAddress(other.gossip.address))
    await onlyByRelay('ours by a Serf', (relays) => askOurs(asks.gossip, 'k2', relays))
    asks.wall.deafTo.clear()
    asks.wall.deafTo.add(serf.address)
    await onlyByRelay("a Serf's by ours", (relays) => askOurs(asks.gossip, 's1', relays))
    expect(asks.wall.unheard).toBeGreaterThan(0)
    asks.wall.deafTo.clear()
    other.wall.closed.add(serf.address)
    await onlyByRelay('ours by ours to a Serf', (relays) => askSerf(serf, 'k2', relays))
    expect(other.wall.packets).toBeGreaterThan(0)
    expectAllOpened([asks.gossip, other.gossip])
  } finally {
    await Promise.all([asks.gossip.stop(), other.gossip.stop()])
  }
}

async function besideTwoSerfs(crew: Crew, keys: Sealing): Promise<void> {
  const one = await crew.serf({ ...keys.serf, name: 's1' })
  const two = await crew.serf({
    ...keys.serf,
    name: 's2',
    join: one.address,
    handlers: [answerOfSerf],
  })
  const ours = member('k1', keys, one.address)
  try {
    await whole([ours])
    ours.wall.closed.add(one.address)
    await onlyByRelay('ours by a Serf to a Serf', (relays) => askSerf(one, 'k1', relays))
    expect(ours.wall.packets).toBeGreaterThan(0)
    ours.wall.closed.clear()
    if (!keys.sealed) await passedOn(ours, one, two)
    expectAllOpened([ours.gossip])
  } finally {
    await ours.gossip.stop()
  }
}

async function whole(members: readonly Member[]): Promise<void> {
  await Promise.all(members.map(({ gossip }) => gossip.start()))
  const all = (): boolean =>
    members.every(({ gossip }) => {
      return gossip.members().filter(({ status }) => status === 'alive').length === 3
    })
  await within(patienceMs, 'all see all', all)
}

type Ask = (relays: number) => Promise<string | undefined>

/** The wall keeps the answer away until it may be relayed. */
async function onlyByRelay(which: string, ask: Ask): Promise<void> {
  expect(await ask(0), `${which}: without a relay`).toBe(undefined)
  for (let tries = 1; tries <= triesMax; tries += 1) {
    const answer = await ask(relayFactor)
    if (answer === undefined) continue
    expect(answer).toMatch(/^[ks][12] heard it$/)
    evidence(`serf interop: answers relayed, ${which}, at try`, tries)
    return
  }
  throw new Error(`${which}: not relayed in ${triesMax} tries`)
}

async function askOurs(asker: Gossip, name: string, relays: number): Promise<string | undefined> {
  const options = { members: [name], relayFactor: relays, timeoutMs: askMs }
  for await (const { payload } of asker.query('load', undefined, options)) {
    return new TextDecoder().decode(payload).trim()
  }
  return undefined
}

async function askSerf(serf: SerfParty, name: string, relays: number): Promise<string | undefined> {
  const flags = [`-timeout=${askMs}ms`, `-relay-factor=${relays}`, `-node=${name}`]
  const output = await serf.command('query', '-format=json', ...flags, 'load')
  const { Responses } = JSON.parse(output) as { Responses: Record<string, string> | null }
  return Responses?.[name]?.trim()
}

/**
 * Between two Serfs there is no wall of ours: here it is seen, in the clear, that a Serf's answer
 * comes with an order to pass it on, and goes out to the one who asked.
 */
async function passedOn({ wall }: Member, one: SerfParty, two: SerfParty): Promise<void> {
  const seen = { orders: 0, answers: 0 }
  wall.passed = (way, far, bytes) => {
    const address = formatAddress(far)
    for (const message of decodePacket(bytes, nodeDigests).messages) {
      const said = message.kind === 'user' ? message.message : undefined
      if (way === 'in' && address === two.address && said?.kind === 'relay') seen.orders += 1
      if (way === 'out' && address === one.address && said?.kind === 'queryResponse') {
        if (said.from === two.name) seen.answers += 1
      }
    }
  }
  for (let tries = 1; tries <= triesMax && seen.answers === 0; tries += 1) {
    expect(await askSerf(one, two.name, relayFactor)).toBe(`${two.name} heard it`)
  }
  evidence("serf interop: a Serf's answers relayed by ours to a Serf", seen.answers)
  expect(seen.answers).toBeGreaterThan(0)
  expect(seen.orders).toBeGreaterThanOrEqual(seen.answers)
}
