/**
 * lmdb, one entry a record under its number. Appended with MDB_APPEND, which is what it has for
 * logs. It commits on the thread of the caller or in one of its own; both take part.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Contender } from './contender.ts'
import { packageVersion, pageRecords } from './contender.ts'

/** What is used of it: its own types do not compile in a module. */
interface Lmdb {
  open(options: {
    readonly path: string
    readonly keyEncoding: 'uint32'
    readonly encoding: 'binary'
  }): Database
}

interface Database {
  put(key: number, value: Uint8Array, options: { readonly append: boolean }): Promise<boolean>
  transactionSync(run: () => void): void
  getRange(range: {
    readonly start: number
    readonly limit: number
  }): Iterable<{ readonly value: Uint8Array }>
  close(): Promise<void>
}

const require = createRequire(import.meta.url)

export async function openLmdb(directory: string, writer: 'worker' | 'inline'): Promise<Contender> {
  const { open } = require('lmdb') as Lmdb
  const db = open({
    path: join(directory, 'lmdb'),
    keyEncoding: 'uint32',
    encoding: 'binary',
  })
  let length = 0
  let next = 0
  const put = (values: readonly Uint8Array[]): Promise<boolean> | undefined => {
    let last: Promise<boolean> | undefined
    for (const value of values) last = db.put(length++, value, { append: true })
    return last
  }
  return {
    name: `lmdb ${writer}`,
    version: packageVersion('lmdb'),
    directory,
    guarantee: {
      acknowledged: 'on the disk',
      checksum: 'none',
      flushes:
        writer === 'inline'
          ? 'fdatasync by lmdb, one a transaction on the thread of the caller'
          : 'fdatasync by lmdb, one a transaction in its thread',
    },
    append: (values) =>
      writer === 'worker' ? put(values) : db.transactionSync(() => void put(values)),
    read() {
      let [records, bytes] = [0, 0]
      for (const { value } of db.getRange({ start: next, limit: pageRecords })) {
        records += 1
        bytes += value.length
      }
      next = records < pageRecords ? 0 : next + records
      return { records, bytes }
    },
    stop: () => db.close(),
  }
}
