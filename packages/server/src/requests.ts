/** Tells whoever listens in this process of each request that is over. */
import { channel } from 'node:diagnostics_channel'
import type { FastifyReply, FastifyRequest } from 'fastify'

/** What the channel `kith:server:request` carries. */
export interface RequestMessage {
  /** The `Server` that answered. */
  readonly source: object
  /** Undefined before the parts are bound. */
  readonly member: string | undefined
  readonly method: string
  /** The pattern, such as `/v1/services/:name`; undefined where no route fits. */
  readonly route: string | undefined
  /** Undefined where the caller went before there was one. */
  readonly status: number | undefined
  /** From the request to the end of the answer, or until its reader was gone. */
  readonly durationMs: number
}

const published = channel('kith:server:request')

/** Called when a request came; `origin` is asked when it is over. */
export function tellOfRequest(
  request: FastifyRequest,
  { raw }: FastifyReply,
  origin: () => Pick<RequestMessage, 'source' | 'member'>,
): void {
  if (!published.hasSubscribers) return
  const startedAt = performance.now()
  raw.once('close', () => {
    const message: RequestMessage = {
      ...origin(),
      method: request.method,
      route: request.routeOptions.url,
      status: raw.headersSent ? raw.statusCode : undefined,
      durationMs: performance.now() - startedAt,
    }
    published.publish(message)
  })
}
