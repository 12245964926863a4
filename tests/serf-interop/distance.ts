// How far members are from each other, as Kith and the real Serf estimate it.
import { createGossip } from '@kith/gossip'
import { tcpTransport } from '@kith/transport-tcp'
import { udpTransport } from '@kith/transport-udp'
import { expect } from 'vitest'
import { evidence, tier } from '../support/tier.ts'
import type { Crew } from './support/crew.ts'
import { pause, within } from './support/process.ts'
import { expectAllOpened, type Sealing } from './support/sealing.ts'
import type { SerfParty } from './support/serf.ts'

const names = ['s1', 's2', 'k1'] as const
const settledMs = 60_000

/** Milliseconds as `serf rtt` prints them; undefined where it has no coordinate. */
async function serfRtt(serf: SerfParty, a: string, b: string): Promise<number | undefined> {
  const printed = await serf.command('rtt', a, b).catch(() => '')
  const match = /rtt: ([\d.]+) ms/.exec(printed)
  return match === null ? undefined : Number(match[1])
}

/** Both sides know where everybody is; after a minute they say the same. */
export async function distance(crew: Crew, keys: Sealing): Promise<void> {
  const one = await crew.serf({ ...keys.serf, name: 's1' })
  const two = await crew.serf({ ...keys.serf, name: 's2', join: one.address })
  await using kith = createGossip({
    name: 'k1',
    packets: udpTransport(),
    streams: tcpTransport(),
    join: [one.address],
    ...keys.kith(),
  })
  await kith.start()
  const started = performance.now()
  const pairs = names.flatMap((a, index) => names.slice(index + 1).map((b) => [a, b] as const))
  for (const [a, b] of pairs) {
    await within(30_000, `both know ${a} and ${b}`, async () => {
      const told = await Promise.all([serfRtt(one, a, b), serfRtt(two, a, b)])
      return [...told, kith.rtt(a, b)].every((ms) => ms !== undefined)
    })
  }
  if (tier === 2) await pause(Math.max(0, settledMs - (performance.now() - started)))
  for (const [a, b] of pairs) {
    const [ours, theirs] = [kith.rtt(a, b) ?? Infinity, (await serfRtt(one, a, b)) ?? Infinity]
    evidence(`serf interop: rtt ${a} ${b}, ms, Kith and Serf`, `${ours.toFixed(3)} ${theirs}`)
    // Loopback: more than that is nonsense on any machine.
    expect(Math.max(ours, theirs)).toBeLessThan(1000)
    if (tier === 1) continue
    const off = Math.abs(ours - theirs)
    const fits = off <= 1 || (ours <= theirs * 2 && theirs <= ours * 2)
    expect(fits, `${a} ${b}: Kith ${ours}, Serf ${theirs}`).toBe(true)
  }
  const { counters } = kith.stats()
  const refused = Object.keys(counters).filter((kind) => /^coordinate|^rttRefused/.test(kind))
  expect(refused).toEqual([])
  expectAllOpened([kith])
  for (const serf of [one, two]) {
    expect(await serf.command('info')).toContain('coordinate_resets = 0')
    expect(serf.lines.filter((line) => /coordinate/i.test(line))).toEqual([])
  }
}
