/** Notes what is being read, where the thread beside can see it. */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'

/** Two counters, then the input. */
export const sharedAt = { count: 0, length: 1, bytes: 8 } as const

const inputBytesMax = 1_048_576
/** Far beyond any honest input, also where others use the processors. */
const stallMsDefault = 60_000

export interface WatchdogData {
  readonly shared: SharedArrayBuffer
  readonly stallMs: number
  readonly file: string
}

export interface Watchdog {
  note(bytes: Uint8Array): void
  /** Where the input stands that the process was ended for. */
  readonly file: string
  /** Nothing runs any more. */
  rest(): Promise<void>
}

export function startWatchdog(name: string, stallMs: number = stallMsDefault): Watchdog {
  const shared = new SharedArrayBuffer(sharedAt.bytes + inputBytesMax)
  const counters = new Int32Array(shared, 0, 2)
  const room = new Uint8Array(shared, sharedAt.bytes)
  const file = join(tmpdir(), `kith-fuzz-${name}-${process.pid}.hex`)
  const data: WatchdogData = { shared, stallMs, file }
  const thread = new Worker(new URL('watchdog-thread.ts', import.meta.url), { workerData: data })
  thread.unref()
  let count = 0
  return {
    file,
    note(bytes) {
      room.set(bytes)
      count += 1
      Atomics.store(counters, sharedAt.length, bytes.length)
      Atomics.store(counters, sharedAt.count, count)
    },
    async rest() {
      await thread.terminate()
    },
  }
}
