/**
 * The least that withstands the faults: one file of frames, each a commit with its length and its
 * checksum, read whole into memory. With `KITH_TINY_FAULT` it breaks one of its promises; the
 * processes that a suite starts inherit that.
 */
import { closeSync, fsyncSync, ftruncateSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { KithError } from '@kith/interface'
import type {
  LogStore,
  LogStoreReader,
  StoreChanges,
  StoredBatch,
  StoredBatchRead,
  StoreState,
} from '@kith/interface'

export type StoreFault =
  | 'answers before it writes'
  | 'writes a commit in two'
  | 'refuses a torn tail'
  | 'takes a torn tail'
  | 'has no checksums'
  | 'ignores failures'
  | 'keeps what it refused'
  | 'never syncs'

/** The length of the body, and checksums of that and of the body. */
const headBytes = 12

class Rows {
  meta: StoreState['meta']
  batches: StoredBatch[] = []
  readonly tables = {
    origins: new Map<string, StoreState['origins'][number]>(),
    holes: new Map<string, StoreState['holes'][number]>(),
    cursors: new Map<string, StoreState['cursors'][number]>(),
    producers: new Map<string, StoreState['producers'][number]>(),
    replicas: new Map<string, StoreState['replicas'][number]>(),
  }

  apply(changes: StoreChanges): void {
    const { origins, holes, cursors, producers, replicas } = this.tables
    this.batches = this.batches.filter(({ offset }) => offset >= (changes.dropBelow ?? 0))
    for (const { origin, from } of changes.holesRemoved ?? []) holes.delete(`${origin}:${from}`)
    this.batches.push(...(changes.batches ?? []))
    for (const row of changes.origins ?? []) origins.set(row.origin, row)
    for (const row of changes.holes ?? []) holes.set(`${row.origin}:${row.from}`, row)
    for (const row of changes.cursors ?? []) cursors.set(row.name, row)
    for (const id of changes.producersRemoved ?? []) producers.delete(id)
    for (const row of changes.producers ?? []) producers.set(row.id, row)
    for (const id of changes.replicasRemoved ?? []) replicas.delete(id)
    for (const row of changes.replicas ?? []) replicas.set(row.logId, row)
    this.meta = changes.meta ?? this.meta
  }

  state(): StoreState {
    const { origins, holes, cursors, producers, replicas } = this.tables
    const last = this.batches.at(-1)
    return {
      meta: this.meta,
      origins: [...origins.values()],
      holes: [...holes.values()],
      cursors: [...cursors.values()],
      producers: [...producers.values()],
      replicas: [...replicas.values()],
      nextOffset: last === undefined ? 0 : last.offset + last.count,
      damage: [],
    }
  }

  reader(): LogStoreReader {
    const ok = (batch: StoredBatch): StoredBatchRead => ({ ok: true, batch })
    const page = (found: readonly StoredBatch[], bytesMax: number): readonly StoredBatchRead[] => {
      let bytes = 0
      return found.filter((it) => (bytes += it.bytes.length) <= bytesMax || it === found[0]).map(ok)
    }
    const of = (origin: string): readonly StoredBatch[] =>
      this.batches.filter((it) => it.origin === origin)
    const one = (batch: StoredBatch | undefined): StoredBatchRead | undefined =>
      batch === undefined ? undefined : ok(batch)
    return {
      atOffset: (offset) => one(this.batches.findLast((it) => it.offset <= offset)),
      fromOffset: (from, max) =>
        page(
          this.batches.filter((it) => it.offset >= from),
          max,
        ),
      atSequence: (origin, at) => one(of(origin).findLast((it) => it.first <= at)),
      fromSequence: (origin, from, max) =>
        page(
          of(origin).filter((it) => it.first >= from),
          max,
        ),
      state: () => this.state(),
      close: () => {},
    }
  }
}

class TinyStore implements LogStore {
  readonly durable = true
  readonly statements = false
  private readonly directory: string
  private readonly path: string
  private readonly fault: StoreFault | undefined
  private descriptor = -1
  private length = 0
  private rows = new Rows()
  private readonly waiting: Buffer[] = []

  constructor(directory: string, fault: StoreFault | undefined) {
    this.directory = directory
    this.path = join(directory, 'tiny')
    this.fault = fault
  }

  open(): StoreState {
    mkdirSync(this.directory, { recursive: true })
    this.descriptor = openSync(this.path, 'a+')
    this.rows = new Rows()
    this.recover(readFileSync(this.path))
    fsyncSync(this.descriptor)
    return this.rows.state()
  }

  /** Everything up to a frame that the file ends in: that one was never acknowledged. */
  private recover(file: Buffer): void {
    const checked = this.fault !== 'has no checksums'
    const next = (at: number): Buffer | undefined => {
      if (at + headBytes > file.length) return undefined
      const head = file.subarray(at, at + headBytes)
      const length = head.readUInt32LE(0)
      if (checked && crc32(head.subarray(0, 4)) !== head.readUInt32LE(4)) throw damaged(at)
      const body = file.subarray(at + headBytes, at + headBytes + length)
      if (body.length < length) {
        if (this.fault === 'takes a torn tail') this.rows.apply(decode(mended(body)))
        return undefined
      }
      if (checked && crc32(body) !== head.readUInt32LE(8)) throw damaged(at)
      return body
    }
    this.length = 0
    for (let body = next(0); body !== undefined; body = next(this.length)) {
      this.rows.apply(decode(body))
      this.length += headBytes + body.length
    }
    const torn = this.length < file.length
    if (torn && this.fault === 'refuses a torn tail') throw new Error('the file is torn')
    if (torn) ftruncateSync(this.descriptor, this.length)
  }

  commit(changes: StoreChanges, flush: boolean): void {
    const { batches = [], ...others } = changes
    const parts = this.fault === 'writes a commit in two' ? [{ batches }, others] : [changes]
    const frames = Buffer.concat(parts.map(encode))
    const early = this.fault === 'keeps what it refused'
    if (early) this.rows.apply(changes)
    if (this.fault === 'answers before it writes') this.waiting.push(frames)
    else this.write(frames, flush)
    if (!early) this.rows.apply(changes)
  }

  private write(frames: Buffer, flush: boolean): void {
    try {
      for (let at = 0; at < frames.length;) at += writeSync(this.descriptor, frames, at)
    } catch (cause) {
      if (this.fault === 'ignores failures') return
      ftruncateSync(this.descriptor, this.length)
      if ((cause as { code?: string }).code !== 'ENOSPC') throw cause
      throw new KithError('ERR_LOG_STORE_FULL', 'no space for the commit', { cause })
    }
    this.length += frames.length
    if (flush && this.fault !== 'never syncs') fsyncSync(this.descriptor)
  }

  reader(): LogStoreReader {
    return this.rows.reader()
  }

  inspect(): readonly [] {
    return []
  }

  close(): void {
    if (this.descriptor < 0) return
    for (const frames of this.waiting.splice(0)) this.write(frames, false)
    closeSync(this.descriptor)
    this.descriptor = -1
  }
}

const damaged = (at: number): Error => new Error(`the frame at ${at} is damaged`)

/** The mistake of believing that whatever can be read was committed. */
function mended(body: Buffer): Buffer {
  const text = body.toString()
  const rows = text.indexOf(',"origins"')
  return Buffer.from(rows < 0 ? '{}' : `${text.slice(0, rows)}}`)
}

function encode(changes: StoreChanges): Buffer {
  const body = Buffer.from(
    JSON.stringify(changes, (_, value: unknown) =>
      value instanceof Uint8Array ? { base64: Buffer.from(value).toString('base64') } : value,
    ),
  )
  const head = Buffer.alloc(headBytes)
  head.writeUInt32LE(body.length, 0)
  head.writeUInt32LE(crc32(head.subarray(0, 4)), 4)
  head.writeUInt32LE(crc32(body), 8)
  return Buffer.concat([head, body])
}

function decode(body: Buffer): StoreChanges {
  return JSON.parse(body.toString(), (_, value: unknown) => {
    const text = (value as { base64?: string } | null)?.base64
    return text === undefined ? value : new Uint8Array(Buffer.from(text, 'base64'))
  }) as StoreChanges
}

export const openStore = (directory: string): LogStore =>
  new TinyStore(directory, process.env['KITH_TINY_FAULT'] as StoreFault | undefined)
