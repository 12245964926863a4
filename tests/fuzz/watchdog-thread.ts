/**
 * Watches the fuzzing thread from beside it, because a loop without an end stops everything else:
 * an input that takes too long is written to a file and the process ended.
 */
import { writeFileSync, writeSync } from 'node:fs'
import { threadId, workerData } from 'node:worker_threads'
import { toHex } from '@kith/interface'
import { sharedAt } from './watchdog.ts'
import type { WatchdogData } from './watchdog.ts'

const { shared, stallMs, file } = workerData as WatchdogData
const counters = new Int32Array(shared, 0, 2)
const bytes = new Uint8Array(shared, sharedAt.bytes)

let seen = -1
let since = performance.now()
setInterval(() => {
  const count = Atomics.load(counters, sharedAt.count)
  if (count !== seen) {
    seen = count
    since = performance.now()
  } else if (count > 0 && performance.now() - since > stallMs) {
    writeFileSync(file, `${toHex(bytes.slice(0, Atomics.load(counters, sharedAt.length)))}\n`)
    writeSync(2, `thread ${threadId}: no end after ${stallMs} ms; the input is in ${file}\n`)
    process.kill(process.pid, 'SIGKILL')
  }
}, 500)
