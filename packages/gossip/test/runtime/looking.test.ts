// Members in company that miss somebody, and members that moved.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatAddress } from '@kith/interface'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createGossip } from '../../src/index.ts'
import type { Gossip, GossipOptions } from '../../src/index.ts'
import { alive, at, cluster, createPlace, status, text } from './support.ts'
import type { Place } from './support.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kith-looking-'))
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

describe('looking for others', () => {
  it('GOS-147 two halves that never met find each other once they can', async () => {
    const place = createPlace()
    const heal = place.network.partition([
      [at(1), at(2)],
      [at(3), at(4)],
    ])
    const members = [
      place.gossip(1, { join: [text(3)] }),
      ...[2, 3, 4].map((number) => place.gossip(number)),
    ]
    const [first, second, third, fourth] = members
    if (!first || !second || !third || !fourth) throw new Error('four members')
    await started(members)
    await place.until(Promise.all([second.join([text(1)]), fourth.join([text(3)])]))
    await place.advance(180_000)
    expect(members.map(alive)).toEqual([2, 2, 2, 2])
    heal()
    // A minute between two looks at the most, with a quarter of jitter, and an exchange.
    await place.eventually(() => members.every((member) => alive(member) === 4), 90_000)
    await stopped(members)
  })

  it('GOS-147 halves that were cut apart and all restarted find each other', async () => {
    const place = createPlace()
    const open = (number: number): Gossip => place.gossip(number, { snapshot: snapshot(number) })
    const before = [1, 2, 3, 4].map(open)
    await started(before)
    for (const member of before.slice(1)) await place.until(member.join([text(1)]))
    await place.eventually(() => before.every((member) => alive(member) === 4))
    const heal = place.network.partition([
      [at(1), at(2)],
      [at(3), at(4)],
    ])
    await place.eventually(() => before.every((member) => alive(member) === 2), 120_000)
    await stopped(before)
    const after = [1, 2, 3, 4].map(open)
    await started(after)
    await place.eventually(() => after.every((member) => alive(member) === 2), 60_000)
    await place.advance(120_000)
    expect(after.map(alive)).toEqual([2, 2, 2, 2])
    heal()
    await place.eventually(() => after.every((member) => alive(member) === 4), 90_000)
    await stopped(after)
  })

  it('GOS-147 nobody is looked for who is here', async () => {
    const place = createPlace()
    const members = await cluster(place, 3, { join: [text(1), text(2), text(3)] })
    const before = members.map((member) => member.stats().counters['streamsOut'] ?? 0)
    await place.advance(300_000)
    for (const [index, member] of members.entries()) {
      const { counters } = member.stats()
      expect(counters).not.toHaveProperty('looks')
      // What is left is the push/pull of every half minute.
      expect((counters['streamsOut'] ?? 0) - (before[index] ?? 0)).toBeLessThanOrEqual(11)
    }
    await stopped(members)
  })

  it('GOS-147 a seed that is gone for good costs one connection a minute', async () => {
    const place = createPlace()
    const members = await cluster(place, 2, { join: [text(1), text(9)] })
    await place.advance(600_000)
    const looks = members[0]?.stats().counters['looks'] ?? 0
    expect(looks).toBeGreaterThanOrEqual(8)
    expect(looks).toBeLessThanOrEqual(14)
    await stopped(members)
  })
})

/** The member of this name somewhere else. */
function moved(place: Place, number: number, to: number, options: GossipOptions): Gossip {
  return createGossip({
    name: `m${number}`,
    packets: place.network.packetTransport(at(to)),
    streams: place.network.streamTransport(at(to)),
    ...options,
    context: { clock: place.network.clockAt(at(to)), ...options.context },
  })
}

function where(viewer: Gossip | undefined, name: string): string | undefined {
  const member = viewer?.member(name)
  return member === undefined ? undefined : `${member.status} ${formatAddress(member.address)}`
}

describe('a member that comes back elsewhere', () => {
  async function three(place: Place, options: GossipOptions = {}): Promise<readonly Gossip[]> {
    const members = [1, 2, 3].map((number) =>
      place.gossip(number, { snapshot: snapshot(number), ...options }),
    )
    await started(members)
    for (const member of members.slice(1)) await place.until(member.join([text(1)]))
    await place.eventually(() => members.every((member) => alive(member) === 3))
    return members
  }

  it('GOS-148 is taken at once where it had left', async () => {
    const place = createPlace()
    const [first, second, third] = await three(place)
    if (!first || !second || !third) throw new Error('three members')
    const before = third.self.incarnation
    await place.until(third.leave())
    await stopped([third])
    const again = moved(place, 3, 33, { snapshot: snapshot(3), join: [text(1)] })
    await started([again])
    const here = `alive ${text(33)}`
    await place.eventually(() => [first, second].every((one) => where(one, 'm3') === here), 10_000)
    expect(first.member('m3')?.incarnation).toBeGreaterThan(before)
    // Its old place is forgotten where it is kept, too.
    await stopped([second])
    const restarted = place.gossip(2, { snapshot: snapshot(2) })
    await started([restarted])
    await place.eventually(() => where(restarted, 'm3') === here, 20_000)
    await stopped([first, restarted, again])
  })

  it('GOS-148 is taken when its death may be reclaimed', async () => {
    const place = createPlace()
    const [first, second, third] = await three(place)
    if (!first || !second || !third) throw new Error('three members')
    await stopped([third])
    await place.eventually(
      () => status(first, 'm3') === 'failed' && status(second, 'm3') === 'failed',
    )
    const again = moved(place, 3, 33, { snapshot: snapshot(3) })
    await started([again])
    const here = `alive ${text(33)}`
    await place.eventually(() => [first, second].every((one) => where(one, 'm3') === here), 40_000)
    await stopped([first, second, again])
  })

  it.each([
    ['with what it remembers', 3],
    ['as a new container does, remembering nothing', 4],
  ])('GOS-148 stays while the others take it for alive, then is taken: %s', async (_, from) => {
    const place = createPlace()
    const [first, second, third] = await three(place)
    if (!first || !second || !third) throw new Error('three members')
    const warnings: string[] = []
    await stopped([third])
    const again = moved(place, 3, 33, { snapshot: snapshot(from), join: [text(1)] })
    again.on('warning', ({ kind }) => void warnings.push(kind))
    await started([again])
    const here = `alive ${text(33)}`
    // The verdict, ten seconds after it, and the vote after that.
    await place.eventually(() => [first, second].every((one) => where(one, 'm3') === here), 40_000)
    expect(warnings).toContain('nameHeld')
    expect(warnings).not.toContain('conflictLost')
    await place.advance(60_000)
    expect([first, second].map((one) => where(one, 'm3'))).toEqual([here, here])
    await stopped([first, second, again])
  })

  it('GOS-148 is taken when its death is forgotten, and is a conflict until then', async () => {
    const place = createPlace()
    const overrides = { deadMemberReclaimMs: 0 }
    const [first, second, third] = await three(place, { overrides })
    if (!first || !second || !third) throw new Error('three members')
    let conflicts = 0
    first.on('warning', ({ kind }) => {
      if (kind === 'conflict') conflicts += 1
    })
    await stopped([third])
    await place.eventually(
      () => status(first, 'm3') === 'failed' && status(second, 'm3') === 'failed',
    )
    const again = moved(place, 3, 33, { snapshot: snapshot(3), nameConflict: 'warn' })
    await started([again])
    await place.advance(2_000)
    expect(where(first, 'm3')).toBe(`failed ${text(3)}`)
    // memberlist keeps the dead for 30 s and to the end of a round of probes; then a push/pull.
    const here = `alive ${text(33)}`
    await place.eventually(() => [first, second].every((one) => where(one, 'm3') === here), 150_000)
    expect(conflicts).toBeGreaterThan(0)
    await stopped([first, second, again])
  })
})
