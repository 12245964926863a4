/** `/v1/agent`: this member, its services and its checks. */
import type { CheckStatus } from '@kith/interface'
import { showValue } from '@kith/interface'
import type { FastifyInstance } from 'fastify'
import { type Api, filtered, ownInstance, readRoute, writeRoute } from '../api.ts'
import { Fields, parseBody, Problems } from '../body.ts'
import { badRequest } from '../errors.ts'
import type { Query } from '../query.ts'
import { deregisterCheck, findCheck, registerCheck, registerService } from '../registering.ts'
import { checkShapes, memberShape, nodeId, nodeShape, selectable, serviceShape } from '../shapes.ts'
import { apiVersion } from '../version.ts'

const statusOf = { pass: 'passing', warn: 'warning', fail: 'critical' } as const
const REASON = 'in maintenance; no reason was given'
const REASON_CHARACTERS_MAX = 256
const NOTE_CHARACTERS_MAX = 4_096

export function agentRoutes(app: FastifyInstance, api: Api): void {
  memberRoutes(app, api)
  serviceRoutes(app, api)
  checkRoutes(app, api)
}

function memberRoutes(app: FastifyInstance, api: Api): void {
  const { registry, membership, datacenter } = api.options

  readRoute(app, api, '/v1/agent/self', () => ({
    read: () => {
      const { self } = membership
      return {
        Config: {
          Datacenter: datacenter,
          PrimaryDatacenter: datacenter,
          NodeName: self.name,
          NodeID: nodeId(self.name),
          Server: true,
          Revision: 'kith',
          Version: apiVersion(),
        },
        Coord: self.coordinate === undefined ? null : coordinateShape(self.coordinate),
        Member: memberShape(self),
        Meta: nodeShape(self, datacenter).Meta,
        Stats: {
          agent: {
            checks: String(registry.checks().length),
            services: String(registry.own().length),
          },
          serf_lan: { members: String(membership.members().length) },
        },
      }
    },
  }))

  readRoute(app, api, '/v1/agent/members', ({ query }) => {
    const keep = filtered(query, selectable.member)
    // There is one pool of members, and it is not the wide one.
    const wide = query.flag('wan') ?? false
    return { read: () => keep((wide ? [] : membership.members()).map((one) => memberShape(one))) }
  })

  writeRoute(app, api, '/v1/agent/maintenance', async ({ query }) => {
    await maintain(api, query)
  })
}

function coordinateShape(coordinate: {
  readonly vector: readonly number[]
  readonly error: number
  readonly adjustment: number
  readonly height: number
}): object {
  const { vector, error, adjustment, height } = coordinate
  return { Vec: vector, Error: error, Adjustment: adjustment, Height: height }
}

async function maintain({ options }: Api, query: Query, id?: string): Promise<void> {
  const enable = query.flag('enable')
  if (enable === undefined || query.text('enable') === undefined) {
    throw badRequest([{ field: 'enable', got: 'nothing', want: 'true or false' }])
  }
  if (!enable) return options.registry.resume(id)
  return options.registry.maintain(query.text('reason', REASON_CHARACTERS_MAX) ?? REASON, id)
}

function serviceRoutes(app: FastifyInstance, api: Api): void {
  const { registry, datacenter } = api.options

  readRoute(app, api, '/v1/agent/services', ({ query }) => {
    const keep = filtered(query, selectable.service)
    return {
      read: () => {
        const all = registry.own().map((one) => serviceShape(one, datacenter))
        return Object.fromEntries(keep(all).map((one) => [(one as { ID: string }).ID, one]))
      },
    }
  })

  readRoute(app, api, '/v1/agent/service/:id', ({ parameter }) => {
    const { service } = ownInstance(api, parameter)
    return {
      topics: [`service/${service}`],
      byHash: true,
      read: () => serviceShape(ownInstance(api, parameter), datacenter),
    }
  })

  writeRoute(app, api, '/v1/agent/service/register', async ({ body }) => {
    await registerService(api, parseBody(body))
  })

  writeRoute(app, api, '/v1/agent/service/deregister/:id', async ({ parameter }) => {
    ownInstance(api, parameter)
    await registry.deregister(parameter)
  })

  writeRoute(app, api, '/v1/agent/service/maintenance/:id', async ({ query, parameter }) => {
    ownInstance(api, parameter)
    await maintain(api, query, parameter)
  })
}

function checkRoutes(app: FastifyInstance, api: Api): void {
  const { registry } = api.options

  readRoute(app, api, '/v1/agent/checks', ({ query }) => {
    const keep = filtered(query, selectable.check)
    return {
      read: () => {
        const latest = new Map(registry.checks().map((check) => [check.id, check]))
        const all = registry.own().flatMap((one) => checkShapes(one, latest))
        return Object.fromEntries(keep(all).map((one) => [one.CheckID, one]))
      },
    }
  })

  writeRoute(app, api, '/v1/agent/check/register', async ({ body }) => {
    await registerCheck(api, parseBody(body))
  })
  writeRoute(app, api, '/v1/agent/check/deregister/*', async ({ parameter }) => {
    await deregisterCheck(api, parameter)
  })
  for (const [word, status] of Object.entries(statusOf)) {
    writeRoute(app, api, `/v1/agent/check/${word}/*`, ({ query, parameter }) => {
      const note = query.text('note', NOTE_CHARACTERS_MAX)
      registry.setCheck(findCheck(api, parameter).id, status, note ?? '')
    })
  }
  writeRoute(app, api, '/v1/agent/check/update/*', ({ body, parameter }) => {
    const { status, output } = readUpdate(parseBody(body))
    registry.setCheck(findCheck(api, parameter).id, status, output)
  })
}

function readUpdate(given: unknown): { readonly status: CheckStatus; readonly output: string } {
  const problems = new Problems()
  const fields = new Fields(given, ['Status', 'Output', 'CheckID'], '', problems)
  const status = fields.any('Status')
  if (!['passing', 'warning', 'critical'].includes(status as string)) {
    problems.list.push({
      field: 'Status',
      got: showValue(status),
      want: 'passing, warning or critical',
    })
  }
  const output = fields.text('Output') ?? ''
  problems.done()
  return { status: status as CheckStatus, output }
}
