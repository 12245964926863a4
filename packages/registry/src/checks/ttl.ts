/**
 * `ttl`: the service speaks for itself through `setCheck`; silence for `intervalMs` is critical.
 */
import type { CheckKind } from '@kith/interface'
import { OptionReader } from './problems.ts'

export type TtlCheckOptions = Readonly<Record<never, never>>

export function ttlCheck(): CheckKind<TtlCheckOptions> {
  return {
    kind: 'ttl',
    passive: true,
    parse(options: unknown) {
      new OptionReader(options).done()
      return Object.freeze({})
    },
    async run(_options, signal) {
      signal.throwIfAborted()
      return { status: 'critical', output: 'no word from the service in time' }
    },
  }
}
