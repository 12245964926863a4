/**
 * The order of system calls: no acknowledgement leaves the process before the flush of its group.
 * The child writes each acknowledgement to its standard output, which strace sees beside every
 * write and sync of the write-ahead log.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { temporaryDirectory } from '../support.ts'
import { firstViolation } from './flush-order.ts'

const strace = spawnSync('strace', ['-V']).status === 0
const onCi = process.env['CI'] !== undefined
const childPath = new URL('./append-child.ts', import.meta.url).pathname

/** Runs the appending child under strace until it acknowledged `acks` times; returns the trace. */
async function trace(
  writer: string,
  callers: string,
  storage: string,
  acks: number,
  directory: string = temporaryDirectory(),
): Promise<readonly string[]> {
  const output = join(directory, 'trace')
  const calls = 'trace=pwrite64,pwritev,write,fdatasync,fsync,openat'
  const child = spawn(
    'strace',
    ['-f', '-y', '-ttt', '-s', '64', '-e', calls, '-o', output, process.execPath].concat([
      '--conditions=@kith/source',
      childPath,
      join(directory, 'log'),
      writer,
      '1',
      callers,
      '0',
      storage,
    ]),
    { stdio: ['ignore', 'pipe', 'ignore'], detached: true },
  )
  let seen = 0
  const enough = new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      seen += chunk.toString().split('\n').length - 1
      if (seen >= acks) resolve()
    })
  })
  await Promise.race([enough, once(child, 'exit')])
  // The whole group of processes that this test started: strace and its child.
  if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return readFileSync(output, 'utf8').split('\n')
}

// With one caller no other group is under way, so every write after a sending is that append's own.
it.skipIf(!strace && !onCi).each([
  ['worker', '1', 'sqlite'],
  ['worker', '6', 'sqlite'],
  ['inline', '1', 'sqlite'],
  ['inline', '6', 'sqlite'],
  ['worker', '6', 'segment'],
])(
  'LOG-35 no acknowledgement precedes the sync of its group (%s, %s callers, %s; needs strace)',
  async (writer, callers, storage) => {
    const lines = await trace(writer, callers, storage, 120)
    const { problem, acks } = firstViolation(lines, storage === 'segment' ? '0.seg>' : undefined)
    expect(problem).toBe(undefined)
    expect(acks).toBeGreaterThan(50)
  },
  120_000,
)

/** What a start does to a file before anything is appended. */
function settled(lines: readonly string[], file: string): { end: number; synced: boolean } {
  let [end, synced] = [0, false]
  for (const line of lines) {
    if (line.includes('"sent ')) break
    if (!line.includes(file)) continue
    const write = /pwrite64\(.*, (\d+), (\d+)(?:\)| <unfinished)/.exec(line)
    if (write !== null) [end, synced] = [Number(write[1]) + Number(write[2]), false]
    else if (/f(data)?sync\(/.test(line)) synced = true
  }
  return { end, synced }
}

it.skipIf(!strace && !onCi).each([
  ['sqlite', 'log.db-wal>'],
  ['segment', '0.seg>'],
])(
  'LOG-65 what a kill left is written anew and synced before anything else (%s; needs strace)',
  async (storage, file) => {
    const directory = temporaryDirectory()
    const before = await trace('inline', '6', storage, 60, directory)
    const writes = before.filter((line) => line.includes(file) && /pwrite(64|v)\(/.test(line))
    const anew = settled(await trace('inline', '1', storage, 1, directory), file)
    expect(writes.length).toBeGreaterThan(10)
    expect(anew.synced).toBe(true)
    expect(anew.end).toBeGreaterThan(4_096)
  },
  120_000,
)

it('LOG-35 the check of the trace sees an acknowledgement that comes too early', () => {
  const sent = '7 1.0 write(2<pipe:[1]>, "sent a 1 1\\n", 11) = 11'
  const write = '8 1.1 pwrite64(20</x/log.db-wal>, "..."..., 4096, 0) = 4096'
  const sync = '8 1.2 fdatasync(20</x/log.db-wal>) = 0'
  const acked = '7 1.3 write(1<pipe:[2]>, "acked a 1 1 1\\n", 14) = 14'
  expect(firstViolation([sent, write, sync, acked]).problem).toBe(undefined)
  expect(firstViolation([sent, write, acked, sync]).problem).toContain('before a sync')
  expect(firstViolation([write, sync, sent, acked]).problem).toContain('before a sync')
  const begins = '8 1.2 fdatasync(20</x/log.db-wal> <unfinished ...>'
  const ends = '8 1.4 <... fdatasync resumed>) = 0'
  expect(firstViolation([sent, write, begins, acked, ends]).problem).toContain('before a sync')
  expect(firstViolation([sent, write, begins, ends, acked]).problem).toBe(undefined)
})
