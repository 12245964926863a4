// What a message may look like besides the way we write it, and what is none.
import { toHex } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import type { Request, ResponseBody, StreamedRecord } from '../../src/wire/message.ts'
import { decodeRecord, encodeRecord } from '../../src/wire/record.ts'
import {
  commands,
  decodeRequest,
  decodeRequestHeader,
  encodeRequest,
  requestHasBody,
} from '../../src/wire/request.ts'
import {
  bodyKind,
  decodeBody,
  decodeResponseHeader,
  emptyBody,
  encodeResponse,
} from '../../src/wire/response.ts'
import { readRequests, split } from '../support/dialogue.ts'
import { hex, joined } from '../support/vectors.ts'

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

/** One request of each command, nothing in it zero or empty. */
const full: readonly Request[] = [
  { command: 'handshake', version: 1 },
  { command: 'auth', key: 'key' },
  { command: 'event', name: 'n', payload: text('p'), coalesce: true },
  { command: 'force-leave', name: 'n', prune: true },
  { command: 'join', addresses: ['a:1', 'b:2'], replay: true },
  { command: 'members' },
  { command: 'members-filtered', name: 'n', status: 's', tags: new Map([['k', 'v']]) },
  { command: 'tags', set: new Map([['k', 'v']]), remove: ['x'] },
  { command: 'stream', filter: '*' },
  { command: 'monitor', level: 'INFO' },
  { command: 'stop', stream: 7n },
  { command: 'leave' },
  {
    command: 'query',
    name: 'n',
    payload: text('p'),
    filterMembers: ['a'],
    filterTags: new Map([['k', 'v']]),
    acks: true,
    relayFactor: 3,
    timeoutNs: 5_000_000_000n,
  },
  { command: 'respond', id: 3n, payload: text('p') },
  { command: 'install-key', key: 'a2V5' },
  { command: 'use-key', key: 'a2V5' },
  { command: 'remove-key', key: 'a2V5' },
  { command: 'list-keys' },
  { command: 'stats' },
  { command: 'get-coordinate', name: 'n' },
]

describe('requests', () => {
  it('RPC-1 every command is written and read back', () => {
    expect(full.map(({ command }) => command).toSorted()).toEqual([...commands].toSorted())
    const sent = full.map((request, at) => encodeRequest(BigInt(at), request))
    expect(readRequests(joined(sent)).map(({ request }) => request)).toEqual(full)
  })

  it('RPC-6 a sequence of 64 bits comes back as it was', () => {
    for (const sequence of [0n, 1n, 0x7fn, 0xffff_ffffn, 2n ** 63n, 2n ** 64n - 1n]) {
      const [header] = split(encodeRequest(sequence, { command: 'stats' }))
      expect(decodeRequestHeader(header ?? hex(''))?.sequence).toBe(sequence)
      const [answer] = split(encodeResponse(sequence, 'x', undefined))
      expect(decodeResponseHeader(answer ?? hex(''))).toEqual({ sequence, error: 'x' })
    }
  })

  const same: readonly (readonly [string, string])[] = [
    ['raw for bytes', '83 a44e616d65 a16e a75061796c6f6164 a170 a8436f616c65736365 c3'],
    ['str8 and bin8', '83 d9044e616d65 d9016e a75061796c6f6164 c40170 a8436f616c65736365 c3'],
    [
      'an unknown key',
      '84 a158 93c001a0 a44e616d65 a16e a75061796c6f6164 a170 a8436f616c65736365 c3',
    ],
    ['an array', '93 a16e c40170 c3'],
    ['map16', 'de0003 a44e616d65 a16e a75061796c6f6164 a170 a8436f616c65736365 01'],
  ]
  it.each(same)('RPC-4 accepts %s', (_title, bytes) => {
    expect(decodeRequest('event', hex(bytes))).toEqual(full[2])
  })

  it('RPC-4 nil and what is missing stand for nothing', () => {
    expect(decodeRequest('event', hex('80'))).toEqual({
      command: 'event',
      name: '',
      payload: undefined,
      coalesce: false,
    })
    expect(decodeRequest('join', hex('81 a84578697374696e67 c0'))).toEqual({
      command: 'join',
      addresses: undefined,
      replay: false,
    })
  })

  const signed: readonly (readonly [string, bigint])[] = [
    ['d200000080', 128n],
    ['d10080', 128n],
    ['d300000000bebc2000', 3_200_000_000n],
    ['cebebc2000', 3_200_000_000n],
    ['cf00000000bebc2000', 3_200_000_000n],
  ]
  it.each(signed)('RPC-4 reads %s as a timeout of %s ns', (bytes, timeoutNs) => {
    expect(decodeRequest('query', hex(`81 a754696d656f7574 ${bytes}`))).toMatchObject({ timeoutNs })
  })

  const refused: readonly (readonly [string, string])[] = [
    ['a number for text', '81 a44e616d65 07'],
    ['text for a flag', '81 a8436f616c65736365 a131'],
    ['text that is not UTF-8', '81 a44e616d65 a2c328'],
    ['a number instead of the struct', '07'],
    ['a key that is no text', '81 07 07'],
  ]
  it.each(refused)('RPC-3 refuses %s', (_title, bytes) => {
    expect(decodeRequest('event', hex(bytes))).toBeUndefined()
  })

  it('RPC-3 refuses a body where none belongs, and none where one does', () => {
    for (const command of commands) {
      const wrong = requestHasBody(command) ? undefined : hex('80')
      expect(decodeRequest(command, wrong)).toBeUndefined()
    }
  })

  it('RPC-5 text and keys are never written as bytes', () => {
    const long = 'x'.repeat(300)
    const withBytes = full.map((request) => {
      const named = 'name' in request ? { ...request, name: long } : request
      // No other byte of these messages is one of the heads of bytes: all is ASCII or short.
      const heads = encodeRequest(1n, named).filter((byte) => byte >= 0xc4 && byte <= 0xc6)
      return heads.length > 0 ? request.command : ''
    })
    // These three have a payload.
    expect(new Set(withBytes)).toEqual(new Set(['', 'event', 'query', 'respond']))
  })
})

const bodies: readonly ResponseBody[] = [
  { kind: 'joined', count: 200 },
  {
    kind: 'members',
    members: [
      {
        name: 'a',
        address: hex('7f00000b'),
        port: 7946,
        tags: new Map([['1', 'b']]),
        status: 'alive',
        protocol: { min: 1, max: 5, current: 2 },
        delegate: { min: 2, max: 5, current: 5 },
      },
    ],
  },
  {
    kind: 'keys',
    report: {
      keys: new Map([['a2V5', 2]]),
      messages: new Map([['a', 'no']]),
      errors: 1,
      members: 3,
      responses: 2,
    },
  },
  { kind: 'stats', stats: new Map([['agent', new Map([['name', 'a']])]]) },
  {
    kind: 'coordinate',
    coordinate: { vector: [0.1, -2, 1e-9], error: 1.5, adjustment: -1e-5, height: 1e-5 },
  },
]

describe('answers', () => {
  it.each(bodies)('RPC-1 a body of $kind is written and read back', (body) => {
    const [, frame] = split(encodeResponse(1n, '', body))
    expect(decodeBody(body.kind, frame ?? hex(''))).toEqual(body)
  })

  it('RPC-10 an error comes with an empty body of its command', () => {
    for (const command of commands) {
      const kind = bodyKind(command)
      if (kind === undefined) continue
      const body = emptyBody(kind)
      const [, frame] = split(encodeResponse(1n, 'no', body))
      expect(decodeBody(kind, frame ?? hex(''))).toEqual(body)
    }
    // As a real agent says that it knows no coordinate: all zero, and Vec nil.
    const [, nowhere] = split(encodeResponse(1n, '', { kind: 'coordinate', coordinate: undefined }))
    expect(toHex(nowhere ?? hex(''))).toContain('a3566563c0a24f6bc2')
  })

  it('RPC-4 what a newer agent counts with a sign is read', () => {
    expect(decodeBody('joined', hex('81 a34e756d d100c8'))).toEqual({ kind: 'joined', count: 200 })
  })

  it('RPC-7 a name that is not UTF-8 hides no other member', () => {
    const bytes = hex(
      '81 a74d656d62657273 92 81 a44e616d65 a2c328 82 a44e616d65 a162 a45461677381a16b a2c328',
    )
    const body = decodeBody('members', bytes)
    const seen = body?.kind === 'members' ? body.members.map(({ name, tags }) => [name, tags]) : []
    expect(seen).toEqual([
      ['\ufffd(', new Map()],
      ['b', new Map([['k', '\ufffd(']])],
    ])
  })
})

const records: readonly StreamedRecord[] = [
  { command: 'query', record: { kind: 'ack', from: 'a', payload: undefined } },
  { command: 'query', record: { kind: 'response', from: 'a', payload: text('x') } },
  { command: 'query', record: { kind: 'done', from: '', payload: undefined } },
  { command: 'stream', record: { kind: 'members', event: 'member-join', members: [] } },
  {
    command: 'stream',
    record: { kind: 'user', name: 'n', payload: text('p'), lamportTime: 3n, coalesce: true },
  },
  {
    command: 'stream',
    record: { kind: 'query', id: 1n, name: 'n', payload: undefined, lamportTime: 2n ** 64n - 1n },
  },
  { command: 'monitor', line: '2026/11/22 06:41:15 [INFO] serf: x' },
]

describe('records', () => {
  it.each(records)('RPC-1 $command $record.kind is written and read back', (record) => {
    const [, frame] = split(encodeRecord(9n, record))
    expect(decodeRecord(record.command, frame ?? hex(''))).toEqual(record)
  })

  it('RPC-3 refuses a kind of answer that is none', () => {
    expect(decodeRecord('query', hex('81 a454797065 a36e6f70'))).toBeUndefined()
    expect(decodeRecord('stream', hex('07'))).toBeUndefined()
  })
})
