/**
 * What a Kith member counts, for Prometheus.
 * @packageDocumentation
 */
export { createMetrics } from './prometheus.ts'
export type { Metrics, Scrape } from './prometheus.ts'
export type {
  GossipSource,
  LogSource,
  MetricSources,
  RegistrySource,
  ReplicatorSource,
  ServerSource,
  TcpSource,
  TransportSources,
  UdpSource,
} from './sources.ts'
