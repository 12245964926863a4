/** Requests by name while real processes die and leave, as a client that is no member sees it. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { createRegistryClient, type RegistryClient } from '@kith/registry'
import { createDispatcher, type KithDispatcher } from '@kith/undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'
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
beforeAll(async () => {
  const first = await startMember('m0')
  const names = Array.from({ length: size - 1 }, (_, at) => `m${at + 1}`)
  await Promise.all(names.map((name) => startMember(name, first.gossip)))
  client = createRegistryClient({ urls: members.map(({ http }) => `http://${http}`) })
  dispatcher = createDispatcher({ registry: client })
  await until(size)
}, 120_000)
afterAll(async () => {
  await dispatcher?.destroy()
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
  for await (const found of client.watch('web')) if (found.length === count) return
}

/** Workers that ask one request after the other until told to stop. */
class Load {
  readonly answers = new Map<string, number>()
  readonly failures: string[] = []
  #stopping = false
  readonly #work: Promise<unknown>

  constructor(method: 'GET' | 'POST') {
    const run = async (): Promise<void> => {
      while (!this.#stopping) {
        const body = method === 'POST' ? { body: 'x' } : {}
        const init = { method, dispatcher: dispatcher as never, ...body }
        try {
          const name = await (await fetch('http://web.kith/', init)).text()
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
    const [gets, posts] = [new Load('GET'), new Load('POST')]
    await Promise.all([gets.further(200), posts.further(200)])
    const left = members.at(-1)?.child as ChildProcess
    const exited = once(left, 'exit')
    left.kill('SIGTERM')
    await Promise.all([exited, until(size - 1)])
    await Promise.all([gets.further(200), posts.further(200)])
    await Promise.all([gets.stop(), posts.stop()])
    evidence('left under load: GET and POST done', gets.done + posts.done)
    expect([gets.failures, posts.failures]).toEqual([[], []])
    expect(left.exitCode).toBe(0)
    expect(gets.answers.size).toBe(size)
  }, 120_000)

  it('loses no GET, and at most one POST a connection, when an instance is killed', async () => {
    const [gets, posts] = [new Load('GET'), new Load('POST')]
    await Promise.all([gets.further(200), posts.further(200)])
    // The agent that the client follows dies with its instance.
    const { agent } = client.known('web') ?? {}
    const followed = members.find(({ http }) => agent === `http://${http}`)
    expect(followed?.child.kill('SIGKILL')).toBe(true)
    await Promise.all([until(size - 2), gets.further(300), posts.further(300)])
    await Promise.all([gets.stop(), posts.stop()])
    evidence('killed under load: GET done, failed', `${gets.done}, ${gets.failures.length}`)
    evidence('killed under load: POST done, failed', `${posts.done}, ${posts.failures.length}`)
    expect(gets.failures).toEqual([])
    expect(posts.failures.length).toBeLessThanOrEqual(workers)
  }, 120_000)
})
