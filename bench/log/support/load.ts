/** What else the machine did while something was measured. */
import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'

/** Ticks a second in which Linux counts processor time. */
const ticks = 100

/** Numbers of the first line; the name of a program in it may have blanks, and is left out. */
function fields(path: string): readonly number[] {
  try {
    const line = readFileSync(path, 'utf8').split('\n', 1)[0] ?? ''
    return line
      .slice(line.lastIndexOf(')') + 1)
      .trim()
      .split(/\s+/)
      .map(Number)
  } catch {
    return []
  }
}

/** Processor seconds of a process, and of those that it waited for. */
export function processorSeconds(pid: number | 'self'): number {
  const stat = fields(`/proc/${pid}/stat`)
  return [11, 12, 13, 14].reduce((sum, at) => sum + (stat[at] ?? 0), 0) / ticks
}

/** Processor seconds of everything that runs here. */
function all(): number {
  const stat = fields('/proc/stat')
  return [1, 2, 3, 6, 7, 8].reduce((sum, at) => sum + (stat[at] ?? 0), 0) / ticks
}

/**
 * Whether the system was told to prefer this process (`chrt`), which on a machine that is used by
 * others brings figures nearer to those of a quiet one.
 */
export function isPreferred(): boolean {
  // The policy: 1 and 2 are those of real time, which come before all others.
  return [1, 2].includes(fields('/proc/self/stat')[38] ?? 0)
}

/** Begins to count; the result says which share of all processors others used since. */
export function watchLoad(pids: readonly number[]): () => number {
  const ours = (): number =>
    processorSeconds('self') + pids.reduce((sum, pid) => sum + processorSeconds(pid), 0)
  const [allBefore, oursBefore, startedAt] = [all(), ours(), performance.now()]
  return () => {
    const seconds = (performance.now() - startedAt) / 1_000
    const others = all() - allBefore - (ours() - oursBefore)
    return Math.max(0, others / seconds / cpus().length)
  }
}
