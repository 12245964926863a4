/** Where the metrics find what runs later than they do, or never. */
import type { ConsulSource, DnsSource, HandlersSource, MetricSources } from '@kith/metrics'
import type { SerfRpcServer } from '@kith/serf-rpc'

/** What plugins report; of two that report the same, the later one counts. */
export interface PluginFigures {
  readonly dns?: () => DnsSource
  readonly consul?: () => ConsulSource
}

export class LateFigures {
  rpc: SerfRpcServer | undefined
  handlers: (() => HandlersSource) | undefined
  #reported: PluginFigures = {}

  // A property, so that `const { report } = context` works.
  readonly report = (figures: PluginFigures): void => {
    this.#reported = { ...this.#reported, ...figures }
  }

  get sources(): Pick<MetricSources, 'rpc' | 'dns' | 'consul' | 'handlers'> {
    return {
      rpc: () => this.rpc?.stats(),
      dns: () => this.#reported.dns?.(),
      consul: () => this.#reported.consul?.(),
      handlers: () => this.handlers?.(),
    }
  }
}
