/**
 * Twenty services on each of several processes that get sick, leave and die: what every member
 * hands out, and what requests and calls by name see of it, from no member.
 */
import { once } from 'node:events'
import { type ChannelOptions, Client, credentials, type ServiceError } from '@grpc/grpc-js'
import { type GrpcResolver, registerGrpcResolver } from '@kith/grpc'
import { createRegistryClient, type RegistryClient } from '@kith/registry'
import { createDispatcher, type KithDispatcher } from '@kith/undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'
import { whoMethod } from './grpc-method.ts'
import { type Heard, startWebCluster, type WebCluster, type WebMember } from './web-cluster.ts'
import { checkIntervalMs, sharedNow } from './web-orders.ts'

const size = atTier(4, 10)
const services = ['web', 'rpc', ...Array.from({ length: 18 }, (_, at) => `s${at + 1}`)]
/** Of each kind of end: in tier 2 several, one after the other. */
const ends = atTier(1, 3)
const workers = 8
/** What a client says of methods that may run twice. */
const retries = JSON.stringify({
  methodConfig: [
    {
      name: [{ service: 'kith.test.Web' }],
      retryPolicy: {
        maxAttempts: 3,
        initialBackoff: '0.05s',
        maxBackoff: '1s',
        backoffMultiplier: 2,
        retryableStatusCodes: ['UNAVAILABLE'],
      },
    },
  ],
})
/** A worker gives up then: what went so wrong needs no longer list. */
const failuresMax = 100

let cluster: WebCluster
let client: RegistryClient
let dispatcher: KithDispatcher
let resolver: GrpcResolver
/** Repeats what failed, as its service configuration says that it may. */
let retrying: Client
/** One for each worker, with connections of its own, that repeats nothing. */
let callers: readonly Client[]
beforeAll(
  async () => {
    cluster = await startWebCluster(size, services)
    client = createRegistryClient({ urls: cluster.members.map(({ http }) => `http://${http}`) })
    dispatcher = createDispatcher({ registry: client })
    resolver = registerGrpcResolver({ registry: client })
    retrying = newCaller({ 'grpc.service_config': retries })
    callers = Array.from({ length: workers }, () =>
      newCaller({ 'grpc.use_local_subchannel_pool': 1 }),
    )
    await Promise.all(cluster.members.map((member) => cluster.hear(member, services, true)))
    await until(size)
  },
  atTier(120_000, 300_000),
)
afterAll(async () => {
  await dispatcher?.destroy()
  for (const one of [retrying, ...(callers ?? [])]) one?.close()
  resolver?.unregister()
  await client?.stop()
  await cluster?.stop()
}, 60_000)

function newCaller(options: ChannelOptions): Client {
  const all = { 'grpc.enable_http_proxy': 0, ...options }
  return new Client('kith:///rpc', credentials.createInsecure(), all)
}

/** Resolves once as many instances as wanted are handed out. */
async function until(count: number): Promise<void> {
  for (const service of ['web', 'rpc']) {
    for await (const found of client.watch(service)) if (found.length === count) break
  }
}

/** What a worker does, once: the name of who answered. */
type Ask = (worker: number) => Promise<string>

const send = (method: 'GET' | 'POST'): Ask => {
  const body = method === 'POST' ? { body: 'x' } : {}
  const init = { method, dispatcher: dispatcher as never, ...body }
  return async () => (await fetch('http://web.kith/', init)).text()
}
const callBy = (caller: Client): Promise<string> => {
  const { path, requestSerialize, responseDeserialize } = whoMethod
  const deadline = { deadline: Date.now() + 30_000 }
  const [nothing, codec] = [Buffer.alloc(0), [requestSerialize, responseDeserialize] as const]
  return new Promise((resolve, reject) => {
    caller.makeUnaryRequest(
      path,
      ...codec,
      nothing,
      deadline,
      (cause: ServiceError | null, answer?: Buffer) =>
        cause === null ? resolve(String(answer)) : reject(cause),
    )
  })
}

const call: Ask = () => callBy(retrying)
const callOnce: Ask = (worker) => callBy(callers[worker] as Client)

/** Workers that ask one thing after the other until told to stop. */
class Load {
  readonly answers = new Map<string, number>()
  readonly failures: string[] = []
  /** The most that one worker met, which has one connection at a time. */
  failuresOfOne = 0
  #stopping = false
  readonly #work: Promise<unknown>

  constructor(ask: Ask) {
    const run = async (worker: number): Promise<void> => {
      let failed = 0
      while (!this.#stopping) {
        try {
          const name = await ask(worker)
          this.answers.set(name, (this.answers.get(name) ?? 0) + 1)
        } catch (cause) {
          this.failures.push(String((cause as Error).cause ?? cause))
          failed += 1
          this.failuresOfOne = Math.max(this.failuresOfOne, failed)
          if (this.failures.length > failuresMax) return
        }
      }
    }
    this.#work = Promise.all(Array.from({ length: workers }, (_, worker) => run(worker)))
  }

  get done(): number {
    return [...this.answers.values()].reduce((sum, count) => sum + count, 0)
  }

  /** Resolves after so many further answers. */
  async further(count: number): Promise<void> {
    const goal = this.done + count
    while (this.done < goal && this.failures.length <= failuresMax)
      await new Promise((resolve) => setTimeout(resolve, 10))
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await this.#work
  }
}

/** The bound holds for processes that run: what the machine kept from running is not counted. */
function withinMs(what: string, from: number, heard: Heard, boundMs: number): void {
  const ms = heard.lastAt - from
  evidence(what, `${Math.round(ms)} ms, stalled ${Math.round(heard.stalledMs)} ms`)
  expect(ms - heard.stalledMs, what).toBeLessThanOrEqual(boundMs)
}

/** The one whose agent the client follows: with its instances goes what the client knows by. */
function followed(): WebMember {
  const { agent } = client.known('web') ?? {}
  const found = cluster.members.find(({ http }) => agent === `http://${http}`)
  if (found === undefined) throw new Error('no agent is followed')
  return found
}

type Loads = readonly [gets: Load, posts: Load, calls: Load, once: Load]

async function underLoad(run: (loads: Loads) => Promise<void>): Promise<void> {
  const asks = [send('GET'), send('POST'), call, callOnce] as const
  const loads = asks.map((ask) => new Load(ask)) as unknown as Loads
  try {
    await Promise.all(loads.map((load) => load.further(200)))
    await run(loads)
  } finally {
    await Promise.all(loads.map((load) => load.stop()))
  }
}

describe('services of processes', () => {
  it('REG-11: are held back everywhere an interval and a second after they get sick', async () => {
    for (let round = 0; round < atTier(1, 5); round += 1) {
      const change = async (state: 'sick' | 'well', at: number): Promise<void> => {
        const member = cluster.members[at] as WebMember
        const service = services[2 + ((at + round) % 18)] as string
        const heard = cluster.hear(member, [service], state === 'well')
        const from = await cluster.make(state, service, member)
        withinMs(`made ${state}, all know after`, from, await heard, checkIntervalMs + 1_000)
      }
      const every = Array.from(cluster.members.keys())
      await Promise.all(every.map((at) => change('sick', at)))
      await Promise.all(every.map((at) => change('well', at)))
    }
  }, 120_000)

  it('lose nothing, and are gone within a second, when a member leaves in order', async () => {
    for (let round = 0; round < ends; round += 1) {
      await underLoad(async (loads) => {
        const left = cluster.members.at(-1) as WebMember
        cluster.remove(left)
        const exited = once(left.child, 'exit')
        const heard = cluster.hear(left, services, false)
        const from = sharedNow()
        left.child.kill('SIGTERM')
        withinMs('left under load, gone everywhere after', from, await heard, 1_000)
        await Promise.all([exited, until(cluster.members.length)])
        await Promise.all(loads.map((load) => load.further(200)))
        const done = loads.map((load) => load.done).join(', ')
        evidence('left under load: GET, POST, gRPC with retries and without done', done)
        expect(loads.map(({ failures }) => failures)).toEqual([[], [], [], []])
        expect(left.child.exitCode).toBe(0)
        const answered = loads.map(({ answers }) => answers.size)
        expect(answered).toEqual(Array(loads.length).fill(cluster.members.length + 1))
      })
    }
  }, 180_000)

  it('lose no GET, and one POST or call a connection, when a member is killed', async () => {
    for (let round = 0; round < ends; round += 1) await underLoad(killed)
  }, 240_000)
})

async function killed(loads: Loads): Promise<void> {
  const [gets, posts, calls, callsOnce] = loads
  const victim = followed()
  cluster.remove(victim)
  const heard = cluster.hear(victim, services, false)
  const exited = once(victim.child, 'exit')
  const from = sharedNow()
  expect(victim.child.kill('SIGKILL')).toBe(true)
  await exited
  // Connections broke with the process: no further call may fail, though nobody knows it yet.
  await Promise.all([calls.further(100), callsOnce.further(100)])
  const broken = callsOnce.failures.length
  const { lastAt, verdicts, afterVerdictMs, stalledMs } = await heard
  const after = `${Math.round(afterVerdictMs)} ms, stalled ${Math.round(stalledMs)} ms`
  evidence('killed under load, gone everywhere after', `${Math.round(lastAt - from)} ms`)
  evidence('killed under load, gone everywhere after the first verdict', after)
  expect(verdicts).toBe(cluster.members.length)
  expect(afterVerdictMs - stalledMs).toBeLessThanOrEqual(500)
  await until(cluster.members.length)
  await Promise.all(loads.map((load) => load.further(300)))
  const figures = { GET: gets, POST: posts, 'gRPC with retries': calls, gRPC: callsOnce }
  for (const [name, { done, failures }] of Object.entries(figures)) {
    evidence(`killed under load: ${name} done, failed`, `${done}, ${failures.length}`)
  }
  expect(callsOnce.failures.slice(broken)).toEqual([])
  expect(gets.failures).toEqual([])
  // A call whose answer had begun is not repeated.
  expect(calls.failuresOfOne).toBeLessThanOrEqual(1)
  expect(posts.failuresOfOne).toBeLessThanOrEqual(1)
  expect(callsOnce.failuresOfOne).toBeLessThanOrEqual(1)
}
