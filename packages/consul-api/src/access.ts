/** Who may ask for what, where the agent takes tokens: as over its HTTP interface. */
import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyRequest } from 'fastify'
import { refused } from './errors.ts'
import type { ConsulRole, ConsulRoleOf } from './ports.ts'

/** Each may what those before it may. */
const roles: readonly ConsulRole[] = ['read', 'write', 'operator']

/** Throws 403 where whoever asks may not. Without `roleOf` everybody may everything. */
export function checkAccess(request: FastifyRequest, roleOf: ConsulRoleOf | undefined): void {
  if (roleOf === undefined) return
  const role = roleOf(shownToken(request.headers))
  if (role === undefined) {
    throw refused(403, 'Permission denied: this agent wants a token of its own as X-Consul-Token')
  }
  const needed = neededRole(request)
  if (roles.indexOf(role) >= roles.indexOf(needed)) return
  throw refused(403, `Permission denied: this takes a token of the role ${needed}, not ${role}`)
}

/** In a header, never in the URL, which ends in the logs of whatever is on the way. */
function shownToken({ authorization = '', ...headers }: IncomingHttpHeaders): string | undefined {
  const own = headers['x-consul-token']
  if (typeof own === 'string' && own !== '') return own
  return /^Bearer +(\S{1,512})$/i.exec(authorization)?.[1]
}

function neededRole({ method, routeOptions }: FastifyRequest): ConsulRole {
  if (method === 'GET') return 'read'
  return routeOptions.url === '/v1/agent/maintenance' ? 'operator' : 'write'
}
