// Nearly right bytes for both machines: neither throws, holds more than it may, nor goes on after
// its end. A failure names the seed that repeats it.
import { createRandom } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { step } from '../../src/core/connection.ts'
import { createSession, stepSession } from '../../src/core/session.ts'
import { createConnection } from '../../src/core/state.ts'
import { defaultServerLimits } from '../../src/limits.ts'
import type { Request } from '../../src/wire/message.ts'
import { split } from '../support/dialogue.ts'
import { inPieces, mutate } from '../support/mutate.ts'
import { vector } from '../support/vectors.ts'

const sessions = process.env['KITH_TIER'] === '2' ? 400_000 : 4_000

const requests = ['event', 'installkey', 'members', 'monitor', 'query', 'rtt', 'tags']
  .map((name) => split(vector(`rpc-${name}-request`)))
  .concat([split(vector('rpc-stream-respond-request'))])

/** Answers with what asks for them, by the sequences of the captured sessions. */
const answers: readonly (readonly [readonly Request[], readonly Uint8Array[]])[] = [
  [[{ command: 'stats' }], split(vector('rpc-stats-response'))],
  [[{ command: 'members' }], split(vector('rpc-members-response'))],
  [[{ command: 'list-keys' }], split(vector('rpc-listkeys-error-response'))],
  [
    [
      { command: 'stats' },
      { command: 'get-coordinate', name: 'b' },
      { command: 'get-coordinate', name: 'a' },
    ],
    split(vector('rpc-rtt-response')),
  ],
  [
    [
      {
        command: 'query',
        name: 'uptime',
        payload: undefined,
        filterMembers: undefined,
        filterTags: undefined,
        acks: true,
        relayFactor: 0,
        timeoutNs: 0n,
      },
    ],
    split(vector('rpc-query-response')),
  ],
]

const limits = { ...defaultServerLimits, strangerBytesMax: 600, requestBytesMax: 2_000 }

function check(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise)
}

/** What the session came to; throws where the machine does. */
function serve(seed: number): string {
  const random = createRandom(seed)
  const locked = random.below(3) === 0
  const state = createConnection({ limits, ...(locked ? { authorise: () => false } : {}) }, 0)
  const bytes = mutate(random, requests[random.below(requests.length)] ?? [])
  let ended: string | undefined
  let sent = 0
  inPieces(random, bytes, (piece) => {
    let outputs = step(state, { kind: 'bytes', bytes: piece }, 0)
    while (outputs.length > 0) {
      check(ended === undefined, 'it goes on after its end')
      const calls = outputs.filter(({ kind }) => kind === 'call')
      for (const output of outputs) {
        if (output.kind === 'end') ended = output.why ?? 'in order'
        if (output.kind === 'send') sent += output.bytes.length
      }
      outputs = calls.length === 0 ? [] : step(state, { kind: 'answer', answer: { error: '' } }, 0)
      check(!locked || calls.length === 0, 'a stranger reached the host')
    }
    // What is held belongs to one frame, and to the piece it came in.
    check(state.splitter.heldBytes <= 2_000 + piece.length, 'it holds more than it may')
  })
  check(sent < 20_000, 'it says more than it was asked')
  return ended ?? 'open'
}

function listen(seed: number): string {
  const random = createRandom(seed)
  const [asked, frames] = answers[random.below(answers.length)] ?? [[], []]
  const state = createSession({ authKey: undefined, responseBytesMax: 4_000 })
  stepSession(state, { kind: 'connected' })
  for (const [at, request] of asked.entries()) {
    stepSession(state, { kind: 'ask', id: at + 1, request })
  }
  let failed: string | undefined
  inPieces(random, mutate(random, frames), (piece) => {
    for (const output of stepSession(state, { kind: 'bytes', bytes: piece })) {
      check(failed === undefined, 'it goes on after its failure')
      if (output.kind === 'fail') failed = output.failure.kind
    }
    check(state.splitter.heldBytes <= 4_000 + piece.length, 'it holds more than it may')
  })
  return failed ?? 'open'
}

/** How often each end was met; a fuzz that meets only one tests nothing. */
function tally(run: (seed: number) => string): Readonly<Record<string, number>> {
  const met: Record<string, number> = {}
  for (let seed = 1; seed <= sessions; seed += 1) {
    let end: string
    try {
      end = run(seed)
    } catch (cause) {
      throw new Error(`seed ${seed}`, { cause })
    }
    met[end] = (met[end] ?? 0) + 1
  }
  return met
}

describe('bent sessions', () => {
  it('RPC-3 the server survives, and meets every way to end', () => {
    const met = tally(serve)
    const ends = ['open', 'undecodable', 'commandUnknown', 'handshakeMissing', 'frameTooLarge']
    for (const end of ends) expect(met[end], end).toBeGreaterThan(sessions / 500)
  }, 600_000)

  it('RPC-3 the client survives, and meets every way to fail', () => {
    const met = tally(listen)
    for (const end of ['open', 'protocol']) {
      expect(met[end], end).toBeGreaterThan(sessions / 500)
    }
  }, 600_000)
})
