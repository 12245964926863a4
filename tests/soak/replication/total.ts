/** Slices of a soak together, and the file about them. */
import { writeEvidence } from '../../sim/commands/evidence.ts'
import { type AppenderCounts, noAppends } from './appender.ts'
import { type FaultCounts, noFaults } from './faults.ts'
import type { Quota } from './plan.ts'
import type { SoakResult } from './soak.ts'

export interface Total {
  readonly slices: number
  readonly faults: FaultCounts
  readonly appends: AppenderCounts
  readonly sent: number
  readonly disk: number
  readonly replicas: number
  readonly records: number
  readonly origins: number
  readonly forked: number
  readonly holes: number
  readonly excused: number
  readonly beyond: number
  readonly quietPoints: number
  readonly refusals: number
  readonly convergedMsMax: number
  readonly packetsDropped: number
}

function sum(slices: readonly SoakResult[], of: (slice: SoakResult) => number): number {
  return slices.reduce((total, slice) => total + of(slice), 0)
}

export function totalOf(slices: readonly SoakResult[]): Total {
  const faults = noFaults()
  const appends = noAppends()
  for (const slice of slices) {
    for (const key of Object.keys(appends) as (keyof AppenderCounts)[]) {
      appends[key] += slice.appends[key]
    }
    const { shapes, ...counts } = slice.faults
    for (const [key, count] of Object.entries(counts)) faults[key as keyof typeof counts] += count
    for (const [key, count] of Object.entries(shapes))
      faults.shapes[key as keyof typeof shapes] += count
  }
  return {
    slices: slices.length,
    faults,
    appends,
    sent: sum(slices, ({ acknowledged }) => acknowledged.sent),
    disk: sum(slices, ({ acknowledged }) => acknowledged.disk),
    replicas: sum(slices, ({ acknowledged }) => acknowledged.replicas),
    records: sum(slices, ({ findings }) => findings.records),
    origins: sum(slices, ({ findings }) => findings.origins),
    forked: sum(slices, ({ findings }) => findings.forked.length),
    holes: sum(slices, ({ findings }) => findings.holes),
    excused: sum(slices, ({ findings }) => findings.excused),
    beyond: sum(slices, ({ findings }) => findings.beyond),
    quietPoints: sum(slices, ({ quietPoints }) => quietPoints),
    refusals: sum(slices, ({ refusals }) => refusals),
    convergedMsMax: Math.max(0, ...slices.map(({ convergedMsMax }) => convergedMsMax)),
    packetsDropped: sum(slices, ({ packetsDropped }) => packetsDropped),
  }
}

/** What the slices so far have not done. */
export function quotaLeft(quota: Quota, slices: readonly SoakResult[]): Quota {
  const left = (of: keyof Quota): number => {
    return Math.max(0, quota[of] - sum(slices, ({ faults }) => faults[of]))
  }
  return {
    kills: left('kills'),
    partitions: left('partitions'),
    replacements: left('replacements'),
    rollBacks: left('rollBacks'),
  }
}

export function reportLines(total: Total, quota: Quota): string[] {
  const { faults, appends } = total
  const { alone, halves, oneWay, paused } = faults.shapes
  return [
    '| faults | done | of |',
    '|---|---|---|',
    `| kill -9 with a restart | ${faults.kills} | ${quota.kills} |`,
    `| partitions | ${faults.partitions} | ${quota.partitions} |`,
    `| members replaced, disk and all | ${faults.replacements} | ${quota.replacements} |`,
    `| disks rolled back to an old image | ${faults.rollBacks} | ${quota.rollBacks} |`,
    '',
    `Of the kills ${faults.killsInStart} hit a member that was not ready yet. Of the partitions ` +
      `${alone} cut off one member, ${halves} were halves, ${oneWay} one way, ${paused} a stopped ` +
      `process; ${total.packetsDropped} packets were dropped. Of the roll-backs ` +
      `${faults.blindRollBacks} came back with nobody to ask.`,
    '',
    `${total.sent} records of 1 KiB were sent in ${appends.requests} requests; ${total.replicas} ` +
      `were acknowledged at \`replicas: 1\`, ${total.disk} at \`disk\`. ${appends.retries} retries, ` +
      `${appends.duplicates} of which were answered as stored before; ${appends.unknown} requests ` +
      `were given up because the disk under them was lost; ${appends.timedOut} were not copied ` +
      `within their time and count at \`disk\`; ${appends.rotationRefused} times a member refused ` +
      'to replace its origin twice within an hour.',
    '',
    'Every second member keeps its log in segments, the others in SQLite.',
    '',
    `${total.quietPoints} quiet points, at each of which all five took appends and were equal after ` +
      `at most ${total.convergedMsMax} ms, and everything was checked. At the last of each slice: ` +
      `${total.records} records held by the fullest member in ${total.origins} origins, of which ${total.forked} ` +
      `are forked, with a durable event; ${total.holes} declared holes. ${total.refusals} times a member ` +
      'that may not take a new origin yet, and until then not the rest of its own, was not held to ' +
      'be equal in that one.',
    '',
    `Not owed: ${total.excused} records acknowledged at \`disk\` that were lost with the only disk, ` +
      `${total.beyond} acknowledged at \`replicas: 1\` that lost two disks.`,
    '',
    'Lost although owed 0, stored twice 0, silent gaps 0, silent forks 0.',
  ]
}

/** Written only where every slice held: a violation ends the run before. */
export function writeReport(name: string, total: Total, quota: Quota, seconds: number): string {
  const problem = problemOf(total)
  const complete = Object.values(quotaLeftOf(total, quota)).every((left) => left === 0)
  return writeEvidence({
    name,
    command: 'npm run soak:replication',
    result:
      problem ?? `0 violations in ${total.slices} slices${complete ? '' : '; not all faults done'}`,
    seconds,
    spent: 'time of the runs',
    body: reportLines(total, quota),
  })
}

/** One disk is lost between two checks at most, so that two others hold what `replicas: 1` said. */
export function problemOf({ beyond }: Total): string | undefined {
  if (beyond === 0) return undefined
  return `missed: ${beyond} records acknowledged at \`replicas: 1\` are gone, and two disks were lost`
}

function quotaLeftOf({ faults }: Total, quota: Quota): Quota {
  return {
    kills: Math.max(0, quota.kills - faults.kills),
    partitions: Math.max(0, quota.partitions - faults.partitions),
    replacements: Math.max(0, quota.replacements - faults.replacements),
    rollBacks: Math.max(0, quota.rollBacks - faults.rollBacks),
  }
}
