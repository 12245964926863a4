/** Calls of one member to another, as messages over the simulated network. */
import type { Address, HelloMessage, ReplicationSource } from '@kith/interface'
import { isReplicatorCode, ReplicatorError } from '@kith/replicator'
import { createCodec } from '@kith/replicator/core'
import type { ReplicationOperation } from '@kith/replicator/http'
import type { SimHost } from '@kith/sim'

/** The first byte of a call is its place in this list. */
export const operations: readonly ReplicationOperation[] = ['hello', 'pull', 'chain', 'fetch']

interface Watcher {
  /** Where the origins of the calling member end, as it is about to tell. */
  sent(ends: Iterable<readonly [origin: string, next: number]>): void
  /** What it was answered. */
  shown(hello: HelloMessage): void
}

/** A source that asks over the simulated network. */
export function callingSource(host: SimHost, to: Address, watcher: Watcher): ReplicationSource {
  const codec = createCodec()
  const call = (operation: number, bytes: Uint8Array, waitMs: number, signal: AbortSignal) =>
    ask(host, to, operation, bytes, waitMs, signal)
  return {
    hello: async (message, signal) => {
      watcher.sent(message.vector.map(({ origin, next }) => [origin, next]))
      const bytes = codec.hello.encode(message)
      const answer = open(codec.hello.decode(await call(0, bytes, 0, signal)))
      watcher.shown(answer)
      return answer
    },
    pull: async (request, signal) => {
      watcher.sent(request.ack)
      const bytes = codec.pullRequest.encode(request)
      const answer = await call(1, bytes, request.maxWaitMs, signal)
      return open(codec.pullResponse.decode(answer))
    },
    chainAt: async (origin, sequences, signal) => {
      const bytes = codec.chainRequest.encode({ origin, sequences })
      return open(codec.chainResponse.decode(await call(2, bytes, 0, signal)))
    },
    fetch: async (origin, first, signal) => {
      const bytes = codec.fetchRequest.encode({ origin, first })
      return open(codec.fetchResponse.decode(await call(3, bytes, 0, signal)))
    },
    close: async () => {},
  }
}

export async function* body(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

function open<Value>(
  decoded: { readonly ok: true; readonly value: Value } | { readonly ok: false; problem: string },
): Value {
  if (decoded.ok) return decoded.value
  throw new ReplicatorError('ERR_REPLICATOR_MALFORMED', decoded.problem)
}

function ask(
  host: SimHost,
  to: Address,
  operation: number,
  bytes: Uint8Array,
  waitMs: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const message = new Uint8Array(bytes.length + 1)
    message[0] = operation
    message.set(bytes, 1)
    const cancel = host.request(to, message, { timeoutMs: waitMs + 2_000 }, (outcome) => {
      signal.removeEventListener('abort', abort)
      if (outcome.kind !== 'reply') {
        const why = outcome.kind === 'failed' ? outcome.reason : outcome.kind
        return reject(new ReplicatorError('ERR_REPLICATOR_UNAVAILABLE', why))
      }
      const rest = outcome.bytes.subarray(1)
      if (outcome.bytes[0] === 1) return resolve(rest)
      const { code, detail } = JSON.parse(new TextDecoder().decode(rest)) as Record<string, string>
      const known = isReplicatorCode(code) ? code : 'ERR_REPLICATOR_UNAVAILABLE'
      reject(new ReplicatorError(known, detail ?? ''))
    })
    const abort = (): void => {
      cancel()
      reject(signal.reason as Error)
    }
    signal.addEventListener('abort', abort, { once: true })
  })
}
