/** Who may be a member, and who owns a name. */
import type { Member } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import type { Policy } from '../../src/core/index.ts'
import { addressBytes, decodeSerf, encodeConflictResponse } from '../../src/wire/codec.ts'
import type { PingMessage, QueryMessage } from '../../src/wire/message.ts'
import { addressOf, alive, bytesOf, Core, dead, meta, pushPull, row } from './support.ts'
import { selfAddress, selfName, versions } from './support.ts'

const elsewhere = new Uint8Array([10, 9, 9, 9])

/** Somebody else is seen under our name; the question that goes round then. */
function contested(core: Core): QueryMessage | undefined {
  core.tell(alive(selfName, { address: elsewhere }))
  const [bytes] = core.state.queries.tiers.flat().map((item) => item.bytes)
  const message = bytes === undefined ? undefined : decodeSerf(bytes.subarray(1))
  return message?.kind === 'query' ? message : undefined
}

/** `from` says that our name is at `address`, or nobody's. */
function vote(
  core: Core,
  question: Pick<QueryMessage, 'lamportTime' | 'id'> | undefined,
  from: string,
  address: Uint8Array | 'nobody',
): void {
  if (question === undefined) throw new Error('no vote is held')
  const member = { name: selfName, port: 7946, tags: new Map(), status: 1, versions }
  const payload = encodeConflictResponse(address === 'nobody' ? undefined : { ...member, address })
  const { lamportTime, id } = question
  core.tellSerf({ kind: 'queryResponse', lamportTime, id, from, flags: 0, payload })
}

const ours = bytesOf(selfAddress)

describe('the vote about our name', () => {
  it('GOS-119 is held when another address claims it, once at a time', () => {
    const core = new Core()
    core.know('a', 'b', 'c')
    const question = contested(core)
    expect(question).toMatchObject({
      name: '_serf_conflict',
      payload: new TextEncoder().encode(selfName),
      flags: 0,
      filters: [],
    })
    core.tell(alive(selfName, { address: new Uint8Array([10, 9, 9, 8]) }))
    expect([core.counter('votes'), core.state.queries.size]).toEqual([1, 1])
    expect(core.eventsOf('conflict')).toHaveLength(2)
    // Another's name is theirs to fight for.
    const other = new Core()
    other.know('a', 'b')
    other.tell(alive('b', { address: elsewhere }))
    expect([other.eventsOf('conflict').length, other.counter('votes')]).toEqual([1, 0])
  })

  it.each([
    [[ours, ours, elsewhere], 'votesWon'],
    [[ours, elsewhere, elsewhere], 'votesLost'],
    [[ours, 'nobody', 'nobody'], 'votesWon'],
    [[elsewhere, 'nobody', 'nobody'], 'votesLost'],
    [['nobody', 'nobody', 'nobody'], 'votesUndecided'],
    [[addressBytes(`::ffff:${selfAddress.host}`) ?? ours, ours, 'nobody'], 'votesWon'],
  ] as const)('GOS-119 goes as most answers go: case %#', (answers, counter) => {
    const core = new Core()
    core.know('a', 'b', 'c')
    const question = contested(core)
    for (const [index, from] of ['a', 'b', 'c'].entries()) {
      vote(core, question, from, answers[index] ?? 'nobody')
    }
    expect(core.counter(counter)).toBe(1)
    expect(claims(core)).toHaveLength(counter === 'votesLost' ? 1 : 0)
    expect(core.eventsOf('conflictLost')).toEqual([])
  })

  it('GOS-119 half is not most: two answers, one for each, lose the name', () => {
    const core = new Core()
    core.know('a', 'b')
    const question = contested(core)
    vote(core, question, 'a', ours)
    expect(claims(core)).toEqual([])
    vote(core, question, 'b', elsewhere)
    answerClaim(core)
    expect(core.eventsOf('conflictLost')).toEqual([
      { kind: 'conflictLost', name: selfName, answers: 2, matching: 1 },
    ])
  })

  it('GOS-119 nobody has a voice who is not alive here, and nobody two', () => {
    const core = new Core()
    core.know('a', 'b', 'c')
    core.tell(dead('c', 'b'))
    const question = contested(core)
    for (const from of ['stranger', 'c', selfName]) vote(core, question, from, elsewhere)
    vote(core, question, 'a', ours)
    vote(core, question, 'a', elsewhere)
    vote(core, question, 'b', ours)
    expect([core.counter('votesUnfit'), core.counter('votesWon')]).toEqual([3, 1])
  })

  it('GOS-119 without any answer nothing is decided', () => {
    const core = new Core()
    core.know('a')
    contested(core)
    core.advanceTo(10_000)
    expect(core.counter('votesUndecided')).toBe(1)
    expect(core.eventsOf('conflictLost')).toEqual([])
  })

  it('GOS-119 is not held where the owner of this member does not want it', () => {
    const core = new Core({ policy: { votes: false } })
    core.know('a')
    expect(contested(core)).toBeUndefined()
    expect(core.eventsOf('conflict')).toHaveLength(1)
  })
})

/** Pings to whoever has our name, by now. */
function claims(core: Core): readonly { readonly at: number; readonly message: PingMessage }[] {
  return core
    .sentOf('ping')
    .filter(({ to, message }) => to.host === '10.9.9.9' && message.node === selfName)
}

/** Whoever has our name answers the last of them. */
function answerClaim(core: Core): void {
  const sequenceNumber = claims(core).at(-1)?.message.sequenceNumber ?? 0
  core.tell({ kind: 'ack', sequenceNumber, payload: new Uint8Array() })
}

/** The vote that is held now. */
function running(core: Core): { readonly lamportTime: bigint; readonly id: number } {
  const [vote] = core.state.talk.running.values()
  if (vote === undefined) throw new Error('no vote is held')
  return { lamportTime: vote.lamportTime, id: vote.queryId }
}

/** Until then all members answer our probes; nobody does for whoever has our name. */
function live(core: Core, ms: number): void {
  while (core.now < ms) {
    core.advanceTo(Math.min(ms, core.now + 100))
    for (const { message } of core.sentOf('ping').slice(-8)) {
      const { node, sequenceNumber } = message
      if (node === selfName) continue
      core.tell({ kind: 'ack', sequenceNumber, payload: new Uint8Array() })
    }
  }
}

/** Both members say that our name belongs elsewhere. */
function lose(core: Core): void {
  const question = contested(core)
  for (const from of ['a', 'b']) vote(core, question, from, elsewhere)
}

describe("a name that most say is another's", () => {
  it('GOS-119 is lost once whoever has it answers, also late', () => {
    for (const after of [0, 3_000]) {
      const core = new Core()
      core.know('a', 'b')
      lose(core)
      core.advanceTo(after)
      expect(core.eventsOf('conflictLost')).toEqual([])
      answerClaim(core)
      const lost = { kind: 'conflictLost', name: selfName, answers: 2, matching: 0 }
      expect(core.eventsOf('conflictLost')).toEqual([lost])
      const pings = claims(core).length
      core.advanceTo(60_000)
      expect(claims(core)).toHaveLength(pings)
    }
  })

  it('GOS-119 is kept while nothing comes from there: three pings, and another vote', () => {
    const core = new Core()
    core.know('a', 'b')
    lose(core)
    core.advanceTo(1_500)
    expect(claims(core).map(({ at }) => at)).toEqual([0, 500, 1_000])
    const address = { host: '10.9.9.9', port: 7946 }
    expect(core.eventsOf('nameHeld')).toEqual([{ kind: 'nameHeld', name: selfName, address }])
    expect([core.counter('votes'), core.counter('votesPutOff')]).toEqual([1, 1])
    core.advanceTo(6_500)
    expect(core.counter('votes')).toBe(2)
    // It says again where it is, too.
    expect(core.queuedAbout(selfName)).toMatchObject({ kind: 'alive', address: ours })
    expect(core.eventsOf('conflictLost')).toEqual([])
  })

  it('GOS-119 is its own again when most say so', () => {
    const core = new Core()
    core.know('a', 'b')
    lose(core)
    live(core, 6_500)
    for (const from of ['a', 'b']) vote(core, running(core), from, ours)
    expect([core.counter('votesLost'), core.counter('votesWon')]).toEqual([1, 1])
    const pings = claims(core).length
    live(core, 120_000)
    expect([claims(core).length, core.counter('votes')]).toEqual([pings, 2])
  })

  it('GOS-119 is lost after two minutes in which most name another', () => {
    const core = new Core()
    core.know('a', 'b')
    lose(core)
    for (let at = 500; core.eventsOf('conflictLost').length === 0 && at < 300_000; at += 500) {
      live(core, at)
      if (core.state.talk.running.size === 0) continue
      for (const from of ['a', 'b']) vote(core, running(core), from, elsewhere)
    }
    expect(core.eventsOf('conflictLost')).toHaveLength(1)
    expect(core.now).toBeGreaterThan(120_000)
    expect(core.now).toBeLessThan(130_000)
  })

  it('GOS-119 is not lost to ourselves: a ping that comes back is none of another', () => {
    const core = new Core()
    core.know('a', 'b')
    lose(core)
    const [ping] = claims(core)
    if (ping === undefined) throw new Error('nobody was asked')
    const sent = core.sent.length
    core.tell(ping.message)
    expect([core.sent.length, core.counter('pingsOwn')]).toEqual([sent, 1])
  })
})

describe('reclaiming the name of the dead', () => {
  it('GOS-65 a failed name moves to another address after its time, and is reported as joined', () => {
    const core = new Core({ timings: { deadMemberReclaimMs: 3000 } })
    core.know('a', 'b')
    core.tell(dead('b', 'a'))
    core.advanceTo(3000)
    core.tell(alive('b', { address: elsewhere }))
    expect([core.status('b'), core.counter('conflicts')]).toEqual(['failed', 1])
    core.advanceTo(3001)
    core.tell(alive('b', { address: elsewhere }))
    expect(core.status('b')).toBe('alive')
    expect(core.eventsOf('join').at(-1)?.member.address).toEqual({ host: '10.9.9.9', port: 7946 })
  })
})

function vetoed(veto: Policy['veto']): Core {
  return new Core({ policy: { veto } })
}

function exchange(core: Core, ...rows: Parameters<typeof pushPull>[0]): void {
  const message = pushPull(rows, { join: true })
  core.input({ kind: 'streamMessage', id: 1, from: addressOf('a'), message })
}

describe('the veto', () => {
  it('GOS-120 is asked with everybody of an exchange before any of them is taken in', () => {
    const asked: (readonly Member[])[] = []
    const core = vetoed((members) => {
      asked.push(members)
      return members.some(({ tags }) => tags['dc'] === 'west') ? 'no west' : undefined
    })
    exchange(core, row('a'), row('b', { meta: meta({ dc: 'west' }), state: 'left' }))
    expect(asked[0]).toMatchObject([
      { name: 'a', status: 'alive', address: addressOf('a'), protocol: { version: 5 } },
      { name: 'b', status: 'left', tags: { dc: 'west' } },
    ])
    expect(core.status('a')).toBeUndefined()
    expect(core.eventsOf('mergeRefused')).toEqual([{ kind: 'mergeRefused', reason: 'no west' }])
    exchange(core, row('a'), row('b'))
    expect([core.status('a'), core.status('b')]).toEqual(['alive', 'alive'])
  })

  it('GOS-120 a join that it refuses says why', () => {
    const core = vetoed(() => 'not here')
    core.command({ kind: 'join', id: 5, addresses: [addressOf('a')] })
    const [{ id } = { id: -1 }] = core.requests()
    core.input({ kind: 'reply', id, message: pushPull([row('a')]) })
    const done = core.outputs.find(({ kind }) => kind === 'done')
    expect(done).toMatchObject({
      join: { joined: 0, failures: [expect.stringMatching('not here')] },
    })
  })

  it('GOS-120 is asked of each newcomer and of each change of tags, and of nothing else', () => {
    const asked: string[] = []
    const core = vetoed((members) => {
      asked.push(...members.map(({ name, tags }) => `${name} ${tags['dc'] ?? ''}`))
      return members.some(({ tags }) => tags['dc'] === 'west') ? 'no west' : undefined
    })
    core.tell(alive('a', { meta: meta({ dc: 'east' }) }))
    core.tell(alive('a', { meta: meta({ dc: 'east' }), incarnation: 2 }))
    core.tell(alive('b', { meta: meta({ dc: 'west' }) }))
    core.tell(alive('a', { meta: meta({ dc: 'west' }), incarnation: 3 }))
    expect(asked).toEqual(['a east', 'b west', 'a west'])
    expect([core.status('b'), core.entry('a')?.incarnation]).toEqual([undefined, 2])
    expect(core.counter('alivesVetoed')).toBe(2)
  })

  it('GOS-120 one that throws refuses, and breaks nothing', () => {
    const core = vetoed(() => {
      throw new Error('broken')
    })
    core.tell(alive('a'))
    exchange(core, row('b'))
    expect([core.status('a'), core.status('b')]).toEqual([undefined, undefined])
    expect(core.counter('vetoesThrown')).toBe(2)
    expect(core.eventsOf('mergeRefused')[0]?.reason).toContain('broken')
  })
})

describe('allowed networks', () => {
  const allows = ({ 0: first }: Uint8Array): boolean => first === 10

  it('GOS-121 a member elsewhere is neither taken in nor moved to, and counted', () => {
    const core = new Core({ policy: { allows } })
    const outside = new Uint8Array([192, 0, 2, 7])
    core.tell(alive('a'), alive('b', { address: outside }))
    exchange(core, row('c', { address: outside }), row('d'))
    expect(['a', 'b', 'c', 'd'].map((name) => core.status(name))).toEqual([
      'alive',
      undefined,
      undefined,
      'alive',
    ])
    core.tell(dead('a', 'a'))
    core.tell(alive('a', { address: outside, incarnation: 5 }))
    expect(core.status('a')).toBe('left')
    expect(core.counter('addressNotAllowed')).toBe(3)
  })

  it('GOS-121 nobody elsewhere is asked to let us join', () => {
    const core = new Core({ policy: { allows } })
    const addresses = [{ host: '192.0.2.7', port: 7946 }, addressOf('a')]
    core.command({ kind: 'join', id: 5, addresses })
    expect(core.requests().map(({ to }) => to)).toEqual([addressOf('a')])
    const [{ id } = { id: -1 }] = core.requests()
    core.input({ kind: 'reply', id, message: pushPull([row('a')]) })
    expect(core.outputs.find(({ kind }) => kind === 'done')).toMatchObject({
      join: { joined: 1, failures: ['192.0.2.7:7946: outside of the allowed networks'] },
    })
  })
})
