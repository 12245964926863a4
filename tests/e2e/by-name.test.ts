/** Requests and calls by name, from no member, while real processes die and leave. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import { type GrpcResolver, registerGrpcResolver } from '@kith/grpc'
import { createRegistryClient, type RegistryClient } from '@kith/registry'
import { createDispatcher, type KithDispatcher } from '@kith/undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'
import { whoMethod } from './grpc-method.ts'
import type { WebMemberReport } from './web-member.ts'

const script = fileURLToPath(new URL('web-member.ts', import.meta.url))
const size = atTier(4, 10)
const workers = 8
/** A worker gives up then: what went so wrong needs no longer list. */
const failuresMax = 100

interface WebMember extends WebMemberReport {
  readonly child: ChildProcess
}

const members: WebMember[] = []
let client: RegistryClient
let dispatcher: KithDispatcher
let resolver: GrpcResolver
let caller: Client
beforeAll(async () => {
  const first = await startMember('m0')
  const names = Array.from({ length: size - 1 }, (_, at) => `m${at + 1}`)
  await Promise.all(names.map((name) => startMember(name, first.gossip)))
  client = createRegistryClient({ urls: members.map(({ http }) => `http://${http}`) })
  dispatcher = createDispatcher({ registry: client })
  resolver = registerGrpcResolver({ registry: client })
  caller = new Client('kith:///rpc', credentials.createInsecure(), { 'grpc.enable_http_proxy': 0 })
  await until(size)
}, 120_000)
afterAll(async () => {
  await dispatcher?.destroy()
  caller?.close()
  resolver?.unregister()
  await client?.stop()
  await Promise.all(members.map(({ child }) => end(child)))
}, 60_000)

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

async function startMember(name: string, ...join: readonly string[]): Promise<WebMember> {
  const execArgv = ['--conditions=@kith/source']
  const child = fork(script, [name, ...join], { execArgv, stdio: ['ignore', 'ignore', 2, 'ipc'] })
  const [told] = (await once(child, 'message')) as [WebMemberReport]
  const member = { child, ...told }
  members.push(member)
  return member
}

/** Resolves once as many instances as wanted are handed out. */
async function until(count: number): Promise<void> {
  for (const service of ['web', 'rpc']) {
    for await (const found of client.watch(service)) if (found.length === count) break
  }
}

/** What a worker does, once: the name of who answered. */
type Ask = () => Promise<string>

const send = (method: 'GET' | 'POST'): Ask => {
  const body = method === 'POST' ? { body: 'x' } : {}
  const init = { method, dispatcher: dispatcher as never, ...body }
  return async () => (await fetch('http://web.kith/', init)).text()
}
const call: Ask = () => {
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

/** Workers that ask one thing after the other until told to stop. */
class Load {
  readonly answers = new Map<string, number>()
  readonly failures: string[] = []
  #stopping = false
  readonly #work: Promise<unknown>

  constructor(ask: Ask) {
    const run = async (): Promise<void> => {
      while (!this.#stopping) {
        try {
          const name = await ask()
          this.answers.set(name, (this.answers.get(name) ?? 0) + 1)
        } catch (cause) {
          this.failures.push(String((cause as Error).cause ?? cause))
          if (this.failures.length > failuresMax) return
        }
      }
    }
    this.#work = Promise.all(Array.from({ length: workers }, run))
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

describe('a client by name', () => {
  it('loses nothing when an instance leaves in order', async () => {
    const loads = [send('GET'), send('POST'), call].map((ask) => new Load(ask))
    await Promise.all(loads.map((load) => load.further(200)))
    const left = members.at(-1)?.child as ChildProcess
    const exited = once(left, 'exit')
    left.kill('SIGTERM')
    await Promise.all([exited, until(size - 1)])
    await Promise.all(loads.map((load) => load.further(200)))
    await Promise.all(loads.map((load) => load.stop()))
    evidence('left under load: GET, POST, gRPC done', loads.map(({ done }) => done).join(', '))
    expect(loads.map(({ failures }) => failures)).toEqual([[], [], []])
    expect(left.exitCode).toBe(0)
    expect(loads.map(({ answers }) => answers.size)).toEqual([size, size, size])
  }, 120_000)

  it('loses no GET, and of POSTs and calls only what was under way, when one is killed', async () => {
    const loads = [send('GET'), send('POST'), call].map((ask) => new Load(ask))
    const [gets, posts, calls] = loads as [Load, Load, Load]
    await Promise.all(loads.map((load) => load.further(200)))
    // The agent that the client follows dies with its instance.
    const { agent } = client.known('web') ?? {}
    const followed = members.find(({ http }) => agent === `http://${http}`)
    const exited = once(followed?.child as ChildProcess, 'exit')
    expect(followed?.child.kill('SIGKILL')).toBe(true)
    await exited
    // Connections broke with the process: no further call may fail, though nobody knows it yet.
    await calls.further(100)
    const broken = calls.failures.length
    await until(size - 2)
    await Promise.all(loads.map((load) => load.further(300)))
    await Promise.all(loads.map((load) => load.stop()))
    evidence('killed under load: GET done, failed', `${gets.done}, ${gets.failures.length}`)
    evidence('killed under load: POST done, failed', `${posts.done}, ${posts.failures.length}`)
    evidence('killed under load: gRPC done, failed', `${calls.done}, ${calls.failures.length}`)
    expect(broken).toBeLessThanOrEqual(workers)
    expect(calls.failures.slice(broken)).toEqual([])
    expect(calls.answers.size).toBe(size - 1)
    expect(gets.failures).toEqual([])
    expect(posts.failures.length).toBeLessThanOrEqual(workers)
  }, 120_000)
})
