/** How plugins run once the parts of their agent do. */
import type { Unsubscribe } from '@kith/interface'
import { type PluginRoute, roleReader, type Server } from '@kith/server'
import { AgentError, pluginFailed } from './errors.ts'
import type { ResolvedAgentOptions } from './options.ts'
import type { AgentContext, AgentPluginStop, PluginHttp } from './plugin.ts'

export interface PluginHost {
  readonly context: Omit<AgentContext, 'http'>
  readonly server: Server
  readonly stops: { readonly name: string; readonly stop: () => Promise<void> }[]
}

/** One after the other. The first that fails is named, and fails the start. */
export async function setUpPlugins(
  { plugins }: ResolvedAgentOptions,
  { context, server, stops }: PluginHost,
): Promise<void> {
  const owners = new Map<string, number>()
  for (const [at, plugin] of plugins.entries()) {
    const { name } = plugin
    const routes = new OwnRoutes(name, server, () => takePrefix(owners, name, at))
    // Also where the plugin has nothing to stop, or fails midway.
    stops.push({ name: `routes of the plugin ${name}`, stop: async () => routes.end() })
    let stop: AgentPluginStop | void
    try {
      stop = await plugin.setup?.({ ...context, http: routes })
    } catch (cause) {
      throw pluginFailed(name, 'failed to set up', cause)
    }
    if (!stop) continue
    stops.push({
      name: `plugin ${name}`,
      async stop() {
        routes.end()
        await stop()
      },
    })
  }
}

/** The context's reader of tokens; absent where everybody may do everything. */
export function pluginRoleOf({ httpTokens }: ResolvedAgentOptions): AgentContext['roleOf'] {
  return httpTokens.length === 0 ? undefined : roleReader(httpTokens)
}

/** Where two plugins have one name, only one of them can have routes. */
function takePrefix(owners: Map<string, number>, name: string, at: number): void {
  const first = owners.get(name) ?? at
  owners.set(name, first)
  if (first === at) return
  const text =
    `plugins[${at}] and plugins[${first}] are both named ${name}, and plugins[${first}] has the ` +
    'routes of that name: give one of them another name'
  throw new AgentError('ERR_AGENT_PLUGIN', text, { details: { plugin: name } })
}

class OwnRoutes implements PluginHttp {
  readonly prefix: string
  readonly #name: string
  readonly #server: Server
  readonly #take: () => void
  readonly #removals = new Set<Unsubscribe>()
  #ended = false

  constructor(name: string, server: Server, take: () => void) {
    this.prefix = `/v1/plugins/${name}`
    this.#name = name
    this.#server = server
    this.#take = take
  }

  // A property, so that `const { route } = http` works.
  readonly route = (route: PluginRoute): Unsubscribe => {
    if (this.#ended) {
      const text = `the plugin ${this.#name} has stopped: it has no more routes`
      throw new AgentError('ERR_AGENT_STATE', text, { details: { plugin: this.#name } })
    }
    this.#take()
    const removal = this.#server.addRoute(this.#name, route)
    const remove = (): void => {
      this.#removals.delete(remove)
      removal()
    }
    this.#removals.add(remove)
    return remove
  }

  end(): void {
    this.#ended = true
    for (const remove of this.#removals) remove()
  }
}
