/** The kinds of checks that every registry has. */
import type { CheckKind } from '@kith/interface'
import { eventLoopCheck } from './event-loop.ts'
import { functionCheck } from './function.ts'
import { grpcCheck } from './grpc.ts'
import { httpCheck } from './http.ts'
import { tcpCheck } from './tcp.ts'
import { ttlCheck } from './ttl.ts'

export function builtInChecks(): readonly CheckKind[] {
  return [
    tcpCheck(),
    httpCheck(),
    grpcCheck(),
    ttlCheck(),
    functionCheck(),
    eventLoopCheck(),
  ] as readonly CheckKind[]
}
