/** The test of one target, under the clause that it proves. */
import { expect, it } from 'vitest'
import { runTarget, wanted } from './run.ts'
import { targets } from './targets/index.ts'

const growthBytesMax = 32 * 2 ** 20
/** Ends one that hangs; ten million inputs take less. */
const timeout = 7_200_000

/** Skipped, and said so, where `KITH_FUZZ` names other targets. */
export function keepPromises(clause: string, name: string, inputs: number): void {
  const title = `${clause} ${name}: none throws, hangs, is misread, or takes 32 MiB`
  it.skipIf(!wanted(name))(title, { timeout }, async () => {
    const { failure, ends, inputs: done, growthBytes } = await runTarget(name, inputs)
    expect(failure).toBeUndefined()
    expect(done).toBe(inputs)
    expect(growthBytes).toBeLessThan(growthBytesMax)
    expect(Object.keys(ends)).toEqual(expect.arrayContaining([...(targets[name]?.ends ?? [])]))
  })
}
