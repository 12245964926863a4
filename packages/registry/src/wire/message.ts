/**
 * What registries say to each other, as bytes. Every message opens with the protocol version and
 * its type; every count and length is bounded before anything is kept. `SPEC.md` has the layout.
 */
import type { ServiceInstance } from '@kith/interface'
import {
  type ByteReader,
  type ByteWriter,
  createReader,
  createMeter,
  createWriter,
} from './bytes.ts'
import { decodeInstance, writeInstance } from './instance.ts'
import {
  digestsMax,
  epochMax,
  fragmentBytesMax,
  fragmentsMax,
  idCharactersMax,
  instancesWireMax,
  isInstanceId,
  isMemberName,
  memberBytesMax,
  partsMax,
  versionMax,
  wantsMax,
} from './limits.ts'

export const protocolVersion = 1

/** Who speaks of whom, and as of when. */
export interface Header {
  readonly member: string
  readonly epoch: number
  readonly version: number
}

/** What one part says about one id. `version` is the owner's version at its last change. */
export type Entry =
  | { readonly kind: 'put'; readonly instance: ServiceInstance }
  | { readonly kind: 'remove'; readonly id: string }
  /** It exists and is larger than a broadcast: to be fetched. */
  | { readonly kind: 'large'; readonly id: string; readonly version: number }

/** The change from `version - 1` to `version`, in `parts` messages. */
export interface Delta extends Header {
  readonly kind: 'delta'
  readonly part: number
  readonly parts: number
  readonly draining: boolean
  readonly entries: readonly Entry[]
}

/** Everything at `version` whose id lies past `after` and not past `upto` (empty: no bound). */
export interface Snapshot extends Header {
  readonly kind: 'snapshot'
  readonly part: number
  readonly parts: number
  readonly draining: boolean
  readonly after: string
  readonly upto: string
  readonly entries: readonly Entry[]
}

/** There is this version with this hash; the rest is to be fetched. */
export interface Summary extends Header {
  readonly kind: 'summary'
  readonly hash: number
}

/**
 * Asks the owner, through everybody, to announce everything: its sender cannot reach it directly.
 */
export interface Solicit extends Header {
  readonly kind: 'solicit'
}

/**
 * A piece of a delta or a snapshot that fits into no single broadcast. It is about the member that
 * broadcasts it.
 */
export interface Fragment {
  readonly kind: 'fragment'
  readonly epoch: number
  readonly version: number
  /** Of the whole message. */
  readonly hash: number
  readonly index: number
  readonly count: number
  readonly piece: Uint8Array
}

export interface Digest extends Header {
  readonly hash: number
  /** False where the sender knows of `version` and does not hold all of it. */
  readonly complete: boolean
}

export interface Digests {
  readonly kind: 'digests'
  readonly digests: readonly Digest[]
}

/** The version in each header is what the sender knows of; it wants that or newer, whole. */
export interface FetchRequest {
  readonly kind: 'request'
  readonly wants: readonly Header[]
}

export interface FetchReply {
  readonly kind: 'reply'
  readonly snapshots: readonly Snapshot[]
}

export type Broadcast = Delta | Snapshot | Summary | Solicit | Fragment
export type Message = Broadcast | Digests | FetchRequest | FetchReply

export type DecodeFailure = 'unsupported' | 'malformed'
export type Decoded<Value> =
  | { readonly ok: true; readonly message: Value }
  | { readonly ok: false; readonly failure: DecodeFailure }

const codes: Readonly<Record<Message['kind'], number>> = Object.freeze({
  delta: 1,
  snapshot: 2,
  summary: 3,
  solicit: 4,
  digests: 5,
  request: 6,
  reply: 7,
  fragment: 8,
})

const entryCodes: Readonly<Record<Entry['kind'], number>> = Object.freeze({
  put: 1,
  remove: 2,
  large: 3,
})

export function encodeMessage(message: Message): Uint8Array {
  const writer = createWriter()
  writer.byte(protocolVersion)
  writer.byte(codes[message.kind])
  switch (message.kind) {
    case 'delta':
    case 'snapshot':
      writeStatement(writer, message)
      break
    case 'summary':
      writeHeader(writer, message)
      writer.uint32(message.hash)
      break
    case 'solicit':
      writeHeader(writer, message)
      break
    case 'fragment':
      writeFragment(writer, message)
      break
    case 'digests':
      writer.varint(message.digests.length)
      for (const digest of message.digests) writeDigest(writer, digest)
      break
    case 'request':
      writer.varint(message.wants.length)
      for (const want of message.wants) writeHeader(writer, want)
      break
    case 'reply':
      writer.varint(message.snapshots.length)
      for (const snapshot of message.snapshots) writeStatement(writer, snapshot)
      break
  }
  return writer.finish()
}

/** Encoded bytes of one entry, for those who fill messages up to a limit. */
export function entryBytes(entry: Entry): number {
  const meter = createMeter()
  writeEntry(meter, entry)
  return meter.length
}

export function digestBytes(digest: Digest): number {
  const meter = createMeter()
  writeDigest(meter, digest)
  return meter.length
}

function writeHeader(writer: ByteWriter, header: Header): void {
  writer.text(header.member)
  writer.varint(header.epoch)
  writer.varint(header.version)
}

function writeFragment(writer: ByteWriter, fragment: Fragment): void {
  writer.varint(fragment.epoch)
  writer.varint(fragment.version)
  writer.uint32(fragment.hash)
  writer.varint(fragment.index)
  writer.varint(fragment.count)
  writer.block(fragment.piece)
}

function writeStatement(writer: ByteWriter, message: Delta | Snapshot): void {
  writeHeader(writer, message)
  writer.varint(message.part)
  writer.varint(message.parts)
  writer.byte(message.draining ? 1 : 0)
  if (message.kind === 'snapshot') {
    writer.text(message.after)
    writer.text(message.upto)
  }
  writer.varint(message.entries.length)
  for (const entry of message.entries) writeEntry(writer, entry)
}

function writeEntry(writer: ByteWriter, entry: Entry): void {
  writer.byte(entryCodes[entry.kind])
  if (entry.kind === 'put') {
    writer.varint(entry.instance.version)
    writeInstance(writer, entry.instance)
    return
  }
  writer.text(entry.id)
  if (entry.kind === 'large') writer.varint(entry.version)
}

function writeDigest(writer: ByteWriter, digest: Digest): void {
  writeHeader(writer, digest)
  writer.uint32(digest.hash)
  writer.byte(digest.complete ? 1 : 0)
}

export function decodeBroadcast(bytes: Uint8Array): Decoded<Broadcast> {
  return decode(bytes, (reader, code) => {
    if (code === codes.delta) return readStatement(reader, 'delta')
    if (code === codes.snapshot) return readStatement(reader, 'snapshot')
    if (code === codes.summary) {
      return { kind: 'summary', ...readHeader(reader), hash: reader.uint32() }
    }
    if (code === codes.fragment) return readFragment(reader)
    return code === codes.solicit ? { kind: 'solicit', ...readHeader(reader) } : undefined
  })
}

export function decodeDigests(bytes: Uint8Array): Decoded<Digests> {
  return decode(bytes, (reader, code) => {
    if (code !== codes.digests) return undefined
    const digests = readList(reader, digestsMax, () => {
      const header = readHeader(reader)
      return { ...header, hash: reader.uint32(), complete: readFlag(reader) }
    })
    return { kind: 'digests', digests }
  })
}

export function decodeRequest(bytes: Uint8Array): Decoded<FetchRequest> {
  return decode(bytes, (reader, code) =>
    code === codes.request
      ? { kind: 'request', wants: readList(reader, wantsMax, () => readHeader(reader)) }
      : undefined,
  )
}

export function decodeReply(bytes: Uint8Array): Decoded<FetchReply> {
  return decode(bytes, (reader, code) =>
    code === codes.reply
      ? {
          kind: 'reply',
          snapshots: readList(
            reader,
            wantsMax,
            () => readStatement(reader, 'snapshot') as Snapshot,
          ),
        }
      : undefined,
  )
}

function decode<Value>(
  bytes: Uint8Array,
  read: (reader: ByteReader, code: number) => Value | undefined,
): Decoded<Value> {
  const reader = createReader(bytes)
  if (reader.byte() !== protocolVersion && !reader.failed)
    return { ok: false, failure: 'unsupported' }
  const message = read(reader, reader.byte())
  // Bytes after the end would be a second meaning that only some readers see.
  if (message === undefined || reader.failed || reader.left > 0)
    return { ok: false, failure: 'malformed' }
  return { ok: true, message }
}

function readHeader(reader: ByteReader): Header {
  const member = reader.text(memberBytesMax)
  if (!isMemberName(member)) reader.fail()
  return { member, epoch: reader.varint(epochMax), version: reader.varint(versionMax) }
}

function readFragment(reader: ByteReader): Fragment {
  const epoch = reader.varint(epochMax)
  const version = reader.varint(versionMax)
  const hash = reader.uint32()
  const index = reader.varint(fragmentsMax)
  const count = reader.varint(fragmentsMax)
  const piece = reader.block(fragmentBytesMax)
  if (count < 2 || index >= count || piece.length === 0) reader.fail()
  return { kind: 'fragment', epoch, version, hash, index, count, piece }
}

function readFlag(reader: ByteReader): boolean {
  const value = reader.byte()
  if (value > 1) reader.fail()
  return value === 1
}

function readList<Item>(reader: ByteReader, max: number, read: () => Item): Item[] {
  const items: Item[] = []
  const count = reader.varint(max)
  for (let index = 0; index < count && !reader.failed; index += 1) items.push(read())
  return items
}

function readStatement(reader: ByteReader, kind: 'delta' | 'snapshot'): Delta | Snapshot {
  const header = readHeader(reader)
  const part = reader.varint(partsMax)
  const parts = reader.varint(partsMax)
  if (part >= parts) reader.fail()
  const draining = readFlag(reader)
  const after = kind === 'snapshot' ? readBound(reader) : ''
  const upto = kind === 'snapshot' ? readBound(reader) : ''
  if (upto !== '' && upto < after) reader.fail()
  const ids = new Set<string>()
  const entries = readList(reader, instancesWireMax, () => {
    const entry = readEntry(reader, header)
    const id = entryId(entry)
    const within = id > after && (upto === '' || id <= upto)
    if (ids.has(id) || !within || (kind === 'snapshot' && entry.kind === 'remove')) reader.fail()
    ids.add(id)
    return entry
  })
  if (kind === 'delta') return { kind, ...header, part, parts, draining, entries }
  return { kind, ...header, part, parts, draining, after, upto, entries }
}

export function entryId(entry: Entry): string {
  return entry.kind === 'put' ? entry.instance.id : entry.id
}

function readBound(reader: ByteReader): string {
  const id = reader.text(idCharactersMax)
  if (id !== '' && !isInstanceId(id)) reader.fail()
  return id
}

const nothing: Entry = Object.freeze({ kind: 'remove', id: '' })

function readEntry(reader: ByteReader, header: Header): Entry {
  const code = reader.byte()
  if (code === entryCodes.put) {
    const version = reader.varint(header.version)
    const instance = decodeInstance(reader, header.member, version)
    return instance === undefined ? nothing : { kind: 'put', instance }
  }
  const id = reader.text(idCharactersMax)
  if (!isInstanceId(id)) reader.fail()
  if (code === entryCodes.remove) return { kind: 'remove', id }
  if (code !== entryCodes.large) reader.fail()
  return { kind: 'large', id, version: reader.varint(header.version) }
}
