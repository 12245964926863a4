// The two commands, each asked of any agent by its RPC: `serf` as a process, `kith` as one or here.
import { execFile } from 'node:child_process'
import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { runCli } from '@kith/cli'

export type Command = 'serf' | 'kith'

/** `kith` as a process of its own costs half a second of a processor; here, next to nothing. */
export type KithRuns = 'process' | 'here'

const timeoutMs = 60_000
const built = fileURLToPath(new URL('../../../packages/cli/bin/kith.js', import.meta.url))

/** What it prints; throws with all it said where it ends with another code than 0. */
export async function ask(
  command: Command,
  rpc: string,
  [verb = '', ...flags]: readonly string[],
  runs: KithRuns,
): Promise<string> {
  if (command === 'serf') return await run('serf', [verb, `-rpc-addr=${rpc}`, ...flags])
  // Flags are given as Serf has them, with one dash.
  const ours = flags.map((flag) => flag.replace(/^-(?=[a-z])/, '--'))
  const args = [verb, '--rpc-addr', rpc, ...ours]
  return runs === 'process' ? await run(process.execPath, [built, ...args]) : await here(args)
}

async function run(file: string, args: readonly string[]): Promise<string> {
  return await new Promise((resolve, reject) => {
    const options = { timeout: timeoutMs, env: { ...process.env, NODE_OPTIONS: '' } }
    execFile(file, args, options, (cause, stdout, stderr) => {
      if (cause === null) resolve(stdout)
      else reject(new Error(`${args.join(' ')}: ${stdout}${stderr}`, { cause }))
    })
  })
}

async function here(args: readonly string[]): Promise<string> {
  const { code, out, err } = await kithHere(args)
  if (code === 0) return out
  throw new Error(`kith ${args.join(' ')} ended with ${code}: ${out}${err}`)
}

export interface Printed {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Our command in this process, with what it prints to either stream. */
export async function kithHere(args: readonly string[]): Promise<Printed> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const [out, err] = [text(stdout), text(stderr)]
  const code = await runCli(args, {
    stdin: Readable.from([]),
    stdout,
    stderr,
    env: {},
    onSignal: () => () => {},
    exit: (status) => {
      throw new Error(`the process would have ended with ${status}`)
    },
  })
  stdout.end()
  stderr.end()
  return { code, out: await out, err: await err }
}
