/**
 * A flush fails in a real process that appends: strace puts EIO in the place of one sync of its
 * write-ahead log, or of its segment. Nothing is acknowledged any more in that process, also where
 * the disk would flush again, and everything acknowledged is there when the log is opened anew.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createRandom } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { records, started, temporaryDirectory } from '../support.ts'
import { firstViolation } from './flush-order.ts'
import type { FlushOrder } from './flush-order.ts'
import { check, createJournal, noteLine, recordsOf } from './journal.ts'
import type { Journal } from './journal.ts'

const strace = spawnSync('strace', ['-V']).status === 0
const onCi = process.env['CI'] !== undefined
const full = process.env['KITH_TIER'] === '2'
const seed = Number(process.env['KITH_SEED'] ?? 4711)
const childPath = new URL('./append-child.ts', import.meta.url).pathname

const callers = 6
/** Of `append-child.ts`. */
const lastAppends = 8
const livesFull = 25
/** Syncs of a start, six at most, and of appends before the one that fails. */
const syncsBefore = 9
const syncsBetween = 40

const files = { sqlite: 'log.db-wal', segment: '000000000000000.seg' } as const

interface Life {
  readonly journal: Journal
  readonly order: FlushOrder
  /** What the process was told, in order: `acked`, or the code of a refusal. */
  readonly answers: readonly string[]
  readonly code: number | null
}

/** Lets the process append until it gives up; `when` is strace's: `9`, `9+`. */
async function appendUntilRefused(
  home: string,
  writer: string,
  storage: keyof typeof files,
  when: string,
): Promise<Life> {
  const [output, told, trace] = ['sent', 'told', 'trace'].map((name) => join(home, name)) as [
    string,
    string,
    string,
  ]
  const directory = join(home, 'log')
  const file = join(directory, files[storage])
  const [err, out] = [openSync(output, 'w'), openSync(told, 'w')]
  const paths = [file, output, told].flatMap((path) => ['-P', path])
  const calls = ['-e', 'trace=write,pwrite64,pwritev,fdatasync,fsync']
  const inject = ['-e', `inject=fdatasync,fsync:error=EIO:when=${when}`]
  const traced = ['-f', '-q', '-y', '-s', '64', '-o', trace, '--seccomp-bpf', ...paths]
  const program = [process.execPath, '--conditions=@kith/source', childPath]
  const given = [directory, writer, '1', `${callers}`, '0', storage]
  const child = spawn('strace', [...traced, ...calls, ...inject, ...program, ...given], {
    stdio: ['ignore', out, err],
  })
  const [code] = (await once(child, 'exit')) as [number | null]
  closeSync(err)
  closeSync(out)
  const journal = createJournal()
  const linesOf = (path: string): readonly string[] =>
    readFileSync(path, 'utf8').split('\n').filter(Boolean)
  for (const line of linesOf(output)) expect(noteLine(journal, line), line).toBe(true)
  const answers = linesOf(told).map((line) => {
    if (noteLine(journal, line)) return 'acked'
    return line.split(' ').slice(3).join(' ')
  })
  return { journal, order: firstViolation(linesOf(trace), `${files[storage]}>`), answers, code }
}

/** What must hold of such a life, and of the log that it left. */
async function judgeLife(home: string, { journal, order, answers, code }: Life): Promise<void> {
  expect(order.failures, 'syncs that failed').toBeGreaterThan(0)
  expect(order.problem).toBe(undefined)
  expect(journal.acked.size).toBeGreaterThan(0)
  const first = answers.findIndex((answer) => answer !== 'acked')
  const refused = Array<string>(callers * lastAppends).fill('ERR_LOG_POISONED')
  expect(answers.slice(first)).toEqual(refused)
  expect(code, 'the process stopped its log in order').toBe(0)
  const directory = join(home, 'log')
  check(journal, await recordsOf(directory))
  const again = await started({ directory })
  const { next } = again.status()
  expect(await again.append(records(2))).toMatchObject({ count: 2, offset: next })
  await again.stop()
}

describe.skipIf(!strace && !onCi)('a flush that fails (needs strace)', () => {
  const cases = (['sqlite', 'segment'] as const).flatMap((storage) =>
    (['worker', 'inline'] as const).map((writer) => [writer, storage] as const),
  )
  it.each(cases)(
    'LOG-36 REP-20 ends the acknowledgements of its process, and no others (%s, %s)',
    async (writer, storage) => {
      const random = createRandom(seed)
      let [acked, refused] = [0, 0]
      const lives = full ? livesFull : 1
      for (let life = 0; life < lives; life += 1) {
        const home = temporaryDirectory()
        mkdirSync(join(home, 'log'))
        // Once, where the disk then does what it is told; and for good.
        const when = `${syncsBefore + random.below(syncsBetween)}${life % 3 === 2 ? '+' : ''}`
        const result = await appendUntilRefused(home, writer, storage, when)
        await judgeLife(home, result)
        acked += result.journal.acked.size
        refused += result.answers.length - result.journal.acked.size
      }
      report(
        `failed flushes (${writer}, ${storage}): ${lives} processes, ${acked} appends ` +
          `acknowledged before and none lost, ${refused} refused after and none acknowledged`,
      )
    },
    full ? 3_600_000 : 120_000,
  )

  it('LOG-36 the check of the trace sees an acknowledgement after a failed flush', () => {
    const sent = '7 write(2</x/sent>, "sent a 1 1\\n", 11) = 11'
    const write = '8 pwrite64(20</x/log.db-wal>, "..."..., 4096, 0) = 4096'
    const failed = '8 fdatasync(20</x/log.db-wal>) = -1 EIO (Input/output error) (INJECTED)'
    const sync = '8 fdatasync(20</x/log.db-wal>) = 0'
    const acked = '7 write(1</x/told>, "acked a 1 1 1\\n", 14) = 14'
    const after = 'after a failed sync'
    expect(firstViolation([sent, write, failed, acked]).problem).toContain(after)
    expect(firstViolation([sent, write, failed, sync, acked]).problem).toContain(after)
    expect(firstViolation([sent, write, sync, failed, acked]).problem).toBe(undefined)
  })
})

/** A figure for the evidence of `npm run prove`; outside it does nothing. */
function report(figure: string): void {
  const file = process.env['KITH_EVIDENCE']
  if (file) appendFileSync(file, `${figure}\n`)
}
