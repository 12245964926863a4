/** The clauses of `StreamTransport` and `ByteStream`, docs/protocol/transport.md, as cases. */
import type { Address, ByteStream } from '@kith/interface'
import type { ConformanceCase } from './conformance.ts'
import { expectBytes, expectEqual, expectReason, expectRejects, expectThat } from './expect.ts'
import { Mailbox, within } from './expect.ts'
import { connected, join, pattern, readAll, withParties } from './stream-parties.ts'
import type { StreamTransportSubject } from './stream-parties.ts'
import { streamBreakingCases } from './stream-breaking.ts'

type Case = ConformanceCase<StreamTransportSubject>

const starting: readonly Case[] = [
  {
    id: 'TRA-20',
    title: 'start resolves with the bound address, and the port of start replaces a configured 0',
    async run(subject) {
      const first = await join(subject)
      expectThat(/^[\d.]+$|:/.test(first.address.host), `not a literal: ${first.address.host}`)
      expectThat(first.address.port > 0, `port ${first.address.port}`)
      await first.transport.stop()
      const second = subject.open()
      const bound = await second.start({ stream() {} }, { port: first.address.port })
      await second.stop()
      expectEqual(bound.port, first.address.port, 'port given to start')
    },
  },
  {
    id: 'TRA-21',
    title: 'a second start rejects and disturbs nothing, and so does one after stop',
    run: (subject) =>
      withParties(subject, 2, async (a, b) => {
        const again = a.transport.start({ stream() {} })
        await expectReason(again, ['misuse', 'stopped'], 'second start')
        const [near, far] = await connected(b, a)
        near.destroy()
        far.destroy()
        await a.transport.stop()
        const late = a.transport.start({ stream() {} })
        await expectReason(late, ['misuse', 'stopped'], 'start after stop')
      }),
  },
  {
    id: 'TRA-22',
    title: 'start with an aborted signal rejects with its reason; a taken port is typed',
    async run(subject) {
      const first = await join(subject)
      const { port } = first.address
      const taken = subject.open(port)
      await expectReason(taken.start({ stream() {} }), ['address'], 'a taken port')
      await taken.stop()
      await first.transport.stop()
      const reason = new Error('changed my mind')
      const aborted = subject.open(port)
      const signal = AbortSignal.abort(reason)
      const cause = await expectRejects(aborted.start({ stream() {} }, { signal }), 'start')
      expectThat(cause === reason, `rejected with ${String(cause)}`)
      await aborted.stop()
      const next = await join(subject, port)
      await next.transport.stop()
    },
  },
]

const flowing: readonly Case[] = [
  {
    id: 'TRA-23',
    title: 'bytes arrive complete and in order, both ways at once, whatever the sizes',
    run: (subject) =>
      withParties(subject, 2, async (a, b) => {
        const [near, far] = await connected(a, b)
        const sizes = [1, 2, 100, 0, 1_400, 65_536, 300_000, 7]
        const total = sizes.reduce((sum, size) => sum + size, 0)
        const writeAll = async (stream: ByteStream, seed: number): Promise<void> => {
          const all = pattern(total, seed)
          let start = 0
          for (const size of sizes) {
            await stream.write(all.slice(start, start + size))
            start += size
          }
          await stream.end()
        }
        const exchange = Promise.all([
          readAll(far),
          readAll(near),
          writeAll(near, 1),
          writeAll(far, 2),
        ])
        const [atFar, atNear] = await within(subject.clock, 20_000, exchange, 'exchange')
        expectBytes(atFar, pattern(total, 1), 'bytes at the far end')
        expectBytes(atNear, pattern(total, 2), 'bytes at the near end')
      }),
  },
  {
    id: 'TRA-24',
    title: 'both ends name the other: the caller the address it called, the callee a literal host',
    run: (subject) =>
      withParties(subject, 2, async (a, b) => {
        const [near, far] = await connected(a, b)
        expectEqual(near.remote, b.address, 'remote of the caller')
        expectEqual(far.remote.host, a.address.host, 'remote host of the callee')
        near.destroy()
        far.destroy()
      }),
  },
  {
    id: 'TRA-25',
    title: 'the far end of end() reads undefined, again and again, and may still write',
    run: (subject) =>
      withParties(subject, 2, async (a, b) => {
        const [near, far] = await connected(a, b)
        await near.write(pattern(10))
        await near.end()
        await near.end()
        const before = await within(subject.clock, 5_000, readAll(far), 'the end')
        expectBytes(before, pattern(10), 'bytes before the end')
        expectEqual(await far.read(), undefined, 'read after the end')
        await far.write(pattern(20, 3))
        await far.end()
        const back = await within(subject.clock, 5_000, readAll(near), 'the other direction')
        expectBytes(back, pattern(20, 3), 'bytes of the other direction')
      }),
  },
  {
    id: 'TRA-26',
    title: 'bytes read belong to the reader, and bytes written to the writer once write resolved',
    run: (subject) =>
      withParties(subject, 2, async (a, b) => {
        const [near, far] = await connected(a, b)
        const buffer = new Uint8Array(1_000)
        const chunks: { bytes: Uint8Array; copy: Uint8Array }[] = []
        let received = 0
        for (let round = 0; round < 20; round += 1) {
          buffer.set(pattern(1_000, round))
          await near.write(buffer)
          buffer.fill(0xee)
          while (received < (round + 1) * 1_000) {
            const bytes = await within(subject.clock, 5_000, far.read(), 'a read')
            expectThat(bytes !== undefined, 'the stream ended early')
            chunks.push({ bytes, copy: bytes.slice() })
            received += bytes.length
          }
        }
        for (const { bytes, copy } of chunks) expectBytes(bytes, copy, 'a chunk that was kept')
        const all = Uint8Array.from(chunks.flatMap(({ bytes }) => [...bytes]))
        for (let round = 0; round < 20; round += 1) {
          const part = all.subarray(round * 1_000, (round + 1) * 1_000)
          expectBytes(part, pattern(1_000, round), `write ${round}`)
        }
        near.destroy()
        far.destroy()
      }),
  },
  {
    id: 'TRA-27',
    title: 'a reader that does not read stops the writer within 16 MiB, and sets it free again',
    run: (subject) =>
      withParties(subject, 2, async (a, b) => {
        const [near, far] = await connected(a, b)
        const chunk = pattern(256 * 1024)
        const limit = 16 * 1024 * 1024
        let written = 0
        let done = false
        const writer = (async () => {
          while (!done && written <= limit) {
            await near.write(chunk)
            written += chunk.length
          }
        })()
        // Stopped means: no progress over three looks in a row.
        for (let still = 0, last = -1; still < 3;) {
          await new Promise<void>((resolve) => void subject.clock.after(100, resolve))
          still = written === last ? still + 1 : 0
          last = written
        }
        expectThat(written <= limit, `${written} bytes were taken and nobody read one`)
        done = true
        const ended = writer.then(() => near.end())
        const [all] = await within(
          subject.clock,
          20_000,
          Promise.all([readAll(far), ended]),
          'the writer set free',
        )
        expectEqual(all.length, written, 'bytes read in the end')
        near.destroy()
        far.destroy()
      }),
  },
  {
    id: 'TRA-28',
    title: 'a second read while one waits rejects, and the first still gets its bytes',
    run: (subject) =>
      withParties(subject, 2, async (a, b) => {
        const [near, far] = await connected(a, b)
        const first = far.read()
        await expectReason(far.read(), ['misuse'], 'a second read')
        await near.write(pattern(4))
        const bytes = await within(subject.clock, 5_000, first, 'the first read')
        expectBytes(bytes ?? new Uint8Array(), pattern(4), 'bytes of the first read')
        near.destroy()
        far.destroy()
      }),
  },
  {
    id: 'TRA-29',
    title: 'many streams live side by side without mixing',
    run: (subject) =>
      withParties(subject, 2, async (a, b) => {
        const pairs: [ByteStream, ByteStream][] = []
        for (let index = 0; index < 20; index += 1) pairs.push(await connected(a, b))
        const all = Promise.all(
          pairs.map(async ([near, far], index) => {
            await near.write(pattern(5_000, index))
            await near.end()
            expectBytes(await readAll(far), pattern(5_000, index), `stream ${index}`)
            far.destroy()
            near.destroy()
          }),
        )
        await within(subject.clock, 10_000, all, '20 streams')
      }),
  },
  {
    id: 'TRA-30',
    title: 'a stream handler that throws loses only that stream, and is logged',
    async run(subject) {
      const transport = subject.open()
      const accepted = new Mailbox<ByteStream>(subject.clock)
      const address = await transport.start({
        stream(stream) {
          accepted.put(stream)
          if (accepted.items.length === 1) throw new Error('a handler that throws')
        },
      })
      const caller = await join(subject)
      const before = subject.errorsLogged()
      const lost = await caller.transport.connect(address)
      await within(subject.clock, 5_000, settle(lost.read()), 'the stream of the broken handler')
      const kept = await caller.transport.connect(address)
      const [, far] = await accepted.take(2, 'two streams')
      await kept.write(pattern(3))
      const bytes = await within(subject.clock, 5_000, (far as ByteStream).read(), 'a read')
      expectBytes(bytes ?? new Uint8Array(), pattern(3), 'bytes on the next stream')
      expectThat(subject.errorsLogged() > before, 'the error was not logged')
      await caller.transport.stop()
      await transport.stop()
    },
  },
]

async function settle(promise: Promise<unknown>): Promise<void> {
  try {
    await promise
  } catch {
    // Broken or ended: both are the end of it.
  }
}

/** Somebody else's port that was free a moment ago. */
async function unusedAddress(subject: StreamTransportSubject): Promise<Address> {
  const party = await join(subject)
  await party.transport.stop()
  return party.address
}

const connecting: readonly Case[] = [
  {
    id: 'TRA-31',
    title: 'connect to where nobody listens rejects as refused',
    run: (subject) =>
      withParties(subject, 1, async (a) => {
        const to = await unusedAddress(subject)
        const attempt = a.transport.connect(to, { timeoutMs: 5_000 })
        await expectReason(attempt, ['refused'], 'nobody listens')
      }),
  },
  {
    id: 'TRA-32',
    title: 'connect that is aborted rejects at once as aborted, before and during',
    run: (subject) =>
      withParties(subject, 1, async (a) => {
        const early = a.transport.connect(a.address, { signal: AbortSignal.abort() })
        await expectReason(early, ['aborted'], 'aborted before')
        const abort = new AbortController()
        const attempt = a.transport.connect(a.address, { signal: abort.signal })
        abort.abort()
        const rejected = expectReason(attempt, ['aborted'], 'aborted during')
        await within(subject.clock, 1_000, rejected, 'the abort')
      }),
  },
  {
    id: 'TRA-33',
    title: 'connect to where nobody answers rejects as timeout, after timeoutMs',
    needs: ['silent'],
    run: (subject) =>
      withParties(subject, 1, async (a) => {
        const silent = await subject.silentAddress?.()
        expectThat(silent !== undefined, 'the subject names no silent address')
        const attempt = a.transport.connect(silent, { timeoutMs: 300 })
        const rejected = expectReason(attempt, ['timeout'], 'nobody answers')
        await within(subject.clock, 3_000, rejected, 'the timeout')
      }),
  },
  {
    id: 'TRA-34',
    title: 'connect before start, after stop and to what is no address rejects, typed',
    async run(subject) {
      const party = await join(subject)
      const early = subject.open()
      await expectReason(early.connect(party.address), ['stopped'], 'connect before start')
      await early.stop()
      for (const port of [0, 65_536, -1, 1.5]) {
        const attempt = party.transport.connect({ host: party.address.host, port })
        await expectReason(attempt, ['address'], `port ${port}`)
      }
      await party.transport.stop()
      const late = party.transport.connect(party.address)
      await expectReason(late, ['stopped'], 'connect after stop')
    },
  },
]

/** Everything a `StreamTransport` owes its users. Features: `silent`. */
export const streamTransportCases: readonly Case[] = [
  ...starting,
  ...flowing,
  ...connecting,
  ...streamBreakingCases,
]
