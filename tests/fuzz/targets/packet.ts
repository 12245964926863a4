/** Datagrams, in the clear and sealed with a right key. */
import { nodeDigests } from '@kith/interface/node'
import { openPacket, sealPacket } from '../../../packages/gossip/src/wire/envelope.ts'
import { compressLzw, decompressLzw } from '../../../packages/gossip/src/wire/lzw.ts'
import { encodeMessage } from '../../../packages/gossip/src/wire/memberlist.ts'
import type { PacketMessage } from '../../../packages/gossip/src/wire/message.ts'
import {
  decodePacket,
  encodePacket,
  wrapCompress,
} from '../../../packages/gossip/src/wire/packet.ts'
import {
  decodeConflictResponse,
  decodeSerf,
  encodeConflictResponse,
  encodeSerf,
} from '../../../packages/gossip/src/wire/serf.ts'
import {
  decodeKeyRequest,
  decodeKeyResponse,
  encodeKeyResponse,
} from '../../../packages/gossip/src/wire/key-message.ts'
import { decodeCoordinate } from '../../../packages/gossip/src/wire/coordinate.ts'
import { decodeTags, encodeTags, tagsRecord } from '../../../packages/gossip/src/wire/tags.ts'
import { msgpackMutator } from '../mutate-msgpack.ts'
import { holds, sameBytes, sizeOfBomb } from '../target.ts'
import type { FuzzTarget, Mutator } from '../target.ts'
import { captured, envelopeWith, gossipWords } from './gossip-support.ts'

const envelope = envelopeWith('fuzz')
/** Version, nonce and tag. */
const sealBytes = 29
const open = { ...envelopeWith(''), keys: () => [] }

const withChecksum: Mutator = (bytes) =>
  bytes.length === 0 ? bytes : encodePacket([bytes.subarray(0, 0xffff)], { crc: nodeDigests })

const compressed: Mutator = (bytes) => wrapCompress(bytes)

/** A checksum that fits, where there is one: damage inside would not be reached otherwise. */
const mended: Mutator = (bytes) => {
  if (bytes[0] !== 12 || bytes.length < 5) return bytes
  const copy = bytes.slice()
  new DataView(copy.buffer).setUint32(1, nodeDigests.crc32(copy.subarray(5)))
  return copy
}

const beside: Mutator = (bytes, random, other) => {
  const parts = Array.from({ length: 1 + random.below(4) }, () =>
    random.below(2) === 0 ? bytes : other,
  ).filter((part) => part.length > 0 && part.length <= 0xffff)
  return parts.length === 0 ? bytes : encodePacket([...parts, parts[0] ?? bytes])
}

/** Changes inside of a compressed packet: opened, bent, and compressed again. */
const bentInside: Mutator = (bytes, random) => {
  const at = bytes.indexOf(0xa3, 1)
  if (bytes[0] !== 9 || at < 0) return bytes
  const start = bytes.findIndex((byte, index) => index > at + 3 && byte >= 0xa0)
  const plain = start < 0 ? 'malformed' : decompressLzw(bytes.subarray(start + 1), 65_536)
  if (typeof plain === 'string' || plain.length === 0) return bytes
  plain[random.below(plain.length)] = random.below(256)
  return wrapCompress(plain)
}

const bomb: Mutator = (bytes, random) => {
  const plain = new Uint8Array(sizeOfBomb(random, 100_000)).fill(bytes[0] ?? 0)
  plain.set(bytes.subarray(0, plain.length))
  return random.below(2) === 0 ? wrapCompress(plain) : compressLzw(plain)
}

function checkUser(bytes: Uint8Array): void {
  const message = decodeSerf(bytes)
  if (message === undefined) return
  const again = encodeSerf(message)
  const twice = decodeSerf(again)
  holds(twice !== undefined, `a ${message.kind} is not read back`)
  holds(sameBytes(encodeSerf(twice), again), `a ${message.kind} changes when it is written again`)
  if (message.kind === 'query') decodeKeyRequest(message.payload)
  if (message.kind !== 'queryResponse') return
  const member = decodeConflictResponse(message.payload)
  if (member !== undefined && member !== 'nobody') {
    const written = encodeConflictResponse(member)
    const read = decodeConflictResponse(written)
    holds(read !== undefined && read !== 'nobody', 'an answer about a name is not read back')
    holds(sameBytes(encodeConflictResponse(read), written), 'an answer about a name changes')
  }
  const keysKnown = decodeKeyResponse(message.payload)
  if (keysKnown !== undefined) {
    const written = encodeKeyResponse(keysKnown)
    const read = decodeKeyResponse(written)
    holds(read !== undefined, 'an answer about keys is not read back')
    holds(sameBytes(encodeKeyResponse(read), written), 'an answer about keys changes')
  }
}

/** Tags written again are the same, and none of them reaches a prototype. */
export function checkTags(meta: Uint8Array): void {
  const tags = decodeTags(meta)
  if (tags === undefined) return
  const read = decodeTags(encodeTags(tags))
  holds(read?.size === tags.size, 'tags are lost')
  const record = tagsRecord(tags)
  holds(Object.getPrototypeOf(record) === null, 'tags have a prototype')
  for (const [key, value] of tags) {
    holds(read.get(key) === value && record[key] === value, 'a tag changes')
  }
}

function checkMessage(message: PacketMessage): void {
  const written = encodeMessage(message)
  const { messages, problems } = decodePacket(written, nodeDigests)
  const [read] = messages
  holds(read !== undefined && problems.length === 0, `a ${message.kind} is not read back`)
  holds(sameBytes(encodeMessage(read), written), `a ${message.kind} changes`)
  if (message.kind === 'user') checkUser(message.bytes)
  if (message.kind === 'alive') checkTags(message.meta)
  if (message.kind === 'ack') decodeCoordinate(message.payload)
}

function checkSealed(bytes: Uint8Array, flip: number): void {
  const sealed = sealPacket(envelope, bytes)
  const opened = openPacket(envelope, sealed.slice()).bytes
  holds(opened !== undefined && sameBytes(opened, bytes), 'a sealed packet does not open')
  const damaged = sealed.slice()
  const at = flip % damaged.length
  damaged[at] = (damaged[at] ?? 0) ^ (1 << (flip & 7))
  // memberlist's version byte is not authenticated: as version 0 an end that looks like padding
  // goes, and nothing else.
  const asPadded = damaged[sealed.length - bytes.length - sealBytes] === 0
  const broken = openPacket(envelope, damaged).bytes
  const cut = asPadded && broken !== undefined && sameBytes(broken, bytes.slice(0, broken.length))
  holds(broken === undefined || cut, 'a damaged packet opens')
  // As it came: what somebody without a key sends.
  holds(openPacket(envelope, bytes.slice()).bytes === undefined, 'a packet opens without a key')
  openPacket(open, bytes.slice())
}

export const packet: FuzzTarget = {
  bytesMax: 65_536,
  seeds: () => captured(/^(?!.*tcp).*\.hex$/),
  words: gossipWords,
  mutators: [
    ...Array.from({ length: 6 }, () => msgpackMutator([1, 2, 6])),
    withChecksum,
    mended,
    mended,
    compressed,
    beside,
    bentInside,
    bomb,
  ],
  ends: ['read', 'crcMismatch', 'messageMalformed', 'typeUnknown', 'compressMalformed'],
  check(bytes, random) {
    const { messages, problems } = decodePacket(bytes.slice(), nodeDigests)
    holds(messages.length <= 1024, 'too many messages')
    holds(problems.length <= 1026, 'too many problems')
    // An empty compound says nothing and has nothing wrong, wherever it stands.
    const layered = [7, 9, 12].includes(bytes[0] ?? 0)
    holds(layered || messages.length + problems.length > 0, 'a packet is lost')
    // A few of many: what is the same a thousand times shows nothing more.
    if (random.below(2) === 0) messages.slice(0, 8).forEach(checkMessage)
    if (random.below(16) === 0) checkSealed(bytes, random.uint32())
    return problems[0]?.kind ?? 'read'
  },
}
