/** Which request is for which route of a plugin: looked up once, so that one answer holds. */
import type { FastifyRequest } from 'fastify'
import { type Access, accessOf } from './access.ts'
import { type FoundRoute, PluginRoutes } from './plugin-routes.ts'

export class PluginRequests {
  readonly routes: PluginRoutes = new PluginRoutes()
  /** Handlers that have not settled, whoever still waits for them. */
  running = 0
  readonly #found = new WeakMap<FastifyRequest, FoundRoute | 'none'>()

  /** The route as it was when the request came; undefined where there was none. */
  of(request: FastifyRequest): FoundRoute | undefined {
    let found = this.#found.get(request)
    if (found === undefined) {
      found = this.routes.find(request.method, request.url) ?? 'none'
      this.#found.set(request, found)
    }
    return found === 'none' ? undefined : found
  }

  /** What a request takes: of a route of ours what our table says, of others what they said. */
  accessOf(request: FastifyRequest): Access | undefined {
    const access = accessOf(request.method, request.routeOptions.url ?? '')
    return access === 'plugin' ? this.of(request)?.route.role : access
  }
}
