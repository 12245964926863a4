/**
 * The same metrics for OpenTelemetry. Nothing of `@opentelemetry/api` is loaded here: the meter
 * comes from whoever uses it, and only its types are known.
 * @packageDocumentation
 */
import type { BatchObservableCallback, Meter, Observable } from '@opentelemetry/api'
import { durationBuckets, requestDuration } from '../events.ts'
import type { Family } from '../family.ts'
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
  const instruments = new Map<Family, Observable>()
  for (const family of figures.families) instruments.set(family, instrument(meter, family))
  const callback: BatchObservableCallback = (result) => {
    for (const [family, samples] of figures.read()) {
      const observable = instruments.get(family)
      if (observable === undefined) continue
      for (const { labels, value } of samples) result.observe(observable, value, labels)
    }
  }
  const observables = [...instruments.values()]
  meter.addBatchObservableCallback(callback, observables)
  return () => {
    meter.removeBatchObservableCallback(callback, observables)
    figures.stop()
  }
}

function instrument(meter: Meter, { name, kind, help }: Family): Observable {
  const options = { description: help, unit: unitOf(name) }
  return kind === 'counter'
    ? meter.createObservableCounter(name, options)
    : meter.createObservableGauge(name, options)
}

/** Names say their unit; what is counted has none. */
function unitOf(name: string): string {
  if (/_seconds(?:_|$)/.test(name)) return 's'
  return /_bytes(?:_|$)/.test(name) ? 'By' : '1'
}
