/**
 * `kith log append`: each line of its input becomes a record, once, however often the way to the
 * agent breaks: every request carries a producer id and its number, and is repeated as it was.
 */
import { isUtf8 } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { AppendResult } from '@kith/interface'
import { Command, Option } from 'commander'
import { CliError } from '../errors.ts'
import { integerFlag, textFlag } from '../flags.ts'
import { createHttpCaller, type HttpCaller } from '../http.ts'
import { type Io, write } from '../io.ts'
import { readLines } from '../lines.ts'
import { type QueryFlags, queryOptions } from '../query.ts'

/** One request: small enough to answer soon, large enough that a flush serves many lines. */
const REQUEST_RECORDS_MAX = 1000
const REQUEST_BYTES_MAX = 1024 * 1024
/** A line typed by hand should not wait for a thousand others. */
const LINGER_MS = 50
const BACKOFF_MIN_MS = 50
const BACKOFF_MAX_MS = 2000

interface AppendFlags extends QueryFlags {
  readonly producer?: string
  readonly producerSequence: number
  readonly durability?: string
  readonly replicas?: number
  readonly timeoutMs?: number
  readonly retryMs: number
}

export function appendCommand(io: Io): Command {
  const command = new Command('append')
    .description('append each line of the files, or of standard input, as a record')
    .argument('[file...]', 'files to read; "-" is standard input')
    .addOption(
      new Option(
        '--producer <id>',
        'makes repeating the same input safe; default: a new one each time',
      ).argParser(textFlag('text of 1 to 128 characters', (text) => /^.{1,128}$/.test(text))),
    )
    .option(
      '--producer-sequence <n>',
      'the number of the first request',
      integerFlag(0, 2 ** 47),
      1,
    )
    .addOption(
      new Option('--durability <level>', 'when to answer').choices(['disk', 'os', 'memory']),
    )
    .option('--replicas <count>', 'wait until so many others hold it', integerFlag(0, 1000))
    .option('--timeout-ms <ms>', 'how long to wait for them', integerFlag(0, 600_000))
    .option('--retry-ms <ms>', 'how long to repeat a request', integerFlag(0, 3_600_000), 30_000)
  return queryOptions(command, io).action(async (files: string[], flags: AppendFlags) => {
    await using caller = createHttpCaller(flags, io)
    const producer = flags.producer ?? randomUUID()
    const appender = createAppender(caller, { ...flags, producer }, io)
    for await (const lines of inputs(files, io)) await appender.add(lines)
    await appender.flush()
    await write(io.stdout, report(appender.totals, producer, flags.format))
  })
}

interface Totals {
  records: number
  requests: number
  retries: number
  /** Records that an earlier attempt had stored already. */
  duplicates: number
  last: AppendResult | undefined
}

interface Appender {
  readonly totals: Totals
  /** Takes lines; `undefined` says that none came for a while. */
  add(lines: readonly Buffer[] | undefined): Promise<void>
  flush(): Promise<void>
}

function createAppender(
  caller: HttpCaller,
  flags: AppendFlags & { readonly producer: string },
  io: Io,
): Appender {
  const totals: Totals = { records: 0, requests: 0, retries: 0, duplicates: 0, last: undefined }
  let pending: string[] = []
  let bytes = 0
  let sequence = flags.producerSequence

  async function flush(): Promise<void> {
    if (pending.length === 0) return
    const body = pending.join('')
    const result = await appendOnce(
      caller,
      body,
      { ...flags, producerSequence: sequence },
      totals,
      io,
    )
    sequence += 1
    totals.records += pending.length
    totals.requests += 1
    if (result.duplicate) totals.duplicates += pending.length
    totals.last = result
    pending = []
    bytes = 0
  }
  return {
    totals,
    flush,
    async add(lines) {
      if (lines === undefined) return flush()
      for (const line of lines) {
        const text = `${JSON.stringify(lineToRecord(line))}\n`
        if (bytes + text.length > REQUEST_BYTES_MAX) await flush()
        pending.push(text)
        bytes += text.length
        if (pending.length >= REQUEST_RECORDS_MAX) await flush()
      }
    },
  }
}

function lineToRecord(line: Buffer): { value: string } | { valueBase64: string } {
  if (isUtf8(line)) return { value: line.toString('utf8') }
  return { valueBase64: line.toString('base64') }
}

/** Repeats one request until it is answered, refused for good, or out of time. */
async function appendOnce(
  caller: HttpCaller,
  body: string,
  flags: AppendFlags & { readonly producer: string },
  totals: Totals,
  io: Io,
): Promise<AppendResult> {
  const { producer, producerSequence, durability, replicas, timeoutMs } = flags
  const query = { producer, producerSequence, durability, replicas, timeoutMs }
  const giveUpAt = performance.now() + flags.retryMs
  for (let waitMs = BACKOFF_MIN_MS; ; waitMs = Math.min(2 * waitMs, BACKOFF_MAX_MS)) {
    try {
      return await caller.json<AppendResult>('/v1/log/records', {
        method: 'POST',
        query,
        body,
        type: 'application/x-ndjson',
        timeoutMs: 30_000 + (timeoutMs ?? 10_000),
      })
    } catch (cause) {
      // An agent that never answered is more likely a wrong address than a restart.
      const mayPass = isPassing(cause) && (totals.requests > 0 || !isRefusedConnection(cause))
      if (!mayPass || performance.now() + waitMs > giveUpAt) throw partly(cause, totals, flags)
      if (totals.retries === 0) io.stderr.write(`kith: ${(cause as Error).message}; trying again\n`)
      totals.retries += 1
      await delay(waitMs)
    }
  }
}

function isPassing(cause: unknown): boolean {
  if (!(cause instanceof CliError)) return false
  if (cause.code !== 'ERR_CLI_REFUSED') return true
  const status = cause.details?.status ?? 0
  return status >= 500 || status === 429 || status === 408
}

function isRefusedConnection(cause: unknown): boolean {
  const inner = (cause as Error).cause as { code?: string } | undefined
  return inner?.code === 'ECONNREFUSED'
}

/** Says what is stored, so that whoever repeats the command knows where to begin. */
function partly(cause: unknown, totals: Totals, flags: AppendFlags): unknown {
  if (!(cause instanceof CliError) || totals.records === 0) return cause
  const { producer, producerSequence } = flags
  const text =
    `${cause.message}; the first ${totals.records} lines are appended, request ` +
    `${producerSequence} of producer ${producer} may or may not be`
  return new CliError(cause.code, text, { cause, details: cause.details ?? {} })
}

/** The lines of all inputs; `undefined` in between where standard input is quiet for a moment. */
async function* inputs(files: readonly string[], io: Io): AsyncGenerator<Buffer[] | undefined> {
  for (const file of files.length === 0 ? ['-'] : files) {
    const name = file === '-' ? 'standard input' : file
    const source = file === '-' ? io.stdin : createReadStream(file)
    const lines = readLines(source, name)
    try {
      if (file === '-') yield* withPauses(lines, source)
      else yield* lines
    } catch (cause) {
      if (cause instanceof CliError) throw cause
      throw new CliError('ERR_CLI_INPUT', `cannot read ${name}: ${(cause as Error).message}`, {
        cause,
      })
    }
  }
}

async function* withPauses(
  lines: AsyncGenerator<Buffer[]>,
  source: Readable,
): AsyncGenerator<Buffer[] | undefined> {
  try {
    for (let next = lines.next(); ;) {
      const quiet = delay(LINGER_MS, 'quiet' as const, { ref: false })
      const first = await Promise.race([next, quiet])
      if (first === 'quiet') yield undefined
      const result = await next
      if (result.done) return
      yield result.value
      next = lines.next()
    }
  } finally {
    source.destroy()
  }
}

function report(totals: Totals, producer: string, format: 'text' | 'json'): string {
  const { records, requests, retries, duplicates, last } = totals
  if (format === 'json') {
    const result = { records, requests, retries, duplicates, producer, last: last ?? null }
    return `${JSON.stringify(result, undefined, 2)}\n`
  }
  if (last === undefined) return 'nothing to append\n'
  const end = last.first + last.count - 1
  const again = duplicates > 0 ? `, ${duplicates} of them stored before` : ''
  return `appended ${records} records${again}; the last is sequence ${end} of origin ${last.origin}\n`
}
