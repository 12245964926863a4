/** A `fetch` with certificates of its own, which the global one takes none of. */
import { forCurrentTls, type TlsClientSource, tlsContext } from '@kith/interface/node'
import type { Agent } from 'undici'

export interface SecureFetch {
  readonly fetch: typeof fetch
  close(): Promise<void>
}

/** Loaded with the first question: most clients need it for nothing. */
export function secureFetch(source: TlsClientSource): SecureFetch {
  let closed = false
  let opened: Promise<Opened> | undefined

  async function open(): Promise<Opened> {
    const { Agent, buildConnector, fetch: ask } = await import('undici')
    const current = forCurrentTls(source, ({ serverName, ...shown }) => {
      const name = serverName === undefined ? {} : { servername: serverName }
      return buildConnector({ allowH2: false, ...tlsContext(shown), ...name })
    })
    const agent = new Agent({ connect: (options, callback) => current()(options, callback) })
    if (closed) await agent.destroy()
    return { ask: (url, init) => ask(url, { ...init, dispatcher: agent }), agent }
  }
  const over = async (url: URL, init?: object): Promise<unknown> => {
    opened ??= open()
    return await (await opened).ask(url, init)
  }
  return {
    // The same function, but that the types of its package are not the global ones.
    fetch: over as typeof fetch,
    async close() {
      closed = true
      await (await opened)?.agent.destroy()
    },
  }
}

interface Opened {
  readonly agent: Agent
  ask(url: URL, init?: object): Promise<unknown>
}
