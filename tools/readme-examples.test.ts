import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type Example, examplesIn, guides, readExamples, readmes } from './examples.ts'
import { needs } from '../tests/support/requirements.ts'
import { tier } from '../tests/support/tier.ts'
import { command, root } from './support/command.ts'
import { publishedPackages } from './support/packages.ts'

// They end within ten seconds on a quiet machine; this only ends one that hangs.
const limitMs = 30_000

// Inside `tests`, whose manifest names every package, so that imports resolve as in a user's
// project.
mkdirSync(join(root, 'tests/.examples'), { recursive: true })
const folder = mkdtempSync(join(root, 'tests/.examples/'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** As many at a time as there are processors on a small machine. */
const atOnce = 2
let running = 0
const waiting: (() => void)[] = []

async function inTurn<Value>(run: () => Promise<Value>): Promise<Value> {
  if (running === atOnce) await new Promise<void>((resolve) => waiting.push(resolve))
  else running += 1
  try {
    return await run()
  } finally {
    const next = waiting.shift()
    if (next) next()
    else running -= 1
  }
}

/** Runs one example as a program of its own; resolves with what it printed and its exit code. */
async function perform({ file, line, code }: Example): Promise<{ code: number; output: string }> {
  const script = join(folder, `${file.replaceAll(/\W+/g, '-')}-${line}.ts`)
  writeFileSync(script, code)
  const args = ['--conditions=@kith/source', '--disable-warning=ExperimentalWarning', script]
  return command(process.execPath, args, { timeoutMs: limitMs })
}

describe('every example of a README or guide runs and ends by itself', () => {
  const examples = [...readmes(), ...guides()].flatMap((file) => readExamples(file))
  const run = async (example: Example): Promise<void> => {
    expect(await inTurn(() => perform(example))).toMatchObject({ code: 0 })
  }
  // Those that wait for their turn are among it.
  const patience = { timeout: 3 * limitMs }
  it.concurrent.each(examples.filter((it) => it.needs === undefined))('$file:$line', patience, run)

  const beside = examples.filter((it) => it.needs !== undefined)
  it.skipIf(tier === 1).each(beside)(
    '$file:$line, beside $needs (tier 2)',
    patience,
    async (it) => {
      expect(needs('serf').missing).toBe(false)
      await run(it)
    },
  )

  it('is marked in the README of the repository and of every package', () => {
    const files = ['README.md', ...publishedPackages().map((it) => `${it.folder}/README.md`)]
    const without = files.filter(
      (file) => !existsSync(join(root, file)) || readExamples(file).length === 0,
    )
    expect(without).toEqual([])
  })
})

describe('the reader of examples', () => {
  const fence = '```'
  it('takes marked blocks only', () => {
    const text = `# A\n${fence}ts\nno()\n${fence}\n<!-- example -->\n${fence}ts\nyes()\n${fence}\n`
    expect(examplesIn('a.md', text)).toEqual([{ file: 'a.md', line: 6, code: 'yes()' }])
  })

  it('says what one needs, and takes no other mark for one', () => {
    const block = `${fence}ts\nyes()\n${fence}\n`
    const text = `<!-- example needs serf -->\n${block}<!-- example needs luck -->\n${block}`
    expect(examplesIn('a.md', text)).toEqual([
      { file: 'a.md', line: 2, code: 'yes()', needs: 'serf' },
    ])
  })

  it('refuses a mark without a block', () => {
    expect(() => examplesIn('a.md', '<!-- example -->\ntext\n```ts\na()\n```')).toThrow(/a\.md:1/)
  })

  it('sees an example fail', async () => {
    const code = "import { toHex } from '@kith/interface'\nif (toHex(new Uint8Array(1))) throw 1"
    expect((await perform({ file: 'a.md', line: 1, code })).code).toBe(1)
  })
})
