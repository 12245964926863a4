/**
 * The same metrics for OpenTelemetry. Nothing of `@opentelemetry/api` is loaded here: the meter
 * comes from whoever uses it, and only its types are known.
 * @packageDocumentation
 */
import type { BatchObservableCallback, Meter, Observable } from '@opentelemetry/api'
import { durationBuckets, requestDuration } from '../events.ts'
import { type Family, seriesOf } from '../family.ts'
import { createFigures } from '../figures.ts'
import type { MetricSources } from '../sources.ts'

/**
 * Shows the metrics of METRICS.md on a meter, under the same names, until the function that it
 * returns is called: what `setup` of an agent's plugin may return as it is. They are read when the
 * meter's readers collect.
 */
export function observeMetrics(meter: Meter, sources: MetricSources): () => void {
  const { name, help } = requestDuration
  const advice = { explicitBucketBoundaries: [...durationBuckets] }
  const durations = meter.createHistogram(name, { description: help, unit: 's', advice })
  const figures = createFigures(sources, (seconds, labels) => durations.record(seconds, labels))
  const instruments = new Map<string, Observable>()
  for (const family of figures.families) {
    for (const [named, made] of instrumentsFor(meter, family)) instruments.set(named, made)
  }
  const callback: BatchObservableCallback = (result) => {
    for (const [family, samples] of figures.read()) {
      for (const { labels, value } of samples) {
        const series = typeof value === 'object' ? seriesOf(value) : [{ suffix: '', labels, value }]
        for (const each of series) {
          const observable = instruments.get(family.name + each.suffix)
          if (observable !== undefined) result.observe(observable, each.value, each.labels)
        }
      }
    }
  }
  const observables = [...instruments.values()]
  meter.addBatchObservableCallback(callback, observables)
  return () => {
    meter.removeBatchObservableCallback(callback, observables)
    figures.stop()
  }
}

/**
 * By the name of what they show. A meter makes a histogram of single values only, so that one which
 * was counted already is shown as what it adds up to.
 */
function instrumentsFor(
  meter: Meter,
  { name, kind, help: description }: Family,
): readonly (readonly [string, Observable])[] {
  const unit = unitOf(name)
  const counter = (named: string, of = unit): readonly [string, Observable] => [
    named,
    meter.createObservableCounter(named, { description, unit: of }),
  ]
  if (kind === 'counter') return [counter(name)]
  if (kind === 'gauge') return [[name, meter.createObservableGauge(name, { description, unit })]]
  return [counter(`${name}_bucket`, '1'), counter(`${name}_sum`), counter(`${name}_count`, '1')]
}

/** Names say their unit; what is counted has none. */
function unitOf(name: string): string {
  if (/_seconds(?:_|$)/.test(name)) return 's'
  return /_bytes(?:_|$)/.test(name) ? 'By' : '1'
}
