/**
 * A process that reads a log from its beginning to its end, again and again, beside the one that
 * writes it. Words: directory, and a storage or `raw`. Says what it read when it is asked.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createLog } from '@kith/log'
import { pageRecords } from './contender.ts'
import { readRecords } from './raw.ts'

const [directory = '', storage = ''] = process.argv.slice(2)
let records = 0

async function scanLog(): Promise<never> {
  const log = createLog({ directory, readOnly: true })
  await log.start()
  process.send?.('scanning')
  for (let next = 0; ; await nextTurn()) {
    const page = await log.read({ from: next, limit: pageRecords })
    records += page.records.length
    next = page.records.length === 0 ? 0 : page.next
  }
}

async function scanFile(): Promise<never> {
  const file = openSync(join(directory, 'raw.log'), 'r')
  process.once('exit', () => closeSync(file))
  process.send?.('scanning')
  const page = Buffer.allocUnsafe(1024 * 1024)
  for (let at = 0; ; await nextTurn()) {
    const length = readSync(file, page, 0, page.length, at)
    const { read, end } = readRecords(page.subarray(0, length))
    records += read.records
    at = end === 0 ? 0 : at + end
  }
}

process.on('message', () => process.send?.(records))
process.once('disconnect', () => process.exit(0))
await (storage === 'raw' ? scanFile() : scanLog())
