// A fuzzer that finds nothing must have been able to: mistakes are planted and found. What it once
// found stands here by name.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { fromHex, toHex } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { readCorpus } from './corpus.ts'
import { startCoverage } from './coverage.ts'
import { fuzz, minimise, runInput } from './engine.ts'
import type { FuzzResult } from './engine.ts'
import { sorted, without } from './spans.ts'
import type { FuzzTarget } from './target.ts'
import { targets } from './targets/index.ts'

const quiet = { file: '', note: () => {}, rest: () => Promise.resolve() }

/** Runs `check` in front of a target's own. */
function planted(name: string, check: (bytes: Uint8Array, end: string) => void): FuzzResult {
  const target = targetOf(name)
  return fuzz({
    target: {
      ...target,
      check(bytes, random) {
        const end = target.check(bytes, random)
        check(bytes, end)
        return end
      },
    },
    corpus: [],
    inputs: 20_000,
    seed: 1,
    coverage: startCoverage(),
    watchdog: quiet,
  })
}

function targetOf(name: string): FuzzTarget {
  const target = targets[name]
  if (target === undefined) throw new Error(`no target ${name}`)
  return target
}

/** Inputs that once broke a promise, shortened, and what it was. */
const golden: readonly (readonly [clause: string, what: string, target: string, hex: string])[] = [
  [
    'LOG-4',
    'a header that begins with a byte order mark lost it',
    'batch',
    '4b420100f915a0986fb44a60270000000100000001000000000000000123456789abcdef0123456789abcdef' +
      '0068e5cf8b0100000000551ada91a1667fc500000200020b636f6e7374727563746f72016308746f537472' +
      '696e6707efbbbf6d61726b7623000000',
  ],
  [
    'GOS-104',
    'the end of a packet was dropped when its version was changed on the way',
    'packet',
    '001910f37468458141a48cc879d32654985549dc8c0923c74d183a69deb80940cac91b1f65428d6140b2a4c9' +
      '932853aa5cc9b2a5cb973063ca641010',
  ],
]

describe('the fuzzer', { timeout: 120_000 }, () => {
  it.each(golden)('%s %s', (_clause, _what, name, hex) => {
    runInput(targetOf(name), fromHex(hex) ?? new Uint8Array(0))
  })

  it.each(Object.keys(targets))('GOS-180 every input of the corpus of %s is read well', (name) => {
    const corpus = readCorpus(name)
    for (const input of corpus) runInput(targetOf(name), input)
    // Seeds alone reach less: what was found beyond them is kept.
    expect(corpus.length).toBeGreaterThan(0)
  })

  it('GOS-180 finds what throws, and shortens it', () => {
    const { failure } = planted('packet', (_bytes, end) => {
      if (end === 'versionsShort') throw new Error('planted 7')
    })
    expect(failure).toMatchObject({ kind: 'threw' })
    const length = failure?.input.length ?? 0
    const target: FuzzTarget = {
      ...targetOf('packet'),
      check(bytes) {
        if (bytes.includes(0xff)) throw new Error('planted 8')
        return 'read'
      },
    }
    const input = Uint8Array.of(1, 2, 3, 0xff, 4, 5)
    const least = minimise(target, { kind: 'threw', input, text: 'Error: planted 8' })
    expect([length > 0, toHex(least)]).toEqual([true, 'ff'])
  })

  it('GOS-180 finds what takes too much memory, also where it is given back at once', () => {
    const { failure } = planted('packet', (bytes) => {
      if (bytes[2] === 0x42) new Uint8Array(40 * 2 ** 20).fill(1).buffer.transfer(0)
    })
    expect(failure).toMatchObject({ kind: 'memory' })
  })

  it('GOS-180 finds what takes too long', () => {
    const { failure } = planted('packet', (bytes) => {
      const before = process.threadCpuUsage().user
      if (bytes[2] === 0x42) while (process.threadCpuUsage().user - before < 550_000);
    })
    expect(failure).toMatchObject({ kind: 'slow' })
  })

  it('GOS-180 keeps what reaches new code', () => {
    const { found, characters } = planted('packet', () => {})
    expect(found.length).toBeGreaterThan(3)
    expect(characters).toBeGreaterThan(10_000)
  })

  it('GOS-180 ends what never ends, and keeps its input', async () => {
    const program = fileURLToPath(new URL('endless.ts', import.meta.url))
    const args = ['--conditions=@kith/source', program]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] })
    let file = ''
    child.stdout.on('data', (text) => (file += String(text)))
    const [, signal] = (await once(child, 'close')) as [number | null, string]
    expect(signal).toBe('SIGKILL')
    expect(readFileSync(file, 'utf8')).toBe('010203\n')
    rmSync(file)
  })

  it('GOS-180 knows what of a source never ran', () => {
    expect(
      sorted([
        [5, 9],
        [1, 3],
        [2, 4],
      ]),
    ).toEqual([
      [1, 4],
      [5, 9],
    ])
    expect(
      without(
        [[0, 10]],
        [
          [2, 3],
          [5, 7],
        ],
      ),
    ).toEqual([
      [0, 2],
      [3, 5],
      [7, 10],
    ])
  })
})
