/** Files about what a run found, which say under what it was found. */
import { writeFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { root } from './command.ts'
import { commitOf } from './commit.ts'

/** Small letters, digits and dashes; an error says so. */
export function evidenceName(given: string, flag: string): string {
  if (/^[a-z0-9-]+$/.test(given)) return given
  throw new Error(`${flag} takes small letters, digits and -`)
}

export interface EvidenceRun {
  /** Writes `docs/evidence/<date>-<name>.md` and returns where that is. */
  write(result: string, body: readonly string[]): string
}

/** Takes the time, the commit and the load of now, when the run begins. */
export function beginEvidence(name: string): EvidenceRun {
  const startedAt = new Date()
  const before = load()
  const commit = commitOf()
  return {
    write(result, body) {
      const minutes = (Date.now() - startedAt.getTime()) / 60_000
      const memory = (totalmem() / 2 ** 30).toFixed(0)
      const file = `docs/evidence/${startedAt.toISOString().slice(0, 10)}-${name}.md`
      const lines = [
        `# ${name}`,
        '',
        `- result: ${result}`,
        `- date: ${startedAt.toISOString()}`,
        `- commit: ${commit}`,
        `- machine: ${cpus().length} x ${cpus()[0]?.model.trim()}, ${memory} GiB, Linux ${release()}`,
        `- runtime: Node.js ${process.version}`,
        `- load (1 minute): ${before} before, ${load()} after`,
        `- duration: ${minutes.toFixed(1)} minutes`,
        '',
        ...body,
        '',
      ]
      writeFileSync(join(root, file), lines.join('\n'))
      return file
    },
  }
}

function load(): string {
  return (loadavg()[0] ?? 0).toFixed(2)
}
