/**
 * The demo as a newcomer runs it, and Prometheus beside it, which finds the desks and the members
 * through Consul's API of one of them.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { evidence } from '../support/tier.ts'
import { env } from './process.ts'
import { need, Prometheus } from './prometheus.ts'

const script = fileURLToPath(new URL('../../apps/demo/src/main.ts', import.meta.url))
const names = ['ada', 'ben', 'cleo', 'dan', 'eve']

interface Demo {
  readonly child: ChildProcess
  /** Consul's API of its first member, `host:port`. */
  readonly consul: string
  readonly pids: ReadonlyMap<string, number>
  /** `host:port`. */
  readonly desks: ReadonlyMap<string, string>
}

/** Resolves with what the first picture says in which all five see each other. */
async function startDemo(): Promise<Demo> {
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'], env })
  let picture = ''
  child.stdout.setEncoding('utf8')
  for await (const text of child.stdout.iterator({ destroyOnReturn: false })) {
    picture = (picture + text).slice(-4_000)
    const rows = [...picture.matchAll(/^(\w+) +running +(\d+) +:\d+ +:(\d+) well +5 /gm)]
    const last = rows.slice(-names.length)
    const consul = /curl http:\/\/([\d.:]+)\/v1\/catalog\/services/.exec(picture)?.[1]
    if (consul === undefined || last.map(([, name]) => name).join() !== names.join()) continue
    child.stdout.resume()
    return {
      child,
      consul,
      pids: new Map(last.map(([, name = '', pid]) => [name, Number(pid)])),
      desks: new Map(last.map(([, name = '', , port]) => [name, `127.0.0.1:${port}`])),
    }
  }
  throw new Error(`the demo ended: ${picture}`)
}

function configuration({ consul }: Demo): object {
  const job = (name: string, tag: string): object => ({
    job_name: name,
    scrape_interval: '1s',
    scrape_timeout: '1s',
    consul_sd_configs: [{ server: consul, tags: [tag], refresh_interval: '100ms' }],
    relabel_configs: ['node', 'health'].map((label) => ({
      source_labels: [`__meta_consul_${label}`],
      target_label: `consul_${label}`,
    })),
  })
  return { scrape_configs: [job('desks', 'demo'), job('members', 'metrics')] }
}

const targets = (job: string, states: Record<string, string>): string[] =>
  Object.entries(states).map(([name, state]) => `${job} ${name} ${state}`)
const state = (health: string, of: readonly string[]): Record<string, string> =>
  Object.fromEntries(of.map((name) => [name, health]))

describe.skipIf(need.missing)(`Prometheus beside the demo ${need.reason}`, () => {
  let demo: Demo
  let prometheus: Prometheus

  beforeAll(async () => {
    demo = await startDemo()
    prometheus = await Prometheus.start(configuration(demo))
  }, 120_000)
  afterAll(async () => {
    await prometheus?.stop()
    if (demo === undefined) return
    const exited = once(demo.child, 'exit')
    demo.child.kill('SIGTERM')
    expect((await exited)[0]).toBe(0)
  }, 60_000)

  it('CON-13: desks and members appear, become unhealthy, and disappear', async () => {
    const settles = async (
      what: string,
      desks: Record<string, string>,
      members: Record<string, string>,
    ): Promise<void> => {
      const from = performance.now()
      await prometheus.settles([...targets('desks', desks), ...targets('members', members)])
      evidence(`Prometheus beside the demo: ${what}, ms`, Math.round(performance.now() - from))
    }
    const well = state('passing up', names)
    await settles('all scraped', well, well)
    const query = encodeURIComponent('kith_gossip_members{status="alive"} == 5')
    const { result } = await prometheus.get(`/api/v1/query?query=${query}`)
    expect(result).toHaveLength(names.length)

    const order = async (word: string): Promise<unknown> =>
      fetch(`http://${demo.desks.get('ben')}/${word}`, { method: 'POST' })
    await order('sick')
    await settles('a sick desk critical and down', { ...well, ben: 'critical down' }, well)
    await order('well')
    await settles('a well desk passing and up', well, well)

    // Killed or gone in order, a member takes along what it had.
    process.kill(demo.pids.get('dan') ?? Number.NaN, 'SIGKILL')
    const fewer = state('passing up', ['ada', 'ben', 'cleo', 'eve'])
    await settles('a killed member without targets', fewer, fewer)
    process.kill(demo.pids.get('eve') ?? Number.NaN, 'SIGTERM')
    const few = state('passing up', ['ada', 'ben', 'cleo'])
    await settles('a member that left without targets', few, few)
  }, 300_000)
})
