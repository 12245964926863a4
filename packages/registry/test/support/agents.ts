/** Agents as the client sees them: real HTTP servers whose every word a test decides. */
import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ServiceInstance } from '@kith/interface'

export function instance(id: string, changes: Partial<ServiceInstance> = {}): ServiceInstance {
  return {
    service: 'web',
    id,
    member: 'a',
    address: '10.0.0.1',
    port: 80,
    tags: [],
    meta: {},
    checks: [],
    status: 'passing',
    version: 1,
    ...changes,
  }
}

export class ScriptedAgent {
  readonly asked: string[] = []
  readonly #server: Server
  readonly #followers = new Set<ServerResponse>()
  #first: string | undefined

  url = ''

  private constructor(server: Server) {
    this.#server = server
  }

  /** Answers followers with `first` at once; with undefined it says nothing by itself. */
  static async start(first?: readonly ServiceInstance[]): Promise<ScriptedAgent> {
    const server = createServer((request, response) => {
      agent.asked.push(request.url ?? '')
      agent.#followers.add(response)
      response.once('close', () => agent.#followers.delete(response))
      response.flushHeaders()
      if (agent.#first !== undefined) response.write(agent.#first)
      server.emit('followed')
    })
    const agent = new ScriptedAgent(server)
    if (first !== undefined) agent.#first = line(first)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    agent.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return agent
  }

  get followers(): number {
    return this.#followers.size
  }

  /** The next request. */
  async followed(): Promise<void> {
    await once(this.#server, 'followed')
  }

  say(instances: readonly ServiceInstance[], distances?: Record<string, number>): void {
    this.write(line(instances, distances))
  }

  write(text: string): void {
    for (const follower of this.#followers) follower.write(text)
  }

  /** Breaks every answer off and listens no more. */
  async die(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
  }
}

function line(instances: readonly ServiceInstance[], distances?: Record<string, number>): string {
  const told = distances === undefined ? {} : { distances }
  return `${JSON.stringify({ service: 'web', instances, ...told })}\n`
}
