/** `kith log status`: what the log of an agent holds, and how far it is behind. */
import { showValue } from '@kith/interface'
import { Command, Option } from 'commander'
import { durationFlag, RefusedText } from '../flags.ts'
import { createHttpCaller } from '../http.ts'
import { type Io, printable, table, write } from '../io.ts'
import type { StatusAnswer } from '../progress.ts'
import { type QueryFlags, queryOptions } from '../query.ts'
import { watchStatus } from './log-watch.ts'

interface StatusFlags extends QueryFlags {
  readonly watch?: true
  /** Milliseconds. */
  readonly interval: number
}

const intervalMsDefault = 1_000
/** Each question lists all origins: a cluster may have thousands. */
const intervalMsMin = 100
const intervalMsMax = 3_600_000

export function statusCommand(io: Io): Command {
  const command = new Command('status')
    .description('what the log holds of each origin, and how far it is behind')
    .option('--watch', 'go on, with the pace of what is copied and the time left, until Ctrl-C')
    .addOption(
      new Option('--interval <time>', 'with --watch: between two looks')
        .argParser(intervalFlag)
        .default(intervalMsDefault, '1s'),
    )
    .addHelpText('after', examples)
  return queryOptions(command, io).action(async (flags: StatusFlags) => {
    if (flags.watch) return watchStatus(io, flags)
    await using caller = createHttpCaller(flags, io)
    const status = await caller.json<StatusAnswer>('/v1/log/status')
    const json = `${JSON.stringify(status, undefined, 2)}\n`
    await write(io.stdout, flags.format === 'json' ? json : statusText(status))
  })
}

const examples = `
Examples:
  kith log status                          what is held of each origin, and the lag
  kith log status --watch                  a catch-up as it goes on, and how long it will take
  kith log status --watch --format json    a line for each look, with rates and times`

function intervalFlag(text: string): number {
  const ms = durationFlag(text)
  if (ms >= intervalMsMin && ms <= intervalMsMax) return ms
  throw new RefusedText(showValue(text), 'a time from 100ms to 1h')
}

function statusText(status: StatusAnswer): string {
  const kind = status.durable ? 'on disk' : 'in memory only'
  const rows = status.origins.map(
    ({ origin, member, floor, next, lag, chain, status: state, own }) => [
      origin,
      `${printable(member)}${own ? ' (own)' : ''}`,
      String(floor),
      String(next),
      String(lag),
      state,
      chain.slice(0, 12),
    ],
  )
  const head = ['ORIGIN', 'MEMBER', 'FLOOR', 'NEXT', 'LAG', 'STATUS', 'CHAIN']
  const { logId, records, bytes, floor, next } = status
  const held = `${records} records, ${bytes} bytes, offsets ${floor} to ${next}`
  return `log ${logId}, ${kind}: ${held}\n${table([head, ...rows])}${reasonsText(status)}`
}

/** A stopped origin stays so: whoever sees it wants to know whose history ours is not. */
function reasonsText({ origins }: StatusAnswer): string {
  const stopped = origins.filter(({ status, why }) => status === 'quarantined' && why !== undefined)
  return stopped
    .map(({ origin, why = '' }) => `${origin} is quarantined: ${printable(why)}\n`)
    .join('')
}
