/** Queries of this member and of others, on one core. */
import { describe, expect, it } from 'vitest'
import type { Output, QuerySummary, Question } from '../../src/core/index.ts'
import { decodeSerf, encodeSerf, encodeStream } from '../../src/wire/codec.ts'
import type { QueryMessage, QueryResponseMessage } from '../../src/wire/message.ts'
import { addressOf, bytesOf, Core, meta, alive, selfAddress, selfName } from './support.ts'

const commandId = 50

function ask(core: Core, changes: Partial<Question> = {}): readonly Output[] {
  const question = { name: 'load', payload: new Uint8Array([1]), ack: false, relayFactor: 0 }
  return core.command({ kind: 'query', id: commandId, question: { ...question, ...changes } })
}

/** The query as it went out to everybody. */
function sentQuery(core: Core): QueryMessage {
  const [bytes] = core.state.queries.tiers.flat().map((item) => item.bytes)
  const message = decodeSerf((bytes ?? new Uint8Array(1)).subarray(1))
  if (message?.kind !== 'query') throw new Error('no query was sent')
  return message
}

function answerOf(query: QueryMessage, from: string, bytes = 1, flags = 0): QueryResponseMessage {
  const { lamportTime, id } = query
  const payload = new Uint8Array(bytes)
  return { kind: 'queryResponse', lamportTime, id, from, flags, payload }
}

/** Who acknowledged, who answered, and how it ended. */
function outcome(core: Core): {
  readonly acks: readonly string[]
  readonly answers: readonly string[]
  readonly summary: QuerySummary | undefined
} {
  const answers = core.outputs.flatMap((output) => (output.kind === 'answer' ? [output] : []))
  const ends = core.outputs.flatMap((output) => (output.kind === 'answersEnd' ? [output] : []))
  expect(ends.length).toBeLessThanOrEqual(1)
  return {
    acks: answers.filter(({ payload }) => payload === undefined).map(({ from }) => from),
    answers: answers.filter(({ payload }) => payload !== undefined).map(({ from }) => from),
    summary: ends[0]?.summary,
  }
}

function query(changes: Partial<QueryMessage> = {}): QueryMessage {
  return {
    kind: 'query',
    lamportTime: 5n,
    id: 77,
    address: bytesOf(addressOf('a')),
    port: 7946,
    sourceNode: 'a',
    filters: [],
    flags: 0,
    relayFactor: 0,
    timeoutNs: 3_200_000_000n,
    name: 'load',
    payload: new Uint8Array([1, 2]),
    ...changes,
  }
}

/** Answers the last query that was shown; what became of it. */
function respond(core: Core, bytes: number, queryId?: number): Output | undefined {
  const shown = core.eventsOf('query').at(-1)
  const payload = new Uint8Array(bytes)
  const id = queryId ?? shown?.id ?? -1
  return core
    .command({ kind: 'respond', id: 60, queryId: id, payload })
    .find(({ kind }) => kind === 'done')
}

function answersTo(core: Core, name: string): readonly QueryResponseMessage[] {
  return core
    .sentOf('user')
    .filter(({ to }) => to.host === addressOf(name).host)
    .flatMap(({ message: { message } }) => (message?.kind === 'queryResponse' ? [message] : []))
}

describe('own queries', () => {
  it('GOS-115 go to everybody with filters, flags, address and time as Serf sends them', () => {
    const core = new Core()
    core.know('a', 'b')
    ask(core, { members: ['b', 'self'], tags: { role: '^w' }, ack: true, relayFactor: 2 })
    expect(sentQuery(core)).toMatchObject({
      name: 'load',
      address: bytesOf(selfAddress),
      port: selfAddress.port,
      sourceNode: selfName,
      flags: 1,
      relayFactor: 2,
      // Sixteen rounds of gossip for up to nine members.
      timeoutNs: 3_200_000_000n,
      filters: [
        { kind: 'names', names: ['b', 'self'] },
        { kind: 'tag', tag: 'role', expression: '^w' },
      ],
    })
  })

  it('GOS-115 end when all that are alive and meant have acknowledged and answered', () => {
    const core = new Core()
    core.tell(
      alive('a', { meta: meta({ dc: 'east' }) }),
      alive('b', { meta: meta({ dc: 'west' }) }),
    )
    core.tell(alive('c', { meta: meta({ dc: 'east' }) }))
    ask(core, { tags: { dc: 'east' }, ack: true })
    const asked = sentQuery(core)
    core.tellSerf(answerOf(asked, 'a'))
    core.tellSerf(answerOf(asked, 'c', 0, 1))
    core.tellSerf(answerOf(asked, 'c'))
    expect(outcome(core).summary).toBeUndefined()
    core.tellSerf(answerOf(asked, 'a', 0, 1))
    expect(outcome(core)).toMatchObject({
      acks: ['c', 'a'],
      answers: ['a', 'c'],
      summary: { ended: 'complete', acks: ['c', 'a'], responses: ['a', 'c'], missing: [] },
    })
    expect(core.state.talk.running.size).toBe(0)
  })

  it('GOS-115 end at the deadline, and what comes later is counted', () => {
    const core = new Core()
    core.know('a', 'b')
    ask(core, { timeoutMs: 1500 })
    const asked = sentQuery(core)
    core.tellSerf(answerOf(asked, 'b'))
    core.advanceTo(1499)
    expect(outcome(core).summary).toBeUndefined()
    core.advanceTo(1500)
    const missing = ['self', 'a']
    expect(outcome(core).summary).toMatchObject({ ended: 'deadline', responses: ['b'], missing })
    core.tellSerf(answerOf(asked, 'a'))
    expect([outcome(core).answers, core.counter('queryResponseUnasked')]).toEqual([['b'], 1])
  })

  it('GOS-115 give back the time in which this member did not run', () => {
    const core = new Core()
    core.know('a')
    ask(core)
    core.now = 20_000
    core.input({ kind: 'deadline' })
    expect(outcome(core).summary).toBeUndefined()
    core.tellSerf(answerOf(sentQuery(core), 'a'))
    expect(outcome(core).answers).toEqual(['a'])
  })

  it('GOS-115 end at once when they are cancelled', () => {
    const core = new Core()
    core.know('a')
    ask(core)
    core.command({ kind: 'cancelQuery', id: commandId })
    core.command({ kind: 'cancelQuery', id: commandId })
    expect(outcome(core).summary).toMatchObject({ ended: 'cancelled', missing: ['self', 'a'] })
  })

  it('GOS-115 are shown here too, and the answer of this member needs no network', () => {
    const core = new Core()
    ask(core, { ack: true })
    expect(outcome(core).acks).toEqual([selfName])
    expect(core.eventsOf('query')).toMatchObject([{ name: 'load', from: selfName }])
    respond(core, 5000)
    expect(outcome(core)).toMatchObject({ answers: [selfName], summary: { ended: 'complete' } })
    expect(core.sentOf('user')).toEqual([])
  })

  it('GOS-115 too large, unknown expressions and reserved names are refused before sending', () => {
    const core = new Core()
    const refused = (changes: Partial<Question>): unknown => {
      const [done] = ask(core, changes)
      return done?.kind === 'done' ? done.refused : done
    }
    expect(refused({ payload: new Uint8Array(1024) })).toEqual({
      code: 'ERR_GOSSIP_QUERY_TOO_LARGE',
      message: 'query exceeds limit of 1024 bytes',
    })
    expect(refused({ tags: { dc: '(' } })).toMatchObject({ code: 'ERR_GOSSIP_QUERY_FILTER' })
    for (const name of ['_serf_conflict', '_serf_ping', 'kith:registry']) {
      expect(refused({ name })).toMatchObject({ code: 'ERR_GOSSIP_QUERY_NAME' })
    }
    expect([core.state.queries.size, core.state.queryClock.time]).toEqual([0, 1n])
    // Filters count: they are part of the bytes.
    const fits = { payload: new Uint8Array(900) }
    const names = Array.from({ length: 20 }, (_, index) => `member-${index}`)
    expect(refused(fits)).toBeUndefined()
    expect(refused({ ...fits, members: names })).toMatchObject({
      code: 'ERR_GOSSIP_QUERY_TOO_LARGE',
    })
  })
})

describe('answers to own queries', () => {
  it('GOS-117 repeated ones are counted and not delivered again, acks and answers apart', () => {
    const core = new Core()
    core.know('a', 'b', 'c')
    ask(core, { ack: true, relayFactor: 1 })
    const asked = sentQuery(core)
    for (let copy = 0; copy < 3; copy += 1) {
      core.tellSerf(answerOf(asked, 'a'))
      core.tellSerf(answerOf(asked, 'a', 0, 1))
    }
    expect(outcome(core)).toMatchObject({ acks: [selfName, 'a'], answers: ['a'] })
    expect(core.counter('queryAcksRepeated')).toBe(2)
    expect(core.counter('queryResponsesRepeated')).toBe(2)
    core.advanceTo(4000)
    expect(outcome(core).summary).toMatchObject({ duplicates: 4, ended: 'deadline' })
  })

  it('GOS-117 answers to no query of ours are counted: another time, another number', () => {
    const core = new Core()
    core.know('a')
    ask(core)
    const asked = sentQuery(core)
    core.tellSerf(answerOf({ ...asked, id: asked.id ^ 1 }, 'a'))
    core.tellSerf(answerOf({ ...asked, lamportTime: 99n }, 'a'))
    expect([outcome(core).answers, core.counter('queryResponseUnasked')]).toEqual([[], 2])
  })

  it('GOS-117 invented names that answer have a bound', () => {
    const core = new Core()
    core.know('a')
    ask(core)
    const asked = sentQuery(core)
    for (let index = 0; index < 100; index += 1) core.tellSerf(answerOf(asked, `x${index}`))
    expect(outcome(core).answers).toHaveLength(64)
    expect(core.counter('queryAnswersFull')).toBe(36)
  })

  it('GOS-117 so do queries of this member at one time', () => {
    const core = new Core({ timings: { queriesRunningMax: 2 } })
    core.know('a')
    ask(core)
    ask(core)
    expect(ask(core)).toMatchObject([{ refused: { code: 'ERR_GOSSIP_OVERLOADED' } }])
    core.advanceTo(4000)
    expect(ask(core)[0]).toEqual({ kind: 'done', id: commandId })
  })
})

describe('queries of others', () => {
  it('GOS-116 are shown with who asks, and answered by packet, once', () => {
    const core = new Core()
    core.know('a')
    core.tellSerf(query())
    core.tellSerf(query())
    expect(core.eventsOf('query')).toMatchObject([
      {
        name: 'load',
        from: 'a',
        lamportTime: 5n,
        timeoutMs: 3200,
        payload: new Uint8Array([1, 2]),
      },
    ])
    expect(respond(core, 3)).toEqual({ kind: 'done', id: 60 })
    expect(answersTo(core, 'a')).toMatchObject([
      { id: 77, lamportTime: 5n, from: selfName, flags: 0, payload: new Uint8Array(3) },
    ])
    expect(respond(core, 3)).toMatchObject({ refused: { code: 'ERR_GOSSIP_QUERY_LATE' } })
    expect(answersTo(core, 'a')).toHaveLength(1)
  })

  it('GOS-116 take no answer after their time, and a hostile time is no time', () => {
    const core = new Core()
    core.know('a')
    core.tellSerf(query())
    core.advanceTo(3199)
    core.tellSerf(query({ id: 78, timeoutNs: -1n }))
    core.tellSerf(query({ id: 79, timeoutNs: 2n ** 62n }))
    const [first, second, third] = core.eventsOf('query')
    expect([second?.timeoutMs, third?.timeoutMs]).toEqual([0, 3_600_000])
    core.advanceTo(3200)
    for (const late of [first, second]) {
      expect(respond(core, 3, late?.id)).toMatchObject({
        refused: { code: 'ERR_GOSSIP_QUERY_LATE', message: 'response is past the deadline' },
      })
    }
    expect(respond(core, 3, third?.id)).toEqual({ kind: 'done', id: 60 })
    expect(core.state.talk.asked.size).toBe(0)
  })

  it('GOS-116 are answered over a stream where a packet is too small, as a user message', () => {
    const core = new Core()
    core.know('a')
    core.tellSerf(query())
    expect(respond(core, 5000)).toBeUndefined()
    const output = core.outputs.find(({ kind }) => kind === 'request')
    if (output?.kind !== 'request') throw new Error('no stream was asked for')
    const payload = new Uint8Array(5000)
    const body = encodeSerf({ ...answerOf(query(), selfName), payload })
    expect(output).toMatchObject({ to: addressOf('a'), expectReply: false, deadline: 10_000 })
    expect(output.bytes).toEqual(encodeStream({ kind: 'user', message: undefined, bytes: body }))
    const done = core.input({ kind: 'requestSent', id: output.id })
    expect(done).toEqual([{ kind: 'done', id: 60 }])
  })

  it('GOS-116 say when that stream failed', () => {
    const core = new Core()
    core.know('a')
    core.tellSerf(query())
    respond(core, 5000)
    const [{ id } = { id: -1 }] = core.requests()
    expect(core.input({ kind: 'requestFailed', id, reason: 'refused' })).toEqual([
      { kind: 'done', id: 60, refused: { code: 'ERR_GOSSIP_RESPONSE_FAILED', message: 'refused' } },
    ])
    expect(core.counter('queryResponsesFailed')).toBe(1)
  })

  it('GOS-116 the limit of packets is Serf’s to the byte, and so is that of streams', () => {
    const core = new Core()
    core.know('a')
    const overhead = encodeSerf({ ...answerOf(query(), selfName, 900) }).length - 900
    core.tellSerf(query())
    respond(core, 1024 - overhead)
    expect(answersTo(core, 'a')).toHaveLength(1)
    core.tellSerf(query({ id: 78 }))
    respond(core, 1025 - overhead)
    expect([answersTo(core, 'a').length, core.requests().length]).toEqual([1, 1])
    core.tellSerf(query({ id: 79 }))
    const refused = { code: 'ERR_GOSSIP_RESPONSE_TOO_LARGE' }
    expect(respond(core, 1_048_576)).toMatchObject({ refused })
    // Refused is not answered: something smaller may still be said.
    expect(respond(core, 10)).toEqual({ kind: 'done', id: 60 })
  })

  it('GOS-116 nobody makes us open a stream to a stranger', () => {
    const core = new Core()
    core.know('a')
    const victim = new Uint8Array([192, 0, 2, 1])
    core.tellSerf(query({ sourceNode: 'nobody', address: victim }))
    expect(respond(core, 5000)).toMatchObject({
      refused: { message: 'response exceeds limit of 1024 bytes' },
    })
    core.tellSerf(query({ id: 78, address: victim }))
    expect(respond(core, 5000)).toMatchObject({
      refused: { code: 'ERR_GOSSIP_RESPONSE_TOO_LARGE' },
    })
    expect(core.requests()).toEqual([])
  })

  it('GOS-116 wait for an answer in bounded number; the others are not acknowledged either', () => {
    const core = new Core({ timings: { queriesPendingMax: 3 } })
    core.know('a')
    for (let id = 1; id <= 5; id += 1) core.tellSerf(query({ id, flags: 1 }))
    expect(core.eventsOf('query')).toHaveLength(3)
    expect(answersTo(core, 'a')).toHaveLength(3)
    expect([core.counter('queriesPendingFull'), core.state.queries.size]).toEqual([2, 5])
    respond(core, 1)
    core.tellSerf(query({ id: 6 }))
    expect(core.eventsOf('query')).toHaveLength(4)
  })

  it('GOS-116 answers are relayed as the query asks, where they fit', () => {
    const core = new Core()
    core.know('a', 'b', 'c')
    core.tellSerf(query({ relayFactor: 2 }))
    respond(core, 10)
    const kinds = core.sentOf('user').map(({ message }) => message.message?.kind)
    expect(kinds).toEqual(['queryResponse', 'relay', 'relay'])
    core.tellSerf(query({ id: 78, relayFactor: 2 }))
    respond(core, 960)
    expect(core.sentOf('user')).toHaveLength(4)
  })
})

describe('internal queries', () => {
  it('GOS-118 are shown to nobody, whether known or not, ours or not', () => {
    const core = new Core()
    core.know('a')
    core.tellSerf(query({ name: '_serf_ping', flags: 1 }))
    core.tellSerf(query({ id: 78, name: '_serf_conflict' }))
    core.tellSerf(query({ id: 79, name: '_serf_made-up' }))
    core.tellSerf(query({ id: 80, name: 'kith:registry' }))
    expect(core.eventsOf('query')).toEqual([])
    expect(core.counter('queryInternalUnknown')).toBe(1)
    expect(core.state.queries.size).toBe(4)
  })

  it('GOS-118 a ping may be asked by the user, and is complete with its acks', () => {
    const core = new Core()
    core.know('a')
    ask(core, { name: '_serf_ping', payload: new Uint8Array(0), ack: true })
    core.tellSerf(answerOf(sentQuery(core), 'a', 0, 1))
    expect(core.eventsOf('query')).toEqual([])
    expect(outcome(core)).toMatchObject({
      acks: [selfName, 'a'],
      summary: { ended: 'complete', missing: [] },
    })
  })
})
