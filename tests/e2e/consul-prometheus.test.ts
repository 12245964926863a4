/**
 * Prometheus finds the services of two members through Consul's API and scrapes them: they appear,
 * become unhealthy, and disappear.
 */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type Agent, createAgent } from '@kith/agent'
import { consulApiPlugin } from '@kith/consul-api'
import { type Address, formatAddress } from '@kith/interface'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { evidence } from '../support/tier.ts'
import { type Json, need, Prometheus } from './prometheus.ts'

/** A member with a service that can be scraped, and made sick. */
interface Exporter {
  readonly agent: Agent
  readonly server: Server
  readonly consul: Address
  readonly port: number
  sick: boolean
  scrapes: number
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
function configuration({ consul, agent }: Exporter): object {
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
  const own = {
    job_name: 'kith',
    scrape_interval: '1s',
    static_configs: [{ targets: [formatAddress(agent.httpAddress)] }],
  }
  return { scrape_configs: [job('all', false), job('passing', true), own] }
}

describe.skipIf(need.missing)(`Prometheus ${need.reason}`, () => {
  let ada: Exporter
  let ben: Exporter
  let prometheus: Prometheus

  beforeAll(async () => {
    ada = await startExporter('ada', undefined)
    ben = await startExporter('ben', ada.agent)
    prometheus = await Prometheus.start(configuration(ben))
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
