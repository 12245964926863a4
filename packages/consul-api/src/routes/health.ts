/** `/v1/health`: checks, of members and of instances, and instances with their checks. */
import { type ServiceInstance, showValue } from '@kith/interface'
import type { FastifyInstance } from 'fastify'
import {
  type Api,
  byDistance,
  byNodeMeta,
  catalogMembers,
  filtered,
  nodeOf,
  readRoute,
} from '../api.ts'
import { badRequest } from '../errors.ts'
import {
  type CheckShape,
  checkShapes,
  memberCheck,
  nodeId,
  selectable,
  serviceShape,
} from '../shapes.ts'

const states = ['any', 'passing', 'warning', 'critical', 'unknown']

export function healthRoutes(app: FastifyInstance, api: Api): void {
  checkRoutes(app, api)
  stateRoute(app, api)
  serviceRoute(app, api)
}

function checkRoutes(app: FastifyInstance, api: Api): void {
  const { registry, membership } = api.options

  readRoute(app, api, '/v1/health/node/:node', ({ query, parameter }) => {
    const keep = filtered(query, selectable.check)
    return {
      topics: ['services', 'members'],
      read: () => {
        const members = catalogMembers(api)
        const found = members.find(({ name }) => name === parameter || nodeId(name) === parameter)
        if (found === undefined) return []
        const own = registry.instances().filter(({ member }) => member === found.name)
        return keep([memberCheck(found), ...own.flatMap((one) => checkShapes(one))])
      },
    }
  })

  readRoute(app, api, '/v1/health/checks/:service', ({ query, parameter: name }) => {
    const near = byDistance(api, query, ({ Node }: CheckShape) => Node)
    const keep = filtered(query, selectable.check)
    const fits = byNodeMeta(query)
    return {
      topics: [`service/${name}`, 'members'],
      read: () => {
        const found = registry
          .resolve(name, { passing: false })
          .filter(({ member }) => fits(membership.member(member)))
        return keep(near(found.flatMap((one) => checkShapes(one))))
      },
    }
  })
}

function serviceRoute(app: FastifyInstance, api: Api): void {
  const { registry, membership, datacenter } = api.options
  readRoute(app, api, '/v1/health/service/:service', ({ query, parameter: name }) => {
    const near = byDistance(api, query, ({ member }: ServiceInstance) => member)
    const keep = filtered(query, selectable.health)
    const fits = byNodeMeta(query)
    const tags = query.texts('tag')
    const passing = query.flag('passing') ?? false
    const entry = (one: ServiceInstance): object => {
      const member = membership.member(one.member)
      return {
        Node: nodeOf(api, one),
        Service: serviceShape(one, datacenter),
        Checks: [...(member === undefined ? [] : [memberCheck(member)]), ...checkShapes(one)],
      }
    }
    return {
      topics: [`service/${name}`, 'members'],
      read: () => {
        const found = registry
          .resolve(name, { passing })
          .filter((one) => tags.every((tag) => one.tags.includes(tag)))
          .filter(({ member }) => fits(membership.member(member)))
        return keep(near(found).map(entry))
      },
    }
  })
}

function stateRoute(app: FastifyInstance, api: Api): void {
  const { registry, membership } = api.options
  readRoute(app, api, '/v1/health/state/:state', ({ query, parameter: state }) => {
    if (!states.includes(state)) {
      throw badRequest([
        { field: 'state', got: showValue(state), want: `one of ${states.join(', ')}` },
      ])
    }
    const near = byDistance(api, query, ({ Node }: CheckShape) => Node)
    const keep = filtered(query, selectable.check)
    const fits = byNodeMeta(query)
    return {
      topics: ['services', 'members'],
      read: () => {
        const checks = [
          ...catalogMembers(api).map((member) => memberCheck(member)),
          ...registry.instances().flatMap((one) => checkShapes(one)),
        ]
        return keep(
          near(
            checks
              .filter(({ Status }) => state === 'any' || Status === state)
              .filter(({ Node }) => fits(membership.member(Node))),
          ),
        )
      },
    }
  })
}
