/** What is shown, under which names, and what is not. */
import { execFileSync } from 'node:child_process'
import { hasSubscribers } from 'node:diagnostics_channel'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { afterEach, describe, expect, it } from 'vitest'
import { requestDuration } from '../src/events.ts'
import { createFigures } from '../src/figures.ts'
import { placeOf } from '../src/gossip.ts'
import { createMetrics, type MetricSources } from '../src/index.ts'
import { observeMetrics } from '../src/opentelemetry/index.ts'
import { processPart } from '../src/process.ts'
import { fakes, request, session, tell } from './fakes.ts'

const undo: (() => void)[] = []
afterEach(() => {
  for (const each of undo.splice(0)) each()
})

/** What a scrape shows, now and each time it is called. */
function scraping(sources: MetricSources): () => Promise<string> {
  const metrics = createMetrics(sources)
  undo.push(() => metrics.stop())
  return async () => (await metrics.scrape()).text
}

function valueOf(text: string, sample: string): number | undefined {
  const line = text.split('\n').find((it) => it.startsWith(`${sample} `))
  return line === undefined ? undefined : Number(line.slice(sample.length + 1))
}

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')

interface Row {
  readonly name: string
  readonly kind: string
  readonly labels: readonly string[]
  readonly help: string
}

/** The rows of METRICS.md. */
function rows(text: string): Row[] {
  const found = text.matchAll(/^\| `(\w+)` \| (\w+) \| ([^|]*) \| (.+) \|$/gm)
  return [...found].map(([, name = '', kind = '', labels = '', help = '']) => {
    const quoted = [...labels.matchAll(/`(\w+)`/g)].map((match) => match[1] ?? '')
    return { name, kind, labels: quoted, help }
  })
}

/** What stands in a scrape; labels only where there is a sample. */
function shown(text: string): Row[] {
  return [...text.matchAll(/^# HELP (\S+) (.*)\n# TYPE \1 (\w+)\n(.*)$/gm)].map(
    ([, name = '', help = '', kind = '', sample = '']) => {
      const names = [...sample.matchAll(/(\w+)="/g)].map((match) => match[1] ?? '')
      return { name, kind, labels: names.filter((it) => it !== 'le'), help }
    },
  )
}

const byName = (a: Row, b: Row): number => (a.name < b.name ? -1 : 1)
const described = rows(read('../METRICS.md')).toSorted(byName)

describe('metrics', () => {
  it('MET-1: METRICS.md and the code have the same, to the word', async () => {
    const sources = fakes()
    const scrape = scraping(sources)
    tell(sources.gossip, 'join')
    request(sources.server)
    expect(shown(await scrape()).toSorted(byName)).toEqual(described)
    expect(described.length).toBeGreaterThan(80)
    const figures = createFigures(sources, () => {})
    undo.push(() => figures.stop())
    const families = [...figures.families, requestDuration].map((it) => ({ ...it }))
    expect(families.toSorted(byName)).toEqual(described)
  })

  it('MET-1: a row that is missing, or says something else, would be seen', () => {
    const [first, ...others] = described
    expect(rows(others.map(rowOf).join('\n'))).not.toEqual(described)
    expect(rows([first, ...others].map((it) => rowOf(it as Row)).join('\n'))).toEqual(described)
  })

  it('MET-2: names are as Prometheus wants them', () => {
    for (const { name, kind } of described) {
      expect(name).toMatch(/^(?:kith|process|nodejs)(?:_[a-z]+)+$/)
      expect([name, name.endsWith('_total')]).toEqual([name, kind === 'counter'])
      if (/seconds|bytes/.test(name)) expect(name).toMatch(/_(?:seconds|bytes)(?:_total)?$/)
      expect(name).not.toMatch(/_(?:ms|millis\w*|kib|mib|percent)(?:_|$)/)
    }
    const names = described.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
  })

  it('MET-3: each counter of gossip has one place, and what is dropped is shown as that', () => {
    const [unread = '', dropped = '', refused = '', happened = ''] = read(
      '../../gossip/COUNTERS.md',
    )
      .split('\n## ')
      .slice(1)
      .map((section) => section)
    const names = (section: string): string[] =>
      [...section.matchAll(/^\| `(\w+)`/gm)].map((match) => match[1] ?? '')
    const lost = [unread, dropped, refused].flatMap(names)
    expect(lost.length).toBeGreaterThan(100)
    // The one that stands among those that could not be read, and could.
    const wrong = lost.filter((kind) => placeOf(kind) !== 'dropped')
    expect(wrong).toEqual(['plaintextTaken'])
    expect(names(unread).map((kind) => placeOf(`stream.${kind}`))).toEqual(
      names(unread).map((kind) => placeOf(kind)),
    )
    expect(names(happened).length).toBeGreaterThan(40)
    expect(names(happened).filter((kind) => placeOf(kind) === 'dropped')).toEqual([])
    expect([placeOf('keys.install'), placeOf('warning.paused')]).toEqual([
      'occurrence',
      'occurrence',
    ])
  })

  it('MET-3: a counter that has a metric of its own stands nowhere else', async () => {
    const text = await scraping(fakes())()
    expect(valueOf(text, 'kith_gossip_probes_total')).toBe(3)
    expect(valueOf(text, 'kith_gossip_packets_total{direction="in"}')).toBe(7)
    expect(valueOf(text, 'kith_gossip_dropped_total{reason="crcMismatch"}')).toBe(2)
    expect(valueOf(text, 'kith_gossip_occurrences_total{kind="reconnects"}')).toBe(1)
    expect(text).not.toMatch(/(?:reason|kind)="(?:probes|packetsIn)"/)
  })

  it('MET-4: members have metrics up to a limit, and those beyond are counted', async () => {
    const sources = fakes()
    const names = Array.from({ length: 300 }, (_, at) => `m${String(at).padStart(3, '0')}`)
    const status = sources.replicator.status()
    const log = sources.log.status()
    const text = await scraping({
      ...sources,
      log: { status: () => ({ ...log, origins: names.map((it) => ({ origin: it, member: it })) }) },
      replicator: {
        status: () => ({ ...status, members: names.map(session) }),
        lag: () => new Map(names.map((it, at) => [it, at])),
        lags: sources.replicator.lags,
      },
    })()
    for (const metric of ['lag_records', 'heard_ago_seconds', 'round_trip_seconds']) {
      const lines = text.match(new RegExp(`^kith_replicator_${metric}\\{`, 'gm'))
      expect([metric, lines?.length]).toEqual([metric, 256])
    }
    expect(valueOf(text, 'kith_metrics_members_left_out')).toBe(44)
    expect(valueOf(text, 'kith_replicator_members{phase="connected"}')).toBe(300)
    expect(valueOf(text, 'kith_replicator_lag_records{member="m255"}')).toBe(255)
    // The one that is furthest behind has no metric of its own, and is not hidden.
    expect(valueOf(text, 'kith_replicator_lag_records_max')).toBe(299)
  })

  it('MET-4: lag by origin and member stays within its room, and what is not known is absent', async () => {
    const sources = fakes()
    const asked: number[] = []
    const lags = (pairsMax: number) => {
      asked.push(pairsMax)
      return { ...sources.replicator.lags(pairsMax), leftOut: 7 }
    }
    const text = await scraping({ ...sources, replicator: { ...sources.replicator, lags } })()
    expect(asked).toEqual([1024])
    expect(valueOf(text, 'kith_metrics_origin_lags_left_out')).toBe(7)
    const of = (metric: string, origin: string) =>
      valueOf(text, `kith_replicator_origin_lag_${metric}{origin="${origin}",member="ben"}`)
    expect(['records', 'estimated_bytes', 'seconds'].map((it) => of(it, 'b2'))).toEqual([
      3, 30, 1.5,
    ])
    const sizeless = ['records', 'estimated_bytes', 'seconds'].map((it) => of(it, 'b1'))
    expect(sizeless).toEqual([2, undefined, 0.02])
  })

  it('MET-4: a path that no route fits is no label, nor is its method', async () => {
    const sources = fakes()
    const scrape = scraping(sources)
    for (const method of ['GET', 'PURGE', 'LOCK']) {
      request(sources.server, { method, route: undefined, status: 404 })
    }
    request(sources.server, { status: undefined })
    const text = await scrape()
    const count = 'kith_http_request_duration_seconds_count'
    expect(valueOf(text, `${count}{method="any",route="none",status="404"}`)).toBe(3)
    expect(valueOf(text, `${count}{method="GET",route="/v1/status",status="none"}`)).toBe(1)
    expect(text.match(new RegExp(`^${count}`, 'gm'))).toHaveLength(2)
  })

  it('MET-4: a name from the network stays inside of its label', async () => {
    const sources = fakes()
    const status = sources.replicator.status()
    const members = [session('x"} 1\nkith_forged 1 \\')]
    const replicator = { ...sources.replicator, status: () => ({ ...status, members }) }
    const text = await scraping({ ...sources, replicator })()
    expect(text).not.toMatch(/^kith_forged/m)
    expect(text).toContain('member="x\\"} 1\\nkith_forged 1 \\\\"} 0.25')
  })

  it('MET-5: a part that does not run is absent and said to be, and the rest is there', async () => {
    const sources = fakes()
    let running = true
    const gossip = {
      ...sources.gossip,
      // Half of it has been put by then.
      members: () => {
        if (!running) throw new Error('this member is stopped')
        return sources.gossip.members()
      },
    }
    const scrape = scraping({ ...sources, gossip })
    expect(valueOf(await scrape(), 'kith_gossip_health_score')).toBe(1)
    running = false
    const text = await scrape()
    expect(valueOf(text, 'kith_part_readable{part="gossip"}')).toBe(0)
    expect(valueOf(text, 'kith_part_readable{part="log"}')).toBe(1)
    expect(text).not.toMatch(/kith_gossip_(?:health|members|dropped)/)
    expect(valueOf(text, 'kith_log_records')).toBe(10)
  })

  it('MET-5: lag that nobody knows is no number, and what is no number is not shown', async () => {
    const sources = fakes()
    const lag = new Map<string, number | 'unknown'>([
      ['a1', 4],
      ['b1', 'unknown'],
      ['b2', 3],
    ])
    const log = { ...sources.log.status(), records: Number.NaN }
    const replicator = { ...sources.replicator, lag: () => lag }
    const scrape = scraping({ ...sources, log: { status: () => log }, replicator })
    const text = await scrape()
    expect(valueOf(text, 'kith_replicator_lag_records{member="ada"}')).toBe(4)
    expect(valueOf(text, 'kith_replicator_lag_records{member="ben"}')).toBeUndefined()
    expect(valueOf(text, 'kith_replicator_lag_unknown_origins')).toBe(1)
    expect(valueOf(text, 'kith_replicator_lag_records_max')).toBe(4)
    expect(valueOf(text, 'kith_log_records')).toBeUndefined()
    expect(text).not.toMatch(/NaN|Infinity/i)
    lag.set('a1', 'unknown').set('b2', 'unknown')
    expect(valueOf(await scrape(), 'kith_replicator_lag_records_max')).toBeUndefined()
  })

  it('MET-5: a door that opens later is absent until then, and shows each command and outcome', async () => {
    const sources = fakes()
    let open = false
    const rpc = (): ReturnType<typeof sources.rpc> => (open ? sources.rpc() : undefined)
    const scrape = scraping({ ...sources, rpc })
    const before = await scrape()
    expect(valueOf(before, 'kith_part_readable{part="rpc"}')).toBe(0)
    expect(before).not.toMatch(/^kith_rpc_connections /m)
    expect(valueOf(before, 'kith_dns_answers_total{type="SRV",outcome="unknown"}')).toBe(1)
    expect(valueOf(before, 'kith_consul_parked_queries')).toBe(3)
    expect(valueOf(before, 'kith_handler_runs_total{outcome="timeout"}')).toBe(2)
    open = true
    const text = await scrape()
    expect(valueOf(text, 'kith_rpc_connections_total')).toBe(5)
    expect(valueOf(text, 'kith_rpc_requests_total{command="event"}')).toBe(4)
    expect(valueOf(text, 'kith_rpc_refused_total{reason="keysWrong"}')).toBe(1)
    expect(text).not.toMatch(/reason="(?:accepted|requests|recordsDropped|command\.event)"/)
  })

  it('MET-5: only the parts that there are have metrics', async () => {
    const { log } = fakes()
    const names = shown(await scraping({ log })()).map(({ name }) => name)
    const others = names.filter((name) => !/^(?:kith_log|kith_part|process|nodejs)_/.test(name))
    expect(others).toEqual([])
    expect(names).toContain('kith_log_records')
  })

  it('MET-5: a log that is written elsewhere shows what it knows, and no 0 that nobody counted', async () => {
    const { metrics: _, latency: __, ...known } = fakes().log.status()
    const metrics = { walBytes: 4_100, checkpointLagBytes: 0 }
    const log = { status: () => ({ ...known, gate: 'readOnly', metrics }) }
    const text = await scraping({ log })()
    const names = shown(text).map(({ name }) => name)
    expect(names.filter((name) => name.startsWith('kith_log_')).toSorted()).toEqual([
      'kith_log_bytes',
      'kith_log_checkpoint_lag_bytes',
      'kith_log_floor_offset',
      'kith_log_gate',
      'kith_log_next_offset',
      'kith_log_origins',
      'kith_log_records',
      'kith_log_wal_bytes',
    ])
    expect(valueOf(text, 'kith_log_gate{state="readOnly"}')).toBe(1)
    expect(valueOf(text, 'kith_log_gate{state="open"}')).toBe(0)
  })

  it('MET-9: times that the log counted are shown as it counted them', async () => {
    const text = await scraping({ log: fakes().log })()
    const name = 'kith_log_append_duration_seconds'
    const lines = text.split('\n').filter((line) => line.includes(name))
    expect(lines).toEqual([
      `# HELP ${name} ${described.find((it) => it.name === name)?.help}`,
      `# TYPE ${name} histogram`,
      `${name}_bucket{le="0.0001"} 3`,
      `${name}_bucket{le="0.0025"} 7`,
      `${name}_bucket{le="10"} 7`,
      `${name}_bucket{le="+Inf"} 8`,
      `${name}_sum 12`,
      `${name}_count 8`,
    ])
    expect(valueOf(text, 'kith_log_flush_duration_seconds_count')).toBe(2)
    expect(valueOf(text, 'kith_log_last_checkpoint_seconds')).toBe(1.5)
    expect(valueOf(text, 'kith_log_oldest_reader_seconds')).toBe(0.25)
  })

  it('MET-6: events and requests count from the beginning, however late the first scrape', async () => {
    const sources = fakes()
    const scrape = scraping(sources)
    const other = fakes()
    for (let each = 0; each < 600; each += 1) {
      request(sources.server, { durationMs: 20 })
      request(other.server)
    }
    tell(sources.gossip, 'fail')
    tell(other.gossip, 'fail')
    tell(sources.registry, 'check', { status: 'critical' })
    const labels = 'method="GET",route="/v1/status",status="200"'
    const text = await scrape()
    const name = 'kith_http_request_duration_seconds'
    expect(valueOf(text, `${name}_count{${labels}}`)).toBe(600)
    expect(valueOf(text, `${name}_sum{${labels}}`)).toBeCloseTo(12)
    expect(valueOf(text, `${name}_bucket{le="0.01",${labels}}`)).toBe(0)
    expect(valueOf(text, `${name}_bucket{le="0.025",${labels}}`)).toBe(600)
    expect(valueOf(text, 'kith_gossip_events_total{kind="fail"}')).toBe(1)
    expect(valueOf(text, 'kith_registry_check_changes_total{status="critical"}')).toBe(1)
    request(sources.server)
    expect(valueOf(await scrape(), `${name}_count{${labels}}`)).toBe(601)
  })

  it('MET-6: nothing listens after the stop', () => {
    const channels = ['kith:gossip:event', 'kith:registry:event', 'kith:server:request']
    const metrics = createMetrics(fakes())
    expect(channels.map((name) => hasSubscribers(name))).toEqual([true, true, true])
    metrics.stop()
    metrics.stop()
    expect(channels.map((name) => hasSubscribers(name))).toEqual([false, false, false])
  })
})

function rowOf({ name, kind, labels, help }: Row): string {
  return `| \`${name}\` | ${kind} | ${labels.map((it) => `\`${it}\``).join(', ')} | ${help} |`
}

describe('OpenTelemetry', () => {
  it('MET-7: has the same names and values as a scrape, until it is told to end', async () => {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
    const provider = new MeterProvider({ readers: [reader] })
    const collect = async () => {
      exporter.reset()
      await provider.forceFlush()
      return exporter
        .getMetrics()
        .flatMap((it) => it.scopeMetrics.flatMap(({ metrics }) => metrics))
    }
    const sources = fakes()
    const scrape = scraping(sources)
    let reads = 0
    const log = { status: () => ((reads += 1), sources.log.status()) }
    const stop = observeMetrics(provider.getMeter('kith'), { ...sources, log })
    tell(sources.gossip, 'join')
    request(sources.server)
    const text = await scrape()
    const metrics = await collect()
    const names = metrics.map(({ descriptor }) => descriptor.name)
    expect(reads).toBeGreaterThan(0)
    const onMeter = described.flatMap(({ name, kind }) =>
      kind === 'histogram' && name.startsWith('kith_log')
        ? ['_bucket', '_count', '_sum'].map((suffix) => `${name}${suffix}`)
        : [name],
    )
    expect(names.toSorted()).toEqual(onMeter.toSorted())
    const kith = metrics.filter((it) => it.descriptor.name.startsWith('kith_'))
    for (const { descriptor, dataPoints } of kith) {
      const { name } = descriptor
      for (const { attributes, value } of dataPoints) {
        const labels = Object.entries(attributes).map(([key, it]) => `${key}="${String(it)}"`)
        const suffix = labels.length > 0 ? `{${labels.join(',')}}` : ''
        const histogram = typeof value === 'object'
        const sample = `${name}${histogram ? '_count' : ''}${suffix}`
        const own = histogram ? (value as { count: number }).count : value
        expect([sample, valueOf(text, sample)]).toEqual([sample, own])
      }
    }
    const units = Object.fromEntries(metrics.map((it) => [it.descriptor.name, it.descriptor.unit]))
    expect(units).toMatchObject({
      kith_http_request_duration_seconds: 's',
      kith_log_append_duration_seconds_bucket: '1',
      kith_log_append_duration_seconds_sum: 's',
      kith_transport_bytes_total: 'By',
      kith_gossip_members: '1',
    })
    stop()
    request(sources.server)
    const before = reads
    const durations = (await collect()).find(
      ({ descriptor }) => descriptor.unit === 's' && descriptor.name.startsWith('kith_http'),
    )
    expect(durations?.dataPoints).toMatchObject([{ value: { count: 1 } }])
    expect(reads).toBe(before)
    await provider.shutdown()
  })

  it('MET-7: its API is loaded neither by the package nor by its door', () => {
    const [root, door] = ['index', 'opentelemetry/index'].map((name) =>
      JSON.stringify(new URL(`../src/${name}.ts`, import.meta.url)),
    )
    // prom-client has one of its own.
    const script = `
      import { registerHooks } from 'node:module'
      registerHooks({ resolve(name, context, next) {
        if (name.startsWith('@opentelemetry/') && !context.parentURL.includes('prom-client')) {
          throw new Error(name)
        }
        return next(name, context)
      } })
      const { createMetrics } = await import(${root})
      const { observeMetrics } = await import(${door})
      const metrics = createMetrics({})
      const { text } = await metrics.scrape()
      metrics.stop()
      console.log(typeof observeMetrics, text.includes('process_resident_memory_bytes'))`
    const args = ['--conditions=@kith/source', '--input-type=module', '-e', script]
    const env = { ...process.env, NODE_OPTIONS: '--disable-warning=ExperimentalWarning' }
    const cwd = fileURLToPath(new URL('..', import.meta.url))
    expect(execFileSync(process.execPath, args, { env, cwd }).toString()).toBe('function true\n')
  })
})

describe('the delay of the event loop', () => {
  it('MET-8: a stall is seen by all who read soon after it, and forgotten later', async () => {
    let now = 0
    const part = processPart(() => now)
    undo.push(() => part.stop())
    const worst = (): number => {
      let seconds = Number.NaN
      part.read(({ name }, value, label) => {
        const wanted = name === 'nodejs_eventloop_delay_seconds' && label === '1'
        if (wanted && typeof value === 'number') seconds = value
      })
      return seconds
    }
    // The measurement has begun once the loop turned.
    await new Promise((resolve) => setTimeout(resolve, 50))
    const until = performance.now() + 400
    while (performance.now() < until);
    while (worst() < 0.3) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(worst()).toBeGreaterThan(0.3)
    now = 10_000
    // The window is full with this reading; others that read before the next is full see it too.
    expect(worst()).toBeGreaterThan(0.3)
    now = 19_999
    expect(worst()).toBeGreaterThan(0.3)
    now = 20_000
    expect(worst()).toBeLessThan(0.3)
  })
})
