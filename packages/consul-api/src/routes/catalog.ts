/** `/v1/catalog`: members and services, whatever their health. */
import type { ServiceInstance } from '@kith/interface'
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
import { catalogShape, nodeId, nodeShape, selectable, serviceShape } from '../shapes.ts'

export function catalogRoutes(app: FastifyInstance, api: Api): void {
  const { registry, membership, datacenter } = api.options

  readRoute(app, api, '/v1/catalog/datacenters', () => ({ read: () => [datacenter] }))

  readRoute(app, api, '/v1/catalog/nodes', ({ query }) => {
    const near = byDistance(api, query, ({ Node }: { Node: string }) => Node)
    const keep = filtered(query, selectable.node)
    const fits = byNodeMeta(query)
    return {
      topics: ['members'],
      read: () => {
        const members = catalogMembers(api).filter((member) => fits(member))
        return near(keep(members.map((member) => nodeShape(member, datacenter))))
      },
    }
  })

  readRoute(app, api, '/v1/catalog/services', ({ query }) => {
    const keep = filtered(query, selectable.catalog)
    const fits = byNodeMeta(query)
    return {
      topics: ['services', 'members'],
      read: () => {
        const all = registry.instances().filter(({ member }) => fits(membership.member(member)))
        if (!query.has('filter')) return namesAndTags(all)
        const shapes = all.map((instance) => ({
          ...(catalogShape(instance, nodeOf(api, instance)) as object),
          instance,
        }))
        return namesAndTags(keep(shapes).map(({ instance }) => instance))
      },
    }
  })

  readRoute(app, api, '/v1/catalog/service/:name', ({ query, parameter: name }) => {
    const near = byDistance(api, query, ({ member }: ServiceInstance) => member)
    const keep = filtered(query, selectable.catalog)
    const fits = byNodeMeta(query)
    const tags = query.texts('tag')
    return {
      topics: [`service/${name}`, 'members'],
      read: () => {
        const found = registry
          .resolve(name, { passing: false })
          .filter((one) => tags.every((tag) => one.tags.includes(tag)))
          .filter(({ member }) => fits(membership.member(member)))
        return keep(near(found).map((one) => catalogShape(one, nodeOf(api, one))))
      },
    }
  })

  nodeRoutes(app, api)
}

function nodeRoutes(app: FastifyInstance, api: Api): void {
  const { registry, datacenter } = api.options
  const find = (nameOrId: string) => {
    const found = catalogMembers(api).find(
      ({ name }) => name === nameOrId || nodeId(name) === nameOrId,
    )
    if (found === undefined) return undefined
    const own = registry.instances().filter(({ member }) => member === found.name)
    return { Node: nodeShape(found, datacenter), own }
  }

  readRoute(app, api, '/v1/catalog/node/:node', ({ query, parameter }) => {
    const keep = filtered(query, selectable.service)
    return {
      topics: ['services', 'members'],
      read: () => {
        const found = find(parameter)
        if (found === undefined) return null
        const services = keep(found.own.map((one) => serviceShape(one, datacenter)))
        const Services = Object.fromEntries(
          services.map((one) => [(one as { ID: string }).ID, one]),
        )
        return { Node: found.Node, Services }
      },
    }
  })

  readRoute(app, api, '/v1/catalog/node-services/:node', ({ query, parameter }) => {
    const keep = filtered(query, selectable.service)
    return {
      topics: ['services', 'members'],
      read: () => {
        const found = find(parameter)
        if (found === undefined) return null
        return {
          Node: found.Node,
          Services: keep(found.own.map((one) => serviceShape(one, datacenter))),
        }
      },
    }
  })
}

/** The tags of all instances of each name, in order. */
function namesAndTags(instances: readonly ServiceInstance[]): object {
  const tags = new Map<string, Set<string>>()
  for (const instance of instances) {
    const known = tags.get(instance.service) ?? new Set()
    for (const tag of instance.tags) known.add(tag)
    tags.set(instance.service, known)
  }
  return Object.fromEntries([...tags].map(([name, all]) => [name, [...all].sort()]))
}
