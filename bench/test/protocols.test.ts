/** What the callers of `bench/log` make of the bytes of Redis and NATS, in whatever pieces. */
import { describe, expect, it } from 'vitest'
import { NatsReader, encodePublish } from '../log/support/nats.ts'
import type { Message } from '../log/support/nats.ts'
import { ReplyReader, encodeCommand } from '../log/support/resp.ts'
import type { Reply } from '../log/support/resp.ts'

/** `bytes` cut into pieces of `size`. */
function pieces(bytes: Buffer, size: number): readonly Buffer[] {
  const count = Math.ceil(bytes.length / size)
  return Array.from({ length: count }, (_, at) => bytes.subarray(at * size, (at + 1) * size))
}

/** Bytes as text, at any depth. */
function readable(reply: Reply): unknown {
  if (Buffer.isBuffer(reply)) return reply.toString()
  return Array.isArray(reply) ? reply.map(readable) : reply
}

const sizes = [1, 2, 3, 7, 1_000]

describe('replies of Redis', () => {
  const bytes = Buffer.from(
    '+OK\r\n:42\r\n$3\r\na\r\n\r\n$-1\r\n*0\r\n' +
      '*2\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nv\r\n$2\r\nxy\r\n*2\r\n$3\r\n2-0\r\n*-1\r\n:7\r\n',
  )

  it.each(sizes)('are read out of pieces of %i bytes', (size) => {
    const reader = new ReplyReader()
    const replies = pieces(bytes, size).flatMap((piece) => reader.push(piece))
    const entries = [
      ['1-0', ['v', 'xy']],
      ['2-0', null],
    ]
    expect(replies.map(readable)).toEqual(['OK', 42, 'a\r\n', null, [], entries, 7])
  })

  it('that are errors are thrown', () => {
    expect(() => new ReplyReader().push(Buffer.from('-ERR no such\r\n'))).toThrow('ERR no such')
  })

  it('are asked for in the bytes that Redis reads', () => {
    const bytes = encodeCommand('XADD', 's', '*', Buffer.from([0, 13, 10]))
    expect(bytes.toString('latin1')).toBe(
      '*4\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$3\r\n\0\r\n\r\n',
    )
  })
})

describe('messages of NATS', () => {
  const bytes = Buffer.from(
    'INFO {}\r\nMSG inbox 1 5\r\nhe\r\no\r\nPING\r\n' +
      'HMSG inbox 1 answer 16 18\r\nNATS/1.0 404\r\n\r\nxy\r\nMSG inbox 1 0\r\n\r\n',
  )

  it.each(sizes)('are read out of pieces of %i bytes', (size) => {
    const told: (string | readonly string[])[] = []
    const reader = new NatsReader(
      ({ subject, headers, payload }: Message) => told.push([subject, headers, payload.toString()]),
      (line) => told.push(line),
    )
    for (const piece of pieces(bytes, size)) reader.push(piece)
    expect(told).toEqual([
      'INFO {}',
      ['inbox', '', 'he\r\no'],
      'PING',
      ['inbox', 'NATS/1.0 404\r\n\r\n', 'xy'],
      ['inbox', '', ''],
    ])
  })

  it('are published in the bytes that NATS reads', () => {
    const bytes = encodePublish('log', 'inbox', Buffer.from('\r\n'))
    expect(bytes.toString()).toBe('PUB log inbox 2\r\n\r\n\r\n')
  })
})
