/** A reader in a process of its own, while the writer in another is killed again and again. */
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, it } from 'vitest'
import { records, started, temporaryDirectory } from '../support.ts'

const rounds = process.env['KITH_TIER'] === '2' ? 40 : 2
const sourceOf = (name: string): string => new URL(`./${name}.ts`, import.meta.url).pathname

interface Child {
  readonly process: ChildProcess
  readonly lines: string[]
  /** Resolves when that is so, which is looked at with every line. */
  until(reached: () => boolean): Promise<void>
}

function run(name: string, ...args: string[]): Child {
  const child = spawn(process.execPath, ['--conditions=@kith/source', sourceOf(name), ...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const lines: string[] = []
  const input = createInterface({ input: child.stdout })
  input.on('line', (line) => lines.push(line))
  const until = (reached: () => boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      const gone = (code: number | null): void =>
        reject(new Error(`${name} ended with ${String(code)} after ${lines.length} lines`))
      const look = (): void => {
        if (!reached()) return
        input.off('line', look)
        child.off('exit', gone)
        resolve()
      }
      input.on('line', look)
      child.on('exit', gone)
      look()
    })
  return { process: child, lines, until }
}

async function killed(child: Child): Promise<void> {
  const exited = once(child.process, 'close')
  child.process.kill('SIGKILL')
  await exited
}

// Beside a writer of segments that lives: `read-only.test.ts` of the units.
const storages = rounds > 2 ? (['sqlite', 'segment'] as const) : (['sqlite'] as const)

it.each(storages)(
  `LOG-52 LOG-34 a reader of a log in storage %s goes on over ${rounds} kills of the writer, and ` +
    'has what it acknowledged',
  async (storage) => {
    const directory = temporaryDirectory()
    const first = await started({ directory, storage })
    await first.stop()
    const reader = run('read-child', directory)
    const acked: number[] = []
    for (let round = 0; round < rounds; round += 1) {
      const writer = run(
        'append-child',
        directory,
        round % 2 === 0 ? 'worker' : 'inline',
        `${round}`,
        '6',
        '0',
        storage,
      )
      const read = reader.lines.length
      await writer.until(() => writer.lines.length >= 20)
      await reader.until(() => reader.lines.length >= read + 20)
      await killed(writer)
      for (const line of writer.lines) {
        const [, , , count, place] = line.split(' ')
        acked.push(Number(place) + Number(count))
      }
    }
    const last = await started({ directory, writer: 'inline' })
    const end = last.status().next
    expect(end).toBeGreaterThanOrEqual(Math.max(...acked) - 1)
    await reader.until(() => reader.lines.length >= end)
    await killed(reader)
    // Every record once and in order: what was shown is what is there.
    expect(reader.lines.length).toBe(end)
    const held = await last.read({ limit: 100_000, bytesMax: 1_000_000_000 })
    for (const [offset, { headers }] of held.records.entries()) {
      expect(reader.lines[offset]).toBe(`${offset} ${headers?.['of']}`)
    }
    expect(await last.verify()).toMatchObject({ ok: true })
  },
  rounds * 30_000,
)

const strace = spawnSync('strace', ['-V']).status === 0

it.runIf(strace || process.env['CI'] !== undefined)(
  'LOG-52 LOG-19 a reader syncs the write-ahead log before it shows what it found there',
  async () => {
    const directory = temporaryDirectory()
    const log = await started({ directory: join(directory, 'log') })
    await log.append(records(1), { durability: 'os' })
    const output = join(directory, 'trace')
    const child = ['--conditions=@kith/source', sourceOf('read-child'), join(directory, 'log'), '1']
    const calls = ['-f', '-y', '-e', 'trace=write,fdatasync', '-o', output]
    const { status } = spawnSync('strace', [...calls, process.execPath, ...child])
    expect(status).toBe(0)
    const lines = readFileSync(output, 'utf8').split('\n')
    const synced = lines.findIndex((line) => /fdatasync\(\d+<[^>]*log\.db-wal>\)/.test(line))
    const shown = lines.findIndex((line) => line.includes(', "0 record 0'))
    expect(synced).toBeGreaterThanOrEqual(0)
    expect(shown).toBeGreaterThan(synced)
  },
)
