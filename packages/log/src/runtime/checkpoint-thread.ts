/**
 * The thread that copies the write-ahead log into the file while commits go on. It never holds up a
 * commit: what a writer or reader still needs is left for the next time.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { invariant } from '@kith/interface'
import { openDatabase } from '../store/sqlite/driver.ts'
import { databasePath } from '../store/sqlite/open.ts'
import type { FromCheckpointer, ThreadData, ToCheckpointer } from './thread-messages.ts'

invariant(parentPort, 'this file is the entry of a worker thread')
const port = parentPort
const { directory } = workerData as ThreadData
const db = openDatabase(databasePath(directory), { fileMustExist: true, timeout: 0 })
db.pragma('synchronous=FULL')
db.pragma('wal_autocheckpoint=0')
db.pragma('cache_size=-2000')

function answer(message: FromCheckpointer): void {
  port.postMessage(message)
}

port.on('message', ({ kind }: ToCheckpointer) => {
  if (kind === 'close') {
    db.close()
    answer({ kind: 'closed' })
    port.close()
    return
  }
  try {
    db.pragma('wal_checkpoint(PASSIVE)')
  } catch {
    // Nothing is lost: the writer's own checkpoint meets the same trouble and reports it.
  }
  answer({ kind: 'ran' })
})
