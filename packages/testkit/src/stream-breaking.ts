/** Cases of stream transports about the end of things: destroy, breakage, stop. */
import type { ByteStream } from '@kith/interface'
import type { ConformanceCase } from './conformance.ts'
import { expectBytes, expectReason, expectThat, pass, within } from './expect.ts'
import { connected, join, pattern, readAll, withParties } from './stream-parties.ts'
import type { StreamTransportSubject } from './stream-parties.ts'

type Case = ConformanceCase<StreamTransportSubject>

/** How a read came out, without caring which kind of end it was. */
async function outcome(read: Promise<unknown>): Promise<'bytes' | 'end' | 'broken'> {
  try {
    return (await read) === undefined ? 'end' : 'bytes'
  } catch {
    return 'broken'
  }
}

const destroying: readonly Case[] = [
  {
    id: 'TRA-35',
    title: 'destroy rejects a waiting read and every later read and write, never throws, repeats',
    run: (subject) =>
      withParties(subject, 2, async (a, b) => {
        const [near, far] = await connected(a, b)
        const waiting = expectReason(near.read(), ['reset', 'aborted'], 'the waiting read')
        near.destroy(new Error('enough'))
        near.destroy()
        await within(subject.clock, 1_000, waiting, 'the waiting read')
        await expectReason(near.read(), ['reset', 'aborted'], 'a read after destroy')
        await expectReason(near.write(pattern(1)), ['reset', 'aborted'], 'a write after destroy')
        await near.end()
        far.destroy()
      }),
  },
  {
    id: 'TRA-36',
    title: 'the far side of a destroyed stream learns of it: its read ends or breaks',
    run: (subject) =>
      withParties(subject, 2, async (a, b) => {
        const [near, far] = await connected(a, b)
        const read = outcome(far.read())
        near.destroy()
        const seen = await within(subject.clock, 5_000, read, 'the read at the far side')
        expectThat(seen !== 'bytes', 'bytes came out of nothing')
        far.destroy()
      }),
  },
  {
    id: 'TRA-37',
    title: 'writing to a far side that is gone rejects within a bound, and never hangs',
    run: (subject) =>
      withParties(subject, 2, async (a, b) => {
        const [near, far] = await connected(a, b)
        far.destroy()
        const hopeless = (async () => {
          for (let count = 0; count < 1_000; count += 1) {
            await near.write(pattern(64 * 1024))
            await pass(subject.clock, 5)
          }
        })()
        const rejected = expectReason(hopeless, ['reset'], 'writes to nobody')
        await within(subject.clock, 10_000, rejected, 'writes to nobody')
        near.destroy()
      }),
  },
  {
    id: 'TRA-38',
    title: 'a write after end rejects, and what was written before still arrives',
    run: (subject) =>
      withParties(subject, 2, async (a, b) => {
        const [near, far] = await connected(a, b)
        await near.write(pattern(50_000))
        await near.end()
        await expectReason(near.write(pattern(1)), ['misuse', 'reset'], 'a write after end')
        const all = await within(subject.clock, 5_000, readAll(far), 'the rest')
        expectBytes(all, pattern(50_000), 'bytes before the end')
        near.destroy()
        far.destroy()
      }),
  },
]

const stopping: readonly Case[] = [
  {
    id: 'TRA-39',
    title: 'stop ends within a second, as often as called, started or not',
    async run(subject) {
      const never = subject.open()
      await within(subject.clock, 1_000, never.stop(), 'stop without start')
      const party = await join(subject)
      const stops = Promise.all([party.transport.stop(), party.transport.stop()])
      await within(subject.clock, 1_000, stops, 'two stops at once')
      await within(subject.clock, 1_000, party.transport[Symbol.asyncDispose](), 'dispose')
    },
  },
  {
    id: 'TRA-40',
    title: 'stop destroys every stream, read from or not, and pending reads and writes reject',
    run: (subject) =>
      withParties(subject, 2, async (a, b) => {
        const pairs: [ByteStream, ByteStream][] = []
        for (let index = 0; index < 5; index += 1) pairs.push(await connected(a, b))
        const reads = pairs.slice(1).map(([near]) => outcome(near.read()))
        const [, stuck] = pairs[0] as [ByteStream, ByteStream]
        const write = outcome(fill(stuck))
        await within(subject.clock, 1_000, a.transport.stop(), 'stop with open streams')
        const seen = await within(subject.clock, 1_000, Promise.all(reads), 'the pending reads')
        expectThat(!seen.includes('bytes'), 'a read got bytes out of nothing')
        const far = Promise.all(pairs.slice(1).map(([, stream]) => outcome(stream.read())))
        await within(subject.clock, 5_000, far, 'the far sides')
        await within(subject.clock, 5_000, write, 'the write that was stuck')
      }),
  },
  {
    id: 'TRA-41',
    title: 'stop rejects connects under way and accepts nobody any more',
    run: (subject) =>
      withParties(subject, 2, async (a, b) => {
        const attempt = a.transport.connect(b.address).then(
          (stream) => stream.destroy(),
          (cause: unknown) => cause,
        )
        await a.transport.stop()
        await within(subject.clock, 1_000, attempt, 'the connect under way')
        const refused = b.transport.connect(a.address, { timeoutMs: 2_000 })
        await expectReason(refused, ['refused', 'timeout'], 'connect to one that stopped')
      }),
  },
  {
    id: 'TRA-42',
    title: 'stop while starting leaves nothing open, and the address is free afterwards',
    async run(subject) {
      const first = await join(subject)
      await first.transport.stop()
      const transport = subject.open(first.address.port)
      const started = transport.start({ stream() {} }).then(
        () => 'started',
        () => 'rejected',
      )
      await within(subject.clock, 1_000, transport.stop(), 'stop while starting')
      await within(subject.clock, 1_000, started, 'start that was stopped')
      const next = await join(subject, first.address.port)
      await next.transport.stop()
    },
  },
]

async function fill(stream: ByteStream): Promise<void> {
  for (let count = 0; count < 1_000; count += 1) await stream.write(pattern(64 * 1024))
}

export const streamBreakingCases: readonly Case[] = [...destroying, ...stopping]
