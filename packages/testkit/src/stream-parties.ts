/** What the cases of stream transports share: two who talk, and what they say. */
import type { Address, ByteStream, Clock, StreamTransport } from '@kith/interface'
import { Mailbox, within } from './expect.ts'

export interface StreamTransportSubject {
  /** A new transport, not started, configured for port 0; with `port`, for that port. */
  open(port?: number): StreamTransport
  /** The clock the transports run on. */
  readonly clock: Clock
  /** How often the context's logger was given an error so far. */
  errorsLogged(): number
  /** An address that neither accepts nor refuses; feature `silent`. */
  silentAddress?(): Promise<Address> | Address
  /** Frees what `silentAddress` and the rest of the subject keep open. */
  [Symbol.asyncDispose]?(): PromiseLike<void>
}

export interface StreamParty {
  readonly transport: StreamTransport
  readonly address: Address
  readonly accepted: Mailbox<ByteStream>
  readonly clock: Clock
}

export async function join(subject: StreamTransportSubject, port?: number): Promise<StreamParty> {
  const transport = subject.open(port)
  const accepted = new Mailbox<ByteStream>(subject.clock)
  const address = await transport.start({ stream: (stream) => accepted.put(stream) })
  return { transport, address, accepted, clock: subject.clock }
}

export async function withParties(
  subject: StreamTransportSubject,
  count: number,
  body: (...parties: StreamParty[]) => Promise<void>,
): Promise<void> {
  const parties: StreamParty[] = []
  try {
    while (parties.length < count) parties.push(await join(subject))
    await body(...parties)
  } finally {
    for (const party of parties) await party.transport.stop()
  }
}

/** A stream from `from` to `to`, both ends, the caller's first. */
export async function connected(
  from: StreamParty,
  to: StreamParty,
): Promise<[ByteStream, ByteStream]> {
  const count = to.accepted.items.length
  const near = await within(from.clock, 5_000, from.transport.connect(to.address), 'connect')
  const accepted = await to.accepted.take(count + 1, 'a stream')
  return [near, accepted[count] as ByteStream]
}

/** `length` bytes whose content depends on `seed`, so that mixed up streams show. */
export function pattern(length: number, seed = 0): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let index = 0; index < length; index += 1) {
    bytes[index] = (index * 31 + seed * 17 + (index >> 8)) & 0xff
  }
  return bytes
}

/** Everything until the far side ended. */
export async function readAll(stream: ByteStream): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for (let bytes = await stream.read(); bytes !== undefined; bytes = await stream.read()) {
    chunks.push(bytes)
  }
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  let start = 0
  for (const chunk of chunks) {
    all.set(chunk, start)
    start += chunk.length
  }
  return all
}
