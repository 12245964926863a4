/** What every question to an agent has in common: where to ask, and how to print. */
import { type Command, Option } from 'commander'
import { httpUrl } from './flags.ts'
import type { Io } from './io.ts'

/** The flags that every question to an agent has. */
export function queryOptions(command: Command, io: Io): Command {
  return command
    .addOption(
      new Option('--http-addr <host:port>', 'the HTTP address of an agent (env KITH_HTTP_ADDR)')
        .argParser(httpUrl)
        .default(undefined, 'http://127.0.0.1:7947'),
    )
    .addOption(
      new Option('--format <format>', 'how to print the answer')
        .choices(['text', 'json'])
        .default('text'),
    )
    .hook('preAction', (_command, action) => {
      if (action.getOptionValue('httpAddr') !== undefined) return
      const given = io.env['KITH_HTTP_ADDR']
      try {
        action.setOptionValue('httpAddr', httpUrl(given ?? '127.0.0.1:7947'))
      } catch (cause) {
        action.error(
          `error: the environment's KITH_HTTP_ADDR is invalid. ${(cause as Error).message}`,
        )
      }
    })
}

export interface QueryFlags {
  readonly httpAddr: string
  readonly format: 'text' | 'json'
}
