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
  /** Which of the calls of this name, of its thread, from 1. */
  readonly nth: number
  readonly kind: 'write' | 'sync' | 'change' | 'read'
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
  return trace.split('\n').flatMap((line): StoreCall[] => {
    const call = /^(\d+) +([a-z0-9_]+)\(/.exec(line)
    if (call === null) return []
    const [, thread = '', name = ''] = call
    const nth = (counts.get(`${thread} ${name}`) ?? 0) + 1
    counts.set(`${thread} ${name}`, nth)
    if (!line.includes(directory)) return []
    return [{ name, nth, kind: kindOf(name, line) }]
  })
}

function kindOf(name: string, line: string): StoreCall['kind'] {
  if (writes.includes(name)) return 'write'
  if (syncs.includes(name)) return 'sync'
  const opensOnly = name === 'openat' && !line.includes('O_CREAT')
  return opensOnly || reads.includes(name) ? 'read' : 'change'
}

/** `when` is strace's: `5`, `5+`, `5+3`. */
export interface Injection {
  readonly call: string
  readonly what: `signal=${string}` | `error=${string}`
  readonly when: string
}

/** A life in which some system calls are not what they are. */
export async function runInjected(
  subject: LogStoreFaultSubject,
  plan: ChildPlan,
  { call, what, when }: Injection,
): Promise<ChildEnd> {
  const strace = ['-f', '-q', '-o', '/dev/null', '-e', `trace=${call}`]
  const inject = ['-e', `inject=${call}:${what}:when=${when}`]
  // With a filter in the kernel other calls cost nothing, but no signal is delivered.
  const filter = what.startsWith('error=') ? ['--seccomp-bpf'] : []
  return await runChild(subject, plan, { strace: [...filter, ...strace, ...inject] })
}
