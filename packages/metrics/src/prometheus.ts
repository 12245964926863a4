/** The metrics as Prometheus reads them, written by prom-client. */
import type { Histogram, Metric, Registry } from 'prom-client'
import { durationBuckets, type OnRequest, requestDuration } from './events.ts'
import { type Distribution, type Family, seriesOf } from './family.ts'
import { createFigures, type Figures, type Sample } from './figures.ts'
import type { MetricSources } from './sources.ts'

export interface Scrape {
  readonly contentType: string
  readonly text: string
}

export interface Metrics {
  /** Everything that can be read now. A part that does not run is left out, and said to be. */
  scrape(): Promise<Scrape>
  /** Listens and measures no more. Idempotent. */
  stop(): void
}

/** Requests that may wait for prom-client, which is loaded at the first scrape or beyond these. */
const waitingMax = 256

type PromClient = typeof import('prom-client')

interface Loaded {
  readonly client: PromClient
  readonly durations: Histogram
}

/**
 * The metrics of the parts given; what they are stands in METRICS.md. Counts what the parts tell
 * from here on, until `stop`.
 */
export function createMetrics(sources: MetricSources): Metrics {
  const waiting: Parameters<OnRequest>[] = []
  let loaded: Loaded | undefined
  let loading: Promise<Loaded> | undefined
  // It takes a tenth of a second and some MiB, which a member that starts has better use for.
  const load = (): Promise<Loaded> =>
    (loading ??= import('prom-client').then((client) => {
      loaded = { client, durations: createDurations(client) }
      for (const [seconds, labels] of waiting.splice(0)) loaded.durations.observe(labels, seconds)
      return loaded
    }))
  const figures = createFigures(sources, (seconds, labels) => {
    if (loaded) return loaded.durations.observe(labels, seconds)
    waiting.push([seconds, labels])
    if (waiting.length >= waitingMax) void load()
  })
  return {
    async scrape() {
      const { client, durations } = await load()
      const registry = fill(new client.Registry(), client, figures)
      if (sources.server) registry.registerMetric(durations)
      return { contentType: registry.contentType, text: await registry.metrics() }
    },
    stop: () => figures.stop(),
  }
}

function createDurations({ Histogram }: PromClient): Histogram {
  const { name, help, labels } = requestDuration
  return new Histogram({
    ...{ name, help, labelNames: [...labels] },
    buckets: [...durationBuckets],
    registers: [],
  })
}

/** Made anew for each scrape, so that nothing of a part that ended is left. */
function fill(registry: Registry, client: PromClient, figures: Figures): Registry {
  for (const [family, samples] of figures.read()) {
    // Without a label the client would show a 0 that nobody counted.
    if (samples.length > 0 || family.labels.length > 0) add(registry, client, family, samples)
  }
  return registry
}

function add(
  registry: Registry,
  { Counter, Gauge }: PromClient,
  { name, help, kind, labels }: Family,
  samples: readonly Sample[],
): void {
  const configuration = { name, help, labelNames: [...labels], registers: [registry] }
  const [first] = samples
  if (typeof first?.value === 'object') return addCounted(registry, name, help, first.value)
  const metric = kind === 'counter' ? new Counter(configuration) : new Gauge(configuration)
  for (const { labels: given, value } of samples) {
    if (typeof value === 'number') metric.inc(given, value)
  }
}

/** The client's own histograms count value by value; these were counted where they came about. */
function addCounted(registry: Registry, name: string, help: string, value: Distribution): void {
  const values = seriesOf(value).map(({ suffix, ...series }) => ({
    ...series,
    metricName: `${name}${suffix}`,
  }))
  const counted = { name, help, type: 'histogram', values, aggregator: 'sum' }
  registry.registerMetric({ name, get: async () => counted } as unknown as Metric)
}
