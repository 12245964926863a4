/**
 * The next segment, filled with zeros beside what goes on: a flush of a file whose length and
 * blocks stay as they are is the cheapest there is. A file of its own, because a flush pays for
 * everything that was done to its file.
 */
import { closeSync, fdatasync, openSync, unlinkSync, write } from 'node:fs'
import { join } from 'node:path'

const stepBytes = 1024 * 1024
const zeros = new Uint8Array(stepBytes)

export function sparePath(directory: string): string {
  return join(directory, 'spare.seg')
}

/** Removes what an earlier life left. */
export function removeSpare(directory: string): void {
  try {
    unlinkSync(sparePath(directory))
  } catch (cause) {
    if ((cause as { code?: string }).code !== 'ENOENT') throw cause
  }
}

export class SpareSegment {
  private readonly directory: string
  private readonly bytes: number
  private state: 'none' | 'filling' | 'ready' | 'failed' | 'closed' = 'none'
  private descriptor: number | undefined

  constructor(directory: string, bytes: number) {
    this.directory = directory
    this.bytes = bytes
  }

  /** Begins to fill it where there is none; without room there will be none. */
  begin(): void {
    if (this.state !== 'none') return
    try {
      this.descriptor = openSync(sparePath(this.directory), 'w+')
    } catch {
      this.state = 'failed'
      return
    }
    this.state = 'filling'
    this.step(this.descriptor, 0)
  }

  private step(descriptor: number, at: number): void {
    if (this.state !== 'filling') return this.giveUp(descriptor)
    if (at >= this.bytes) {
      this.state = 'ready'
      return
    }
    const length = Math.min(stepBytes, this.bytes - at)
    write(descriptor, zeros, 0, length, at, (failed, written) => {
      if (failed !== null || written !== length) return this.giveUp(descriptor)
      fdatasync(descriptor, (unsynced) => {
        if (unsynced === null) this.step(descriptor, at + length)
        else this.giveUp(descriptor)
      })
    })
  }

  private giveUp(descriptor: number): void {
    if (this.state === 'filling') this.state = 'failed'
    closeSync(descriptor)
    if (this.state === 'failed') removeSpare(this.directory)
  }

  /** Its descriptor, and the file is the caller's to rename; undefined where it is not ready. */
  take(): number | undefined {
    const { descriptor } = this
    // One that failed for want of room may fit later.
    if (this.state === 'failed') this.state = 'none'
    if (this.state !== 'ready') return undefined
    this.state = 'none'
    this.descriptor = undefined
    return descriptor
  }

  /** What is filled at this moment is given up once that is done; the file goes at once. */
  close(): void {
    if (this.state === 'ready' && this.descriptor !== undefined) closeSync(this.descriptor)
    const there = this.state === 'ready' || this.state === 'filling'
    this.state = 'closed'
    try {
      if (there) removeSpare(this.directory)
    } catch {
      // The next start removes it.
    }
  }
}
