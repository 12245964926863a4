// Restarts with a snapshot: nobody is told where the others are, and everybody finds back.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Gossip, GossipEvents } from '../../src/index.ts'
import { alive, at, createPlace, status, text } from './support.ts'
import type { Place } from './support.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kith-rejoin-'))
})
afterEach(() => rm(folder, { recursive: true }))

function snapshot(number: number): string {
  return join(folder, `m${number}`)
}

/**
 * Virtual time stands still meanwhile: where it ran while the disk works, any amount of it would
 * pass.
 */
async function started(members: readonly Gossip[]): Promise<void> {
  await Promise.all(members.map((member) => member.start()))
}

async function stopped(members: readonly Gossip[]): Promise<void> {
  await Promise.all(members.map((member) => member.stop()))
}

/** Members with snapshots, joined through the first. */
async function remembering(place: Place, count: number): Promise<Gossip[]> {
  const members = Array.from({ length: count }, (_, index) =>
    place.gossip(index + 1, { snapshot: snapshot(index + 1) }),
  )
  await started(members)
  for (const member of members.slice(1)) await place.until(member.join([text(1)]))
  await place.eventually(() => members.every((member) => alive(member) === count))
  return members
}

async function restart(place: Place, number: number, rejoinAfterLeave = false): Promise<Gossip> {
  const member = place.gossip(number, { snapshot: snapshot(number), rejoinAfterLeave })
  await started([member])
  return member
}

describe('a restart with a snapshot', () => {
  it('GOS-144 rejoins those who were alive, without any seeds', async () => {
    const place = createPlace()
    const [first, second, third] = await remembering(place, 3)
    if (!first || !second || !third) throw new Error('three members')
    await stopped([third])
    const again = await restart(place, 3)
    await place.eventually(() => alive(again) === 3 && alive(first) === 3, 10_000)
    expect(again.stats().counters['rejoins']).toBe(1)
    // Not even one of them has to be where it was: one that answers tells of all others.
    await stopped([again, second])
    await place.eventually(() => alive(first) === 1)
    const moved = await restart(place, 3)
    await place.eventually(() => alive(moved) === 2 && alive(first) === 2, 10_000)
    await stopped([first, moved])
  })

  it('GOS-144 remembers the failed too: two that lost each other find back after both restarted', async () => {
    const place = createPlace()
    const [first, second] = await remembering(place, 2)
    if (!first || !second) throw new Error('two members')
    const heal = place.network.partition([[at(1)], [at(2)]])
    await place.eventually(
      () => status(first, 'm2') === 'failed' && status(second, 'm1') === 'failed',
    )
    await stopped([first, second])
    const lines = await readFile(snapshot(1), 'utf8')
    expect(lines).toMatch(/not-alive: m2\n# kith\.failed: \d+ m2 10\.0\.0\.2:7946\n/)
    const both = [await restart(place, 1), await restart(place, 2)]
    await place.advance(20_000)
    expect(both.map(alive)).toEqual([1, 1])
    heal()
    await place.eventually(() => both.every((member) => alive(member) === 2), 40_000)
    await stopped(both)
  })

  it('GOS-145 is believed at once, with a new incarnation above all before', async () => {
    const place = createPlace()
    const [first, second] = await remembering(place, 2)
    if (!first || !second) throw new Error('two members')
    await place.until(second.setTags({ round: '1' }))
    await place.until(second.setTags({ round: '2' }))
    const before = second.self.incarnation
    await stopped([second])
    await place.eventually(() => status(first, 'm2') === 'failed')
    const again = place.gossip(2, { snapshot: snapshot(2) })
    const refutes: GossipEvents['refute'][] = []
    again.on('refute', (event) => refutes.push(event))
    await started([again])
    expect(again.self.incarnation).toBe(before + 1)
    await place.eventually(() => alive(first) === 2, 10_000)
    expect(refutes).toEqual([])
    expect(first.member('m2')?.incarnation).toBe(before + 1)
    const { lamportTimes } = again.stats()
    expect(lamportTimes.member).toBeGreaterThanOrEqual(2n)
    await stopped([first, again])
  })

  it('GOS-145 no event comes twice, and none that came meanwhile is missed', async () => {
    const place = createPlace()
    const [first, second] = await remembering(place, 2)
    if (!first || !second) throw new Error('two members')
    const heard: string[] = []
    second.on('event', ({ name }) => heard.push(name))
    await place.until(Promise.all(['one', 'two'].map((name) => first.emit(name))))
    await place.eventually(() => heard.length === 2)
    await stopped([second])
    await place.until(first.emit('three'))
    const again = place.gossip(2, { snapshot: snapshot(2) })
    again.on('event', ({ name }) => heard.push(name))
    await started([again])
    await place.eventually(() => alive(again) === 2)
    await place.advance(60_000)
    expect(heard.toSorted()).toEqual(['one', 'three', 'two'])
    // Without the snapshot a newcomer that wants the past gets all of it.
    const newcomer = place.gossip(3, { join: [text(1)], replayOnJoin: true })
    const all: string[] = []
    newcomer.on('event', ({ name }) => all.push(name))
    await started([newcomer])
    await place.eventually(() => all.length === 3)
    await stopped([first, again, newcomer])
  })

  it('GOS-145 the clocks go on where they were', async () => {
    const place = createPlace()
    await writeFile(snapshot(1), 'clock: 40\nevent-clock: 50\nquery-clock: 60\n')
    const member = await restart(place, 1)
    expect(member.stats().lamportTimes).toEqual({ member: 41n, event: 51n, query: 61n })
    await stopped([member])
  })

  it('GOS-141 does not rejoin after a leave, unless asked to', async () => {
    const place = createPlace()
    const [first, second] = await remembering(place, 2)
    if (!first || !second) throw new Error('two members')
    await place.until(second.leave())
    await stopped([second])
    expect(await readFile(snapshot(2), 'utf8')).toMatch(/leave\n/)
    const again = await restart(place, 2)
    await place.advance(60_000)
    expect(alive(again)).toBe(1)
    expect(again.stats().counters).not.toHaveProperty('rejoins')
    await place.until(again.join([text(1)]))
    await place.until(again.leave())
    await stopped([again])
    // The file was written by members that did not mean to come back: it holds nobody.
    const willing = await restart(place, 2, true)
    await place.until(willing.join([text(1)]))
    await place.eventually(() => alive(first) === 2)
    await place.until(willing.leave())
    await stopped([willing])
    const back = await restart(place, 2, true)
    await place.eventually(() => alive(back) === 2 && alive(first) === 2, 10_000)
    await stopped([first, back])
  })

  it('GOS-144 a long list of the gone is worked through in batches, less and less often', async () => {
    const place = createPlace()
    const gone = Array.from(
      { length: 100 },
      (_, index) => `alive: g${index} 10.0.9.${index + 1}:7946\n`,
    )
    await writeFile(snapshot(1), `${gone.join('')}alive: m2 10.0.0.2:7946\n`)
    const [first, second] = [await restart(place, 1), place.gossip(2)]
    await place.advance(2_000)
    // Eight batches of four an attempt, at 0, 0.5 and 1.5 seconds.
    expect(first.stats().counters['rejoins']).toBeLessThanOrEqual(3 * 8)
    await started([second])
    await place.eventually(() => alive(first) === 2)
    expect(alive(second)).toBe(2)
    await stopped([first, second])
  })

  it('GOS-143 a file that cannot be used stops the start, and nothing is left open', async () => {
    const place = createPlace()
    await writeFile(snapshot(1), 'no snapshot\n')
    const member = place.gossip(1, { snapshot: snapshot(1) })
    await expect(place.until(member.start())).rejects.toMatchObject({ code: 'ERR_GOSSIP_SNAPSHOT' })
    await place.until(member.stop())
    expect(place.clock.pendingTimers).toBe(0)
    const other = place.gossip(1)
    await started([other])
    await stopped([other])
  })

  it('GOS-143 a stop while the snapshot is read leaves nothing open', async () => {
    const place = createPlace()
    const member = place.gossip(1, { snapshot: snapshot(1) })
    const started = member.start()
    const stopped = member.stop()
    await expect(place.until(started)).rejects.toMatchObject({ code: 'ERR_GOSSIP_NOT_RUNNING' })
    await place.until(stopped)
    expect(place.clock.pendingTimers).toBe(0)
  })
})
