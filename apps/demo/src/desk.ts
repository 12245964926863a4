/**
 * What a member offers: a web server that says whose it is, counts its visits for Prometheus, and
 * can be made sick.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Desk {
  /** `host:port`, on loopback. */
  readonly address: string
  readonly port: number
  /** True while it answers 503 to everybody. `POST /sick` and `POST /well` set it too. */
  sick: boolean
  close(): void
}

export async function openDesk(name: string): Promise<Desk> {
  let visits = 0
  const server = createServer((request, response) => {
    request.resume()
    visits += 1
    const order = request.method === 'POST' ? request.url : undefined
    if (order === '/sick' || order === '/well') {
      desk.sick = order === '/sick'
      response.writeHead(204).end()
    } else if (desk.sick) response.writeHead(503).end(`${name} is sick\n`)
    else if (request.url === '/metrics') {
      response.setHeader('content-type', 'text/plain; version=0.0.4')
      response.end(`# TYPE desk_visits_total counter\ndesk_visits_total ${visits}\n`)
    } else response.end(`${name} is here\n`)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const desk: Desk = {
    address: `127.0.0.1:${port}`,
    port,
    sick: false,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
  return desk
}
