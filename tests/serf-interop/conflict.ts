// Two members under one name: everybody is asked, and whoever came later goes.
import { createGossip } from '@kith/gossip'
import type { Gossip, GossipOptions } from '@kith/gossip'
import { formatAddress } from '@kith/interface'
import { tcpTransport } from '@kith/transport-tcp'
import { udpTransport } from '@kith/transport-udp'
import { expect } from 'vitest'
import { evidence } from '../support/tier.ts'
import type { Crew } from './support/crew.ts'
import { within } from './support/process.ts'
import { expectAllOpened, type Sealing } from './support/sealing.ts'
import type { SerfParty } from './support/serf.ts'

const patienceMs = 10_000

function member(name: string, options: GossipOptions): Gossip {
  return createGossip({ packets: udpTransport(), streams: tcpTransport(), ...options, name })
}

/**
 * Nobody sends packets to the one whose address is not believed: at the latest its next exchange
 * tells it, which comes every 30 s.
 */
const exchangeMs = 45_000

/** Newcomers under taken names, of ours and of theirs: whoever was there first stays. */
export async function conflict(crew: Crew, keys: Sealing): Promise<void> {
  const one = await crew.serf({ ...keys.serf, name: 's1' })
  const two = await crew.serf({ ...keys.serf, name: 's2', join: one.address })
  const serfs = [one, two]
  const owner = member('k1', { ...keys.kith(), join: [one.address] })
  const twin = member('s2', { ...keys.kith(), join: [one.address] })
  const intrude = (join: string): Promise<SerfParty> =>
    crew.serf({ ...keys.serf, name: 'k1', join, waits: false })
  try {
    await owner.start()
    await known(owner, serfs)
    const lost = new Promise<unknown>((resolve) => {
      twin.on('warning', (warning) => {
        if (warning.kind === 'conflictLost') resolve(warning)
      })
    })
    await twin.start()
    const [ended, intruder] = await Promise.all([endOf(twin), intrude(two.address)])
    expect(await lost).toMatchObject({ name: 's2', matching: 0 })
    expect(ended).toMatchObject({ code: 'ERR_GOSSIP_CONFLICT_LOST' })
    await shutsDown(intruder, () => [two.lines.slice(-20), owner.members(), owner.stats()])
    // It was gone before its claim came to the owner. The next one lays it before the owner first.
    const won = (): number => owner.stats().counters['votesWon'] ?? 0
    const before = won()
    const next = await intrude(formatAddress(owner.address))
    await within(
      exchangeMs,
      'the owner wins the vote about its name',
      () => won() > before,
      () => [next.lines, owner.stats().counters],
    )
    await shutsDown(next, () => owner.stats())
    evidence('serf interop: votes about our name won', won())
    expect(owner.stats().counters['votesLost'] ?? 0).toBe(0)
    await everybodyStays(owner, serfs)
    expectAllOpened([owner])
  } finally {
    await Promise.all([owner.stop(), twin.stop()])
  }
}

/** Who does not know the owner yet would take the intruder for it. */
async function known(owner: Gossip, serfs: readonly SerfParty[]): Promise<void> {
  const others = (): boolean =>
    owner.members().filter(({ status }) => status === 'alive').length === serfs.length + 1
  await within(patienceMs, 'the owner knows the Serfs', others)
  const mine = lineOf('k1', formatAddress(owner.address))
  for (const serf of serfs) {
    const listed = async (): Promise<boolean> => mine.test(await serf.command('members'))
    await within(patienceMs, 'the Serfs know the owner', listed)
  }
}

/** How `serf members` shows who is alive there. */
function lineOf(name: string, address: string): RegExp {
  return new RegExp(`^${name} +${address} +alive`, 'm')
}

async function shutsDown(intruder: SerfParty, tell: () => unknown): Promise<void> {
  const said = /minority in name conflict resolution/
  const down = (): boolean => intruder.lines.some((line) => said.test(line))
  const found = (): unknown => [intruder.lines, tell()]
  await within(exchangeMs, 'the Serf under our name shuts down', down, found)
}

/** All names are where they were, in all views. */
async function everybodyStays(owner: Gossip, serfs: readonly SerfParty[]): Promise<void> {
  for (const serf of serfs) {
    const lines = await serf.command('members')
    expect(lines).toMatch(lineOf('k1', formatAddress(owner.address)))
    for (const { name, address } of serfs) expect(lines).toMatch(lineOf(name, address))
  }
  expect(owner.members().map(({ name, status }) => `${name} ${status}`)).toEqual([
    'k1 alive',
    's1 alive',
    's2 alive',
  ])
}

/** What the stream of events ends with. */
async function endOf(member: Gossip): Promise<unknown> {
  try {
    for await (const { kind } of member.events()) expect(kind).toBeDefined()
    return undefined
  } catch (cause) {
    return cause
  }
}
