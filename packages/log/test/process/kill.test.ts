/**
 * Appends of a real process are interrupted by kill -9 at random moments, again and again on the
 * same directory; a journal of what was sent and acknowledged is kept here, outside the process.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { createRandom } from '@kith/interface'
import { expect, it } from 'vitest'
import { temporaryDirectory } from '../support.ts'
import { check, createJournal, noteLine, recordsOf } from './journal.ts'
import type { Journal } from './journal.ts'

const rounds = process.env['KITH_TIER'] === '2' ? 200 : 20
const seed = Number(process.env['KITH_SEED'] ?? 4711)
const childPath = new URL('./append-child.ts', import.meta.url).pathname

/** Runs the child until `lives` milliseconds after its first acknowledgement, then kills it. */
async function runAndKill(
  journal: Journal,
  directory: string,
  round: number,
  lives: number,
  { kept = 0, storage = 'sqlite' } = {},
): Promise<void> {
  const writer = round % 4 === 3 ? 'inline' : 'worker'
  const child = spawn(
    process.execPath,
    ['--conditions=@kith/source', childPath, directory, writer, `${round}`, '6'].concat([
      `${kept}`,
      storage,
    ]),
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  const exited = once(child, 'exit')
  let trouble = ''
  let running = (): void => {}
  const first = new Promise<void>((resolve) => (running = resolve))
  const note = (line: string): void => {
    if (!noteLine(journal, line)) trouble += `${line}\n`
    else if (line.startsWith('acked')) running()
  }
  const streams = [child.stdout, child.stderr].map((input) => {
    const lines = createInterface({ input })
    lines.on('line', note)
    return once(lines, 'close')
  })
  await Promise.race([first, exited])
  expect(trouble, `round ${round} did not run`).toBe('')
  await delay(lives)
  child.kill('SIGKILL')
  await Promise.all([exited, ...streams])
}

// Segments are killed in the short run too, by the suite of faults.
const storages = rounds > 20 ? (['sqlite', 'segment'] as const) : (['sqlite'] as const)

it.each(storages.map((storage) => [storage, rounds] as const))(
  'LOG-34 no acknowledged record of a log in storage %s is lost to %i kills, and none appears ' +
    'that was not sent',
  async (storage, rounds) => {
    const random = createRandom(seed)
    const directory = temporaryDirectory()
    const journal = createJournal()
    for (let round = 0; round < rounds; round += 1) {
      await runAndKill(journal, directory, round, random.below(120), { storage })
      // Looked at after every kill in the long run, now and then in the short one.
      if (rounds > 20 || round % 5 === 4) check(journal, await recordsOf(directory))
    }
    expect(journal.acked.size).toBeGreaterThan(rounds)
    expect(journal.sent.size, 'some appends were interrupted').toBeGreaterThan(journal.acked.size)
  },
  rounds * 20_000,
)

const retained = rounds / 4

it(
  `LOG-34 LOG-42 nothing but a prefix is gone after ${retained} kills while retention drops`,
  async () => {
    const random = createRandom(seed + 1)
    const directory = temporaryDirectory()
    const journal = createJournal()
    let floor = 1
    for (let round = 0; round < retained; round += 1) {
      await runAndKill(journal, directory, round, 20 + random.below(120), { kept: 100 })
      const found = await recordsOf(directory)
      check(journal, found)
      expect(found.floor).toBeGreaterThanOrEqual(floor)
      floor = found.floor
    }
    expect(floor, 'something was dropped').toBeGreaterThan(1)
  },
  rounds * 20_000,
)
