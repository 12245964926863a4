// A server and a client of it on loopback, and everything of them stopped at the end.
import { createSerfClient } from '../../src/runtime/client.ts'
import { createSerfRpcServer, type SerfRpcServer } from '../../src/runtime/server.ts'
import type { SerfClient } from '../../src/runtime/types.ts'
import type { SerfClientOptions, SerfRpcServerOptions } from '../../src/options.ts'
import type { SerfMember } from '../../src/words.ts'
import { createFakeHost, type FakeHost } from './host.ts'

export interface Pair extends AsyncDisposable {
  readonly host: FakeHost
  readonly server: SerfRpcServer
  readonly client: SerfClient
}

export async function openPair(
  options: {
    readonly members?: readonly SerfMember[]
    readonly server?: Partial<SerfRpcServerOptions>
    readonly client?: SerfClientOptions
  } = {},
): Promise<Pair> {
  const host = createFakeHost(options.members)
  const server = createSerfRpcServer({ host, ...options.server })
  await server.start()
  const { address } = server
  const client = createSerfClient({ ...(address && { address }), ...options.client })
  return {
    host,
    server,
    client,
    async [Symbol.asyncDispose]() {
      await client.close()
      await server.stop()
    },
  }
}

/** Resolves once `holds`; polls, because what it waits for is on the other side of a socket. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2))
}
