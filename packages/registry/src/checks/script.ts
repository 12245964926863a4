/**
 * `script`: a program of the host says how the instance is. Exit code 0 is passing, 1 a warning,
 * anything else critical. It is no built-in kind, because whoever may register a service could then
 * run programs here: it is given to `createRegistry` by somebody who wants that.
 */
import type { CheckKind, CheckResult } from '@kith/interface'
import { runProgram } from '@kith/interface/node'
import { failure, isText, OptionReader } from './problems.ts'

export interface ScriptCheckOptions {
  /** The program and its arguments, at most 64; no shell reads them. */
  readonly command: readonly string[]
  /** Its working directory; default: that of this process. */
  readonly directory: string | undefined
  /** Added to the environment of this process. */
  readonly environment: Readonly<Record<string, string>>
}

/** What is kept of the output; the rest is read and dropped, so that the program can go on. */
const outputBytesMax = 4_096
const argumentsMax = 64

export function scriptCheck(): CheckKind<ScriptCheckOptions> {
  return {
    kind: 'script',
    parse(options: unknown) {
      const reader = new OptionReader(options)
      const want = `a list of 1 to ${argumentsMax} texts: the program and its arguments`
      const command = reader.field('command', isCommand, want, [] as readonly string[])
      const parsed = {
        command,
        directory: reader.field('directory', isText, 'the path of a directory', undefined as never),
        environment: reader.field('environment', isEnvironment, 'an object of texts', {}),
      }
      reader.done()
      if (command.length === 0) throw failure(`command must be ${want}, got nothing`)
      return Object.freeze(parsed)
    },
    async run(options, signal) {
      signal.throwIfAborted()
      return await runScript(options, signal)
    },
  }
}

async function runScript(options: ScriptCheckOptions, signal: AbortSignal): Promise<CheckResult> {
  const [program = ''] = options.command
  const { code, killedBy, stopped, output } = await runProgram({
    ...options,
    outputBytesMax,
    signal,
  }).catch((cause: unknown) => {
    throw failure(`${program}: ${(cause as Error).message}`, cause)
  })
  const said = tail(output)
  if (stopped) throw failure(`${program}: told to stop${said}`, signal.reason)
  const end = code === null ? `ended by ${String(killedBy)}` : `exit code ${code}`
  const status = code === 0 ? 'passing' : code === 1 ? 'warning' : 'critical'
  return { status, output: `${program}: ${end}${said}` }
}

function tail(output: Buffer): string {
  const text = output.toString('utf8').trimEnd()
  return text === '' ? '' : `\n${text}`
}

function isCommand(value: unknown): value is readonly string[] {
  if (!Array.isArray(value) || value.length < 1 || value.length > argumentsMax) return false
  const fits = (text: unknown, index: number): boolean =>
    typeof text === 'string' &&
    text.length <= 2_048 &&
    !text.includes('\0') &&
    (index > 0 || text !== '')
  return value.every(fits)
}

function isEnvironment(value: unknown): value is Readonly<Record<string, string>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const pairs = Object.entries(value as Record<string, unknown>)
  const fits = ([name, text]: [string, unknown]): boolean =>
    /^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name) &&
    typeof text === 'string' &&
    text.length <= 2_048 &&
    !text.includes('\0')
  return pairs.length <= 64 && pairs.every(fits)
}
