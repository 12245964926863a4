/** kill -9 while a process commits, again and again on the same directory. */
import { expectThat } from '../expect.ts'
import type { Bench } from './bench.ts'
import { inParallel } from './bench.ts'
import { wholeDirectory } from './judge.ts'
import { runChild } from './run-child.ts'
import type { Work } from './run-child.ts'

const valueBytesMax = 2_000
/** More than any life of these tests commits. */
const stepsALife = 400
const livesOfDirectory = 10

export async function randomKills(bench: Bench): Promise<void> {
  const kills = { lives: 0, interrupted: 0, lost: 0 }
  const directories = Array.from({ length: bench.full ? 10 : 1 }, () => bench.folder())
  await inParallel(directories, async (directory) => {
    const history = bench.history(valueBytesMax)
    let held = 0
    for (let life = 0; life < (bench.full ? livesOfDirectory : 2); life += 1) {
      const plan = {
        directory,
        seed: bench.seed,
        valueBytesMax,
        atLeast: held,
        atMost: held,
        steps: held + stepsALife,
      }
      const steps = 1 + bench.random.below(40)
      const until = ({ committed }: Work): Promise<void> => committed(steps)
      const { bounds, signal } = await runChild(bench.subject, plan, { until })
      held = wholeDirectory(bench.open, directory, history, bounds)
      kills.lives += 1
      if (signal === 'SIGKILL') kills.interrupted += 1
      if (held < bounds.atMost - 1) kills.lost += 1
    }
    expectThat(!bench.full || held > 0, 'something was committed')
  })
  expectThat(kills.interrupted > 0, 'a process was killed while it worked')
  bench.report(
    `kill -9 at random: ${kills.lives} lives, ${kills.interrupted} killed, ${kills.lost} of ` +
      'them lost steps that asked for no flush',
  )
}
