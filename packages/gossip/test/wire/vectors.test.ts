// Every captured vector: decoded through the public codec and written again, byte for byte.
import { toHex } from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import { describe, expect, it } from 'vitest'
import {
  createSealedDecoder,
  decodeConflictResponse,
  decodeCoordinate,
  decodePacket,
  decodeTags,
  encodeConflictResponse,
  encodeCoordinate,
  encodeMessage,
  encodePacket,
  encodeSerf,
  encodeState,
  encodeStream,
  encodeTags,
  openPacket,
  sealPacket,
  sealStream,
} from '../../src/wire/codec.ts'
import type { AnyStreamMessage, Dialect, Envelope } from '../../src/wire/codec.ts'
import type { AckMessage, PacketMessage, UserMessage } from '../../src/wire/message.ts'
import { decodeState, envelopeOf, hex, vector, vectorNames } from './support.ts'

const lab1 = new TextEncoder().encode('lab1')
const none = new Uint8Array(0)

interface PacketVector {
  readonly name: string
  /** What is inside, in order. */
  readonly kinds: readonly string[]
  readonly crc?: true
  readonly compress?: true
  readonly label?: Uint8Array
  readonly key?: true
  readonly dialect?: Dialect
}

/** The key of every encrypted vector, for AES-128. */
const key = hex('000102030405060708090a0b0c0d0e0f')

const packetVectors: readonly PacketVector[] = [
  { name: 'udp-ping', kinds: ['ping'] },
  { name: 'udp-ack-coord-plain', kinds: ['ack'] },
  { name: 'udp-ack-compressed', kinds: ['ack'], compress: true },
  {
    name: 'udp-crc-compound-alive-join',
    kinds: ['alive', 'alive', 'joinIntent'],
    crc: true,
  },
  {
    name: 'udp-crc-compress-compound',
    kinds: ['alive', 'alive', 'alive', 'joinIntent'],
    crc: true,
    compress: true,
  },
  { name: 'udp-compound-ping-suspect', kinds: ['ping', 'suspect'] },
  { name: 'udp-indirect-ping', kinds: ['indirectPing'] },
  { name: 'udp-nack', kinds: ['nack'] },
  { name: 'udp-dead', kinds: ['dead'], crc: true },
  { name: 'udp-dead-self', kinds: ['dead'], crc: true },
  { name: 'udp-serf-leave', kinds: ['leaveIntent'], crc: true },
  { name: 'udp-serf-leave-nosuch', kinds: ['leaveIntent'], crc: true },
  { name: 'udp-crc-userevent', kinds: ['userEvent'], crc: true },
  { name: 'udp-query-plain', kinds: ['query'], crc: true },
  { name: 'udp-query-ack', kinds: ['queryResponse'] },
  { name: 'udp-query-response', kinds: ['queryResponse'] },
  { name: 'udp-query-filters', kinds: ['ack', 'query'] },
  { name: 'udp-relay', kinds: ['relay'] },
  {
    name: 'udp-query-conflict',
    kinds: ['alive', 'alive', 'alive', 'joinIntent', 'query'],
    crc: true,
    compress: true,
  },
  { name: 'udp-conflict-response', kinds: ['queryResponse'] },
  { name: 'label-udp-ping', kinds: ['ping'], label: lab1 },
  { name: 'label-udp-ack-compressed', kinds: ['ack'], compress: true, label: lab1 },
  {
    name: 'label-udp-crc-compound-alive-join',
    kinds: ['alive', 'alive', 'joinIntent'],
    crc: true,
    label: lab1,
  },
  { name: 'label-udp-query', kinds: ['query'], crc: true, label: lab1, dialect: 'new' },
  { name: 'label-udp-relay', kinds: ['relay'], label: lab1, dialect: 'new' },
  { name: 'new-udp-ping-16byte-source', kinds: ['ping'], dialect: 'new' },
  { name: 'enc-udp-join', kinds: ['joinIntent'], crc: true, key: true },
  {
    name: 'enc-udp-compound',
    kinds: ['alive', 'alive', 'joinIntent'],
    crc: true,
    key: true,
  },
  { name: 'enc-udp-ack', kinds: ['ack'], key: true },
  { name: 'enc-udp-query-install-key', kinds: ['query', 'query'], crc: true, key: true },
  { name: 'enc-udp-key-response', kinds: ['queryResponse'], key: true },
  { name: 'label-enc-udp-ping', kinds: ['ping'], label: lab1, key: true, dialect: 'new' },
  {
    name: 'label-enc-udp-compound',
    kinds: ['alive', 'alive', 'joinIntent'],
    crc: true,
    label: lab1,
    key: true,
  },
]

interface StreamVector {
  readonly name: string
  readonly kind: string
  /** Names of the rows of a push/pull. */
  readonly rows?: readonly string[]
  readonly compress: boolean
  readonly label?: Uint8Array
  readonly key?: true
  /** The far side's half of the stream: without a label header, also where there is a label. */
  readonly answer?: true
  readonly dialect?: Dialect
}

const streamVectors: readonly StreamVector[] = [
  { name: 'tcp-pushpull-join-request', kind: 'pushPull', rows: ['b'], compress: true },
  { name: 'tcp-pushpull-join-response', kind: 'pushPull', rows: ['a'], compress: true },
  {
    name: 'tcp-pushpull-events-request',
    kind: 'pushPull',
    rows: ['c', 'a', 'b'],
    compress: true,
  },
  {
    name: 'tcp-pushpull-events-response',
    kind: 'pushPull',
    rows: ['b', 'a', 'c'],
    compress: true,
  },
  { name: 'tcp-pushpull-ipv6-request', kind: 'pushPull', rows: ['v6b'], compress: true },
  { name: 'tcp-ping', kind: 'ping', compress: true },
  { name: 'tcp-ping-ack', kind: 'ack', compress: true },
  { name: 'tcp-err', kind: 'error', compress: true },
  {
    name: 'label-tcp-pushpull-request',
    kind: 'pushPull',
    rows: ['b'],
    compress: true,
    label: lab1,
    dialect: 'new',
  },
  {
    name: 'label-tcp-pushpull-response',
    kind: 'pushPull',
    rows: ['a'],
    compress: true,
    dialect: 'new',
  },
  { name: 'label-tcp-err', kind: 'error', compress: true, dialect: 'new' },
  {
    name: 'mixed-tcp-pushpull-old-request',
    kind: 'pushPull',
    rows: ['new5', 'old3', 'new2', 'mid4', 'old1'],
    compress: true,
  },
  {
    name: 'mixed-tcp-pushpull-new-response',
    kind: 'pushPull',
    rows: ['new5', 'old3', 'new2', 'mid4', 'old1'],
    compress: true,
    dialect: 'new',
  },
  {
    name: 'new-tcp-pushpull-16byte-addr',
    kind: 'pushPull',
    rows: ['x'],
    compress: false,
    dialect: 'new',
  },
  { name: 'enc-tcp-pushpull-request', kind: 'pushPull', rows: ['e2'], compress: true, key: true },
  { name: 'enc-tcp-pushpull-response', kind: 'pushPull', rows: ['e1'], compress: false, key: true },
  {
    name: 'label-enc-tcp-pushpull-request',
    kind: 'pushPull',
    rows: ['b'],
    compress: false,
    label: lab1,
    key: true,
    dialect: 'new',
  },
  {
    name: 'label-enc-tcp-pushpull-response',
    kind: 'pushPull',
    rows: ['a'],
    compress: false,
    label: lab1,
    key: true,
    answer: true,
    dialect: 'new',
  },
]

const decodeOnly = ['accepted-tcp-pushpull-plain']

/** Captured vectors of layers that are not built yet, by the reason. */
const notCovered: Readonly<Record<string, readonly string[]>> = {
  'belongs to the RPC protocol, another package': [
    'rpc-event-request',
    'rpc-event-response',
    'rpc-installkey-request',
    'rpc-listkeys-error-response',
    'rpc-listkeys-response',
    'rpc-members-request',
    'rpc-members-response',
    'rpc-monitor-request',
    'rpc-query-request',
    'rpc-query-response',
    'rpc-reachability-request',
    'rpc-rtt-request',
    'rpc-rtt-response',
    'rpc-stats-response',
    'rpc-stream-respond-request',
    'rpc-stream-respond-response',
    'rpc-tags-request',
  ],
}

/** The message written from its fields alone: nothing of the received bytes is copied. */
function rewrite(message: PacketMessage, dialect: Dialect): Uint8Array {
  if (message.kind === 'user') return encodeMessage(rewriteUser(message, dialect), dialect)
  if (message.kind === 'ack') return encodeMessage(rewriteAck(message), dialect)
  if (message.kind !== 'alive') return encodeMessage(message, dialect)
  return encodeMessage({ ...message, meta: rewriteTags(message.meta) }, dialect)
}

/** Every captured ack carries a coordinate. */
function rewriteAck(message: AckMessage): AckMessage {
  const coordinate = decodeCoordinate(message.payload)
  if (typeof coordinate === 'string') throw new Error(coordinate)
  return { ...message, payload: encodeCoordinate(coordinate) }
}

function rewriteUser(message: UserMessage, dialect: Dialect): UserMessage {
  const serf = message.message
  if (serf === undefined) throw new Error('a Serf message that does not decode')
  if (serf.kind !== 'relay') return { ...message, bytes: encodeSerf(serf, dialect) }
  const inner = decodePacket(Uint8Array.of(8, ...serf.body), nodeDigests).messages[0]
  if (inner?.kind !== 'user') throw new Error('a relay without a message')
  const body = rewriteUser(inner, dialect).bytes
  return { ...message, bytes: encodeSerf({ ...serf, body }, dialect) }
}

function rewriteTags(meta: Uint8Array): Uint8Array {
  const tags = decodeTags(meta)
  if (tags === undefined) throw new Error('meta that does not decode')
  return encodeTags(tags)
}

function rewriteStream(message: AnyStreamMessage, dialect: Dialect): AnyStreamMessage {
  if (message.kind !== 'pushPull') return message
  const state = decodeState(message.userState)
  if (state === undefined) throw new Error('a user state that does not decode')
  const rows = [...message.rows].map((row) => ({ ...row, meta: rewriteTags(row.meta) }))
  return { ...message, rows, userState: encodeState(state, dialect) }
}

/** What was around captured bytes; what it seals gets the nonce that they have at `nonceAt`. */
function capturedEnvelope(
  bytes: Uint8Array,
  { label = none, key: encrypted }: { readonly label?: Uint8Array; readonly key?: true },
  nonceAt = 0,
): Envelope {
  const nonce = bytes.subarray(nonceAt, nonceAt + 12)
  return envelopeOf({ label, keys: encrypted ? [key] : [], nonce: () => nonce })
}

function headerLength(label: Uint8Array | undefined): number {
  return label === undefined ? 0 : 2 + label.length
}

function kindOf(message: PacketMessage): string {
  return message.kind === 'user' ? (message.message?.kind ?? 'unknown') : message.kind
}

function rowNames(message: AnyStreamMessage): readonly string[] | undefined {
  if (message.kind !== 'pushPull') return undefined
  return [...message.rows].map((row) => row.name).toSorted()
}

function wholeStream(
  bytes: Uint8Array,
  envelope: Envelope = envelopeOf(),
  side: 'opener' | 'answerer' = 'opener',
): AnyStreamMessage {
  const step = createSealedDecoder(envelope, side).push(bytes)
  if (step.kind !== 'message') throw new Error(JSON.stringify(step))
  expect(step.problems).toEqual([])
  return step.message
}

describe('GOS-1 captured packets decode and are written again byte for byte', () => {
  it.each(packetVectors)('GOS-1 $name', (captured) => {
    const { name, kinds, crc, compress, label, dialect } = captured
    const bytes = vector(name)
    const envelope = capturedEnvelope(bytes, captured, headerLength(label) + 1)
    const { bytes: inner = none, problem } = openPacket(envelope, bytes)
    expect(problem).toBeUndefined()
    const { messages, problems } = decodePacket(inner, nodeDigests)
    expect(problems).toEqual([])
    expect(messages.map(kindOf)).toEqual(kinds)
    const parts = messages.map((message) => rewrite(message, dialect ?? 'old'))
    const options = { crc: crc ? nodeDigests : undefined, compress: compress ?? false }
    expect(toHex(sealPacket(envelope, encodePacket(parts, options)))).toBe(toHex(bytes))
  })
})

describe('GOS-1 captured streams decode and are written again byte for byte', () => {
  it.each(streamVectors)('GOS-1 $name', (captured) => {
    const { name, kind, rows, compress, label, answer, dialect } = captured
    const bytes = vector(name)
    const side = answer ? 'answerer' : 'opener'
    const frameAt = answer ? 0 : headerLength(label)
    const envelope = capturedEnvelope(bytes, captured, frameAt + 5 + 1)
    const message = wholeStream(bytes, envelope, side)
    expect(message.kind).toBe(kind)
    expect(rowNames(message)).toEqual(rows?.toSorted())
    const written = encodeStream(rewriteStream(message, dialect ?? 'old'), {
      compress,
      dialect: dialect ?? 'old',
    })
    expect(toHex(sealStream(envelope, written, side))).toBe(toHex(bytes))
  })

  it.each(streamVectors)('GOS-1 $name in pieces of one byte', (captured) => {
    const { name, answer } = captured
    const bytes = vector(name)
    const envelope = capturedEnvelope(bytes, captured)
    const decoder = createSealedDecoder(envelope, answer ? 'answerer' : 'opener')
    for (const byte of bytes.subarray(0, -1)) {
      expect(decoder.push(Uint8Array.of(byte)).kind).toBe('more')
    }
    expect(decoder.push(bytes.subarray(-1)).kind).toBe('message')
  })
})

describe('GOS-1 values', () => {
  it('GOS-1 decodes what others wrote with unsorted keys', () => {
    const message = wholeStream(vector('accepted-tcp-pushpull-plain'))
    if (message.kind !== 'pushPull') throw new Error(message.kind)
    expect([...message.rows].map((row) => row.versions)).toEqual([[1, 5, 2, 2, 5, 4]])
    const state = decodeState(message.userState)
    expect(state?.events.map((slot) => slot?.events.map(({ name }) => name))).toEqual([['hist']])
    expect(state?.leftMembers).toEqual([])
  })

  it('GOS-1 reads the fields of a query as Serf meant them', () => {
    const [message] = decodePacket(vector('udp-query-plain'), nodeDigests).messages
    expect(message?.kind === 'user' && message.message).toMatchObject({
      lamportTime: 1n,
      id: 1_547_668_470,
      address: Uint8Array.of(127, 0, 0, 11),
      port: 17_946,
      sourceNode: 'a',
      filters: [],
      flags: 1,
      relayFactor: 0,
      timeoutNs: 3_200_000_000n,
      name: 'uptime',
      payload: new TextEncoder().encode('now'),
    })
  })

  it('GOS-1 reads the filters of a query', () => {
    const message = decodePacket(vector('udp-query-filters'), nodeDigests).messages[1]
    expect(message?.kind === 'user' && message.message).toMatchObject({
      filters: [
        { kind: 'names', names: ['b'] },
        { kind: 'tag', tag: 'role', expression: 'd.*' },
      ],
    })
  })

  it('GOS-130 reads the coordinate of an ack as Serf meant it', () => {
    const [message] = decodePacket(vector('udp-ack-coord-plain'), nodeDigests).messages
    const payload = message?.kind === 'ack' ? message.payload : none
    expect(payload).toHaveLength(130)
    const coordinate = decodeCoordinate(payload)
    if (typeof coordinate === 'string') throw new Error(coordinate)
    expect(coordinate).toMatchObject({
      adjustment: 1.2993294680985743e-5,
      error: 1.4130309555683633,
      height: 2.6087956853461214e-5,
    })
    expect(coordinate.vector).toHaveLength(8)
    expect(coordinate.vector[0]).toBe(1.0211697007576649e-6)
  })

  it('GOS-1 reads and writes the answer to a name conflict', () => {
    const [message] = decodePacket(vector('udp-conflict-response'), nodeDigests).messages
    const response = message?.kind === 'user' ? message.message : undefined
    const payload = response?.kind === 'queryResponse' ? response.payload : none
    const member = decodeConflictResponse(payload)
    expect(member).toMatchObject({
      name: 'v3',
      address: Uint8Array.of(127, 0, 0, 32),
      port: 37_946,
      status: 1,
      versions: [1, 5, 2, 2, 5, 5],
    })
    if (member === undefined || member === 'nobody') throw new Error('no member')
    expect(encodeConflictResponse(member)).toEqual(payload)
    expect(decodeConflictResponse(encodeConflictResponse(undefined))).toBe('nobody')
  })

  it('GOS-1 reads buffered events and status times of a state', () => {
    const message = wholeStream(vector('tcp-pushpull-events-request'))
    const state = decodeState(message.kind === 'pushPull' ? message.userState : none)
    expect(state?.events.length).toBe(512)
    expect(state?.events[1]?.events.map(({ name }) => name)).toEqual(['deploy', 'hello'])
    expect(state?.statusTimes).toEqual(
      new Map([
        ['c', 2n],
        ['a', 0n],
        ['b', 1n],
      ]),
    )
  })
})

it('GOS-1 every captured vector is listed, with its test or with the reason for none', () => {
  const tested = [...packetVectors, ...streamVectors].map(({ name }) => name)
  const names = vectorNames()
  expect(names.toSorted()).toEqual([...tested, ...decodeOnly].toSorted())
  const later = Object.values(notCovered).flat()
  expect(new Set([...names, ...later]).size).toBe(69)
})
