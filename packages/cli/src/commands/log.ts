/** `kith log`: append to, read and check the log of an agent. */
import { Command, InvalidArgumentError } from 'commander'
import { CliError, exitCodes } from '../errors.ts'
import { fromFlag, integerFlag } from '../flags.ts'
import { createHttpCaller } from '../http.ts'
import { type Io, painter, printable, write } from '../io.ts'
import { type QueryFlags, queryOptions } from '../query.ts'
import { appendCommand } from './log-append.ts'
import { statusCommand } from './log-status.ts'

export function logCommand(io: Io, done: (code: number) => void): Command {
  return new Command('log')
    .description('append to, read and check the log')
    .addCommand(appendCommand(io))
    .addCommand(readCommand(io))
    .addCommand(tailCommand(io))
    .addCommand(statusCommand(io))
    .addCommand(verifyCommand(io, done))
    .addCommand(retireCommand(io))
}

interface ReadFlags extends QueryFlags {
  readonly from?: number | string
  readonly limit?: number
}

const countFlag = integerFlag(1, Number.MAX_SAFE_INTEGER)

function readCommand(io: Io): Command {
  const command = new Command('read')
    .description('print the records stored now: their values, or all of them as JSON lines')
    .option('--from <where>', 'offset, earliest, latest or time; default: earliest', fromFlag)
    .option('--limit <count>', 'at most so many', countFlag)
  return queryOptions(command, io).action((flags: ReadFlags) => printRecords(flags, io))
}

function tailCommand(io: Io): Command {
  const command = new Command('tail')
    .description('print new records as they come, until Ctrl-C')
    .option('--from <where>', 'offset, earliest, latest or time; default: latest', fromFlag)
    .option('--limit <count>', 'end after so many', countFlag)
  return queryOptions(command, io).action(async (flags: ReadFlags) => {
    const stop = new AbortController()
    const unsubscribe = io.onSignal(() => stop.abort())
    try {
      await printRecords(flags, io, stop.signal)
    } catch (cause) {
      if (!stop.signal.aborted) throw cause
    } finally {
      unsubscribe()
    }
  })
}

async function printRecords(flags: ReadFlags, io: Io, follow?: AbortSignal): Promise<void> {
  await using caller = createHttpCaller(flags, io)
  const { limit, format } = flags
  const from = flags.from ?? (follow ? 'latest' : 'earliest')
  const query = { from, limit, ...(follow ? { follow: true } : {}) }
  const options = { query, ...(follow ? { signal: follow } : {}) }
  let printed = 0
  for await (const line of caller.lines('/v1/log/records', options)) {
    if (line === '') continue
    await write(io.stdout, format === 'json' ? `${line}\n` : valueOf(line, io))
    printed += 1
  }
  // Whoever follows expects no end: without one of their own making it is the agent's.
  if (follow && !follow.aborted && printed !== limit) {
    throw new CliError('ERR_CLI_UNREACHABLE', `the agent at ${flags.httpAddr} stopped`)
  }
}

function valueOf(line: string, io: Io): string | Uint8Array {
  const { value, valueBase64 } = parseRecord(line)
  // A pipe gets the bytes as they are, a terminal nothing it would obey.
  if (value !== undefined) return `${io.stdout.isTTY === true ? printable(value) : value}\n`
  if (io.stdout.isTTY === true) return `base64:${valueBase64 ?? ''}\n`
  return Buffer.concat([Buffer.from(valueBase64 ?? '', 'base64'), Buffer.from('\n')])
}

function parseRecord(line: string): { value?: string; valueBase64?: string } {
  try {
    return JSON.parse(line) as { value?: string; valueBase64?: string }
  } catch (cause) {
    throw new CliError('ERR_CLI_ANSWER', 'the agent sent a line that is no JSON', { cause })
  }
}

function retireCommand(io: Io): Command {
  const command = new Command('retire')
    .description('say that nothing is expected of an origin any more: its log is gone')
    .argument('<origin>', 'as kith log status shows it', originArgument)
  return queryOptions(command, io).action(async (origin: string, flags: QueryFlags) => {
    await using caller = createHttpCaller(flags, io)
    const path = `/v1/log/origins/${origin}/retire`
    const answer = await caller.json<object>(path, { method: 'POST' })
    const text = `${origin} is retired; a record of it that comes after all would be taken\n`
    await write(
      io.stdout,
      flags.format === 'json' ? `${JSON.stringify(answer, undefined, 2)}\n` : text,
    )
  })
}

/** It becomes part of a path: nothing else may. */
function originArgument(text: string): string {
  if (/^[0-9a-f]{32}$/.test(text)) return text
  throw new InvalidArgumentError('It must be 32 hex digits, in small letters.')
}

function verifyCommand(io: Io, done: (code: number) => void): Command {
  const command = new Command('verify').description(
    'check every checksum and chain; exits 1 when something is damaged',
  )
  return queryOptions(command, io).action(async (flags: QueryFlags) => {
    await using caller = createHttpCaller(flags, io)
    const report = await caller.json<{ ok: boolean }>('/v1/log/verify', {
      method: 'POST',
      timeoutMs: 3_600_000,
    })
    const paint = painter(io)
    const verdict = report.ok ? paint('green', 'all is well') : paint('red', 'DAMAGED')
    const text = `${verdict}\n${JSON.stringify(report, undefined, 2)}\n`
    await write(
      io.stdout,
      flags.format === 'json' ? `${JSON.stringify(report, undefined, 2)}\n` : text,
    )
    if (!report.ok) done(exitCodes.failed)
  })
}
