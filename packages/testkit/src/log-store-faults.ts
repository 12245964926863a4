/** What a durable log store must withstand: LOG-55 to LOG-59 of the log's `SPEC.md`. */
import { runConformance } from './conformance.ts'
import type { ConformanceCase, TestRunner } from './conformance.ts'
import { withBench } from './faults/bench.ts'
import type { Bench, LogStoreFaultOptions, Shared } from './faults/bench.ts'
import {
  fullDisksAtRandom,
  powerCutsAtRandom,
  powerCutsSeeLoss,
  readOnlyAtRandom,
} from './faults/disk-faults.ts'
import { whyNoDisks } from './faults/disk.ts'
import { flippedBits } from './faults/flip.ts'
import { randomKills } from './faults/kill.ts'
import { hasStrace } from './faults/strace.ts'
import type { LogStoreFaultSubject } from './faults/subject.ts'
import { failingCalls, killsAtCalls } from './faults/system-calls.ts'
import { tornTails } from './faults/torn.ts'

interface FaultCase {
  readonly id: string
  readonly title: string
  readonly needs?: readonly ('strace' | 'disks')[]
  readonly run: (bench: Bench) => Promise<void> | void
}

const always: readonly FaultCase[] = [
  {
    id: 'LOG-55',
    title: 'keeps what it acknowledged, and whole commits only, when its process is killed',
    run: randomKills,
  },
  {
    id: 'LOG-55',
    title: 'keeps it wherever among its system calls the process is killed',
    needs: ['strace'],
    run: killsAtCalls,
  },
  {
    id: 'LOG-56',
    title: 'opens with a torn tail, and holds whole commits only',
    run: tornTails,
  },
  {
    id: 'LOG-57',
    title: 'notices a flipped bit, or gives back what was stored',
    run: flippedBits,
  },
  {
    id: 'LOG-58',
    title: 'keeps what it acknowledged when system calls fail, and goes on after a reopening',
    needs: ['strace'],
    run: failingCalls,
  },
]

const onDisks: readonly FaultCase[] = [
  {
    id: 'LOG-58',
    title: 'refuses what a full disk has no room for, and goes on when it has',
    needs: ['disks'],
    run: fullDisksAtRandom,
  },
  {
    id: 'LOG-58',
    title: 'keeps what it acknowledged when its file system turns read-only',
    needs: ['disks'],
    run: readOnlyAtRandom,
  },
  {
    id: 'LOG-59',
    title: 'keeps what it acknowledged, and whole commits only, when the power is cut',
    needs: ['disks'],
    run: powerCutsAtRandom,
  },
  {
    id: 'LOG-59',
    title: 'is seen to lose it where its flushes do nothing, or a power cut would prove nothing',
    needs: ['disks', 'strace'],
    run: powerCutsSeeLoss,
  },
]

/**
 * The cases, for `runCase` or `runConformance`; the long form has more of them. A store that is not
 * durable keeps none of them.
 */
export function logStoreFaultCases(
  options: LogStoreFaultOptions = {},
): readonly ConformanceCase<LogStoreFaultSubject>[] {
  const cases = options.extent === 'full' ? [...always, ...onDisks] : always
  const shared: Shared = {}
  return cases.map(({ run, ...one }) => ({
    ...one,
    run: (subject) => withBench(subject, options, shared, run),
  }))
}

/**
 * What this machine lacks for some of the cases, each with the reason: `strace`, to end a process
 * or fail it at a system call, and in the long form `disks`, for which it takes root and Linux.
 */
export function missingForLogStoreFaults(
  options: LogStoreFaultOptions = {},
): Readonly<Record<string, string>> {
  const missing: Record<string, string> = {}
  if (!hasStrace()) missing['strace'] = 'there is no strace on the path'
  const disks = options.extent === 'full' ? whyNoDisks() : undefined
  if (disks !== undefined) missing['disks'] = disks
  return missing
}

/**
 * Defines one test for each case; those that this machine cannot run are skipped with the reason.
 * The long form takes minutes, so give the runner a limit that lets it.
 */
export function runLogStoreFaults(
  name: string,
  subject: LogStoreFaultSubject,
  runner: TestRunner,
  options: LogStoreFaultOptions = {},
): void {
  const absent = missingForLogStoreFaults(options)
  runConformance(name, logStoreFaultCases(options), runner, () => subject, { absent })
}
