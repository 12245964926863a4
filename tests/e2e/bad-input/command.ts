/** The command in this process, with streams that are only read at its end. */
import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { runCli } from '@kith/cli'

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

export async function kith(
  args: readonly string[],
  options: { readonly input?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Ran> {
  const stdout = new PassThrough()
  const stderr = new PassThrough()
  const out = text(stdout)
  const err = text(stderr)
  const code = await runCli(args, {
    stdin: Readable.from([Buffer.from(options.input ?? '')]),
    stdout,
    stderr,
    env: options.env ?? {},
    onSignal: () => () => {},
    exit: (status) => {
      throw new Error(`the process would have ended with ${status}`)
    },
  })
  stdout.end()
  stderr.end()
  return { code, out: await out, err: await err }
}
