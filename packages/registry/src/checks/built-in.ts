/** The kinds of checks that every registry has. */
import type { CheckKind } from '@kith/interface'
import { functionCheck } from './function.ts'
import { httpCheck } from './http.ts'
import { tcpCheck } from './tcp.ts'
import { ttlCheck } from './ttl.ts'

export function builtInChecks(): readonly CheckKind[] {
  return [tcpCheck(), httpCheck(), ttlCheck(), functionCheck()]
}
