// An import would reach the declarations that users get, and meet the type of browsers there.
// oxlint-disable-next-line typescript/triple-slash-reference
/// <reference path="./buffer-source.ts" />
/**
 * Messages of replication as bytes and back. Encoding trusts us; decoding trusts nothing: every
 * failure is a named problem, never an exception and never an allocation past a bound.
 */
import type { Chain, HelloMessage, OriginId, PullRequest, PullResponse } from '@kith/interface'
import { Decoder, Encoder } from '@msgpack/msgpack'
import {
  boolean,
  bytesOf,
  fields,
  identity,
  integer,
  list,
  Malformed,
  optionalChain,
  stateFromRow,
  stateToRow,
  text,
} from './fields.ts'
import type { Fields } from './fields.ts'
import { decodeFrame, encodeFrame, partKind } from './frame.ts'
import type { Allocate, Part } from './frame.ts'
import { wireLimits } from './limits.ts'
import { scan } from './scan.ts'

export type Decoded<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly problem: string }

export interface ChainRequest {
  readonly origin: OriginId
  readonly sequences: readonly number[]
}

export interface FetchRequest {
  readonly origin: OriginId
  readonly first: number
}

interface Format<Value> {
  encode(value: Value): Uint8Array
  decode(bytes: Uint8Array): Decoded<Value>
}

/** One a component: the encoder inside owns a scratch buffer. */
export interface Codec {
  readonly hello: Format<HelloMessage>
  readonly pullRequest: Format<PullRequest>
  readonly pullResponse: Format<PullResponse>
  readonly chainRequest: Format<ChainRequest>
  readonly chainResponse: Format<readonly (Chain | null)[]>
  readonly fetchRequest: Format<FetchRequest>
  readonly fetchResponse: Format<Uint8Array | undefined>
}

/** Rows of vectors a message holds at most of one kind, and how many share a part. */
const rowsPerPart = 64

interface Message {
  readonly header: Fields
  rows<Row>(kind: number, max: number, read: (row: unknown) => Row): Row[]
  batches(): Uint8Array[]
}

interface Packing {
  pack(type: string, header: Fields, parts: readonly Part[]): Uint8Array
  rows(kind: number, rows: readonly unknown[]): Part[]
  /** Runs `read` on a message of that type; what it finds wrong becomes the answer. */
  read<Value>(type: string, bytes: Uint8Array, read: (message: Message) => Value): Decoded<Value>
}

/** `allocate` gives the memory for what is encoded, which need not be zeroed. */
export function createCodec(allocate?: (bytes: number) => Uint8Array): Codec {
  const packing = createPacking(allocate)
  return {
    hello: helloFormat(packing),
    pullRequest: pullRequestFormat(packing),
    pullResponse: pullResponseFormat(packing),
    chainRequest: chainRequestFormat(packing),
    chainResponse: chainResponseFormat(packing),
    fetchRequest: fetchRequestFormat(packing),
    fetchResponse: fetchResponseFormat(packing),
  }
}

function createPacking(allocate?: Allocate): Packing {
  const encoder = new Encoder()
  const decoder = new Decoder()
  const pack = (value: unknown): Uint8Array => encoder.encode(value)
  const unpack = (bytes: Uint8Array): unknown => {
    const problem = scan(bytes)
    if (problem !== undefined) throw new Malformed(problem)
    try {
      return decoder.decode(bytes)
    } catch {
      // Of what the scan lets through, only a map with keys that are no strings.
      throw new Malformed('not msgpack')
    }
  }
  return {
    pack: (type, header, parts) =>
      encodeFrame({ header: pack({ ...header, t: type, n: parts.length }), parts }, allocate),
    rows(kind, rows) {
      const parts: Part[] = []
      packRows(rows, (chunk) => parts.push({ kind, bytes: chunk }), pack)
      return parts
    },
    read(type, bytes, read) {
      try {
        return { ok: true, value: read(openMessage(type, bytes, unpack)) }
      } catch (cause) {
        if (cause instanceof Malformed) return { ok: false, problem: cause.message }
        throw cause
      }
    },
  }
}

/** Halves a chunk until it fits: rows with many holes are large, most are small. */
function packRows(
  rows: readonly unknown[],
  emit: (bytes: Uint8Array) => void,
  pack: (value: unknown) => Uint8Array,
  size: number = rowsPerPart,
): void {
  for (let at = 0; at < rows.length; at += size) {
    const chunk = rows.slice(at, at + size)
    const bytes = pack(chunk)
    if (bytes.length <= wireLimits.rowsBytesMax || size === 1) emit(bytes)
    else packRows(chunk, emit, pack, Math.ceil(size / 8))
  }
}

function openMessage(
  type: string,
  bytes: Uint8Array,
  unpack: (bytes: Uint8Array) => unknown,
): Message {
  const frame = decodeFrame(bytes)
  if (typeof frame === 'string') throw new Malformed(frame)
  const header = fields(unpack(frame.header), 'header')
  if (header['t'] !== type) throw new Malformed(`not a ${type}`)
  // Counting the parts finds a body that was cut exactly between two of them.
  if (header['n'] !== frame.parts.length) throw new Malformed('parts are missing')
  return {
    header,
    rows(kind, max, read) {
      const rows: ReturnType<typeof read>[] = []
      for (const part of frame.parts) {
        if (part.kind !== kind) continue
        for (const row of list(unpack(part.bytes), 'rows', max - rows.length)) rows.push(read(row))
      }
      return rows
    },
    batches: () =>
      frame.parts.filter((part) => part.kind === partKind.batch).map((part) => part.bytes),
  }
}

function helloFormat({ pack, rows, read }: Packing): Format<HelloMessage> {
  return {
    encode: (hello) =>
      pack(
        'hello',
        {
          versions: hello.versions,
          cluster: hello.clusterId,
          log: bytesOf(hello.logId),
          member: hello.member,
          origin: bytesOf(hello.origin),
          durable: hello.durable,
          vectorVersion: hello.vectorVersion,
        },
        rows(partKind.state, hello.vector.map(stateToRow)),
      ),
    decode: (bytes) =>
      read('hello', bytes, (message) => ({
        versions: list(message.header['versions'], 'versions', wireLimits.versionsMax).map(
          (version) => integer(version, 'version', 1, 255),
        ),
        clusterId: text(message.header['cluster'], 'cluster'),
        logId: identity(message.header['log'], 'log', 16),
        member: text(message.header['member'], 'member'),
        origin: identity(message.header['origin'], 'origin', 16),
        durable: boolean(message.header['durable'], 'durable'),
        vector: readStates(message),
        vectorVersion: integer(message.header['vectorVersion'], 'vectorVersion', 0),
      })),
  }
}

function readStates(message: Message): HelloMessage['vector'] {
  const states = message.rows(partKind.state, wireLimits.vectorEntriesMax, stateFromRow)
  if (new Set(states.map((state) => state.origin)).size !== states.length) {
    throw new Malformed('an origin stands in the vector twice')
  }
  return states
}

function pullRequestFormat({ pack, rows, read }: Packing): Format<PullRequest> {
  return {
    encode: (request) =>
      pack(
        'pull',
        {
          log: bytesOf(request.logId),
          bytesMax: request.bytesMax,
          maxWaitMs: request.maxWaitMs,
          vectorVersion: request.vectorVersion,
        },
        [
          ...rows(
            partKind.want,
            request.want.map((want) => [
              bytesOf(want.origin),
              want.next,
              want.chain === null ? null : bytesOf(want.chain),
            ]),
          ),
          ...rows(
            partKind.ack,
            [...request.ack].map(([origin, next]) => [bytesOf(origin), next]),
          ),
          ...rows(
            partKind.ackChain,
            [...(request.ackChains ?? [])].map(([origin, chain]) => [
              bytesOf(origin),
              bytesOf(chain),
            ]),
          ),
          ...rows(partKind.ackFrom, fromsOf(request)),
        ],
      ),
    decode: (bytes) =>
      read('pull', bytes, (message) => ({
        logId: identity(message.header['log'], 'log', 16),
        bytesMax: integer(
          message.header['bytesMax'],
          'bytesMax',
          wireLimits.pullBytesMin,
          wireLimits.pullBytesMax,
        ),
        maxWaitMs: integer(message.header['maxWaitMs'], 'maxWaitMs', 0, wireLimits.waitMsMax),
        vectorVersion: integer(message.header['vectorVersion'], 'vectorVersion', 0),
        want: message.rows(partKind.want, wireLimits.wantsMax, (value) => {
          const row = list(value, 'want', 3)
          return {
            origin: identity(row[0], 'origin', 16),
            next: integer(row[1], 'next', 1),
            chain: optionalChain(row[2], 'chain'),
          }
        }),
        ...readAcks(message),
        ackChains: new Map(
          message.rows(partKind.ackChain, wireLimits.vectorEntriesMax, (value) => {
            const row = list(value, 'ack chain', 2)
            return [identity(row[0], 'origin', 16), identity(row[1], 'chain', 32)] as const
          }),
        ),
      })),
  }
}

/** In the order of the acknowledgements; none where not each of them has one. */
function fromsOf({ ack, ackFrom }: PullRequest): readonly number[] {
  const froms = [...ack.keys()].map((origin) => ackFrom?.get(origin) ?? 0)
  return froms.includes(0) ? [] : froms
}

function readAcks(message: Message): Pick<PullRequest, 'ack' | 'ackFrom'> {
  const acks = message.rows(partKind.ack, wireLimits.vectorEntriesMax, (value) => {
    const row = list(value, 'ack', 2)
    return [identity(row[0], 'origin', 16), integer(row[1], 'next', 1)] as const
  })
  const ack = new Map(acks)
  const froms = message.rows(partKind.ackFrom, wireLimits.vectorEntriesMax, (value) =>
    integer(value, 'from', 1),
  )
  if (froms.length === 0) return { ack }
  if (froms.length !== acks.length) throw new Malformed('not every acknowledgement says from where')
  const ackFrom = new Map<OriginId, number>()
  for (const [index, [origin, next]] of acks.entries()) {
    ackFrom.set(origin, integer(froms[index], 'from', 1, next))
  }
  return { ack, ackFrom }
}

function pullResponseFormat({ pack, rows, read }: Packing): Format<PullResponse> {
  return {
    encode: (response) =>
      pack(
        'data',
        {
          log: bytesOf(response.logId),
          more: response.more,
          vectorVersion: response.vectorVersion,
        },
        [
          ...rows(partKind.state, response.vector.map(stateToRow)),
          ...rows(
            partKind.gap,
            response.gaps.map((gap) => [
              bytesOf(gap.origin),
              gap.asked,
              gap.resume,
              bytesOf(gap.chainBefore),
            ]),
          ),
          ...rows(
            partKind.fork,
            response.forks.map((fork) => [
              bytesOf(fork.origin),
              fork.sequence,
              bytesOf(fork.chain),
            ]),
          ),
          ...response.batches.map((bytes) => ({ kind: partKind.batch, bytes })),
        ],
      ),
    decode: (bytes) => read('data', bytes, readPullResponse),
  }
}

function readPullResponse(message: Message): PullResponse {
  return {
    logId: identity(message.header['log'], 'log', 16),
    more: boolean(message.header['more'], 'more'),
    vectorVersion: integer(message.header['vectorVersion'], 'vectorVersion', 0),
    vector: readStates(message),
    gaps: message.rows(partKind.gap, wireLimits.wantsMax, (value) => {
      const row = list(value, 'gap', 4)
      const asked = integer(row[1], 'asked', 1)
      return {
        origin: identity(row[0], 'origin', 16),
        asked,
        resume: integer(row[2], 'resume', asked + 1),
        chainBefore: identity(row[3], 'chainBefore', 32),
      }
    }),
    forks: message.rows(partKind.fork, wireLimits.wantsMax, (value) => {
      const row = list(value, 'fork', 3)
      return {
        origin: identity(row[0], 'origin', 16),
        sequence: integer(row[1], 'sequence', 1),
        chain: identity(row[2], 'chain', 32),
      }
    }),
    batches: message.batches(),
  }
}

function chainRequestFormat({ pack, read }: Packing): Format<ChainRequest> {
  return {
    encode: (request) =>
      pack('chain', { origin: bytesOf(request.origin), sequences: request.sequences }, []),
    decode: (bytes) =>
      read('chain', bytes, ({ header }) => ({
        origin: identity(header['origin'], 'origin', 16),
        sequences: list(header['sequences'], 'sequences', wireLimits.chainsMax).map((sequence) =>
          integer(sequence, 'sequence', 1),
        ),
      })),
  }
}

function chainResponseFormat({ pack, read }: Packing): Format<readonly (Chain | null)[]> {
  return {
    encode: (chains) =>
      pack(
        'chains',
        { chains: chains.map((chain) => (chain === null ? null : bytesOf(chain))) },
        [],
      ),
    decode: (bytes) =>
      read('chains', bytes, ({ header }) =>
        list(header['chains'], 'chains', wireLimits.chainsMax).map((chain) =>
          optionalChain(chain, 'chain'),
        ),
      ),
  }
}

function fetchRequestFormat({ pack, read }: Packing): Format<FetchRequest> {
  return {
    encode: (request) =>
      pack('fetch', { origin: bytesOf(request.origin), first: request.first }, []),
    decode: (bytes) =>
      read('fetch', bytes, ({ header }) => ({
        origin: identity(header['origin'], 'origin', 16),
        first: integer(header['first'], 'first', 1),
      })),
  }
}

function fetchResponseFormat({ pack, read }: Packing): Format<Uint8Array | undefined> {
  return {
    encode: (batch) =>
      pack('batch', {}, batch === undefined ? [] : [{ kind: partKind.batch, bytes: batch }]),
    decode: (bytes) => read('batch', bytes, (message) => message.batches()[0]),
  }
}
