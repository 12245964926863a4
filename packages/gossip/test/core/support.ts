/** One core and everything it says, driven by hand: inputs as messages, outputs decoded. */
import { nodeDigests } from '@kith/interface/node'
import { createRandom } from '@kith/interface'
import type { Address } from '@kith/interface'
import {
  coreStats,
  createState,
  member,
  nextDeadline,
  resolveOptions,
  step,
} from '../../src/core/index.ts'
import type {
  Command,
  CoreStats,
  GossipEvent,
  GossipTimings,
  Input,
  Output,
  Policy,
  Profile,
  State,
} from '../../src/core/index.ts'
import {
  addressBytes,
  createStreamDecoder,
  decodePacket,
  encodeMessage,
  encodePacket,
  encodeTags,
  userMessage,
} from '../../src/wire/codec.ts'
import type {
  AliveMessage,
  PacketMessage,
  PushPullMessage,
  PushPullRow,
  SerfMessage,
  StreamMessage,
  Versions,
} from '../../src/wire/message.ts'

export const selfName = 'self'
export const selfAddress: Address = { host: '10.0.0.1', port: 7946 }
export const versions: Versions = [1, 5, 2, 2, 5, 5]

export interface Sent {
  readonly at: number
  readonly to: Address
  readonly messages: readonly PacketMessage[]
}

export interface CoreOptions {
  readonly seed?: number
  readonly profile?: Profile
  readonly timings?: Partial<GossipTimings>
  readonly policy?: Policy
  /** Default: `selfName` at `selfAddress`. */
  readonly name?: string
  readonly address?: Address
  /** Leaves the start to the test. */
  readonly start?: boolean
}

export class Core {
  now = 0
  readonly state: State
  readonly outputs: Output[] = []
  readonly sent: Sent[] = []
  readonly events: { readonly at: number; readonly event: GossipEvent }[] = []

  constructor(options: CoreOptions = {}) {
    const { seed = 1, profile = 'lan', timings = {}, policy = {} } = options
    this.state = createState(
      {
        name: options.name ?? selfName,
        address: options.address ?? selfAddress,
        tags: { role: 'web' },
        timings: resolveOptions(profile, timings),
        digests: nodeDigests,
        policy,
      },
      createRandom(seed),
    )
    if (options.start !== false) this.command({ kind: 'start' })
  }

  input(input: Input): readonly Output[] {
    const outputs = step(this.state, input, this.now)
    for (const output of outputs) {
      this.outputs.push(output)
      if (output.kind === 'event') this.events.push({ at: this.now, event: output.event })
      if (output.kind !== 'send') continue
      const { messages, problems } = decodePacket(output.bytes, nodeDigests)
      if (problems.length > 0) throw new Error(`the core sent ${problems[0]?.kind}`)
      this.sent.push({ at: this.now, to: output.to, messages })
    }
    return outputs
  }

  command(command: Command): readonly Output[] {
    return this.input({ kind: 'command', command })
  }

  /** One datagram of these messages. */
  tell(...messages: readonly PacketMessage[]): readonly Output[] {
    const parts = messages.map((message) => encodeMessage(message))
    return this.input({ kind: 'packet', from: addressOf('x'), bytes: encodePacket(parts) })
  }

  tellSerf(message: SerfMessage): readonly Output[] {
    return this.tell(userMessage(message))
  }

  /** Runs every deadline until then. */
  advanceTo(ms: number): void {
    for (let at = nextDeadline(this.state); at !== undefined && at <= ms;) {
      this.now = Math.max(this.now, at)
      this.input({ kind: 'deadline' })
      at = nextDeadline(this.state)
    }
    this.now = ms
  }

  /** Members known to be alive, one after another. */
  know(...names: readonly string[]): void {
    for (const name of names) this.tell(alive(name))
  }

  /** Messages of one kind sent so far, with when and where. */
  sentOf<Kind extends PacketMessage['kind']>(
    kind: Kind,
  ): {
    readonly at: number
    readonly to: Address
    readonly message: Extract<PacketMessage, { kind: Kind }>
  }[] {
    return this.sent.flatMap(({ at, to, messages }) =>
      messages.flatMap((message) =>
        message.kind === kind
          ? [{ at, to, message: message as Extract<PacketMessage, { kind: Kind }> }]
          : [],
      ),
    )
  }

  eventsOf<Kind extends GossipEvent['kind']>(
    kind: Kind,
  ): readonly (GossipEvent & { kind: Kind })[] {
    return this.events.flatMap(({ event }) =>
      event.kind === kind ? [event as GossipEvent & { kind: Kind }] : [],
    )
  }

  /** Requests over streams so far, decoded. */
  requests(): { readonly id: number; readonly to: Address; readonly message: StreamMessage }[] {
    return this.outputs.flatMap((output) =>
      output.kind === 'request'
        ? [{ id: output.id, to: output.to, message: decodeStream(output.bytes) }]
        : [],
    )
  }

  entry(name: string): { readonly state: string; readonly incarnation: number } | undefined {
    const entry = this.state.entries.get(name)
    return entry && { state: entry.state, incarnation: entry.incarnation }
  }

  status(name: string): string | undefined {
    return member(this.state, name)?.status
  }

  stats(): CoreStats {
    return coreStats(this.state)
  }

  counter(kind: string): number {
    return this.state.counters.get(kind) ?? 0
  }

  /** What is queued about a member: the last thing the core wants everyone to hear of it. */
  queuedAbout(name: string): PacketMessage | undefined {
    const item = this.state.broadcasts.byAbout.get(name)
    return item && decodePacket(item.bytes, nodeDigests).messages[0]
  }
}

/** Every name has an address of its own. */
export function addressOf(name: string): Address {
  if (name === selfName) return selfAddress
  let hash = 7
  for (const character of name) hash = (hash * 31 + character.charCodeAt(0)) % 60_000
  return { host: `10.1.${hash >> 8}.${hash & 255}`, port: 7946 }
}

export function bytesOf(address: Address): Uint8Array {
  const bytes = addressBytes(address.host)
  if (bytes === undefined) throw new Error(`${address.host} is no literal`)
  return bytes
}

export function meta(tags: Readonly<Record<string, string>> = { 'kith.v': '1' }): Uint8Array {
  return encodeTags(new Map(Object.entries(tags)))
}

export function alive(name: string, changes: Partial<AliveMessage> = {}): AliveMessage {
  const address = addressOf(name)
  return {
    kind: 'alive',
    incarnation: 1,
    node: name,
    address: bytesOf(address),
    port: address.port,
    meta: meta(),
    versions,
    ...changes,
  }
}

export function suspect(node: string, from: string, incarnation = 1): PacketMessage {
  return { kind: 'suspect', node, from, incarnation }
}

export function dead(node: string, from: string, incarnation = 1): PacketMessage {
  return { kind: 'dead', node, from, incarnation }
}

export function row(name: string, changes: Partial<PushPullRow> = {}): PushPullRow {
  const { node, address, port, incarnation } = alive(name)
  return {
    name: node,
    address,
    port,
    meta: meta(),
    incarnation,
    state: 'alive',
    versions,
    ...changes,
  }
}

export function pushPull(
  rows: readonly PushPullRow[],
  changes: Partial<PushPullMessage> = {},
): PushPullMessage {
  return { kind: 'pushPull', join: false, rows, userState: new Uint8Array(0), ...changes }
}

export function decodeStream(bytes: Uint8Array): StreamMessage {
  const result = createStreamDecoder().push(bytes)
  if (result.kind !== 'message') throw new Error(`the core wrote a stream that is ${result.kind}`)
  const { message } = result
  if (message.kind === 'fetch' || message.kind === 'fetchReply') throw new Error('a fetch')
  return message
}
