/** `/v1/status`: there is no leader here, so each member answers for itself. */
import { formatAddress } from '@kith/interface'
import type { FastifyInstance } from 'fastify'
import { type Api, readRoute } from '../api.ts'

export function statusRoutes(app: FastifyInstance, api: Api): void {
  const { membership } = api.options
  readRoute(app, api, '/v1/status/leader', () => ({
    read: () => formatAddress(membership.self.address),
  }))
  readRoute(app, api, '/v1/status/peers', () => ({
    read: () =>
      membership
        .members()
        .filter(({ status }) => status === 'alive')
        .map(({ address }) => formatAddress(address)),
  }))
}
