/**
 * A rolling upgrade: each member of five is told to end by SIGTERM and started again, one after the
 * other, while clients send requests by the name of the service and orders are stored. Nobody
 * notices: no request fails, no order is lost or stored twice, and no member is called failed.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createRegistryClient, type RegistryClient } from '@kith/registry'
import { createDispatcher, type KithDispatcher } from '@kith/undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'
import type { Ordered, RollingQuestion, RollingTold } from './rolling-orders.ts'

const size = 5
const rounds = atTier(1, 5)
/** One asks, the others store an order, each with a connection of its own. */
const workers = 4
/** Between two requests of a worker: a load, not a test of how much a machine can take. */
const pauseMs = 5
const script = fileURLToPath(new URL('rolling-member.ts', import.meta.url))

interface Party {
  readonly name: string
  readonly child: ChildProcess
  readonly gossip: string
  readonly http: string
}

let folder: string
const parties = new Map<string, Party>()
const children = new Set<ChildProcess>()
/** Whom any member called failed, at any time. */
const failed: string[] = []

async function told<Kind extends RollingTold['told']>(
  child: ChildProcess,
  kind: Kind,
): Promise<RollingTold & { readonly told: Kind }> {
  const fits = (one: RollingTold): one is RollingTold & { readonly told: Kind } => one.told === kind
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`a member ended with ${String(code ?? signal)} before it told of ${kind}`)
  })
  ended.catch(() => {})
  for (;;) {
    const [one] = (await Promise.race([once(child, 'message'), ended])) as [RollingTold]
    if (fits(one)) return one
  }
}

/** Starts a member, or starts it again where it was. */
async function start(name: string): Promise<void> {
  const before = parties.get(name)
  const any = '127.0.0.1:0'
  const place = [before?.gossip ?? any, before?.http ?? any]
  const seeds = [...parties.values()].flatMap((one) => (one.name === name ? [] : [one.gossip]))
  const options = { execArgv: ['--conditions=@kith/source'], stdio: ['ignore', 'ignore', 2, 'ipc'] }
  const child = fork(script, [name, join(folder, name), ...place, ...seeds], options as never)
  children.add(child)
  child.once('exit', () => children.delete(child))
  child.on('message', (one: RollingTold) => {
    if (one.told === 'failed') failed.push(`${one.member}, says ${name}`)
  })
  const { gossip, http } = await told(child, 'ready')
  parties.set(name, { name, child, gossip, http })
}

async function end({ child }: Party): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  expect(await exited).toEqual([0, null])
}

async function recordsOf({ child }: Party): Promise<readonly string[]> {
  const answer = told(child, 'records')
  child.send('records' satisfies RollingQuestion)
  return (await answer).all
}

/** Workers that send one request after the other until told to stop. */
class Load {
  readonly stored: string[] = []
  readonly failures: string[] = []
  readonly answering = new Set<string>()
  asked = 0
  #stopping = false
  readonly #work: Promise<unknown>

  constructor(dispatcher: KithDispatcher) {
    const ask = async (init: RequestInit): Promise<void> => {
      const all = { ...init, dispatcher: dispatcher as never }
      const answer = await fetch('http://web.kith/', all)
      const text = await answer.text()
      if (!answer.ok) throw new Error(`${answer.status}: ${text}`)
      this.answering.add(text)
    }
    const run = async (worker: number): Promise<void> => {
      for (let number = 1; !this.#stopping; number += 1) {
        try {
          if (worker === 0) await ask({}).then(() => (this.asked += 1))
          else {
            await ask({ method: 'POST', body: JSON.stringify({ worker, number } as Ordered) })
            this.stored.push(`${worker} ${number}`)
          }
        } catch (cause) {
          this.failures.push(String((cause as Error).cause ?? cause))
          return
        }
        await new Promise((resolve) => setTimeout(resolve, pauseMs))
      }
    }
    this.#work = Promise.all(Array.from({ length: workers }, (_, worker) => run(worker)))
  }

  /** Resolves when so many further orders are stored, or when something failed. */
  async further(count: number): Promise<void> {
    const goal = this.stored.length + count
    while (this.stored.length < goal && this.failures.length === 0)
      await new Promise((resolve) => setTimeout(resolve, 10))
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await this.#work
  }
}

let client: RegistryClient
let dispatcher: KithDispatcher
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kith-rolling-'))
  const names = Array.from({ length: size }, (_, at) => `m${at}`)
  await start(names[0] as string)
  await Promise.all(names.slice(1).map(start))
  client = createRegistryClient({ urls: [...parties.values()].map(({ http }) => `http://${http}`) })
  dispatcher = createDispatcher({ registry: client })
  await handedOut(size)
}, 120_000)
afterAll(async () => {
  await dispatcher?.destroy()
  await client?.stop()
  await Promise.all(
    [...children].map(async (child) => {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    }),
  )
  await rm(folder, { recursive: true, force: true })
}, 60_000)

async function handedOut(count: number): Promise<void> {
  for await (const found of client.watch('web')) if (found.length === count) return
}

describe('a rolling restart of five members under load', () => {
  it('fails no request, loses and doubles no record, and nobody is called failed', async () => {
    const load = new Load(dispatcher)
    try {
      await load.further(100)
      for (let round = 0; round < rounds; round += 1) {
        for (const one of parties.values()) {
          await end(one)
          await handedOut(size - 1)
          await load.further(50)
          await start(one.name)
          await handedOut(size)
          await load.further(50)
        }
      }
    } finally {
      await load.stop()
    }
    expect(load.failures).toEqual([])
    expect(failed).toEqual([])
    expect([...load.answering].toSorted()).toEqual([...parties.keys()].toSorted())
    evidence('rolling restarts under load', size * rounds)
    evidence('requests answered, orders stored', `${load.asked}, ${load.stored.length}`)
    await expectOnEach(load.stored.toSorted())
  }, 300_000)
})

/** Every member comes to hold each order once, under the same writer and sequence. */
async function expectOnEach(orders: readonly string[]): Promise<void> {
  const [first, ...others] = [...parties.values()] as [Party, ...Party[]]
  let held = await recordsOf(first)
  while (held.length < orders.length) held = await recordsOf(first)
  expect(held.map((one) => one.split(' ').slice(2).join(' ')).toSorted()).toEqual(orders)
  for (const other of others) {
    let theirs = await recordsOf(other)
    while (theirs.length < held.length) theirs = await recordsOf(other)
    expect(theirs).toEqual(held)
  }
}
