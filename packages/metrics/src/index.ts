/**
 * What a Kith member counts, for Prometheus.
 * @packageDocumentation
 */
export { createMetrics } from './prometheus.ts'
export type { Metrics, Scrape } from './prometheus.ts'
export type {
  ConsulSource,
  DnsSource,
  GossipSource,
  HandlersSource,
  LogSource,
  MetricSources,
  RegistrySource,
  ReplicatorSource,
  RpcSource,
  ServerSource,
  TcpSource,
  TransportSources,
  UdpSource,
} from './sources.ts'
