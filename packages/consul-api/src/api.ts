/** What all routes work with, and how their answers go out. */
import { createHash } from 'node:crypto'
import {
  estimatedRttMs,
  isKithError,
  type Member,
  type ServiceInstance,
  showValue,
} from '@kith/interface'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Changes, Topic } from './changes.ts'
import { badRequest, refused } from './errors.ts'
import { compileFilter } from './filter/filter.ts'
import type { ShapeRecord } from './filter/schema.ts'
import type { ResolvedConsulApiOptions } from './options.ts'
import { Query } from './query.ts'
import { type NodeShape, nodeShape } from './shapes.ts'

export interface Api {
  readonly options: ResolvedConsulApiOptions
  readonly changes: Changes
  readonly counters: Counters
  /** Aborts when the server stops: what is parked is answered. */
  readonly stopping: AbortSignal
}

export interface Counters {
  requests: number
  refused: number
  failures: number
  /** Queries that wait for a change, now. */
  parked: number
}

export interface Asked {
  readonly query: Query
  readonly parameter: string
}

/** What is answered, and what it depends on: a change of these makes another answer. */
export interface Readable {
  readonly topics?: readonly Topic[]
  /** Waits for another digest instead of another index, as Consul's agent does. */
  readonly byHash?: boolean
  read(): unknown
}

const WAIT_MS = 300_000
const methods = ['GET', 'PUT', 'POST', 'DELETE', 'PATCH', 'HEAD'] as const

/** A route that only reads. `*` at the end of the path is the parameter, slashes included. */
export function readRoute(
  app: FastifyInstance,
  api: Api,
  path: string,
  answer: (asked: Asked) => Readable,
): void {
  app.get(path, async (request, reply) => {
    const asked = askedBy(request, api)
    await send(reply, api, asked.query, answer(asked))
    return reply
  })
  refuseOthers(app, path, 'GET')
}

/** A route that changes something and answers with nothing. */
export function writeRoute(
  app: FastifyInstance,
  api: Api,
  path: string,
  write: (asked: Asked & { readonly body: unknown }) => Promise<void> | void,
): void {
  app.put(path, async (request, reply) => {
    await write({ ...askedBy(request, api), body: request.body })
    return reply.code(200).type('application/json').send('')
  })
  refuseOthers(app, path, 'PUT')
}

function refuseOthers(app: FastifyInstance, path: string, method: string): void {
  const handler = (request: FastifyRequest, reply: FastifyReply): never => {
    reply.header('allow', method)
    throw refused(405, `${request.method} must be ${method} here`)
  }
  app.route({ method: methods.filter((other) => other !== method), url: path, handler })
}

function askedBy(request: FastifyRequest, { options }: Api): Asked {
  const query = new Query(request.query)
  const { '*': rest, ...named } = request.params as Record<string, string>
  const parameter = rest ?? Object.values(named)[0] ?? ''
  const only = (field: string, values: readonly string[]): void => {
    const given = query.text(field)
    if (given === undefined || values.includes(given)) return
    throw badRequest([{ field, got: showValue(given), want: values.join(' or ') }])
  }
  only('dc', [options.datacenter])
  only('ns', ['default'])
  only('partition', ['default'])
  return { query, parameter }
}

async function send(
  reply: FastifyReply,
  api: Api,
  query: Query,
  readable: Readable,
): Promise<void> {
  const write = (): string => JSON.stringify(readable.read(), null, query.flag('pretty') ? 4 : 0)
  const { topics, byHash = false } = readable
  const text =
    topics === undefined ? write() : await current(reply, api, query, topics, byHash, write)
  if (reply.raw.destroyed) {
    reply.hijack()
    return
  }
  if (byHash) reply.header('x-consul-contenthash', digestOf(text))
  else if (topics !== undefined) reply.header('x-consul-index', api.changes.index(topics))
  // Nobody knows better than the member that was asked, and it knows now.
  reply.header('x-consul-knownleader', 'true').header('x-consul-lastcontact', '0')
  await reply.type('application/json').send(text)
}

/** What there is now, or what there is after the change that the query waits for. */
async function current(
  reply: FastifyReply,
  api: Api,
  query: Query,
  topics: readonly Topic[],
  byHash: boolean,
  write: () => string,
): Promise<string> {
  const waitMs = Math.min(query.duration('wait') || WAIT_MS, api.options.waitMsMax)
  const text = write()
  const seen = byHash
    ? query.text('hash') === digestOf(text)
    : // An index that is not ours is of another agent or another life: that caller starts anew.
      query.index() === api.changes.index(topics)
  return seen ? park(reply, api, topics, waitMs, text, write) : text
}

async function park(
  reply: FastifyReply,
  { options, changes, counters, stopping }: Api,
  topics: readonly Topic[],
  waitMs: number,
  known: string,
  write: () => string,
): Promise<string> {
  if (counters.parked >= options.parkedMax) {
    throw refused(429, `at most parkedMax = ${options.parkedMax} queries wait at a time`)
  }
  const ended = new AbortController()
  const end = (): void => ended.abort()
  // Those who began together do not all come back together.
  const cancel = options.clock.after(waitMs + (options.random.float() * waitMs) / 16, end)
  reply.raw.once('close', end)
  const signal = AbortSignal.any([ended.signal, stopping])
  const before = digestOf(known)
  let text = known
  counters.parked += 1
  try {
    while (!signal.aborted) {
      await changes.next(topics, signal)
      if (reply.raw.destroyed) break
      text = write()
      if (digestOf(text) !== before) break
    }
  } finally {
    counters.parked -= 1
    cancel()
    reply.raw.off('close', end)
  }
  return text
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}

/** The items that `filter` of the query leaves. */
export function filtered(
  query: Query,
  shape: ShapeRecord,
): <Item>(items: readonly Item[]) => readonly Item[] {
  const text = query.text('filter', 65_536)
  return text === undefined ? (items) => items : compileFilter(text, shape)
}

/** Whether a member has the tags that `node-meta` of the query names. */
export function byNodeMeta(query: Query): (member: Member | undefined) => boolean {
  const pairs = query.pairs('node-meta')
  return (member) => pairs.every(([key, value]) => member?.tags[key] === value)
}

/** By the distance of their members from the one that `near` names; as they are without it. */
export function byDistance<Item>(
  api: Api,
  query: Query,
  memberOf: (item: Item) => string,
): (items: readonly Item[]) => readonly Item[] {
  const near = query.text('near')
  const { membership } = api.options
  if (near === undefined) return (items) => items
  return (items) => {
    const from = near === '_agent' ? membership.self : membership.member(near)
    const distance = (item: Item): number => {
      const name = memberOf(item)
      if (name === from?.name) return -1
      const to = membership.member(name)?.coordinate
      if (from?.coordinate === undefined || to === undefined) return Infinity
      return estimatedRttMs(from.coordinate, to)
    }
    const measured = items.map((item) => [distance(item), item] as const)
    return measured.toSorted(([a], [b]) => (a === b ? 0 : a - b)).map(([, item]) => item)
  }
}

/** Members as Consul's catalog has them: who left is gone, who failed is not. */
export function catalogMembers({ options }: Api): readonly Member[] {
  return options.membership.members().filter(({ status }) => status !== 'left')
}

/** The node of an instance, also where its member is just going. */
export function nodeOf(api: Api, instance: ServiceInstance): NodeShape {
  const { membership, datacenter } = api.options
  const member = membership.member(instance.member) ?? {
    name: instance.member,
    address: { host: instance.address, port: 0 },
    tags: {},
    status: 'alive',
    incarnation: 1,
  }
  return nodeShape(member, datacenter)
}

/** An own instance; answers 404 where there is none. */
export function ownInstance({ options }: Api, id: string): ServiceInstance {
  const found = options.registry.own().find((instance) => instance.id === id)
  if (found !== undefined) return found
  throw refused(404, `this agent has no service with the ID ${showValue(id)}`)
}

const statuses: Readonly<Record<string, number>> = {
  ERR_REGISTRY_CHECK_NOT_SETTABLE: 400,
  ERR_REGISTRY_CHECK_OPTIONS: 400,
  ERR_REGISTRY_LIMIT: 400,
  ERR_REGISTRY_NOT_RUNNING: 503,
  ERR_REGISTRY_OPTIONS: 400,
  ERR_REGISTRY_SERVICE: 400,
  ERR_REGISTRY_UNKNOWN_CHECK: 404,
  ERR_REGISTRY_UNKNOWN_INSTANCE: 404,
}

/** The status and the text for anything that was thrown. Texts that are not ours stay inside. */
export function refusalOf(cause: unknown): { readonly status: number; readonly text: string } {
  const { code, statusCode, message } = cause as Partial<Error> & {
    code?: string
    statusCode?: number
  }
  if (isKithError(cause)) {
    const given = (cause.details as { status?: number } | undefined)?.status
    const status = given ?? (Object.hasOwn(statuses, cause.code) ? statuses[cause.code] : undefined)
    if (status !== undefined) return { status, text: cause.message }
  } else if (code?.startsWith('FST_') === true && (statusCode ?? 500) < 500) {
    return { status: statusCode ?? 400, text: message ?? code }
  }
  return { status: 500, text: 'an unexpected error; the log of the member has it' }
}
