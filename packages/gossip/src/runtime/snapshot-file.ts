/**
 * The snapshot file: read whole at the start, then appended to, and now and then written anew
 * beside itself and put in its place in one move. What is torn or damaged is skipped, never fatal.
 */
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import type { CancelTimer, Clock } from '@kith/interface'
import { replaceFile } from '@kith/interface/node'
import { GossipError } from '../errors.ts'
import { allLines, fileBytesMax, recall } from '../core/memory.ts'
import type { Memory } from '../core/memory.ts'
import { createSnapshotReader } from '../wire/snapshot.ts'
import type { CountOf } from './counters.ts'

/** As Serf flushes. Serf waits for another line after this time; we do not. */
const flushMs = 500
/** After a write failed, the whole file is tried anew, as often as Serf does. */
const recoverMs = 30_000
/** More than any file that a Serf or we write; what is larger is something else. */
const fileBytesReadMax = 67_108_864
/** Lines that wait while the disk is slow; beyond it the file is written anew instead. */
const waitingBytesMax = 1_048_576
const readBytes = 65_536

export interface SnapshotFile {
  /** Lines to be on disk soon. Never throws. */
  append(lines: string): void
  /** Everything so far is with the system; with `sync` on the disk too. Never rejects. */
  flush(sync: boolean): Promise<void>
  /** Flushes and closes. Nothing is written after it. */
  close(): Promise<void>
}

export interface SnapshotFileOptions {
  readonly path: string
  readonly memory: Memory
  readonly clock: Clock
  /** Told once for each time that writing begins to fail. */
  readonly failed: (cause: unknown) => void
  readonly count: CountOf
}

/** Recalls what the file holds into `memory`. A file that is not there is empty. */
export async function readSnapshotFile(
  path: string,
  memory: Memory,
  wallMs: number,
): Promise<void> {
  const reader = createSnapshotReader((line) => recall(memory, line, wallMs))
  let total = 0
  try {
    await using file = await open(path, 'r')
    const bytes = new Uint8Array(readBytes)
    for (;;) {
      const { bytesRead } = await file.read(bytes, 0, readBytes)
      if (bytesRead === 0) break
      total += bytesRead
      if (total > fileBytesReadMax) throw new Error(`it has more than ${fileBytesReadMax} bytes`)
      reader.push(bytes.subarray(0, bytesRead))
    }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return
    throw unusable(path, (cause as Error).message, cause)
  }
  if (memory.readable > 0) return
  // One torn line is what a first start leaves that was cut off. Anything else is somebody's file.
  if (memory.unreadable > 0 || !reader.tailFits) {
    throw unusable(path, 'it is no snapshot')
  }
}

function unusable(path: string, why: string, cause?: unknown): GossipError {
  const message = `the snapshot ${path} cannot be used: ${why}`
  return new GossipError('ERR_GOSSIP_SNAPSHOT', message, { cause })
}

/**
 * Writes the file anew from `memory`, which was recalled from it, and goes on from there: a torn
 * tail would swallow the first line after it. Rejects with `ERR_GOSSIP_SNAPSHOT`.
 */
export async function openSnapshotFile(options: SnapshotFileOptions): Promise<SnapshotFile> {
  const file = new AppendedFile(options)
  try {
    await file.rewrite()
  } catch (cause) {
    throw unusable(options.path, (cause as Error).message, cause)
  }
  return file
}

class AppendedFile implements SnapshotFile {
  readonly #options: SnapshotFileOptions
  #handle: FileHandle | undefined
  #size = 0
  #waiting: string[] = []
  #waitingLength = 0
  /** The file lacks something: nothing is appended before it was written anew. */
  #lacking = false
  #failing = false
  #closed = false
  /** One operation at a time. */
  #tail: Promise<void> = Promise.resolve()
  #cancelTimer: CancelTimer | undefined

  constructor(options: SnapshotFileOptions) {
    this.#options = options
  }

  append(lines: string): void {
    if (lines === '' || this.#closed) return
    this.#waiting.push(lines)
    this.#waitingLength += lines.length
    if (this.#waitingLength > waitingBytesMax) {
      this.#drop()
      this.#options.count('snapshotLinesDropped')
    }
    if (!this.#failing) this.#later(flushMs)
  }

  #drop(): string {
    const lines = this.#waiting.join('')
    this.#waiting = []
    this.#waitingLength = 0
    if (lines !== '') this.#lacking = true
    return lines
  }

  #later(delayMs: number): void {
    this.#cancelTimer ??= this.#options.clock.after(delayMs, () => {
      this.#cancelTimer = undefined
      void this.flush(false)
    })
  }

  flush(sync: boolean): Promise<void> {
    return this.#closed ? this.#tail : this.#queue(sync)
  }

  #queue(sync: boolean): Promise<void> {
    this.#tail = this.#tail
      .then(() => this.#write(sync))
      .then(
        () => {
          this.#failing = false
        },
        (cause: unknown) => this.#failed(cause),
      )
    return this.#tail
  }

  async #write(sync: boolean): Promise<void> {
    if (this.#lacking || this.#handle === undefined) return this.rewrite()
    const lines = this.#drop()
    const bytes = Buffer.from(lines)
    if (bytes.length > 0) await this.#handle.appendFile(bytes)
    this.#lacking = false
    this.#size += bytes.length
    if (this.#size > fileBytesMax(this.#options.memory)) return this.rewrite()
    if (sync) await this.#handle.sync()
  }

  #failed(cause: unknown): void {
    this.#options.count('snapshotWritesFailed')
    this.#lacking = true
    if (!this.#failing) this.#options.failed(cause)
    this.#failing = true
    if (!this.#closed) this.#later(recoverMs)
  }

  /** Beside it, on the disk, then in its place, and that on the disk as well. */
  async rewrite(): Promise<void> {
    const { path, memory, count } = this.#options
    // What waits is in the memory already.
    this.#drop()
    this.#lacking = true
    const bytes = Buffer.from(allLines(memory))
    await replaceFile(path, bytes, { beside: `${path}.compact` })
    await this.#handle?.close()
    this.#handle = undefined
    this.#handle = await open(path, 'a')
    this.#size = bytes.length
    this.#lacking = false
    count('snapshotRewrites')
  }

  async close(): Promise<void> {
    if (this.#closed) return this.#tail
    this.#closed = true
    this.#cancelTimer?.()
    await this.#queue(true)
    await this.#handle?.close().catch(() => {})
    this.#handle = undefined
  }
}
