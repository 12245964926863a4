/** Services of this member are registered here; those of all members are resolved here. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { RouteContext } from '../context.ts'
import { readJson } from '../json.ts'
import type { ResolvePortOptions, ServiceRegistration } from '../ports.ts'
import {
  checkBody,
  checkStatus,
  maintenanceBody,
  noQuery,
  parse,
  resolveQuery,
  serviceBody,
  servicesQuery,
} from '../schema.ts'
import { describeService, followService, followServices } from '../watching.ts'

interface IdParams {
  Params: { id: string }
}

export function serviceRoutes(app: FastifyInstance, context: RouteContext): void {
  app.get('/v1/services', async (request, reply) => {
    const { follow } = parse(servicesQuery, request.query, 'query')
    if (follow === true) return followServices(reply, context)
    const { registry } = context.parts()
    const services = [...registry.services()]
      .map(([service, instances]) => {
        return { service, instances, passing: registry.resolve(service).length }
      })
      .toSorted((a, b) => (a.service < b.service ? -1 : 1))
    return { services }
  })

  app.get<{ Params: { name: string } }>('/v1/services/:name', async (request, reply) => {
    const { registry } = context.parts()
    const { follow, tag, ...given } = parse(resolveQuery, request.query, 'query')
    const options = { ...given, ...(tag === undefined ? {} : { tags: tag }) } as ResolvePortOptions
    const wanted = { service: request.params.name, options }
    if (follow === true) return followService(reply, wanted, context)
    return describeService(registry, wanted, registry.resolve(wanted.service, options))
  })

  app.put<IdParams>('/v1/services/:id', async (request) => {
    const { registry } = context.parts()
    parse(noQuery, request.query, 'query')
    const body = parse(serviceBody, await readJson(request, context), 'body')
    const registration = { ...body, id: request.params.id } as ServiceRegistration
    return registry.register(registration)
  })

  app.delete<IdParams>('/v1/services/:id', async (request, reply) => {
    parse(noQuery, request.query, 'query')
    await context.parts().registry.deregister(request.params.id)
    return reply.code(204).send()
  })

  maintenanceRoutes(app, context)

  app.put<{ Params: { id: string; status: string } }>(
    '/v1/checks/:id/:status',
    async (request, reply) => {
      const { registry } = context.parts()
      parse(noQuery, request.query, 'query')
      const status = parse(checkStatus, request.params.status, 'status')
      const body = parse(checkBody, (await readJson(request, context)) ?? {}, 'body')
      registry.setCheck(request.params.id, status, body.output)
      return reply.code(204).send()
    },
  )
}

/** Of one instance, and of this member with all it has. */
function maintenanceRoutes(app: FastifyInstance, context: RouteContext): void {
  const begin = async (request: FastifyRequest, reply: FastifyReply, id?: string) => {
    const { registry } = context.parts()
    parse(noQuery, request.query, 'query')
    const { reason } = parse(maintenanceBody, await readJson(request, context), 'body')
    await registry.maintain(reason, id)
    return reply.code(204).send()
  }
  const end = async (request: FastifyRequest, reply: FastifyReply, id?: string) => {
    parse(noQuery, request.query, 'query')
    await context.parts().registry.resume(id)
    return reply.code(204).send()
  }
  app.put('/v1/maintenance', (request, reply) => begin(request, reply))
  app.delete('/v1/maintenance', (request, reply) => end(request, reply))
  app.put<IdParams>('/v1/services/:id/maintenance', (request, reply) =>
    begin(request, reply, request.params.id),
  )
  app.delete<IdParams>('/v1/services/:id/maintenance', (request, reply) =>
    end(request, reply, request.params.id),
  )
}
