/**
 * `npm run sim -- scale`: a large cluster of the real core in one process, with what it costs.
 */
import { crashStudy, memoryStudy, reachStudy, speedStudy, stepStudy } from '../gossip/scale.ts'
import type { PhasedStepStudy } from '../gossip/scale.ts'
import { writeEvidence } from './evidence.ts'

export interface ScaleOptions {
  readonly members: number
  readonly evidence?: string | undefined
}

/** A step may take this much of a processor, milliseconds. */
const stepMsMax = 5
const bytesPerMemberMax = 1024
const speedMin = 50
const crashes = 20
/** From the first verdict to the last, milliseconds. */
const spreadMsMax = 5000
/** Of the median step of each phase, for ten times the members. */
const growthMax = 2
const reach = 5000

/** True where everything keeps within its bound. */
export async function scale(
  { members, evidence }: ScaleOptions,
  print: (line: string) => void,
): Promise<boolean> {
  const before = process.cpuUsage()
  const body: string[] = []
  const problems: string[] = []
  const say: Say = (line, holds) => {
    body.push(`- ${line}`)
    print(line)
    if (!holds) problems.push(line)
  }
  const speed = speedStudy(50)
  say(`50 members: ${speed.toFixed(0)} times as fast as real time`, speed >= speedMin)
  const bytesPerMember = memoryStudy(50, members)
  const bytes = bytesPerMember.toFixed(0)
  const heap = `heap of a known member: ${bytes} bytes (${members} against 50)`
  say(heap, bytesPerMember <= bytesPerMemberMax)
  sayCrashes(members, say)
  saySteps(members, say)
  sayReach(say)
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

type Say = (line: string, holds: boolean) => void

function sayCrashes(members: number, say: Say): void {
  const { formedMs, detections, likelyMs, falseFailures } = crashStudy(members, crashes)
  say(`${members} members know each other after ${formedMs} ms (virtual)`, true)
  const middle = (values: readonly number[]): string =>
    (values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0).toFixed(0)
  const first = detections.map(({ firstMs }) => firstMs)
  const all = detections.map(({ allMs }) => allMs)
  const most = Math.max(...all)
  const known = `${crashes} crashes: known to the first after ${middle(first)} ms, to all after`
  const range = `${middle(all)} (medians), at most ${most.toFixed(0)}, bound ${likelyMs.toFixed(0)}`
  say(`${known} ${range}`, most <= likelyMs)
  const spread = Math.max(...detections.map(({ firstMs, allMs }) => allMs - firstMs))
  say(`from the first to the last at most ${spread.toFixed(0)} ms`, spread <= spreadMsMax)
  say(`${falseFailures} failures of members that did not crash`, falseFailures === 0)
}

function saySteps(members: number, say: Say): void {
  const studies = [members / 10, members].map((size) => {
    const study = stepStudy(size)
    const { count, longestMs, kind, formingUs, formedUs } = study
    const most = `longest step ${longestMs.toFixed(2)} ms (${kind})`
    const middle = `median ${formingUs.toFixed(1)} us as it forms, ${formedUs.toFixed(1)} us later`
    say(`${most}, ${middle}, of ${count} steps of two members of ${size}`, longestMs <= stepMsMax)
    return study
  })
  for (const [phase, medianUs] of phases) {
    const [few = Number.NaN, many = Number.NaN] = studies.map(medianUs)
    const growth = many / few
    say(
      `with ten times the members a median step takes ${growth.toFixed(2)} times as long ${phase}`,
      growth <= growthMax,
    )
  }
}

const phases: readonly (readonly [string, (study: PhasedStepStudy) => number])[] = [
  ['as the cluster forms', ({ formingUs }) => formingUs],
  ['once it has formed', ({ formedUs }) => formedUs],
]

function sayReach(say: Say): void {
  const { known, first, newcomer } = reachStudy(reach)
  say(`of ${reach} members a newcomer knows ${known}`, known === reach)
  for (const [who, { count, longestMs, kind, medianUs }] of Object.entries({ first, newcomer })) {
    const most = `longest step ${longestMs.toFixed(2)} ms (${kind}), median ${medianUs.toFixed(1)} us`
    say(`the ${who} of ${reach}: ${most}, of ${count} steps`, true)
  }
}
