// The captured sessions, both directions, byte for byte.
import { toHex } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import type { Command } from '../../src/wire/message.ts'
import {
  readAnswers,
  type ReadRequest,
  readRequests,
  split,
  writeAnswers,
  writeRequests,
} from '../support/dialogue.ts'
import { joined, vector } from '../support/vectors.ts'

const requests = [
  'event',
  'installkey',
  'members',
  'monitor',
  'query',
  'reachability',
  'rtt',
  'tags',
] as const

/** What was asked in each session whose answers were captured. */
const answers: readonly (readonly [string, readonly Command[]])[] = [
  ['rpc-event-response', ['handshake', 'event']],
  ['rpc-listkeys-response', ['handshake', 'list-keys']],
  ['rpc-listkeys-error-response', ['handshake', 'list-keys']],
  ['rpc-members-response', ['handshake', 'members-filtered']],
  ['rpc-query-response', ['handshake', 'query']],
  ['rpc-rtt-response', ['handshake', 'stats', 'get-coordinate', 'get-coordinate']],
  ['rpc-stats-response', ['handshake', 'stats']],
  [
    'rpc-stream-respond-response',
    ['handshake', 'stream', 'event', 'query', 'respond', 'respond', 'monitor', 'stop', 'stop'],
  ],
]

function sequenced(commands: readonly Command[]): ReadonlyMap<bigint, Command> {
  return new Map(commands.map((command, at) => [BigInt(at + 1), command]))
}

function without(read: readonly ReadRequest[]): unknown[] {
  return read.map(({ request }) => request)
}

describe('captured sessions', () => {
  it.each(requests)('RPC-1 what the command of Serf sent for %s is written the same', (name) => {
    const bytes = vector(`rpc-${name}-request`)
    expect(toHex(joined(writeRequests(readRequests(bytes))))).toBe(toHex(bytes))
  })

  it.each(answers)('RPC-1 %s is written as Serf wrote it', (name, commands) => {
    const bytes = vector(name)
    const read = readAnswers(bytes, sequenced(commands))
    expect(toHex(joined(writeAnswers(read)))).toBe(toHex(bytes))
  })

  it('RPC-4 a session with its keys out of order and raw for bytes says the same', () => {
    const bytes = vector('rpc-stream-respond-request')
    const read = readRequests(bytes)
    const written = joined(writeRequests(read))
    expect(without(readRequests(written))).toEqual(without(read))
    expect(without(read)).toEqual([
      { command: 'handshake', version: 1 },
      { command: 'stream', filter: 'user,query,member-join' },
      { command: 'event', name: 'ev', payload: text('pp'), coalesce: false },
      {
        command: 'query',
        name: 'q1',
        payload: text('zz'),
        filterMembers: undefined,
        filterTags: new Map(),
        acks: true,
        relayFactor: 0,
        timeoutNs: 1_500_000_000n,
      },
      { command: 'respond', id: 1n, payload: text('RESP') },
      { command: 'respond', id: 1n, payload: text('AGAIN') },
      { command: 'monitor', level: 'ERR' },
      { command: 'stop', stream: 7n },
      { command: 'stop', stream: 2n },
    ])
  })

  it('RPC-1 means what the notes of the capture say', () => {
    const [, query] = readAnswers(vector('rpc-query-response'), sequenced(['handshake', 'query']))
    expect(query).toEqual({ sequence: 2n, error: '', body: undefined })
    const records = readAnswers(vector('rpc-query-response'), sequenced(['handshake', 'query']))
      .slice(2)
      .map(({ record }) => (record?.command === 'query' ? record.record : undefined))
    expect(records).toEqual([
      { kind: 'ack', from: 'a', payload: undefined },
      { kind: 'response', from: 'a', payload: text('up-a\n') },
      { kind: 'ack', from: 'b', payload: undefined },
      { kind: 'ack', from: 'c', payload: undefined },
      { kind: 'response', from: 'b', payload: text('up-b\n') },
      { kind: 'done', from: '', payload: undefined },
    ])
    const keys = readAnswers(
      vector('rpc-listkeys-error-response'),
      sequenced(['handshake', 'list-keys']),
    )[1]
    const complaint = 'Keyring is empty (encryption not enabled)'
    expect(keys).toEqual({
      sequence: 2n,
      error: '3/3 nodes reported failure',
      body: {
        kind: 'keys',
        report: {
          keys: new Map(),
          messages: new Map(['a', 'b', 'c'].map((name) => [name, complaint])),
          errors: 3,
          members: 3,
          responses: 3,
        },
      },
    })
  })

  it('RPC-2 says the same in pieces of any size', () => {
    for (const name of requests) {
      const bytes = vector(`rpc-${name}-request`)
      const whole = split(bytes)
      for (let piece = 1; piece < bytes.length; piece += 1) {
        expect(split(bytes, piece)).toEqual(whole)
      }
    }
    for (const [name] of answers) {
      const bytes = vector(name)
      const whole = split(bytes)
      for (const piece of [1, 2, 3, 5, 7, 64, 1000]) expect(split(bytes, piece)).toEqual(whole)
    }
  })
})

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}
