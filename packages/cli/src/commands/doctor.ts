/** `kith doctor`: what is wrong, as an agent sees it and from here, and what to do about it. */
import { Command, Option } from 'commander'
import { exitCodes } from '../errors.ts'
import { durationFlag, textFlag } from '../flags.ts'
import { createHttpCaller } from '../http.ts'
import { type Io, printable, write } from '../io.ts'
import { type QueryFlags, queryOptions } from '../query.ts'
import { type Here, type MemberAnswer, type Reached, reachMembers } from '../reach.ts'

/** One finding as `GET /v1/diagnosis` tells it; each kind has more fields of its own. */
interface FindingAnswer {
  readonly kind: string
  readonly member?: string
  readonly since: number
  readonly lastAt: number
  readonly times: number
  readonly text: string
  readonly advice: string
}

/** Who found it; `here` is what this command met at a member whose HTTP the finding is about. */
interface ToldFinding extends FindingAnswer {
  readonly seenFrom: readonly ('agent' | 'here')[]
  readonly here?: Here
}

interface DoctorFlags extends QueryFlags {
  readonly timeout: number
  readonly network: boolean
}

const timeoutMsDefault = 3_000
const timeoutMsMax = 60_000

export function doctorCommand(io: Io, done: (code: number) => void): Command {
  const command = new Command('doctor').description(
    'say what is wrong, and what to do; exits 1 where something is',
  )
  queryOptions(command, io)
    .addOption(
      new Option('--timeout <time>', 'for reaching one member from here; five times it for all')
        .argParser(timeoutFlag)
        .default(timeoutMsDefault, '3s'),
    )
    .option('--no-network', 'ask the agent only, and reach no member from here')
    .addHelpText('after', examples)
  return command.action(async (flags: DoctorFlags) => {
    await using caller = createHttpCaller(flags, io)
    const { findings } = await caller.json<{ findings: readonly FindingAnswer[] }>('/v1/diagnosis')
    const reached = flags.network ? await reachedFromHere(flags, io, caller) : []
    const told = withHere(findings, reached)
    const text =
      flags.format === 'json'
        ? `${JSON.stringify({ findings: told }, undefined, 2)}\n`
        : findingsText(told, reached)
    await write(io.stdout, text)
    if (told.length > 0) done(exitCodes.failed)
  })
}

const examples = `
Examples:
  kith doctor
  kith doctor --http-addr 10.0.0.1:7947 --timeout 1s
  kith doctor --no-network --format json`

const fitsTimeout = textFlag(
  `a time of at most ${timeoutMsMax / 1000}s, as 500ms or 3s`,
  (text) => {
    return durationFlag(text) <= timeoutMsMax
  },
)

function timeoutFlag(text: string): number {
  return durationFlag(fitsTimeout(text))
}

async function reachedFromHere(
  flags: DoctorFlags,
  io: Io,
  caller: ReturnType<typeof createHttpCaller>,
): Promise<readonly Reached[]> {
  const { members } = await caller.json<{ members: readonly MemberAnswer[] }>('/v1/members')
  return reachMembers(members, flags, io)
}

/** Where both the agent and this command fail to reach a member it is one finding. */
function withHere(
  findings: readonly FindingAnswer[],
  reached: readonly Reached[],
): readonly ToldFinding[] {
  const byMember = new Map(reached.map((one) => [one.member, one.here]))
  const told = findings.map((finding): ToldFinding => {
    const here = byMember.get(finding.member ?? '')
    const seenFrom = ['agent'] as const
    if (finding.kind !== 'httpUnreachable' || here === undefined) return { ...finding, seenFrom }
    byMember.delete(finding.member ?? '')
    return here.reached
      ? { ...finding, seenFrom, here }
      : { ...finding, seenFrom: ['agent', 'here'], here }
  })
  const now = Date.now()
  for (const { member, url } of reached) {
    const here = byMember.get(member)
    if (here === undefined || here.reached) continue
    const text = `${JSON.stringify(member)} says that its HTTP is at ${url}, and from here ${here.text}`
    const seen = { since: now, lastAt: now, times: 1 }
    const { problem, advice } = here
    const what = { kind: 'httpUnreachable', member, url, problem, seenFrom: ['here'] as const }
    told.push({ ...what, ...seen, text, advice, here })
  }
  return told
}

function findingsText(findings: readonly ToldFinding[], reached: readonly Reached[]): string {
  if (findings.length === 0) {
    const count = reached.length
    const from = count === 0 ? '' : `; from here ${count} of ${count} members answer over HTTP`
    return `nothing is wrong, as far as this agent can tell${from}\n`
  }
  return findings
    .map(({ kind, since, times, text, advice, seenFrom, here }) => {
      const seen = `since ${new Date(since).toISOString()}, seen ${times} times`
      const lines = [
        `${kind}: ${text}`,
        `  ${seen}`,
        ...(seenFrom.includes('agent') ? hereLines(here) : []),
        `  ${advice}`,
      ]
      return lines.map((line) => `${printable(line)}\n`).join('')
    })
    .join('')
}

function hereLines(here: Here | undefined): readonly string[] {
  if (here === undefined) return []
  return [here.reached ? '  from here it answers' : `  from here ${here.text}`]
}
