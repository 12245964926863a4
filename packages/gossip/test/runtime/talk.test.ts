// Events and queries between whole members, over a simulated network.
import { setImmediate } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import type { Gossip, Query, ReceivedQuery, UserEvent } from '../../src/index.ts'
import { cluster, createPlace, stopAll, text } from './support.ts'
import type { Place } from './support.ts'

const places: [Place, readonly Gossip[]][] = []

afterEach(async () => {
  for (const [place, members] of places.splice(0)) await stopAll(place, members)
})

async function formed(count: number, options = {}): Promise<[Place, ...Gossip[]]> {
  const place = createPlace(count)
  const members = await cluster(place, count, options)
  places.push([place, members])
  return [place, ...members]
}

function bytes(words: string): Uint8Array {
  return new TextEncoder().encode(words)
}

function words(of: Uint8Array): string {
  return new TextDecoder().decode(of)
}

/** Everything a query brings, read to its end. */
async function allOf(query: Query): Promise<Record<string, string>> {
  const answers: Record<string, string> = {}
  for await (const { from, payload } of query) answers[from] = words(payload)
  return answers
}

async function acksOf(query: Query): Promise<string[]> {
  const acks: string[] = []
  for await (const from of query.acks) acks.push(from)
  return acks.toSorted()
}

function heardBy(members: readonly Gossip[]): UserEvent[][] {
  return members.map((member) => {
    const heard: UserEvent[] = []
    member.on('event', (event) => heard.push(event))
    return heard
  })
}

function required(member: Gossip | undefined): Gossip {
  if (member === undefined) throw new Error('no such member')
  return member
}

describe('user events', () => {
  it('GOS-110 reach every member once, their own first, with name, payload and time', async () => {
    const [place, ...members] = await formed(4)
    const heard = heardBy(members)
    const said = await required(members[1]).emit('deploy', bytes('v1'))
    expect(heard.map((events) => events.length)).toEqual([0, 1, 0, 0])
    expect(said).toMatchObject({ kind: 'event', name: 'deploy', coalesce: false })
    await place.eventually(() => heard.every((events) => events.length > 0))
    await place.advance(60_000)
    for (const events of heard) expect(events).toEqual([said])
  })
})

describe('queries', () => {
  it('GOS-115 are answered by every member, acknowledged where asked, and summed up', async () => {
    const [place, ...members] = await formed(3)
    for (const member of members) {
      member.on('query', async (query: ReceivedQuery) => {
        await setImmediate()
        await query.respond(bytes(`${member.self.name} heard ${words(query.payload)}`))
      })
    }
    const query = required(members[0]).query('load', bytes('now'), { ack: true })
    const all = Promise.all([allOf(query), acksOf(query), query.summary])
    const [answers, acks, summary] = await place.until(all)
    expect(answers).toEqual({
      m1: 'm1 heard now',
      m2: 'm2 heard now',
      m3: 'm3 heard now',
    })
    expect(acks).toEqual(['m1', 'm2', 'm3'])
    expect(summary).toMatchObject({ ended: 'complete', missing: [], dropped: 0, duplicates: 0 })
  })

  it('GOS-115 end at their deadline where somebody says nothing, and say who', async () => {
    const [place, first, second] = await formed(2)
    second?.on('query', (query) => void query.respond(bytes('x')))
    const before = place.clock.now()
    const query = required(first).query('load', undefined, { timeoutMs: 700 })
    const [answers, summary] = await place.until(Promise.all([allOf(query), query.summary]))
    expect(answers).toEqual({ m2: 'x' })
    expect(place.clock.now() - before).toBeGreaterThanOrEqual(700)
    expect(summary).toMatchObject({ ended: 'deadline', responses: ['m2'], missing: ['m1'] })
    void text
  })
})
