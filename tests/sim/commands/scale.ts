/**
 * `npm run sim -- scale`: a large cluster of the real core in one process, with what it costs.
 */
import { crashStudy, memoryStudy, speedStudy, stepStudy } from '../gossip/scale.ts'
import { writeEvidence } from './evidence.ts'

export interface ScaleOptions {
  readonly members: number
  readonly evidence?: string | undefined
}

/** A step may take this much of a processor, milliseconds. */
const stepMsMax = 5
const bytesPerMemberMax = 1024
const speedMin = 50

/** True where everything keeps within its bound. */
export async function scale(
  { members, evidence }: ScaleOptions,
  print: (line: string) => void,
): Promise<boolean> {
  const before = process.cpuUsage()
  const body: string[] = []
  const problems: string[] = []
  const say = (line: string, holds: boolean): void => {
    body.push(`- ${line}`)
    print(line)
    if (!holds) problems.push(line)
  }
  const speed = speedStudy(50)
  say(`50 members: ${speed.toFixed(0)} times as fast as real time`, speed >= speedMin)
  const known = Math.min(members, 250)
  const bytesPerMember = memoryStudy(50, known)
  const bytes = bytesPerMember.toFixed(0)
  const heap = `heap of a known member: ${bytes} bytes (${known} against 50)`
  say(heap, bytesPerMember <= bytesPerMemberMax)
  const { formedMs, firstMs, allMs, boundMs, falseFailures } = crashStudy(members)
  say(`${members} members know each other after ${formedMs} ms (virtual)`, true)
  const heard = `a crash: first ${firstMs.toFixed(0)} ms, all ${allMs.toFixed(0)} ms`
  say(`${heard}, bound ${boundMs.toFixed(0)} ms; ${falseFailures} others failed`, allMs <= boundMs)
  const steps = stepStudy(members)
  const { longestMs, kind, medianUs } = steps
  const most = `longest step ${longestMs.toFixed(2)} ms (${kind}), median ${medianUs.toFixed(1)} us`
  say(`${most}, of ${steps.count} steps of two members of ${members}`, longestMs <= stepMsMax)
  for (const problem of problems) print(`missed: ${problem}`)
  if (evidence !== undefined) {
    const { user, system } = process.cpuUsage(before)
    const result = problems.length === 0 ? 'held' : `missed: ${problems.join('; ')}`
    const command = `npm run sim -- scale --members ${members}`
    const seconds = (user + system) / 1e6
    print(`written to ${writeEvidence({ name: evidence, command, result, seconds, body })}`)
  }
  return problems.length === 0
}
