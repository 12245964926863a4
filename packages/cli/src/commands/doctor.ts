/** `kith doctor`: what is wrong, as an agent sees it, and what to do about it. */
import { Command } from 'commander'
import { exitCodes } from '../errors.ts'
import { createHttpCaller } from '../http.ts'
import { type Io, printable, write } from '../io.ts'
import { type QueryFlags, queryOptions } from '../query.ts'

/** One finding as `GET /v1/diagnosis` tells it; each kind has more fields of its own. */
interface FindingAnswer {
  readonly kind: string
  readonly member?: string
  readonly since: number
  readonly times: number
  readonly text: string
  readonly advice: string
}

export function doctorCommand(io: Io, done: (code: number) => void): Command {
  const command = new Command('doctor').description(
    'say what is wrong, and what to do; exits 1 where something is',
  )
  return queryOptions(command, io).action(async (flags: QueryFlags) => {
    await using caller = createHttpCaller(flags, io)
    const answer = await caller.json<{ findings: readonly FindingAnswer[] }>('/v1/diagnosis')
    const { findings } = answer
    const text =
      flags.format === 'json'
        ? `${JSON.stringify({ findings }, undefined, 2)}\n`
        : findingsText(findings)
    await write(io.stdout, text)
    if (findings.length > 0) done(exitCodes.failed)
  })
}

function findingsText(findings: readonly FindingAnswer[]): string {
  if (findings.length === 0) return 'nothing is wrong, as far as this agent can tell\n'
  return findings
    .map(({ kind, since, times, text, advice }) => {
      const seen = `since ${new Date(since).toISOString()}, seen ${times} times`
      return `${printable(kind)}: ${printable(text)}\n  ${seen}\n  ${printable(advice)}\n`
    })
    .join('')
}
