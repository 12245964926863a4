/** The clauses of `PacketTransport`, docs/protocol/transport.md, as cases. */
import type { Address, Clock, PacketHandlers, PacketTransport } from '@kith/interface'
import type { ConformanceCase } from './conformance.ts'
import {
  expectBytes,
  expectEqual,
  expectReason,
  expectRejects,
  expectThat,
  expectTypedReason,
  Mailbox,
  pass,
  within,
} from './expect.ts'

export interface PacketTransportSubject {
  /**
   * A new transport, not started, configured for port 0 on a host that the others can reach. With
   * `port`, configured for that port.
   */
  open(port?: number): PacketTransport
  /** The clock the transports run on. */
  readonly clock: Clock
  /** How often the context's logger was given an error so far. */
  errorsLogged(): number
}

interface Packet {
  readonly from: Address
  readonly bytes: Uint8Array
}

interface Failure {
  readonly to: Address
  readonly cause: Error
}

interface Party {
  readonly transport: PacketTransport
  readonly address: Address
  readonly packets: Mailbox<Packet>
  readonly failures: Mailbox<Failure>
}

function mailboxes(clock: Clock): PacketHandlers & Omit<Party, 'transport' | 'address'> {
  const packets = new Mailbox<Packet>(clock)
  const failures = new Mailbox<Failure>(clock)
  return {
    packets,
    failures,
    packet: (from, bytes) => packets.put({ from, bytes }),
    sendFailed: (to, cause) => failures.put({ to, cause }),
  }
}

async function join(subject: PacketTransportSubject, port?: number): Promise<Party> {
  const transport = subject.open(port)
  const handlers = mailboxes(subject.clock)
  const address = await transport.start(handlers)
  return { transport, address, packets: handlers.packets, failures: handlers.failures }
}

async function withParties(
  subject: PacketTransportSubject,
  count: number,
  body: (...parties: Party[]) => Promise<void>,
): Promise<void> {
  const parties: Party[] = []
  try {
    while (parties.length < count) parties.push(await join(subject))
    await body(...parties)
  } finally {
    for (const party of parties) await party.transport.stop()
  }
}

/** `length` bytes whose content depends on `seed`, so that mixed up packets show. */
function pattern(length: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + seed * 17 + (index >> 8)) & 0xff)
}

/** Packets may be lost: sends again until it arrived, which must happen soon. */
async function sendUntilReceived(
  from: Party,
  to: Party,
  bytes: Uint8Array,
  clock: Clock,
): Promise<Packet> {
  const before = to.packets.items.length
  for (let attempt = 0; attempt < 20; attempt += 1) {
    from.transport.send(to.address, bytes)
    try {
      const all = await to.packets.take(before + 1, 'a packet', 200)
      return all[before] as Packet
    } catch {
      await pass(clock, 1)
    }
  }
  throw new Error(`20 packets of ${bytes.length} bytes in a row were lost`)
}

const starting: readonly ConformanceCase<PacketTransportSubject>[] = [
  {
    id: 'TRA-1',
    title: 'start resolves with the bound address: a literal host and a real port',
    run: (subject) =>
      withParties(subject, 2, async (a, b) => {
        expectThat(/^[\d.]+$|:/.test(a.address.host), `not a literal: ${a.address.host}`)
        expectThat(a.address.port > 0 && a.address.port < 65_536, `port ${a.address.port}`)
        expectThat(a.address.port !== b.address.port, 'two transports got the same free port')
      }),
  },
  {
    id: 'TRA-2',
    title: 'the port of start replaces a configured 0 and nothing else',
    async run(subject) {
      const first = await join(subject)
      await first.transport.stop()
      const { port } = first.address
      const second = subject.open()
      const bound = await second.start(mailboxes(subject.clock), { port })
      await second.stop()
      expectEqual(bound.port, port, 'port given to start')
      const third = subject.open(port)
      const kept = await third.start(mailboxes(subject.clock), {
        port: port === 65_535 ? 1 : 65_535,
      })
      await third.stop()
      expectEqual(kept.port, port, 'configured port')
    },
  },
  {
    id: 'TRA-3',
    title: 'a second start rejects and disturbs nothing, and so does one after stop',
    async run(subject) {
      const party = await join(subject)
      const again = party.transport.start(mailboxes(subject.clock))
      await expectReason(again, ['misuse', 'stopped'], 'second start')
      const got = await sendUntilReceived(party, party, pattern(3), subject.clock)
      expectBytes(got.bytes, pattern(3), 'packet after a second start')
      await party.transport.stop()
      const late = party.transport.start(mailboxes(subject.clock))
      await expectReason(late, ['misuse', 'stopped'], 'start after stop')
    },
  },
  {
    id: 'TRA-4',
    title: 'start with an aborted signal rejects with its reason and leaves nothing open',
    async run(subject) {
      const first = await join(subject)
      await first.transport.stop()
      const reason = new Error('changed my mind')
      const transport = subject.open(first.address.port)
      const signal = AbortSignal.abort(reason)
      const cause = await expectRejects(
        transport.start(mailboxes(subject.clock), { signal }),
        'start with an aborted signal',
      )
      expectThat(cause === reason, `rejected with ${String(cause)}`)
      await transport.stop()
      const next = await join(subject, first.address.port)
      await next.transport.stop()
    },
  },
  {
    id: 'TRA-5',
    title: 'start on a port that is taken rejects with a typed error',
    async run(subject) {
      const first = await join(subject)
      const second = subject.open(first.address.port)
      await expectReason(second.start(mailboxes(subject.clock)), ['address'], 'a taken port')
      await second.stop()
      await first.transport.stop()
    },
  },
]

const packets: readonly ConformanceCase<PacketTransportSubject>[] = [
  {
    id: 'TRA-6',
    title: 'a packet arrives whole, once bound, from the address its sender is bound to',
    run: (subject) =>
      withParties(subject, 2, async (a, b) => {
        const got = await sendUntilReceived(a, b, pattern(200), subject.clock)
        expectBytes(got.bytes, pattern(200), 'packet')
        expectEqual(got.from, a.address, 'sender')
        const back = await sendUntilReceived(b, a, pattern(10, 1), subject.clock)
        expectEqual(back.from, b.address, 'sender of the answer')
      }),
  },
  {
    id: 'TRA-7',
    title: 'packets of every size from 1 to packetBytesMax arrive whole',
    run: (subject) =>
      withParties(subject, 2, async (a, b) => {
        const max = a.transport.packetBytesMax
        for (const size of [1, 2, 511, 1_400, 1_472, 9_000, max - 1, max]) {
          if (size > max) continue
          const got = await sendUntilReceived(a, b, pattern(size, size), subject.clock)
          expectBytes(got.bytes, pattern(size, size), `packet of ${size} bytes`)
        }
        expectEqual(a.failures.items.length, 0, 'failures')
      }),
  },
  {
    id: 'TRA-8',
    title: 'a packet above packetBytesMax is reported to sendFailed and not sent',
    run: (subject) =>
      withParties(subject, 2, async (a, b) => {
        a.transport.send(b.address, new Uint8Array(a.transport.packetBytesMax + 1))
        const [failure] = await a.failures.take(1, 'a failure')
        expectTypedReason(failure?.cause, ['tooLarge'], 'too large')
        expectEqual(failure?.to, b.address, 'address of the failure')
        await sendUntilReceived(a, b, pattern(1), subject.clock)
        expectEqual(b.packets.items.length, 1, 'packets that arrived')
      }),
  },
  {
    id: 'TRA-9',
    title: 'received bytes belong to the receiver: later packets leave them alone',
    run: (subject) =>
      withParties(subject, 2, async (a, b) => {
        const kept: Uint8Array[] = []
        for (let round = 0; round < 50; round += 1) {
          const got = await sendUntilReceived(a, b, pattern(64, round), subject.clock)
          expectBytes(got.bytes, pattern(64, round), `packet ${round}`)
          kept.push(got.bytes)
          if (round % 2 === 1) got.bytes.fill(0xee)
        }
        for (const [round, bytes] of kept.entries()) {
          const expected = round % 2 === 1 ? new Uint8Array(64).fill(0xee) : pattern(64, round)
          expectBytes(bytes, expected, `kept packet ${round}`)
        }
      }),
  },
  {
    id: 'TRA-10',
    title: 'one packet sent to several leaves the bytes of the sender alone',
    run: (subject) =>
      withParties(subject, 3, async (a, b, c) => {
        const bytes = pattern(300)
        for (const to of [b, c]) {
          const got = await sendUntilReceived(a, to, bytes, subject.clock)
          got.bytes.fill(0)
          expectBytes(bytes, pattern(300), 'bytes of the sender')
        }
      }),
  },
  {
    id: 'TRA-11',
    title: 'a handler that throws loses only that packet, and is logged',
    async run(subject) {
      const transport = subject.open()
      const seen = new Mailbox<number>(subject.clock)
      const address = await transport.start({
        packet(_, bytes) {
          seen.put(bytes[0] ?? 0)
          if (bytes[0] === 1) throw new Error('a handler that throws')
        },
      })
      const before = subject.errorsLogged()
      for (const first of [1, 2]) {
        const count = seen.items.length
        for (let attempt = 0; attempt < 20 && seen.items.length === count; attempt += 1) {
          transport.send(address, Uint8Array.of(first))
          await seen.take(count + 1, 'a packet', 100).catch(() => {})
        }
      }
      await transport.stop()
      expectThat(seen.items.includes(2), 'nothing arrived after a handler threw')
      expectThat(subject.errorsLogged() > before, 'the error was not logged')
    },
  },
]

const failing: readonly ConformanceCase<PacketTransportSubject>[] = [
  {
    id: 'TRA-12',
    title: 'send never throws: what cannot be sent to is reported, typed, with its address',
    run: (subject) =>
      withParties(subject, 1, async (a) => {
        const { host } = a.address
        const bad = [
          { host: 'name.invalid', port: 7946 },
          { host: '', port: 7946 },
          { host, port: 0 },
          { host, port: 65_536 },
          { host, port: 1.5 },
        ]
        for (const to of bad) a.transport.send(to, pattern(3))
        const failures = await a.failures.take(bad.length, 'failures')
        for (const [index, failure] of failures.entries()) {
          expectTypedReason(failure.cause, ['address'], JSON.stringify(bad[index]))
          expectEqual(failure.to, bad[index], 'address of the failure')
        }
      }),
  },
  {
    id: 'TRA-13',
    title: 'send before start is dropped without a throw, after stop it is reported as stopped',
    async run(subject) {
      const early = subject.open()
      early.send({ host: '127.0.0.1', port: 9 }, pattern(3))
      await early.stop()
      const party = await join(subject)
      await party.transport.stop()
      party.transport.send(party.address, pattern(3))
      const [failure] = await party.failures.take(1, 'a failure')
      expectTypedReason(failure?.cause, ['stopped'], 'send after stop')
    },
  },
  {
    id: 'TRA-14',
    title:
      'a packet to an address where nobody listens may come back as refused and breaks nothing',
    needs: ['refused'],
    run: (subject) =>
      withParties(subject, 2, async (a, b) => {
        await b.transport.stop()
        for (let attempt = 0; attempt < 50 && a.failures.items.length === 0; attempt += 1) {
          a.transport.send(b.address, pattern(3))
          await pass(subject.clock, 20)
        }
        const [failure] = await a.failures.take(1, 'a refusal')
        expectTypedReason(failure?.cause, ['refused'], 'nobody listens')
        await sendUntilReceived(a, a, pattern(5), subject.clock)
      }),
  },
]

const stopping: readonly ConformanceCase<PacketTransportSubject>[] = [
  {
    id: 'TRA-15',
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
    id: 'TRA-16',
    title: 'no packet reaches a handler after stop resolved',
    run: (subject) =>
      withParties(subject, 2, async (a, b) => {
        for (let index = 0; index < 100; index += 1) a.transport.send(b.address, pattern(100))
        await b.transport.stop()
        const seen = b.packets.items.length
        for (let index = 0; index < 10; index += 1) a.transport.send(b.address, pattern(100))
        await pass(subject.clock, 50)
        expectEqual(b.packets.items.length, seen, 'packets seen after stop')
      }),
  },
  {
    id: 'TRA-17',
    title: 'stop while starting leaves nothing open',
    async run(subject) {
      const first = await join(subject)
      await first.transport.stop()
      const transport = subject.open(first.address.port)
      const started = transport.start(mailboxes(subject.clock)).then(
        () => 'started',
        () => 'rejected',
      )
      await within(subject.clock, 1_000, transport.stop(), 'stop while starting')
      await within(subject.clock, 1_000, started, 'start that was stopped')
      const next = await join(subject, first.address.port)
      await next.transport.stop()
    },
  },
  {
    id: 'TRA-18',
    title: 'the address is free again once stop resolved',
    async run(subject) {
      let port: number | undefined
      for (let round = 0; round < 5; round += 1) {
        const party = await join(subject, port)
        port = party.address.port
        await party.transport.stop()
      }
    },
  },
]

/** Everything a `PacketTransport` owes its users. Features: `refused`. */
export const packetTransportCases: readonly ConformanceCase<PacketTransportSubject>[] = [
  ...starting,
  ...packets,
  ...failing,
  ...stopping,
]
