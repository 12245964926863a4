/** Iterations over the records of one stream, each on a connection of its own. */
import { setTimeout as delay } from 'node:timers/promises'
import { RpcError } from '../errors.ts'
import type { Request, StreamedRecord } from '../wire/message.ts'
import type { RpcConnection } from './connection.ts'
import { createQueue, type ItemQueue } from './queue.ts'

export interface Iteration<Item> {
  readonly request: Request
  /** Undefined for a record that is nothing to the consumer. */
  item(record: StreamedRecord, connection: RpcConnection): Item | undefined
  /** What a consumer is told after the connection came back; absent: it does not come back. */
  readonly resumed?: (() => Item | undefined) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface IterationHost {
  readonly requestTimeoutMs: number
  readonly recordsMax: number
  readonly reconnectDelayMs: number
  readonly reconnectDelayMsMax: number
  connect(signal: AbortSignal): Promise<RpcConnection>
  dropped(): void
  /** Told of every iteration that runs, so that closing the client ends it. */
  readonly running: Set<(cause: Error) => void>
}

/** Begins at once; the consumer sees what failed at its first step. */
export function iterate<Item>(host: IterationHost, iteration: Iteration<Item>): ItemQueue<Item> {
  const over = new AbortController()
  let connection: RpcConnection | undefined
  const { signal } = iteration
  const abort = (): void => queue.close()
  const fail = (cause: Error): void => queue.close(cause)
  const queue = createQueue<Item>({
    taken: () => {
      if (queue.length < host.recordsMax) connection?.hold(false)
    },
    over() {
      host.running.delete(fail)
      signal?.removeEventListener('abort', abort)
      const cause = new RpcError('ERR_RPC_CLOSED', 'the iteration is over')
      over.abort(cause)
      connection?.end(cause)
    },
  })
  host.running.add(fail)
  if (signal?.aborted) abort()
  else signal?.addEventListener('abort', abort, { once: true })

  let opens = 0
  let announced = 0
  /** Before the first record of a connection that came back, and never before it is back. */
  function announce(): void {
    if (announced === opens) return
    announced = opens
    const item = opens > 1 ? iteration.resumed?.() : undefined
    if (item !== undefined) queue.push(item)
  }
  function record(streamed: StreamedRecord): void {
    if (connection === undefined) return
    announce()
    const item = iteration.item(streamed, connection)
    if (item === undefined) return
    // Held reading lets no more in than the socket had read; answers to requests let in more.
    if (queue.length >= host.recordsMax * 2) return host.dropped()
    queue.push(item)
    if (queue.length >= host.recordsMax) connection.hold(true)
  }
  /** Resolves with why the stream ended; undefined where it was over. */
  async function open(): Promise<Error | undefined> {
    const opened = await host.connect(over.signal)
    connection = opened
    if (over.signal.aborted) {
      opened.end(over.signal.reason as Error)
      return undefined
    }
    let ended: (cause?: Error) => void = () => {}
    const end = new Promise<Error | undefined>((resolve) => {
      ended = resolve
    })
    const options = { timeoutMs: host.requestTimeoutMs, signal: over.signal }
    if (announced === opens) opens += 1
    await opened.stream(iteration.request, { record, ended }, options)
    announce()
    return await end
  }
  void keepOpen({ host, iteration, queue, open, signal: over.signal })
  return queue
}

interface Keeping<Item> {
  readonly host: IterationHost
  readonly iteration: Iteration<Item>
  readonly queue: ItemQueue<Item>
  open(): Promise<Error | undefined>
  readonly signal: AbortSignal
}

/** Opens the stream and, where it shall come back, opens it again after each loss. */
async function keepOpen<Item>(keeping: Keeping<Item>): Promise<void> {
  const { host, iteration, queue, open, signal } = keeping
  let waitMs = host.reconnectDelayMs
  for (let first = true; !signal.aborted; first = false) {
    let cause: Error | undefined
    try {
      cause = await open()
      waitMs = host.reconnectDelayMs
    } catch (failure) {
      cause = failure as Error
    }
    if (signal.aborted) return
    // The first attempt tells the consumer what is wrong; later ones are its wish to go on.
    const lasting = iteration.resumed === undefined || !isLoss(cause, first)
    if (cause === undefined || lasting) return queue.close(cause)
    await delay(waitMs, undefined, { signal }).catch(() => {})
    waitMs = Math.min(waitMs * 2, host.reconnectDelayMsMax)
  }
}

function isLoss(cause: Error | undefined, first: boolean): boolean {
  if (!(cause instanceof RpcError)) return false
  if (cause.code === 'ERR_RPC_CONNECTION_LOST') return true
  return !first && (cause.code === 'ERR_RPC_CONNECT' || cause.code === 'ERR_RPC_TIMEOUT')
}
