// What each command asks of the host, and what its answer looks like to the caller.
import { describe, expect, it } from 'vitest'
import type { HostCall } from '../../src/core/input.ts'
import type { Command, Request } from '../../src/wire/message.ts'
import { bodyKind } from '../../src/wire/response.ts'
import { createGreeted } from '../support/caller.ts'

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const none = new Uint8Array(0)

type Clause = 'RPC-20' | 'RPC-21' | 'RPC-22' | 'RPC-23' | 'RPC-24' | 'RPC-30' | 'RPC-31' | 'RPC-32'

const table: readonly (readonly [Clause, Request, HostCall])[] = [
  ['RPC-20', { command: 'members' }, { kind: 'members', filter: undefined }],
  [
    'RPC-20',
    { command: 'members-filtered', name: 'a', status: '', tags: undefined },
    { kind: 'members', filter: { name: 'a', status: '', tags: new Map() } },
  ],
  [
    'RPC-21',
    { command: 'event', name: 'deploy', payload: text('v1'), coalesce: true },
    { kind: 'event', name: 'deploy', payload: text('v1'), coalesce: true },
  ],
  [
    'RPC-21',
    { command: 'event', name: 'deploy', payload: undefined, coalesce: false },
    { kind: 'event', name: 'deploy', payload: none, coalesce: false },
  ],
  [
    'RPC-22',
    { command: 'force-leave', name: 'a', prune: true },
    { kind: 'forceLeave', name: 'a', prune: true },
  ],
  [
    'RPC-23',
    { command: 'join', addresses: ['a:1'], replay: true },
    { kind: 'join', addresses: ['a:1'], replay: true },
  ],
  [
    'RPC-23',
    { command: 'join', addresses: undefined, replay: false },
    { kind: 'join', addresses: [], replay: false },
  ],
  [
    'RPC-24',
    { command: 'tags', set: new Map([['x', '1']]), remove: ['dc'] },
    { kind: 'tags', set: new Map([['x', '1']]), remove: ['dc'] },
  ],
  [
    'RPC-24',
    { command: 'tags', set: undefined, remove: undefined },
    { kind: 'tags', set: new Map(), remove: [] },
  ],
  ['RPC-30', { command: 'install-key', key: 'a' }, { kind: 'keys', command: 'install', key: 'a' }],
  ['RPC-30', { command: 'use-key', key: 'a' }, { kind: 'keys', command: 'use', key: 'a' }],
  ['RPC-30', { command: 'remove-key', key: 'a' }, { kind: 'keys', command: 'remove', key: 'a' }],
  ['RPC-30', { command: 'list-keys' }, { kind: 'keys', command: 'list', key: undefined }],
  ['RPC-31', { command: 'stats' }, { kind: 'stats' }],
  ['RPC-32', { command: 'get-coordinate', name: 'a' }, { kind: 'coordinate', name: 'a' }],
]

describe('commands', () => {
  for (const [clause, request, call] of table) {
    const title = `${clause} ${request.command} ${JSON.stringify([...Object.values(request)])}`
    it(`${title} asks the host, and answers`, () => {
      const caller = createGreeted()
      caller.ask(request)
      expect(caller.calls()).toEqual([call])
      expect(caller.heard()).toEqual([])
      caller.reply({ error: '' })
      expect(caller.heard()).toMatchObject([{ sequence: 2n, error: '' }])
    })
  }

  it.each(table)('RPC-15 an error of the host comes with its body: %s %j', (_id, request) => {
    const caller = createGreeted()
    caller.ask(request)
    caller.calls()
    caller.reply({ error: 'it cannot be' })
    const [answer] = caller.heard()
    expect(answer?.error).toBe('it cannot be')
    expect(answer?.body?.kind).toBe(bodyKind(request.command satisfies Command))
    expect(caller.ended).toBeUndefined()
  })

  it('RPC-33 leave is answered, then the agent may end and the connection does', () => {
    const caller = createGreeted()
    caller.ask({ command: 'leave' })
    expect([caller.calls(), caller.shutdowns]).toEqual([[{ kind: 'leave' }], 0])
    caller.reply({ error: '' })
    expect(caller.heard()).toMatchObject([{ sequence: 2n, error: '' }])
    expect([caller.shutdowns, caller.ended]).toEqual([1, 'in order'])

    const failing = createGreeted()
    failing.ask({ command: 'leave' })
    failing.reply({ error: 'not now' })
    expect([failing.shutdowns, failing.ended]).toEqual([0, undefined])
  })
})

const query: Extract<Request, { command: 'query' }> = {
  command: 'query',
  name: 'load',
  payload: text('now'),
  filterMembers: ['a'],
  filterTags: new Map([['role', 'db']]),
  acks: true,
  relayFactor: 2,
  timeoutNs: 1_000_000n,
}

describe('query', () => {
  it('RPC-25 is answered first, then come records, and done ends them', () => {
    const caller = createGreeted()
    caller.ask(query)
    expect(caller.calls()).toEqual([{ kind: 'query', query, sequence: 2n }])
    const early = { kind: 'ack', from: 'a', payload: undefined } as const
    caller.run({ kind: 'record', sequence: 2n, record: early })
    expect(caller.heard()).toEqual([])
    caller.reply({ error: '' })
    const records = [
      early,
      { kind: 'response', from: 'a', payload: text('0.3') },
      { kind: 'done', from: '', payload: undefined },
    ] as const
    for (const record of records) caller.run({ kind: 'record', sequence: 2n, record })
    caller.run({ kind: 'record', sequence: 2n, record: early })
    const [answer, ...rest] = caller.heard()
    expect(answer).toMatchObject({ sequence: 2n, error: '' })
    expect(rest.map(({ record }) => record)).toEqual(
      records.map((record) => ({ command: 'query', record })),
    )
    expect(caller.state.queries.size).toBe(0)
  })

  it('RPC-25 no records follow an error', () => {
    const caller = createGreeted()
    caller.ask(query)
    caller.reply({ error: 'query exceeds limit of 1024 bytes' })
    const record = { kind: 'done', from: '', payload: undefined } as const
    caller.run({ kind: 'record', sequence: 2n, record })
    expect(caller.heard()).toMatchObject([{ error: 'query exceeds limit of 1024 bytes' }])
  })

  const reserved = "Queries cannot contain the '_serf_' prefix"
  const names: readonly (readonly [string, Uint8Array | undefined, string | undefined])[] = [
    ['_serf_ping', undefined, undefined],
    ['_serf_ping', none, undefined],
    ['_serf_ping', text('x'), reserved],
    ['_serf_list-keys', undefined, reserved],
    ['_serf_', undefined, reserved],
    ['_serf', undefined, undefined],
  ]
  it.each(names)('RPC-25 %s with %s: %s', (name, payload, error) => {
    const caller = createGreeted()
    caller.ask({ ...query, name, payload })
    expect(caller.heard().map((answer) => answer.error)).toEqual(error === undefined ? [] : [error])
    expect(caller.calls()).toHaveLength(error === undefined ? 1 : 0)
  })
})
