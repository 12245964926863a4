/** Serf's RPC: what callers send to the server, and what an agent answers to the client. */
import {
  createConnection,
  createSession,
  defaultServerLimits,
  encodeRequest,
  step,
  stepSession,
} from '@kith/serf-rpc/core'
import type { ConnectionOutput, Request, SessionOutput } from '@kith/serf-rpc/core'
import { encodeRecord } from '../../../packages/serf-rpc/src/wire/record.ts'
import { decodeRequest, knownCommand } from '../../../packages/serf-rpc/src/wire/request.ts'
import { encodeResponse } from '../../../packages/serf-rpc/src/wire/response.ts'
import { readFileSync, readdirSync } from 'node:fs'
import type { Random } from '@kith/interface'
import { msgpackMutator } from '../mutate-msgpack.ts'
import { ascii, holds, inPieces } from '../target.ts'
import type { FuzzTarget } from '../target.ts'
import { readHex } from './gossip-support.ts'

const fixtures = new URL('../../../packages/serf-rpc/test/fixtures/', import.meta.url)

function captured(name: RegExp): readonly Uint8Array[] {
  return readdirSync(fixtures)
    .filter((file) => name.test(file))
    .map((file) => readHex(readFileSync(new URL(file, fixtures), 'utf8')))
}

const query: Request = {
  command: 'query',
  name: 'uptime',
  payload: undefined,
  filterMembers: ['a'],
  filterTags: new Map([['role', 'web']]),
  acks: true,
  relayFactor: 1,
  timeoutNs: 0n,
}

const requests: readonly Request[] = [
  { command: 'handshake', version: 1 },
  { command: 'auth', key: 'k' },
  { command: 'event', name: 'deploy', payload: ascii('x'), coalesce: true },
  { command: 'force-leave', name: 'a', prune: true },
  { command: 'join', addresses: ['127.0.0.1:7946'], replay: false },
  { command: 'members-filtered', name: 'a', status: 'alive', tags: new Map([['a', 'b']]) },
  { command: 'tags', set: new Map([['a', 'b']]), remove: ['c'] },
  { command: 'stream', filter: 'user:deploy,query' },
  { command: 'monitor', level: 'debug' },
  { command: 'stop', stream: 1n },
  query,
  { command: 'respond', id: 1n, payload: ascii('x') },
  { command: 'install-key', key: 'AAAA' },
  { command: 'stats' },
  { command: 'get-coordinate', name: 'a' },
]

const words: readonly Uint8Array[] = [
  'Command',
  'Seq',
  'Error',
  'AuthKey',
  'Payload',
  'Members',
  '__proto__',
  'constructor',
].map((text) => Uint8Array.from([0xa0 | text.length, ...ascii(text)]))

const limits = { ...defaultServerLimits, strangerBytesMax: 600, requestBytesMax: 4_000 }

/** Everything the server said and asked, in order. */
function served(bytes: Uint8Array, locked: boolean, feed: Feed): string {
  const state = createConnection({ limits, ...(locked ? { authorise: () => false } : {}) }, 0)
  const said: string[] = []
  let ended: string | undefined
  feed(bytes, (piece) => {
    let outputs: readonly ConnectionOutput[] = step(state, { kind: 'bytes', bytes: piece }, 0)
    while (outputs.length > 0) {
      holds(ended === undefined, 'it goes on after its end')
      let calls = 0
      for (const output of outputs) {
        if (output.kind === 'end') ended = output.why ?? 'in order'
        if (output.kind === 'call') calls += 1
        if (output.kind === 'send') said.push(Buffer.from(output.bytes).toString('base64'))
        else said.push(output.kind === 'call' ? output.call.kind : output.kind)
      }
      holds(!locked || calls === 0, 'a stranger reached the host')
      outputs = calls === 0 ? [] : step(state, { kind: 'answer', answer: { error: '' } }, 0)
    }
    holds(state.splitter.heldBytes <= 4_000 + bytes.length, 'it holds more than it may')
  })
  return `${said.join(' ')} ${ended ?? 'open'}`
}

type Feed = (bytes: Uint8Array, push: (piece: Uint8Array) => void) => void
const atOnce: Feed = (bytes, push) => push(bytes.slice())
const pieces =
  (random: Random): Feed =>
  (bytes, push) =>
    inPieces(random, bytes, push)

function checkBodies(bytes: Uint8Array): void {
  for (const { command } of requests) {
    const known = knownCommand(command)
    const request = known === undefined ? undefined : decodeRequest(known, bytes)
    if (request !== undefined) encodeRequest(1n, request)
  }
}

export const rpcServer: FuzzTarget = {
  bytesMax: 8_192,
  seeds: () => [
    ...captured(/request\.hex$/),
    Uint8Array.from(requests.flatMap((request, at) => [...encodeRequest(BigInt(at), request)])),
  ],
  words,
  mutators: [msgpackMutator([0]), msgpackMutator([0])],
  ends: ['open', 'undecodable', 'commandUnknown', 'handshakeMissing', 'frameTooLarge'],
  check(bytes, random) {
    const locked = random.below(4) === 0
    const whole = served(bytes, locked, atOnce)
    if (random.below(4) === 0) {
      const inParts = served(bytes, locked, pieces(random))
      holds(whole === inParts, `in pieces: ${inParts}; at once: ${whole}`)
    }
    if (random.below(8) === 0) checkBodies(bytes)
    return whole.split(' ').at(-1) ?? ''
  },
}

const asked: readonly Request[] = [
  { command: 'stats' },
  { command: 'members' },
  { command: 'list-keys' },
  { command: 'get-coordinate', name: 'a' },
  query,
  { command: 'stream', filter: '*' },
  { command: 'monitor', level: 'debug' },
  { command: 'join', addresses: ['a'], replay: false },
]

function listened(bytes: Uint8Array, feed: Feed): string {
  const state = createSession({ authKey: undefined, responseBytesMax: 4_000 })
  stepSession(state, { kind: 'connected' })
  for (const [at, request] of asked.entries()) {
    stepSession(state, { kind: 'ask', id: at + 1, request })
  }
  const said: string[] = []
  let failed: string | undefined
  feed(bytes, (piece) => {
    for (const output of stepSession(state, { kind: 'bytes', bytes: piece })) {
      holds(failed === undefined, 'it goes on after its failure')
      if (output.kind === 'fail') failed = output.failure.kind
      said.push(written(output))
    }
    holds(state.splitter.heldBytes <= 4_000 + bytes.length, 'it holds more than it may')
  })
  return `${said.join(' ')} ${failed ?? 'open'}`
}

/** What came out, written as the agent would, so that every field of it is looked at. */
function written(output: SessionOutput): string {
  if (output.kind === 'record') {
    return Buffer.from(encodeRecord(1n, output.record)).toString('base64')
  }
  if (output.kind !== 'answer') return output.kind
  return Buffer.from(encodeResponse(1n, output.error, output.body)).toString('base64')
}

function answers(): readonly Uint8Array[] {
  const hello = encodeResponse(1n, '', undefined)
  const after = (...parts: readonly Uint8Array[]): Uint8Array =>
    new Uint8Array(Buffer.concat([hello, ...parts]))
  const stats = new Map([['agent', new Map([['name', 'a']])]])
  const place = { vector: [0, 0.5], error: 1.5, adjustment: 0, height: 1e-5 }
  const report = { keys: new Map([['AAAA', 2]]), messages: new Map([['a', 'no']]) }
  const counts = { errors: 1, members: 2, responses: 2 }
  return [
    after(encodeResponse(2n, '', { kind: 'stats', stats })),
    after(encodeResponse(4n, '', { kind: 'keys', report: { ...report, ...counts } })),
    after(encodeResponse(5n, '', { kind: 'coordinate', coordinate: place })),
    after(
      encodeResponse(6n, '', undefined),
      encodeRecord(6n, {
        command: 'query',
        record: { kind: 'response', from: 'a', payload: ascii('x') },
      }),
      encodeRecord(6n, {
        command: 'query',
        record: { kind: 'done', from: '', payload: undefined },
      }),
    ),
    after(
      encodeResponse(8n, '', undefined),
      encodeRecord(8n, { command: 'monitor', line: 'a line' }),
    ),
    after(encodeResponse(9n, '', { kind: 'joined', count: 1 })),
  ]
}

export const rpcClient: FuzzTarget = {
  bytesMax: 8_192,
  seeds: () => [...captured(/response\.hex$/), ...answers()],
  words,
  mutators: [msgpackMutator([0]), msgpackMutator([0])],
  ends: ['open', 'protocol', 'handshake'],
  check(bytes, random) {
    const whole = listened(bytes, atOnce)
    if (random.below(4) === 0) {
      const inParts = listened(bytes, pieces(random))
      holds(whole === inParts, `in pieces: ${inParts}; at once: ${whole}`)
    }
    return whole.split(' ').at(-1) ?? ''
  },
}
