/** What every question to an agent has in common: where to ask, and how to print. */
import { type Command, Option } from 'commander'
import { httpPlace, httpUrl } from './flags.ts'
import type { HttpFlags } from './http.ts'
import type { Io } from './io.ts'
import { type TlsFlags, tlsOptions, wantsTls } from './tls.ts'

/** The flags that every question to an agent has. */
export function queryOptions(command: Command, io: Io): Command {
  return tlsOptions(command)
    .addOption(
      new Option('--http-addr <host:port>', 'the HTTP address of an agent (env KITH_HTTP_ADDR)')
        .argParser(httpPlace)
        .default(undefined, 'http://127.0.0.1:7947'),
    )
    .addOption(
      new Option('--format <format>', 'how to print the answer')
        .choices(['text', 'json'])
        .default('text'),
    )
    .hook('preAction', (_command, action) => {
      const flags = action.opts<Partial<HttpFlags>>()
      const given = flags.httpAddr ?? io.env['KITH_HTTP_ADDR'] ?? '127.0.0.1:7947'
      try {
        action.setOptionValue('httpAddr', agentUrl(given, flags, io))
      } catch (cause) {
        action.error(
          `error: the environment's KITH_HTTP_ADDR is invalid. ${(cause as Error).message}`,
        )
      }
    })
}

/** A place without a scheme is asked over TLS where a flag or variable says how. */
export function agentUrl(text: string, flags: TlsFlags, io: Pick<Io, 'env'>): string {
  return httpUrl(text, wantsTls(flags, io) ? 'https' : 'http')
}

export interface QueryFlags extends HttpFlags {
  readonly format: 'text' | 'json'
}
