/** A source behind plain HTTP on a free port of loopback, as an agent serves its log. */
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { ReplicationSource } from '@kith/interface'
import { createReplicationHandler } from '@kith/replicator/http'
import type { ReplicationOperation } from '@kith/replicator/http'

/** The port. `connected` is told of every connection. */
export function serve(
  source: ReplicationSource,
  connected: (socket: Socket) => void = () => {},
): Promise<number> {
  const handler = createReplicationHandler({ source })
  const server = createServer((request, response) => {
    const operation = request.url?.split('/').at(-1) as ReplicationOperation
    const gone = new AbortController()
    response.on('close', () => {
      if (!response.writableFinished) gone.abort()
    })
    void handler.handle(operation, request, gone.signal).then((reply) => {
      // As the server does.
      response.once('finish', () => reply.release())
      response.writeHead(reply.status, reply.headers)
      response.end(reply.body)
    })
  })
  server.on('connection', connected)
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
}
