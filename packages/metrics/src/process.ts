/** The process, under the names that everybody uses for it, and how late its event loop is. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { counter, gauge, type Part, tally } from './family.ts'

const cpu = counter(
  'process_cpu_seconds_total',
  'Processor time of this process, threads included.',
  'mode',
)
const resident = gauge('process_resident_memory_bytes', 'Memory of this process in RAM.')
const startTime = gauge('process_start_time_seconds', 'When it started, in seconds since 1970.')
const heapUsed = gauge('nodejs_heap_size_used_bytes', 'Heap of V8 in use.')
const heapTotal = gauge('nodejs_heap_size_total_bytes', 'Heap of V8 reserved.')
const external = gauge('nodejs_external_memory_bytes', 'Buffers and the like outside of that heap.')
const resources = gauge(
  'nodejs_active_resources',
  'Sockets, timers, requests and the like that keep the process alive.',
  'type',
)
const late = gauge(
  'nodejs_eventloop_delay_seconds',
  'How late timers ran since the reading before, or for ten seconds at least; 1 is the worst.',
  'quantile',
)

const resolutionMs = 20
/** Nobody misses what happened between two readings of theirs where others read as well. */
const windowMs = 10_000
const quantiles = [0.5, 0.99, 1] as const

export interface ProcessPart extends Part {
  stop(): void
}

export function processPart(now: () => number = () => performance.now()): ProcessPart {
  const delay = createDelay(now)
  return {
    name: 'process',
    families: [cpu, resident, startTime, heapUsed, heapTotal, external, resources, late],
    read(put) {
      const { user, system } = process.cpuUsage()
      const memory = process.memoryUsage()
      put(cpu, user / 1e6, 'user')
      put(cpu, system / 1e6, 'system')
      put(resident, memory.rss)
      put(startTime, performance.timeOrigin / 1000)
      put(heapUsed, memory.heapUsed)
      put(heapTotal, memory.heapTotal)
      put(external, memory.external)
      for (const [type, count] of tally([], process.getActiveResourcesInfo())) {
        put(resources, count, type)
      }
      const delays = delay.read()
      for (const [at, quantile] of quantiles.entries()) {
        put(late, delays[at] ?? 0, String(quantile))
      }
    },
    stop: delay.stop,
  }
}

/**
 * The system's own measurement, looked at in windows: a reading shows the worse of the window that
 * is full and the one that fills.
 */
function createDelay(now: () => number): { read(): readonly number[]; stop(): void } {
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs })
  histogram.enable()
  let full: readonly number[] = quantiles.map(() => 0)
  let since = now()
  return {
    read() {
      // Each sample holds the time that was waited for, and what it came late.
      const filling = quantiles.map((quantile) => {
        const sample = quantile === 1 ? histogram.max : histogram.percentile(quantile * 100)
        return histogram.count === 0 ? 0 : Math.max(0, sample / 1e9 - resolutionMs / 1000)
      })
      if (now() - since < windowMs) {
        return filling.map((value, at) => Math.max(value, full[at] ?? 0))
      }
      full = filling
      since = now()
      histogram.reset()
      return full
    },
    stop: () => void histogram.disable(),
  }
}
