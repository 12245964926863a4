/**
 * R, the least that any durable log must do: one write and one fdatasync a commit at the end of a
 * growing file, a checksum a record. It has no index, no identity and no recovery.
 */
import { closeSync, fdatasyncSync, fstatSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Contender, Page } from './contender.ts'
import { pageRecords } from './contender.ts'

/** Length, checksum and time in front of each record. */
const headerBytes = 16

export function openRaw(directory: string): Contender {
  const file = openSync(join(directory, 'raw.log'), 'a+')
  let buffer = Buffer.alloc(0)
  let next = 0
  return {
    name: 'raw file (R)',
    version: '',
    directory,
    guarantee: {
      acknowledged: 'on the disk',
      checksum: 'CRC-32 a record',
      flushes: 'fdatasync by the caller, one a commit',
    },
    append(values) {
      const bytes = values.reduce((sum, value) => sum + headerBytes + value.length, 0)
      if (buffer.length < bytes) buffer = Buffer.alloc(bytes)
      let at = 0
      for (const value of values) at = writeRecord(buffer, at, value)
      writeSync(file, buffer, 0, at)
      fdatasyncSync(file)
    },
    read() {
      const bytes = pageRecords * (headerBytes + 1024)
      const page = Buffer.allocUnsafe(Math.min(bytes, fstatSync(file).size - next))
      const length = readSync(file, page, 0, page.length, next)
      const { read, end } = readRecords(page.subarray(0, length))
      next = next + end >= fstatSync(file).size ? 0 : next + end
      return read
    },
    stop() {
      closeSync(file)
    },
  }
}

/** Returns where the next record begins. */
export function writeRecord(buffer: Buffer, at: number, value: Uint8Array): number {
  buffer.writeUInt32LE(value.length, at)
  buffer.writeUInt32LE(crc32(value), at + 4)
  buffer.writeDoubleLE(Date.now(), at + 8)
  buffer.set(value, at + headerBytes)
  return at + headerBytes + value.length
}

/** The whole records of `page`, each checked, and where the first that is cut off begins. */
export function readRecords(page: Buffer): { readonly read: Page; readonly end: number } {
  let [records, bytes, at] = [0, 0, 0]
  while (at + headerBytes <= page.length) {
    const length = page.readUInt32LE(at)
    if (at + headerBytes + length > page.length) break
    const value = page.subarray(at + headerBytes, at + headerBytes + length)
    if (crc32(value) !== page.readUInt32LE(at + 4)) throw new Error('a record is damaged')
    records += 1
    bytes += value.length
    at += headerBytes + length
  }
  return { read: { records, bytes }, end: at }
}

/** Natural group commit in front of one that commits what it is given: for many appenders. */
export function groupCommits(contender: Contender): (value: Uint8Array) => Promise<void> {
  const waiting: { readonly value: Uint8Array; readonly resolve: () => void }[] = []
  const commit = (): void => {
    const group = waiting.splice(0)
    void contender.append(group.map(({ value }) => value))
    for (const { resolve } of group) resolve()
  }
  return (value) =>
    new Promise((resolve) => {
      waiting.push({ value, resolve })
      if (waiting.length === 1) setImmediate(commit)
    })
}
