/** A file about a run by hand, as `npm run prove` writes one about its tests. */
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { commitOf } from '../../../tools/support/commit.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

export interface Evidence {
  /** Small letters, digits and dashes. */
  readonly name: string
  readonly command: string
  readonly result: string
  /** Of processors, unless `spent` says of what. */
  readonly seconds: number
  /** Default: processor time of the runs. */
  readonly spent?: string
  readonly body: readonly string[]
}

/** Writes `docs/evidence/<date>-<name>.md` and returns where that is. */
export function writeEvidence({ name, command, result, seconds, spent, body }: Evidence): string {
  const now = new Date().toISOString()
  const file = `docs/evidence/${now.slice(0, 10)}-${name}.md`
  const memory = (totalmem() / 2 ** 30).toFixed(0)
  const lines = [
    `# ${name}`,
    '',
    `- command: \`${command}\``,
    `- result: ${result}`,
    `- date: ${now}`,
    `- commit: ${commitOf()}`,
    `- machine: ${cpus().length} x ${cpus()[0]?.model.trim()}, ${memory} GiB, Linux ${release()}`,
    `- runtime: Node.js ${process.version}`,
    `- load (1 minute) at the end: ${(loadavg()[0] ?? 0).toFixed(2)}`,
    `- ${spent ?? 'processor time of the runs'}: ${(seconds / 60).toFixed(1)} minutes, in slices`,
    '',
    ...body,
    '',
  ]
  writeFileSync(join(root, file), lines.join('\n'))
  return file
}

/** The lines of the newest file of that name. */
export function readEvidence(name: string): readonly string[] {
  const newest = globSync(`docs/evidence/????-??-??-${name}.md`, { cwd: root }).toSorted().at(-1)
  if (newest === undefined) throw new Error(`docs/evidence has no ${name}`)
  return readFileSync(join(root, newest), 'utf8').split('\n')
}
