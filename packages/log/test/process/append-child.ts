/**
 * Appends until it is killed, and writes one line for each answer: `acked <producer> <sequence>
 * <count> <first>` or `refused <producer> <sequence> <code>`. Ends by itself after a refusal.
 * Usage: directory, writer, seed, callers, how many records it keeps (0: all), in which storage.
 */
import { writeSync } from 'node:fs'
import { createRandom, isKithError } from '@kith/interface'
import { createLog } from '../../src/index.ts'

const [directory = '', writer = 'worker', seed = '1', callers = '6', kept = '0', storage] =
  process.argv.slice(2)
const random = createRandom(Number(seed))
/** Nobody waits so long; whoever started it may be gone without a word. */
const lifeMsMax = 120_000
setTimeout(() => process.exit(3), lifeMsMax).unref()
const log = createLog({
  directory,
  writer: writer as 'worker',
  storage: (storage ?? 'sqlite') as 'sqlite',
})
await log.start()

/**
 * What a record says is known from its producer, sequence and place alone, so the parent can
 * tell.
 */
function valueOf(producer: string, sequence: number, index: number): Uint8Array {
  const size = 20 + ((sequence * 7_919 + index * 104_729) % 3_000)
  const value = Buffer.alloc(size, `${producer}-${sequence}-${index};`)
  return new Uint8Array(value)
}

/**
 * Appends of each caller once one was refused, that one included: they might be taken by mistake.
 */
const lastAppends = 8
let refused = false

async function caller(name: string): Promise<void> {
  const producer = `${seed}.${name}`
  for (let [sequence, last] = [1, 0]; last < lastAppends; sequence += 1) {
    const count = 1 + random.below(4)
    const records = Array.from({ length: count }, (_, index) => ({
      value: valueOf(producer, sequence, index),
      headers: { of: `${producer}:${sequence}:${index}:${count}` },
    }))
    writeSync(2, `sent ${producer} ${sequence} ${count}\n`)
    try {
      const result = await log.append(records, { producer: { id: producer, sequence } })
      writeSync(1, `acked ${producer} ${sequence} ${count} ${result.first}\n`)
    } catch (cause) {
      refused = true
      const code = isKithError(cause) ? cause.code : `untyped ${String(cause)}`
      writeSync(1, `refused ${producer} ${sequence} ${code}\n`)
    }
    if (refused) last += 1
  }
}

async function retainer(recordsMax: number): Promise<void> {
  for (;;) {
    await log.retain({ recordsMax: recordsMax + random.below(recordsMax) })
    await new Promise((resolve) => setImmediate(resolve))
  }
}

if (kept !== '0') void retainer(Number(kept))
await Promise.all(Array.from('abcdefghij').slice(0, Number(callers)).map(caller))
await log.stop()
