/** The member and its cluster at a glance. */
import type { Member } from '@kith/interface'
import type { FastifyInstance } from 'fastify'
import type { RouteContext } from '../context.ts'
import { noQuery, parse } from '../schema.ts'

export function statusRoutes(app: FastifyInstance, context: RouteContext): void {
  app.get('/v1/status', async (request) => {
    parse(noQuery, request.query, 'query')
    const { member, version, membership, log, registry, unready } = context.parts()
    const why = unready()
    const { logId, origin, durable, records, bytes, next } = log.status()
    return {
      member,
      version,
      gossip: membership.self.address,
      status: membership.self.status,
      ready: why === undefined,
      ...(why === undefined ? {} : { unready: why }),
      members: countByStatus(membership.members()),
      services: registry.services().size,
      log: { logId, origin, durable, records, bytes, next },
      uptimeMs: Math.round(process.uptime() * 1000),
      pid: process.pid,
    }
  })

  app.get('/v1/diagnosis', async (request) => {
    parse(noQuery, request.query, 'query')
    return { findings: await context.parts().diagnose() }
  })

  app.get('/v1/members', async (request) => {
    parse(noQuery, request.query, 'query')
    return { members: context.parts().membership.members().map(describe) }
  })
}

function describe(member: Member): object {
  const { name, address, status, incarnation, tags, protocol } = member
  const told = protocol === undefined ? {} : { protocol }
  return { name, host: address.host, port: address.port, status, incarnation, tags, ...told }
}

function countByStatus(members: readonly Member[]): Record<Member['status'], number> {
  const counts = { alive: 0, leaving: 0, left: 0, failed: 0 }
  for (const { status } of members) counts[status] += 1
  return counts
}
