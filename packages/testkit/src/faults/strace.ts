/** The system calls of a store: seen, and made to fail or to be the last, by strace. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runChild } from './run-child.ts'
import type { ChildEnd, ChildPlan } from './run-child.ts'
import type { LogStoreFaultSubject } from './subject.ts'

export function hasStrace(): boolean {
  return spawnSync('strace', ['-V']).status === 0
}

/** One system call that a store made on something in its directory. */
export interface StoreCall {
  readonly name: string
  /** On what: a path within the directory, or the directory itself, which is empty then. */
  readonly file: string
  /** Which of the calls of this name on this file, of its thread, from 1. */
  readonly nth: number
  readonly kind: 'write' | 'sync' | 'change' | 'read'
  /** Made by another thread than the one that commits. */
  readonly beside: boolean
}

const writes = ['write', 'writev', 'pwrite64', 'pwritev', 'pwritev2', 'ftruncate', 'fallocate']
const syncs = ['fsync', 'fdatasync', 'sync_file_range', 'syncfs', 'msync']
const changes = [
  ...['openat', 'rename', 'renameat', 'renameat2', 'unlink', 'unlinkat'],
  ...['link', 'linkat', 'mkdir', 'mkdirat'],
]
/** And `openat` of what is there. */
const reads = ['pread64', 'preadv', 'preadv2', 'getdents64']
const watched = [...writes, ...syncs, ...changes, ...reads].join(',')

/** Every call of a life that nothing happens to. */
export async function callsOf(
  subject: LogStoreFaultSubject,
  plan: ChildPlan,
): Promise<readonly StoreCall[]> {
  const folder = mkdtempSync(join(tmpdir(), 'kith-faults-trace-'))
  const output = join(folder, 'trace')
  try {
    const strace = ['-f', '-q', '-y', '-s', '0', '-o', output, '-e', `trace=${watched}`]
    await runChild(subject, plan, { strace: ['--seccomp-bpf', ...strace] })
    return callsIn(readFileSync(output, 'utf8'), plan.directory)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** `14522 pwrite64(24</store/log.db-wal>, ""..., 24, 32) = 24`, one call a line. */
function callsIn(trace: string, directory: string): readonly StoreCall[] {
  const counts = new Map<string, number>()
  let committing: string | undefined
  return trace.split('\n').flatMap((line): StoreCall[] => {
    const call = /^(\d+) +([a-z0-9_]+)\(/.exec(line)
    const at = line.indexOf(directory)
    if (call === null || at < 0) return []
    const [, thread = '', name = ''] = call
    // The end of a path that is named, or to which a descriptor leads.
    const [, file = ''] = /^\/([^">]*)/.exec(line.slice(at + directory.length)) ?? []
    const key = `${thread} ${name} ${file}`
    const nth = (counts.get(key) ?? 0) + 1
    counts.set(key, nth)
    committing ??= thread
    return [{ name, file, nth, kind: kindOf(name, line), beside: thread !== committing }]
  })
}

function kindOf(name: string, line: string): StoreCall['kind'] {
  if (writes.includes(name)) return 'write'
  if (syncs.includes(name)) return 'sync'
  const opensOnly = name === 'openat' && !line.includes('O_CREAT')
  return opensOnly || reads.includes(name) ? 'read' : 'change'
}

/** `when` is strace's: `5`, `5+`, `5+3`. It counts the calls on this file, in each thread. */
export interface Injection {
  readonly call: string
  readonly file: string
  readonly what: `signal=${string}` | `error=${string}`
  readonly when: string
}

/** A life, and how often a system call in it was not what it is. */
export interface InjectedEnd extends ChildEnd {
  readonly hits: number
  /** Of those, in other threads than the one that commits. */
  readonly hitsBeside: number
  /** The last call that was watched was made by such a thread. */
  readonly endedBeside: boolean
}

export async function runInjected(
  subject: LogStoreFaultSubject,
  plan: ChildPlan,
  { call, file, what, when }: Injection,
): Promise<InjectedEnd> {
  const folder = mkdtempSync(join(tmpdir(), 'kith-faults-trace-'))
  const output = join(folder, 'trace')
  try {
    const path = file === '' ? plan.directory : join(plan.directory, file)
    const strace = ['-f', '-q', '-s', '0', '-o', output, '-P', path, '-e', `trace=${call}`]
    const inject = ['-e', `inject=${call}:${what}:when=${when}`]
    // With a filter in the kernel other calls cost nothing, but no signal is delivered.
    const filter = what.startsWith('error=') ? ['--seccomp-bpf'] : []
    const end = await runChild(subject, plan, { strace: [...filter, ...strace, ...inject] })
    return { ...end, ...injectedIn(readFileSync(output, 'utf8')) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Calls that strace put something else in the place of. */
export function hitsIn(trace: string): number {
  return injectedIn(trace).hits
}

/** A call a line, and of each thread its end. */
function injectedIn(trace: string): Pick<InjectedEnd, 'hits' | 'hitsBeside' | 'endedBeside'> {
  const lines = trace.split('\n').filter(Boolean)
  const threadOf = (line: string): number => Number.parseInt(line, 10)
  // The first thread of a process has its number, the lowest of all.
  const first = Math.min(...lines.map(threadOf))
  const hits = lines.filter((line) => line.includes('(INJECTED)'))
  const last = lines.findLast((line) => /^\d+ +[a-z0-9_]+\(/.test(line))
  return {
    hits: hits.length,
    hitsBeside: hits.filter((line) => threadOf(line) !== first).length,
    endedBeside: last !== undefined && threadOf(last) !== first,
  }
}
