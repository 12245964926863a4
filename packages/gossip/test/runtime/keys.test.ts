// Keys of a whole cluster: looked at, changed and rotated, and who could not follow.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createKeyring } from '../../src/index.ts'
import type { Gossip, GossipOptions, KeyReport, Keyring } from '../../src/index.ts'
import { alive, createPlace, startAll, stopAll, text } from './support.ts'
import type { Place } from './support.ts'

const base64 = (byte: number, bytes = 32): string => Buffer.alloc(bytes, byte).toString('base64')
const [old, fresh] = [base64(1), base64(2, 16)]

interface Cluster {
  readonly place: Place
  readonly members: readonly Gossip[]
  readonly rings: readonly Keyring[]
  readonly first: Gossip
}

async function clusterOf(rings: readonly Keyring[], options: GossipOptions = {}): Promise<Cluster> {
  const place = createPlace()
  const members = rings.map((keyring, at) => place.gossip(at + 1, { keyring, ...options }))
  await startAll(place, members)
  for (const member of members.slice(1)) await place.until(member.join([text(1)]))
  await place.eventually(() => members.every((member) => alive(member) === rings.length))
  const [first] = members
  if (first === undefined) throw new Error('nobody')
  return { place, members, rings, first }
}

function rings(count: number, ...keys: readonly string[]): readonly Keyring[] {
  return Array.from({ length: count }, () => createKeyring({ keys }))
}

describe('the keys of a cluster', () => {
  it('GOS-109 are listed with how many members have and use each', async () => {
    const { place, members, first } = await clusterOf([
      createKeyring({ keys: [old, fresh] }),
      createKeyring({ keys: [old, fresh, base64(3)] }),
      createKeyring({ keys: [fresh, old] }),
    ])
    const report = await place.until(first.keys.list())
    expect(report).toMatchObject({
      ok: true,
      members: 3,
      responses: 3,
      errors: 0,
      keys: { [old]: 3, [fresh]: 3, [base64(3)]: 1 },
      primaryKeys: { [old]: 2, [fresh]: 1 },
      messages: {},
      missing: [],
    })
    expect(report.results.map(({ member }) => member).toSorted()).toEqual(['m1', 'm2', 'm3'])
    await stopAll(place, members)
  })

  it('GOS-109 are rotated by install, use and remove while events flow, and none is lost', async () => {
    const { place, members, rings: own, first } = await clusterOf(rings(3, old))
    const heard = members.map(() => new Set<string>())
    for (const [at, member] of members.entries()) {
      member.on('event', ({ name }) => void heard[at]?.add(name))
    }
    let sent = 0
    const talk = async (): Promise<void> => {
      for (let count = 0; count < 50; count += 1) {
        await members[sent % 3]?.emit(`e${sent}`)
        sent += 1
        await place.advance(20)
      }
    }
    const steps: (() => Promise<KeyReport>)[] = [
      () => first.keys.install(fresh),
      () => first.keys.use(Buffer.alloc(16, 2)),
      () => first.keys.remove(old),
    ]
    for (const step of steps) {
      await talk()
      expect(await place.until(step())).toMatchObject({ ok: true, responses: 3, errors: 0 })
      await talk()
    }
    for (const ring of own) expect(ring.keys).toEqual([fresh])
    await place.eventually(() => heard.every((names) => names.size === sent), 10_000)
    for (const member of members) {
      const { counters } = member.stats()
      expect([counters['keyUnknown'], counters['stream.keyUnknown']]).toEqual([
        undefined,
        undefined,
      ])
    }
    expect(members.map(alive)).toEqual([3, 3, 3])
    await stopAll(place, members)
  })

  it('GOS-109 that a member cannot change are reported in its words, and the others have them', async () => {
    const full = Array.from({ length: 32 }, (_, at) => base64(at + 1))
    const { place, members, first } = await clusterOf([
      ...rings(2, old),
      createKeyring({ keys: full }),
    ])
    expect(await place.until(first.keys.install(fresh))).toMatchObject({
      ok: false,
      members: 3,
      responses: 3,
      errors: 1,
      messages: { m3: 'the keyring has 32 keys already' },
      missing: [],
    })
    // The first to use it is who asks, and whoever lacks it does not understand the question.
    expect(await place.until(first.keys.use(fresh))).toMatchObject({ ok: false, missing: ['m3'] })
    expect((await place.until(first.keys.list())).missing).toEqual(['m3'])
    await stopAll(place, members)
  })

  it('GOS-109 of which one is in use cannot be removed, anywhere', async () => {
    const { place, members, first } = await clusterOf(rings(2, old, fresh))
    const message = 'removing the primary key is not allowed'
    expect(await place.until(first.keys.remove(old))).toMatchObject({
      ok: false,
      errors: 2,
      messages: { m1: message, m2: message },
    })
    await stopAll(place, members)
  })

  it('GOS-109 at a member that does not answer are nobody knows what', async () => {
    const { place, members, first } = await clusterOf(rings(3, old))
    await place.until(members[2]?.stop() ?? Promise.reject())
    const before = place.clock.now()
    const report = await place.until(first.keys.install(fresh, { timeoutMs: 700 }))
    expect(report).toMatchObject({
      ok: false,
      members: 3,
      responses: 2,
      errors: 0,
      missing: ['m3'],
    })
    expect(place.clock.now() - before).toBeLessThan(1_000)
    await stopAll(place, members)
  })

  it('GOS-109 in a list too long for a packet are cut, in Serf’s words', async () => {
    const many = Array.from({ length: 30 }, (_, at) => base64(at + 1))
    const { place, members, first } = await clusterOf(rings(2, ...many))
    const { results, messages, ok } = await place.until(first.keys.list())
    expect(ok).toBe(true)
    for (const { member, keys } of results) {
      expect(keys).toEqual(many.slice(0, keys.length))
      expect(keys.length).toBe(17)
      const told = `truncated key list response, showing first ${keys.length} of 30 keys`
      expect(messages[member]).toBe(told)
    }
    await stopAll(place, members)
  })

  it('GOS-109 are on disk before a member says that they are changed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kith-keys-'))
    const file = join(folder, 'keyring.json')
    await writeFile(file, JSON.stringify([old]), { mode: 0o600 })
    const {
      place,
      members,
      rings: own,
      first,
    } = await clusterOf([createKeyring({ keys: [old] }), createKeyring({ file })])
    // Virtual time would be over long before a real disk is done.
    const report = async (asked: Promise<KeyReport>, done: () => boolean): Promise<KeyReport> => {
      await place.advance(1_000)
      await expect.poll(done).toBe(true)
      return place.until(asked)
    }
    const timeoutMs = 60_000
    const installing = first.keys.install(fresh, { timeoutMs })
    const installed = await report(installing, () => own[1]?.keys.length === 2)
    expect(installed.ok).toBe(true)
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual([old, fresh])
    await rm(folder, { recursive: true })
    const using = first.keys.use(fresh, { timeoutMs })
    const refused = (): boolean => members[1]?.stats().counters['keysRefused'] === 1
    const { ok, messages } = await report(using, refused)
    expect(ok).toBe(false)
    expect(messages['m2']).toMatch(/^the keyring file .* cannot be replaced/)
    await stopAll(place, members)
  })
})

describe('what is refused', () => {
  it('GOS-109 keys in the open: they would be told to whoever listens', async () => {
    const place = createPlace()
    const members = [place.gossip(1), place.gossip(2)]
    await startAll(place, members)
    await place.until(members[1]?.join([text(1)]) ?? Promise.reject())
    const { keys } = members[0] ?? place.gossip(1)
    for (const command of ['install', 'use', 'remove'] as const) {
      const refused = keys[command](fresh)
      await expect(refused).rejects.toMatchObject({ code: 'ERR_GOSSIP_KEY_MISSING' })
    }
    const message = 'Keyring is empty (encryption not enabled)'
    expect(await place.until(keys.list())).toMatchObject({
      ok: false,
      errors: 2,
      messages: { m1: message, m2: message },
    })
    await stopAll(place, members)
  })

  it.each([{ verifyIncoming: false }, { verifyIncoming: false, verifyOutgoing: false }])(
    'GOS-109 keys while plaintext is sent or taken: %j',
    async (half) => {
      const { place, members, first, rings: own } = await clusterOf(rings(2, old), half)
      const refused = first.keys.install(fresh)
      await expect(refused).rejects.toMatchObject({ code: 'ERR_GOSSIP_KEY_MISSING' })
      const { ok, results, keys } = await place.until(first.keys.list())
      expect([ok, keys]).toEqual([false, {}])
      expect(results.map(({ message }) => message)).toEqual(
        Array(2).fill('keys are neither changed nor shown while plaintext is sent or taken'),
      )
      expect(own.map(({ keys: left }) => left)).toEqual([[old], [old]])
      await stopAll(place, members)
    },
  )

  it('GOS-109 what is no key, before anybody is asked', async () => {
    const { place, members, first } = await clusterOf(rings(1, old))
    for (const bad of ['', 'key', base64(1, 20), Buffer.alloc(5)]) {
      await expect(first.keys.install(bad)).rejects.toMatchObject({
        code: 'ERR_GOSSIP_KEY_INVALID',
      })
    }
    await stopAll(place, members)
    await expect(first.keys.list()).rejects.toMatchObject({ code: 'ERR_GOSSIP_NOT_RUNNING' })
  })

  it('GOS-109 to wait on, where the caller does not want to', async () => {
    const { place, members, first } = await clusterOf(rings(2, old))
    await place.until(members[1]?.stop() ?? Promise.reject())
    const abort = new AbortController()
    const waiting = first.keys.install(fresh, { signal: abort.signal })
    await place.advance(100)
    abort.abort()
    await expect(place.until(waiting)).rejects.toMatchObject({ code: 'ERR_GOSSIP_ABORTED' })
    await stopAll(place, [first])
  })

  it('GOS-109 queries of users under the names of Serf', async () => {
    const { place, members, first } = await clusterOf(rings(1, old))
    for (const name of ['_serf_list-keys', '_serf_install-key']) {
      expect(() => first.query(name)).toThrow(
        expect.objectContaining({ code: 'ERR_GOSSIP_QUERY_NAME' }),
      )
    }
    await stopAll(place, members)
  })
})
