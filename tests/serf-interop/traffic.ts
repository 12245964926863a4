// A mixed cluster at work: whatever Serf would complain about, it says in its log.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { expect } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'
import type { Crew } from './support/crew.ts'
import type { KithParty } from './support/kith.ts'
import { allAlive } from './support/party.ts'
import { pause } from './support/process.ts'
import type { SerfParty } from './support/serf.ts'

/**
 * Complaints that are true where the machine stood still for longer than a probe may take: whoever
 * was slow is doubted, and defends itself.
 */
const allowedAfterStall: readonly RegExp[] = [
  /\[WARN\] memberlist: Refuting a (?:suspect|dead) message/,
  /\[WARN\] memberlist: Was able to connect to \S+ but other probes failed/,
  /\[ERR\] memberlist: Failed fallback ping: .* i\/o timeout/,
]
export const stallMs = 500

const trafficMs: number = atTier(120_000, 600_000)
const roundMs = 1_000
const relay = /serf: Relaying response to addr/

/** Complaints of Serf that say nothing about what we sent, each with the reason. */
const allowed: readonly RegExp[] = [
  // The socket between Serf and its own command line, which Kith never speaks to: `serf query`
  // hangs up when its time is over, while answers are still written to it.
  /\[ERR\] agent\.ipc: /,
  // An exchange of state and a new event crossed: the buffer sent a moment before still held what
  // the event has just pushed out. Two Serfs do that to each other too.
  /\[WARN\] serf: received old event/,
]

export async function traffic(crew: Crew): Promise<void> {
  // Only so does a Serf tell what it passes on.
  const flags = ['-log-level=debug']
  const one = await crew.serf({ name: 's1', tags: { role: 'web' }, flags })
  const two = await crew.serf({ name: 's2', tags: { role: 'db' }, join: one.address, flags })
  const kith = await crew.kith({ name: 'k1', join: two.address })
  const other = await crew.kith({ name: 'k2', join: one.address })
  const all = [one, two, kith, other]
  await allAlive(all, 10_000)
  const lateness = monitorEventLoopDelay({ resolution: 20 })
  lateness.enable()
  const until = performance.now() + trafficMs
  let rounds = 0
  for (; performance.now() < until; rounds += 1) {
    await Promise.all([round(rounds, one, two, kith), pause(roundMs)])
  }
  evidence('serf interop: rounds of traffic', rounds)
  const passedOn = [one, two].flatMap(({ lines }) => lines.filter((line) => relay.test(line)))
  evidence('serf interop: answers that the Serfs relayed', passedOn.length)
  expect(passedOn.length).toBeGreaterThan(0)
  expect(await one.command('reachability')).toContain('Successfully contacted all live nodes')
  await allAlive(all, 1_000)
  lateness.disable()
  const paused = [kith, other].some(({ lines }) => lines.some((line) => /paused/.test(line)))
  const stalled = paused || lateness.max / 1e6 > stallMs
  if (stalled) evidence('serf interop: the machine stalled, ms', Math.round(lateness.max / 1e6))
  for (const serf of [one, two]) expect(complaints(serf, stalled)).toEqual([])
  for (const ours of [kith, other]) expect(ownComplaints(ours, stalled)).toEqual([])
}

/** Events, queries with and without relays, changed tags and services, some of each. */
async function round(
  number: number,
  one: SerfParty,
  two: SerfParty,
  kith: KithParty,
): Promise<void> {
  await two.command('event', 'deploy', `v${number}`)
  if (number % 3 === 0) await one.command('event', '-coalesce=false', 'note', 'x'.repeat(400))
  if (number % 4 === 1) {
    const answer = await one.command('query', '-timeout=1s', '-relay-factor=1', 'load', 'now')
    for (const name of ['s1', 's2', 'k1', 'k2']) expect(answer).toContain(`Ack from '${name}'`)
  }
  if (number % 5 === 2) await two.command('tags', '-set', `round=${number}`)
  if (number % 5 === 3) await register(kith, `web-${number % 20}`)
}

async function register(kith: KithParty, id: string): Promise<void> {
  const response = await fetch(`http://${kith.http}/v1/services/${id}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ service: 'web', port: 8080, meta: { note: 'y'.repeat(200) } }),
  })
  expect(response.ok, await response.text()).toBe(true)
}

/** What this Serf has against us; `stalled`: so long did the machine stand still. */
export function complaints(serf: SerfParty, stalled: boolean): readonly string[] {
  const patterns = stalled ? [...allowed, ...allowedAfterStall] : allowed
  return serf.lines
    .filter((line) => /\[(WARN|ERR|ERROR)\]/.test(line))
    .filter((line) => !patterns.some((pattern) => pattern.test(line)))
}

/** Nobody failed, nobody was doubted, nothing was odd. */
export function ownComplaints(kith: KithParty, stalled: boolean): readonly string[] {
  const odd = /"level":"(?:warn|error)"|"event":"(?:member-failed|suspect|refute)"/
  const expected = stalled ? /no data directory|paused|"suspect"|"refute"/ : /no data directory/
  return kith.lines.filter((line) => odd.test(line) && !expected.test(line))
}
