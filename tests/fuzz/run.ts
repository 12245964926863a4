/** Fuzzes one target in a process of its own, so that its memory is its own. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { evidence, tier } from '../support/tier.ts'

const main = fileURLToPath(new URL('main.ts', import.meta.url))

export interface Figures {
  readonly inputs: number
  readonly ms: number
  readonly processorMs: number
  readonly ends: Readonly<Record<string, number>>
  readonly characters: number
  readonly found: number
  readonly growthBytes: number
  readonly slowestMs: number
  /** What broke, and the command that repeats it. */
  readonly failure?: string
}

/** What came of it; also written to the evidence of a proving run. */
export async function runTarget(name: string, inputs: number): Promise<Figures> {
  const args = ['--max-semi-space-size=8', '--conditions=@kith/source', main]
  // Tier 1 does the same each time; tier 2 goes where nobody was.
  const seed = tier === 2 ? Math.trunc(Date.now() / 1000) : 1
  const asked = ['--target', name, '--inputs', String(inputs), '--seed', String(seed), '--json']
  // What was compiled before is not counted exactly.
  const env = { ...process.env, NODE_DISABLE_COMPILE_CACHE: '1' }
  const options = { maxBuffer: 1 << 24, env }
  const run = promisify(execFile)(process.execPath, [...args, ...asked], options)
  const stdout = await run.then(
    (ended) => ended.stdout,
    // A process that found something ends with 1 and says so; one that was ended says nothing.
    (cause: { readonly stdout?: string; readonly stderr?: string }) =>
      cause.stdout || Promise.reject(new Error(cause.stderr ?? 'it ended without a word')),
  )
  const figures = JSON.parse(stdout.split('\n')[0] ?? '') as Figures
  evidence(`${name} inputs`, figures.inputs)
  evidence(`${name} seed`, seed)
  evidence(`${name} inputs a second of processor time`, perSecond(figures))
  evidence(`${name} seconds`, Math.round(figures.ms / 1000))
  evidence(`${name} characters of source reached`, figures.characters)
  evidence(`${name} inputs that reached new code`, figures.found)
  evidence(`${name} memory grew by at most, MiB`, (figures.growthBytes / 2 ** 20).toFixed(1))
  evidence(`${name} failures`, figures.failure ?? 0)
  const ends = Object.entries(figures.ends).map(([end, count]) => `${end} ${count}`)
  evidence(`${name} ends`, ends.join(', '))
  return figures
}

function perSecond({ inputs, processorMs }: Figures): number {
  return Math.round((inputs / processorMs) * 1000)
}

/** Which targets a run is about: all, or those that `KITH_FUZZ` names. */
export function wanted(name: string): boolean {
  const names = process.env['KITH_FUZZ']
  return names === undefined || names.split(',').includes(name)
}
