// What the server's machine answers before, beside and instead of commands.
import { describe, expect, it } from 'vitest'
import { nextDeadline } from '../../src/core/connection.ts'
import { wantsBytes } from '../../src/core/state.ts'
import { commands, encodeRequest } from '../../src/wire/request.ts'
import { createCaller, createGreeted } from '../support/caller.ts'
import { hex, joined } from '../support/vectors.ts'

const ok = expect.objectContaining({ error: '' })
const refused = (error: string): unknown => expect.objectContaining({ error })

describe('handshake', () => {
  it('RPC-10 whoever does not greet first is told so and sent away', () => {
    for (const request of [
      { command: 'stats' },
      { command: 'auth', key: 'x' },
      { command: 'get-coordinate', name: 'a' },
    ] as const) {
      const caller = createCaller()
      caller.send(encodeRequest(7n, request))
      expect(caller.state.outputs).toEqual([])
      expect(caller.ended).toBe('handshakeMissing')
    }
    const caller = createCaller()
    caller.ask({ command: 'leave' }, 7n)
    expect(caller.heard()).toEqual([{ sequence: 7n, error: 'Handshake required', body: undefined }])
  })

  it('RPC-10 another version and a second greeting are refused, and the caller stays', () => {
    const caller = createCaller()
    caller.ask({ command: 'handshake', version: 2 })
    caller.ask({ command: 'handshake', version: 1 })
    caller.ask({ command: 'handshake', version: 0 })
    caller.ask({ command: 'handshake', version: 1 })
    expect(caller.heard().map(({ error }) => error)).toEqual([
      'Unsupported IPC version',
      '',
      'Unsupported IPC version',
      'Handshake already performed',
    ])
    expect(caller.ended).toBeUndefined()
  })

  it('RPC-14 has a deadline until the caller is known, and none afterwards', () => {
    const late = createCaller({ limits: { handshakeMs: 500 } })
    expect(nextDeadline(late.state)).toBe(500)
    late.now = 499
    late.run({ kind: 'deadline' })
    expect(late.ended).toBeUndefined()
    late.now = 500
    late.run({ kind: 'deadline' })
    expect(late.ended).toBe('handshakeLate')

    const locked = createGreeted({ key: 'k', limits: { handshakeMs: 500 } })
    expect(nextDeadline(locked.state)).toBe(500)
    locked.ask({ command: 'auth', key: 'k' })
    expect(nextDeadline(locked.state)).toBeUndefined()
    expect(nextDeadline(createGreeted().state)).toBeUndefined()
  })
})

describe('the key', () => {
  it('RPC-11 every command needs it, has no body in its refusal, and its own is taken in', () => {
    const caller = createGreeted({ key: 'k' })
    const asked = commands.filter((command) => command !== 'auth' && command !== 'handshake')
    const bytes = asked.map((command) => bare(command))
    for (const each of bytes) caller.send(each)
    caller.ask({ command: 'auth', key: 'k' })
    caller.ask({ command: 'stats' })
    const refusals = asked.length
    expect(caller.counts.filter((what) => what === 'requests')).toHaveLength(3)
    expect(caller.calls()).toEqual([{ kind: 'stats' }])
    expect(refusals).toBe(18)
    expect(caller.ended).toBeUndefined()
  })

  it('RPC-11 is refused in the words of Serf, before and after a right one', () => {
    const caller = createGreeted({ key: 'k', limits: { wrongKeysMax: 3 } })
    caller.ask({ command: 'members' })
    caller.ask({ command: 'auth', key: 'no' })
    caller.ask({ command: 'auth', key: 'k' })
    caller.ask({ command: 'auth', key: '' })
    expect(caller.heard().map(({ error }) => error)).toEqual([
      'Authentication required',
      'Invalid authentication token',
      '',
      'Invalid authentication token',
    ])
    caller.ask({ command: 'stats' })
    expect(caller.calls()).toEqual([{ kind: 'stats' }])
  })

  it('RPC-11 where none is configured only the empty one is right', () => {
    const caller = createGreeted()
    caller.ask({ command: 'auth', key: '' })
    caller.ask({ command: 'auth', key: 'k' })
    expect(caller.heard()).toEqual([ok, refused('Invalid authentication token')])
  })

  it('RPC-14 wrong too often ends the connection', () => {
    const caller = createGreeted({ key: 'k', limits: { wrongKeysMax: 2 } })
    caller.ask({ command: 'auth', key: 'a' })
    expect(caller.ended).toBeUndefined()
    caller.ask({ command: 'auth', key: 'b' })
    expect(caller.ended).toBe('keysWrongTooOften')
    expect(caller.heard()).toHaveLength(2)
  })
})

describe('what cannot be understood', () => {
  it('RPC-12 an unknown command is refused and ends the connection', () => {
    const caller = createGreeted()
    const header = hex('82 a7436f6d6d616e64 a5626f677573 a3536571 02')
    caller.send(header)
    expect(caller.state.outputs).toEqual([])
    expect(caller.ended).toBe('commandUnknown')
    const locked = createGreeted({ key: 'k' })
    locked.send(header)
    expect(locked.ended).toBe('commandUnknown')
  })

  const garbage: readonly (readonly [string, string])[] = [
    ['a header that is none', '07'],
    ['a command that is a number', '82 a7436f6d6d616e64 07 a3536571 02'],
    ['a sequence below zero', '82 a7436f6d6d616e64 a57374617473 a3536571 ff'],
    ['the byte that is never used', 'c1'],
    ['a body that is none', '82 a7436f6d6d616e64 a473746f70 a3536571 02 07'],
  ]
  it.each(garbage)('RPC-12 %s ends the connection without a word', (_title, bytes) => {
    const caller = createGreeted()
    caller.send(hex(bytes))
    expect([caller.ended, caller.heard()]).toEqual(['undecodable', []])
  })

  it('RPC-14 nobody unknown may send much, in bytes, values or depth', () => {
    const long = encodeRequest(1n, { command: 'auth', key: 'x'.repeat(4_090) })
    for (const bytes of [long, hex('dc0040'), hex('91'.repeat(9))]) {
      const stranger = createGreeted({ key: 'k' })
      stranger.send(bytes)
      expect(stranger.ended).toBe('frameTooLarge')
    }
    const known = createGreeted()
    known.send(encodeRequest(2n, { command: 'event', name: 'x'.repeat(4_096), ...nothing }))
    expect(known.calls()).toHaveLength(1)
    known.reply({ error: '' })
    known.send(encodeRequest(3n, { command: 'event', name: 'x'.repeat(262_144), ...nothing }))
    expect(known.ended).toBe('frameTooLarge')
  })
})

const nothing = { payload: undefined, coalesce: false }

describe('the order of requests', () => {
  it('RPC-13 one at a time, in order, whatever is in the pipe', () => {
    const caller = createGreeted()
    const pipe = [
      encodeRequest(2n, { command: 'stats' }),
      encodeRequest(3n, { command: 'get-coordinate', name: 'a' }),
      encodeRequest(4n, { command: 'leave' }),
    ]
    caller.send(joined(pipe))
    expect([caller.calls(), wantsBytes(caller.state)]).toEqual([[{ kind: 'stats' }], false])
    caller.reply({ error: '' })
    expect(caller.calls()).toEqual([{ kind: 'coordinate', name: 'a' }])
    caller.reply({ error: 'no' })
    expect(caller.calls()).toEqual([{ kind: 'leave' }])
    expect(caller.state.busy?.sequence).toBe(4n)
  })

  it('RPC-13 what was sent before the end is still answered', () => {
    const caller = createGreeted()
    caller.ask({ command: 'stats' })
    caller.ask({ command: 'stats' })
    caller.run({ kind: 'ended' })
    expect(caller.ended).toBeUndefined()
    caller.reply({ error: '' })
    expect(caller.ended).toBeUndefined()
    caller.reply({ error: '' })
    expect(caller.ended).toBe('in order')
    expect(caller.heard()).toHaveLength(2)
  })

  it('RPC-13 a reader that is behind is asked nothing more until it caught up', () => {
    const caller = createGreeted({ limits: { unsentBytesMax: 200 } })
    caller.run({ kind: 'sent', bytes: caller.state.unsentBytes })
    for (let count = 0; count < 40; count += 1) caller.ask({ command: 'stop', stream: 9n })
    const first = caller.heard().length
    expect(first).toBeLessThan(40)
    expect(wantsBytes(caller.state)).toBe(false)
    caller.run({ kind: 'sent', bytes: caller.state.unsentBytes })
    expect(caller.heard().length).toBeGreaterThan(0)
  })

  it('RPC-13 nothing is said or done after the end', () => {
    const caller = createGreeted()
    caller.run({ kind: 'close' })
    caller.ask({ command: 'stats' })
    caller.run({ kind: 'deadline' })
    expect([caller.heard(), caller.calls()]).toEqual([[], []])
  })
})

/** A request with an empty body where it has one, as a stranger may send it. */
function bare(command: (typeof commands)[number]): Uint8Array {
  const [name, body] = [Buffer.from(command), needsBody.has(command) ? [0x80] : []]
  const head = [0x82, 0xa7, ...Buffer.from('Command'), 0xa0 | name.length, ...name]
  return Uint8Array.from([...head, 0xa3, ...Buffer.from('Seq'), 1, ...body])
}

const needsBody = new Set<string>(
  commands.filter((command) => !['members', 'leave', 'list-keys', 'stats'].includes(command)),
)
