/**
 * One direction of one stream: a single message, maybe compressed, that tells its own end. The
 * decoder takes bytes as they come, holds no more than a bound, and trusts no announced length.
 */
import { releaseBytes } from '@kith/interface'
import { encodeFetch, fetchType, readFetch, readFetchReply } from './fetch.ts'
import { LzwReader } from './lzw.ts'
import { encodeMessage, messageType, readStruct } from './memberlist.ts'
import type { FetchMessage, FetchReplyMessage, StreamMessage } from './message.ts'
import { MsgpackReader, MsgpackWriter } from './msgpack.ts'
import type { Dialect } from './msgpack.ts'
import { readCompress, wrapCompress } from './packet.ts'
import type { DecodeProblem, DecodeProblemKind } from './problem.ts'
import { encodePushPull, readHeader, readRow } from './push-pull.ts'
import { ByteQueue } from './queue.ts'
import { PackedRows } from './rows.ts'
import { decodeSerf } from './serf.ts'

export type AnyStreamMessage = StreamMessage | FetchMessage | FetchReplyMessage

export interface StreamOptions {
  readonly compress?: boolean
  readonly dialect?: Dialect
}

/** One direction of one stream, whole. Compressed even where that is larger, as memberlist does. */
export function encodeStream(message: AnyStreamMessage, options: StreamOptions = {}): Uint8Array {
  const plain = encodePlain(message, options.dialect ?? 'old')
  const compress = options.compress === true && !message.kind.startsWith('fetch')
  return compress ? wrapCompress(plain) : plain
}

function encodePlain(message: AnyStreamMessage, dialect: Dialect): Uint8Array {
  switch (message.kind) {
    case 'pushPull':
      return encodePushPull(message, dialect)
    case 'user': {
      const writer = new MsgpackWriter(dialect).byte(messageType.user)
      writer.map(1).text('UserMsgLen').int(message.bytes.length)
      return writer.append(message.bytes).finish()
    }
    case 'fetch':
    case 'fetchReply':
      return encodeFetch(message)
    default:
      return encodeMessage(message, dialect)
  }
}

export interface StreamLimits {
  /** Rows a push/pull header may announce. */
  readonly rowsMax: number
  /** Bytes of a push/pull, its rows and its user state together. */
  readonly stateBytesMax: number
  /** Bytes of a user message. */
  readonly userBytesMax: number
  /** Bytes of a ping, an ack or an error. */
  readonly smallBytesMax: number
  /** What one message may be before it is decompressed. */
  readonly compressedBytesMax: number
  /** What one message may decompress to, rows of no use included. */
  readonly decompressedBytesMax: number
  /** What a fetch or its answer may hold. */
  readonly fetchBytesMax: number
}

export const defaultStreamLimits: StreamLimits = Object.freeze({
  rowsMax: 1_048_576,
  // memberlist takes 20 MiB of user state alone. This is 512 bytes for each of 16,384 members, and
  // full buffers of events are less than 5.
  stateBytesMax: 8_388_608,
  // What Serf sends this way are answers to queries that do not fit a packet.
  userBytesMax: 2_097_152,
  smallBytesMax: 65_536,
  compressedBytesMax: 8_388_608,
  decompressedBytesMax: 10_485_760,
  fetchBytesMax: 4_259_840,
})

export type StreamStep =
  | { readonly kind: 'more' }
  | {
      readonly kind: 'message'
      readonly message: AnyStreamMessage
      readonly problems: readonly DecodeProblem[]
    }
  | {
      readonly kind: 'failed'
      readonly problem: DecodeProblem
      /** Text of the error message that the far side should get before the stream is closed. */
      readonly reply?: string
    }

export interface StreamDecoder {
  /**
   * Takes the next bytes. After anything but `more` the decoder is done and says the same again.
   */
  push(bytes: Uint8Array): StreamStep
  /** The far side ended: whatever is unfinished stays so. */
  end(): StreamStep
  /** Frees what is unfinished; nothing is read afterwards. */
  close(): void
  /** Bytes held now, for a bound over many streams. */
  readonly heldBytes: number
  /** Frees them; nothing is pushed afterwards, and messages that came out stay whole. */
  close(): void
}

export function createStreamDecoder(limits: StreamLimits = defaultStreamLimits): StreamDecoder {
  return new Decoder(limits, true)
}

const more: StreamStep = { kind: 'more' }
const blockBytes = 65_536
/** Some rows may be beyond use, but nobody may have us read a million of them for two kilobytes. */
const rowsSkippedMax = 4096

interface PushPullProgress {
  readonly join: boolean
  readonly rows: PackedRows
  rowsLeft: number
  rowsSkipped: number
  readonly userStateLength: number
}

class Decoder implements StreamDecoder {
  readonly #limits: StreamLimits
  readonly #compressAllowed: boolean
  readonly #queue = new ByteQueue()
  #type: number | undefined
  #pushPull: PushPullProgress | undefined
  #userLength: number | undefined
  /** Trying again with fewer bytes than this would be in vain. */
  #needed = 1
  #outcome: StreamStep | undefined

  constructor(limits: StreamLimits, compressAllowed: boolean) {
    this.#limits = limits
    this.#compressAllowed = compressAllowed
  }

  get heldBytes(): number {
    return this.#queue.heldBytes + this.#rowBytes
  }

  get #rowBytes(): number {
    return this.#pushPull?.rows.heldBytes ?? 0
  }

  push(bytes: Uint8Array): StreamStep {
    if (this.#outcome !== undefined) return this.#outcome
    // Behind the last part nothing is read any more, so the part can have a buffer for itself.
    const left = this.#isLast() ? this.#needed - this.#queue.length : bytes.length
    this.#queue.push(bytes.subarray(0, left), this.#needed)
    const step = this.#advance()
    if (step.kind !== 'more') return this.#finish(step)
    const held = Math.max(this.#queue.length, this.#needed) + this.#rowBytes
    return held > this.#heldMax() ? this.#finish(this.#failed('streamTooLarge')) : step
  }

  end(): StreamStep {
    return this.#outcome ?? this.#finish(this.#failed('streamTruncated'))
  }

  close(): void {
    this.#outcome ??= this.#failed('streamTruncated')
    this.#queue.release()
    if (this.#outcome.kind !== 'message') this.#pushPull?.rows.release()
  }

  #finish(step: StreamStep): StreamStep {
    this.#outcome = step
    this.close()
    return step
  }

  #isLast(): boolean {
    return this.#userLength !== undefined || this.#pushPull?.rowsLeft === 0
  }

  #heldMax(): number {
    const limits = this.#limits
    if (this.#type === messageType.pushPull) return limits.stateBytesMax
    if (this.#type === messageType.user) return limits.userBytesMax
    if (this.#type === messageType.compress) return limits.compressedBytesMax
    const fetch = this.#type === fetchType.fetch || this.#type === fetchType.fetchReply
    return fetch ? limits.fetchBytesMax : limits.smallBytesMax
  }

  #advance(): StreamStep {
    for (;;) {
      if (this.#queue.length < this.#needed) return more
      const step = this.#next()
      if (step !== undefined) return step
    }
  }

  /** One part of the message; undefined to go on with the next one. */
  #next(): StreamStep | undefined {
    if (this.#type === undefined) return this.#readType()
    if (this.#pushPull !== undefined) return this.#readPushPull(this.#pushPull)
    if (this.#userLength !== undefined) return this.#readUser(this.#userLength)
    if (this.#type === messageType.pushPull) return this.#readPushPullHeader()
    if (this.#type === messageType.user) return this.#readUserHeader()
    if (this.#type === messageType.compress) return this.#readCompressed()
    return this.#readMessage(this.#type)
  }

  #readType(): StreamStep | undefined {
    this.#type = this.#queue.view()[0] ?? 0
    this.#queue.consume(1)
    const { ping, ack, error, pushPull, user, compress, encrypt } = messageType
    const plain = [ping, ack, error, pushPull, user, fetchType.fetch, fetchType.fetchReply]
    if (plain.some((type) => type === this.#type)) return undefined
    if (this.#type === compress && this.#compressAllowed) return undefined
    if (this.#type === encrypt) {
      return this.#failed(
        'encryptionMissing',
        'remote state is encrypted and encryption is not configured',
      )
    }
    return this.#failed(this.#type > error ? 'typeUnknown' : 'typeMisplaced')
  }

  /** Reads with `read`; undefined where bytes are missing or the body is malformed. */
  #parse<Value>(read: (reader: MsgpackReader) => Value): { value: Value } | StreamStep {
    const reader = new MsgpackReader(this.#queue.view())
    const value = read(reader)
    if (reader.failure === 'short') {
      this.#needed = reader.needed
      return more
    }
    if (reader.failure !== undefined) return this.#failed('messageMalformed')
    if (reader.textInvalid) return this.#failed('textInvalid')
    this.#queue.consume(reader.position)
    this.#needed = 0
    return { value }
  }

  #readMessage(type: number): StreamStep {
    const parsed = this.#parse((reader) => {
      if (type === fetchType.fetch) return readFetch(reader)
      return type === fetchType.fetchReply ? readFetchReply(reader) : readStruct(type, reader)
    })
    if (!('value' in parsed)) return parsed
    const message = parsed.value
    if (typeof message === 'string') return this.#failed(message)
    return { kind: 'message', message: message as AnyStreamMessage, problems: [] }
  }

  #readPushPullHeader(): StreamStep | undefined {
    const parsed = this.#parse(readHeader)
    if (!('value' in parsed)) return parsed
    const { join, rowCount, userStateLength } = parsed.value
    if (rowCount < 0n || rowCount > this.#limits.rowsMax) return this.#failed('headerOutOfRange')
    if (userStateLength < 0n || userStateLength > this.#limits.stateBytesMax) {
      return this.#failed('headerOutOfRange')
    }
    const rowsLeft = Number(rowCount)
    const length = Number(userStateLength)
    const rows = new PackedRows()
    this.#pushPull = { join, rows, rowsLeft, rowsSkipped: 0, userStateLength: length }
    this.#needed = rowsLeft > 0 ? 1 : length
    return undefined
  }

  #readPushPull(progress: PushPullProgress): StreamStep | undefined {
    if (progress.rowsLeft > 0) return this.#readRows(progress)
    const userState = this.#queue.take(progress.userStateLength)
    const { join, rows, rowsSkipped } = progress
    const skipped: DecodeProblem = { kind: 'rowSkipped', count: rowsSkipped }
    const problems = rowsSkipped > 0 ? [skipped] : []
    return { kind: 'message', message: { kind: 'pushPull', join, rows, userState }, problems }
  }

  /** As many rows as are there; a row cut off is read again from its start. */
  #readRows(progress: PushPullProgress): StreamStep | undefined {
    const view = this.#queue.view()
    const reader = new MsgpackReader(view)
    while (progress.rowsLeft > 0) {
      const start = reader.position
      const usable = readRow(reader) !== undefined
      if (reader.failure === 'short') {
        this.#queue.consume(start)
        this.#needed = reader.needed - start
        return more
      }
      if (reader.failure !== undefined) return this.#failed('messageMalformed')
      progress.rowsLeft -= 1
      const row = usable ? view.subarray(start, reader.position) : undefined
      const problem = this.#keepRow(progress, row)
      if (problem !== undefined) return this.#failed(problem)
    }
    this.#queue.consume(reader.position)
    this.#needed = progress.userStateLength
    return undefined
  }

  #keepRow(progress: PushPullProgress, row: Uint8Array | undefined): DecodeProblemKind | undefined {
    if (row === undefined) {
      progress.rowsSkipped += 1
      return progress.rowsSkipped > rowsSkippedMax ? 'messageMalformed' : undefined
    }
    progress.rows.push(row)
    const held = progress.rows.heldBytes + progress.userStateLength
    return held > this.#limits.stateBytesMax ? 'streamTooLarge' : undefined
  }

  #readUserHeader(): StreamStep | undefined {
    const parsed = this.#parse((reader) => {
      let length = 0n
      reader.struct(['UserMsgLen'], (field) => {
        if (field === 'UserMsgLen') length = reader.i64()
        else reader.skip()
      })
      return length
    })
    if (!('value' in parsed)) return parsed
    if (parsed.value < 0n || parsed.value > this.#limits.userBytesMax) {
      return this.#failed('headerOutOfRange')
    }
    this.#userLength = Number(parsed.value)
    this.#needed = this.#userLength
    return undefined
  }

  #readUser(length: number): StreamStep {
    if (length === 0) return this.#failed('emptyMessage')
    const bytes = this.#queue.take(length)
    return {
      kind: 'message',
      message: { kind: 'user', message: decodeSerf(bytes), bytes },
      problems: [],
    }
  }

  #readCompressed(): StreamStep {
    const parsed = this.#parse(readCompress)
    if (!('value' in parsed)) return parsed
    const { algorithm, body } = parsed.value
    if (algorithm !== 0) {
      return this.#failed('compressAlgorithm', `cannot decompress unknown algorithm ${algorithm}`)
    }
    this.#queue.release()
    const step = this.#decompress(body)
    releaseBytes(body)
    return step
  }

  /** Block by block into a decoder of its own, so that a bomb meets that decoder's bounds first. */
  #decompress(body: Uint8Array): StreamStep {
    const plain = new Decoder(this.#limits, false)
    const source = new LzwReader(body)
    // One block for all: the decoder behind it copies what it keeps.
    const block = new Uint8Array(blockBytes)
    const step = this.#pour(source, block, plain)
    plain.close()
    source.close()
    releaseBytes(block)
    return step
  }

  #pour(source: LzwReader, block: Uint8Array, plain: Decoder): StreamStep {
    for (let total = 0; ;) {
      const length = source.read(block)
      total += length
      if (source.state === 'malformed') {
        return this.#failed('compressMalformed', 'cannot decompress: the data is malformed')
      }
      if (total === 0) return this.#failed('compressEmpty', 'cannot decompress: nothing is left')
      if (total > this.#limits.decompressedBytesMax) {
        return this.#failed('compressTooLarge', 'cannot decompress: the result is too large')
      }
      const step = plain.push(block.subarray(0, length))
      if (step.kind !== 'more') return step
      if (source.state === 'done' && length < blockBytes) return plain.end()
    }
  }

  #failed(kind: DecodeProblemKind, reply?: string): StreamStep {
    const problem = this.#type === undefined ? { kind } : { kind, type: this.#type }
    return reply === undefined ? { kind: 'failed', problem } : { kind: 'failed', problem, reply }
  }
}
