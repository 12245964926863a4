/** A grpc-js client under load while real processes die and leave. It is no member itself. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import { type GrpcResolver, registerGrpcResolver } from '@kith/grpc'
import { createRegistryClient, type RegistryClient } from '@kith/registry'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'
import { whoMethod } from './grpc-method.ts'
import type { WebMemberReport } from './web-member.ts'

const script = fileURLToPath(new URL('grpc-member.ts', import.meta.url))
const size = atTier(4, 10)
const workers = 8
/** Calls between two events. */
const some = atTier(100, 5_000)
/** A worker gives up then: what went so wrong needs no longer list. */
const failuresMax = 100

interface GrpcMember extends WebMemberReport {
  readonly name: string
  readonly child: ChildProcess
}

const members: GrpcMember[] = []
let registry: RegistryClient
let resolver: GrpcResolver
let client: Client
beforeAll(async () => {
  const first = await startMember('m0')
  const names = Array.from({ length: size - 1 }, (_, at) => `m${at + 1}`)
  await Promise.all(names.map((name) => startMember(name, first.gossip)))
  registry = createRegistryClient({ urls: members.map(({ http }) => `http://${http}`) })
  resolver = registerGrpcResolver({ registry })
  client = new Client('kith:///web', credentials.createInsecure(), { 'grpc.enable_http_proxy': 0 })
  await until(size)
}, 120_000)
afterAll(async () => {
  client?.close()
  resolver?.unregister()
  await registry?.stop()
  await Promise.all(members.map(({ child }) => end(child)))
}, 60_000)

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

async function startMember(name: string, ...join: readonly string[]): Promise<GrpcMember> {
  const execArgv = ['--conditions=@kith/source']
  const child = fork(script, [name, ...join], { execArgv, stdio: ['ignore', 'ignore', 2, 'ipc'] })
  const [told] = (await once(child, 'message')) as [WebMemberReport]
  const member = { name, child, ...told }
  members.push(member)
  return member
}

/** Resolves once as many instances as wanted are handed out. */
async function until(count: number): Promise<void> {
  for await (const found of registry.watch('web')) if (found.length === count) return
}

function ask(): Promise<string> {
  const { path, requestSerialize, responseDeserialize } = whoMethod
  const options = { deadline: Date.now() + 30_000 }
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      Buffer.alloc(0),
      options,
      (cause: ServiceError | null, answer?: Buffer) =>
        cause === null ? resolve(String(answer)) : reject(cause),
    )
  })
}

/** Workers that make one call after the other until told to stop. */
class Load {
  readonly answers = new Map<string, number>()
  readonly failures: string[] = []
  #stopping = false
  readonly #work = Promise.all(Array.from({ length: workers }, () => this.#run()))

  async #run(): Promise<void> {
    while (!this.#stopping) {
      try {
        const name = await ask()
        this.answers.set(name, (this.answers.get(name) ?? 0) + 1)
      } catch (cause) {
        this.failures.push(String(cause))
        if (this.failures.length > failuresMax) return
      }
    }
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

describe('a grpc-js client by name', () => {
  it('loses nothing when a server leaves in order', async () => {
    const load = new Load()
    await load.further(some)
    const { child: left, name } = members.at(-1) as GrpcMember
    const exited = once(left, 'exit')
    left.kill('SIGTERM')
    await Promise.all([exited, until(size - 1)])
    const before = load.answers.get(name)
    await load.further(some)
    await load.stop()
    evidence('grpc: calls while a server left under load', load.done)
    expect(load.failures).toEqual([])
    expect(left.exitCode).toBe(0)
    expect(load.answers.size).toBe(size)
    expect(load.answers.get(name)).toBe(before)
  }, 120_000)

  it('moves to healthy servers when one is killed, and loses at most what was under way there', async () => {
    const load = new Load()
    await load.further(some)
    // The agent that the registry client follows dies with its server.
    const { agent } = registry.known('web') ?? {}
    const killed = members.find(({ http }) => agent === `http://${http}`) as GrpcMember
    killed.child.kill('SIGKILL')
    await once(killed.child, 'exit')
    // Connections break with the process: from here on nothing more may fail than was under way.
    await load.further(some)
    const soon = load.failures.length
    await until(size - 2)
    await load.further(some)
    await load.stop()
    evidence('grpc: calls and failures while a server was killed', `${load.done}, ${soon}`)
    expect(soon).toBeLessThanOrEqual(workers)
    expect(load.failures.slice(soon)).toEqual([])
    expect(load.answers.size).toBe(size - 1)
    const [least = 0] = [...load.answers]
      .filter(([name]) => name !== killed.name)
      .map(([, count]) => count)
      .toSorted((a, b) => a - b)
    expect(least).toBeGreaterThan(0)
  }, 120_000)
})
