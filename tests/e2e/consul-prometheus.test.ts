/**
 * Prometheus, as Debian 11 has it, finds the services of two members through Consul's API and
 * scrapes them: they appear, become unhealthy, and disappear.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { type Agent, createAgent } from '@kith/agent'
import { consulApiPlugin } from '@kith/consul-api'
import { type Address, formatAddress } from '@kith/interface'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from '../support/requirements.ts'
import { evidence, tier } from '../support/tier.ts'

/** A member with a service that can be scraped, and made sick. */
interface Exporter {
  readonly agent: Agent
  readonly server: Server
  readonly consul: Address
  readonly port: number
  sick: boolean
  scrapes: number
}

/** Whatever an answer holds; what it must hold the tests say. */
type Json = ReturnType<typeof JSON.parse>

interface Target {
  readonly job: string
  readonly member: string
  readonly instance: string
  readonly consulHealth: string
  readonly health: string
}

async function startExporter(name: string, seed: Agent | undefined): Promise<Exporter> {
  const server = createServer((request, response) => {
    if (request.url === '/metrics') {
      exporter.scrapes += 1
      response.setHeader('content-type', 'text/plain; version=0.0.4')
      response.end(`demo_member{name="${name}"} 1\n`)
      return
    }
    response.statusCode = exporter.sick ? 500 : 200
    response.end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  let consul: Address = { host: '', port: 0 }
  const plugin = consulApiPlugin({ port: 0, onListening: (address) => (consul = address) })
  const agent = createAgent({
    name,
    tags: { zone: 'eu' },
    profile: 'fast',
    plugins: [plugin],
    join: seed === undefined ? [] : [formatAddress(seed.gossip.address)],
  })
  await agent.start()
  const exporter: Exporter = { agent, server, consul, port, sick: false, scrapes: 0 }
  const registered = await fetch(`http://${formatAddress(consul)}/v1/agent/service/register`, {
    method: 'PUT',
    body: JSON.stringify({
      Name: 'demo',
      ID: `demo-${name}`,
      Address: '127.0.0.1',
      Port: port,
      Tags: ['scraped'],
      Meta: { team: 'core' },
      Check: { HTTP: `http://127.0.0.1:${port}/health`, Interval: '100ms', Timeout: '1s' },
    }),
  })
  expect(await registered.text()).toBe('')
  return exporter
}

/** Two jobs that ask one agent: everything, and only what passes; and one for its own metrics. */
function configuration({ consul, agent }: Exporter): string {
  const job = (name: string, passingOnly: boolean): object => ({
    job_name: name,
    scrape_interval: '1s',
    scrape_timeout: '1s',
    consul_sd_configs: [
      { server: formatAddress(consul), tags: ['scraped'], refresh_interval: '100ms' },
    ],
    relabel_configs: [
      ...['node', 'health', 'service', 'dc', 'service_metadata_team', 'metadata_zone'].map(
        (label) => ({ source_labels: [`__meta_consul_${label}`], target_label: `consul_${label}` }),
      ),
      ...(passingOnly
        ? [{ source_labels: ['__meta_consul_health'], regex: 'passing', action: 'keep' }]
        : []),
    ],
  })
  // JSON is YAML.
  const own = {
    job_name: 'kith',
    scrape_interval: '1s',
    static_configs: [{ targets: [formatAddress(agent.httpAddress)] }],
  }
  return JSON.stringify({ scrape_configs: [job('all', false), job('passing', true), own] })
}

/** It cannot be asked for any free one, and says nothing of the one that it got. */
async function freePort(): Promise<number> {
  const holder = createServer().listen(0, '127.0.0.1')
  await once(holder, 'listening')
  const { port } = holder.address() as AddressInfo
  holder.close()
  await once(holder, 'close')
  return port
}

class Prometheus {
  url = ''
  readonly #folder: string
  readonly #child: ChildProcess

  private constructor(folder: string, child: ChildProcess) {
    this.#folder = folder
    this.#child = child
  }

  static async start(asked: Exporter): Promise<Prometheus> {
    const folder = await mkdtemp(join(tmpdir(), 'kith-prometheus-'))
    const file = join(folder, 'prometheus.yml')
    await writeFile(file, configuration(asked))
    const port = await freePort()
    const flags = [`--web.listen-address=127.0.0.1:${port}`, '--log.format=json']
    const places = [`--config.file=${file}`, `--storage.tsdb.path=${join(folder, 'data')}`]
    const child = spawn('prometheus', [...flags, ...places], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const prometheus = new Prometheus(folder, child)
    const lines: string[] = []
    for await (const line of createInterface({ input: child.stderr as NodeJS.ReadableStream })) {
      lines.push(line)
      if (!line.includes('Server is ready to receive web requests.')) continue
      prometheus.url = `http://127.0.0.1:${port}`
      break
    }
    expect(prometheus.url, lines.join('\n')).not.toBe('')
    child.stderr?.resume()
    return prometheus
  }

  async get(path: string): Promise<Json> {
    const response = await fetch(this.url + path)
    return ((await response.json()) as { data: unknown }).data
  }

  async targets(): Promise<readonly Target[]> {
    const { activeTargets } = await this.get('/api/v1/targets?state=active')
    return (activeTargets as Json[])
      .filter(({ labels }) => labels.job !== 'kith')
      .map(({ labels, health }) => ({
        job: labels.job,
        member: labels.consul_node,
        instance: labels.instance,
        consulHealth: labels.consul_health,
        health,
      }))
      .sort((a, b) => (`${a.job}/${a.member}` < `${b.job}/${b.member}` ? -1 : 1))
  }

  /** Its discovery gathers changes for five seconds, and tells nobody: it has to be asked. */
  async settles(wanted: readonly string[]): Promise<void> {
    const until = performance.now() + 60_000
    for (;;) {
      const shown = (await this.targets()).map(({ job, member, consulHealth, health }) =>
        [job, member, consulHealth, health].join(' '),
      )
      if (performance.now() > until) expect(shown).toEqual(wanted)
      if (isDeepStrictEqual(shown, wanted)) return
      await delay(100)
    }
  }

  async stop(): Promise<void> {
    const gone = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    await gone
    await rm(this.#folder, { recursive: true, force: true })
  }
}

// Tier 2: no package of a present Debian has the Prometheus that this takes (`.ci/prometheus`).
const need = tier === 2 ? needs('prometheus') : { missing: true, reason: '(tier 2: npm run prove)' }
describe.skipIf(need.missing)(`Prometheus ${need.reason}`, () => {
  let ada: Exporter
  let ben: Exporter
  let prometheus: Prometheus

  beforeAll(async () => {
    ada = await startExporter('ada', undefined)
    ben = await startExporter('ben', ada.agent)
    prometheus = await Prometheus.start(ben)
  }, 60_000)
  afterAll(async () => {
    await prometheus?.stop()
    for (const exporter of [ben, ada]) {
      await exporter?.agent.stop()
      exporter?.server.close()
    }
  }, 60_000)

  it('MET-2: the metrics of an agent are read as they are, with types and all', async () => {
    const value = async (metric: string): Promise<number> => {
      const { result } = await prometheus.get(`/api/v1/query?query=${encodeURIComponent(metric)}`)
      return Number(result[0]?.value[1])
    }
    const alive = 'kith_gossip_members{job="kith",status="alive"}'
    while ((await value(alive)) !== 2) await delay(100)
    expect(await value('up{job="kith"}')).toBe(1)
    // The first scrape that is over is in the second one.
    const scrapes = 'kith_http_request_duration_seconds_count{route="/metrics"}'
    while (!((await value(scrapes)) > 0)) await delay(100)
    const target = encodeURIComponent('{job="kith"}')
    const metadata = await prometheus.get(`/api/v1/targets/metadata?match_target=${target}`)
    const table = await readFile(
      new URL('../../packages/metrics/METRICS.md', import.meta.url),
      'utf8',
    )
    const rows = [...table.matchAll(/^\| `(\w+)` \| (\w+) \| [^|]* \| (.+) \|$/gm)]
    const described = rows.map(([, metric, type, help]) => ({ metric, type, help }))
    const known = new Map(described.map((row) => [row.metric, row]))
    const seen = (metadata as Json[]).filter(({ metric }) => metric.startsWith('kith_'))
    expect(seen.length).toBeGreaterThan(70)
    for (const { metric, type, help } of seen) {
      expect({ metric, type, help }).toEqual(known.get(metric))
    }
  }, 60_000)

  it('CON-13: targets appear, become unhealthy, and disappear', async () => {
    const since = (began: number): number => Math.round(performance.now() - began)
    const began = performance.now()
    await prometheus.settles([
      'all ada passing up',
      'all ben passing up',
      'passing ada passing up',
      'passing ben passing up',
    ])
    evidence('Prometheus: services to scraped, ms', since(began))
    expect((await prometheus.targets()).map(({ instance }) => instance)).toEqual(
      [ada, ben, ada, ben].map(({ port }) => `127.0.0.1:${port}`),
    )
    const { result } = await prometheus.get('/api/v1/query?query=demo_member{job="passing"}')
    expect(result.map(({ metric }: Json) => metric)).toMatchObject([
      { name: 'ada', consul_service: 'demo', consul_dc: 'dc1', consul_metadata_zone: 'eu' },
      { name: 'ben', consul_service: 'demo', consul_service_metadata_team: 'core' },
    ])

    const sick = performance.now()
    ada.sick = true
    await prometheus.settles([
      'all ada critical up',
      'all ben passing up',
      'passing ben passing up',
    ])
    evidence('Prometheus: sick to no target among the passing, ms', since(sick))

    const going = performance.now()
    await ada.agent.stop()
    await prometheus.settles(['all ben passing up', 'passing ben passing up'])
    evidence('Prometheus: member left to no target, ms', since(going))

    const runtime = await prometheus.get('/api/v1/status/runtimeinfo')
    expect(runtime.reloadConfigSuccess).toBe(true)
    const metrics = await (await fetch(`${prometheus.url}/metrics`)).text()
    expect(metrics).toMatch(/^prometheus_sd_consul_rpc_failures_total 0$/m)
  }, 240_000)
})
