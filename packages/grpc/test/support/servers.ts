/** Real grpc-js servers as instances, and a registry as small as the port allows. */
import {
  Client,
  type ClientOptions,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceError,
  type sendUnaryData,
  type ServerUnaryCall,
  status,
} from '@grpc/grpc-js'
import type { ServiceInstance } from '@kith/interface'
import type { ServiceSource } from '../../src/index.ts'

const path = '/kith.test.Who/Ask'
const same = (bytes: Buffer): Buffer => bytes
const definition = {
  ask: {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
}

type Asked = ServerUnaryCall<Buffer, Buffer>

/** Answers with its id and the authority it was called by; `wait` is answered when told to. */
export class Origin {
  calls = 0
  /** Whether it refuses, as a server does that has too much to do. */
  busy = false
  readonly instance: ServiceInstance
  readonly #server: Server
  readonly #waiting: (() => void)[] = []
  readonly #arrived: (() => void)[] = []

  private constructor(instance: ServiceInstance, server: Server) {
    this.instance = instance
    this.#server = server
  }

  static async start(id: string): Promise<Origin> {
    const server = new Server()
    let answer = (_call: Asked, _reply: sendUnaryData<Buffer>): void => {}
    server.addService(definition, {
      ask: (call: Asked, reply: sendUnaryData<Buffer>) => answer(call, reply),
    })
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (cause, bound) =>
        cause === null ? resolve(bound) : reject(cause),
      )
    })
    const origin = new Origin(instanceAt(id, port), server)
    answer = (call, reply) => {
      origin.calls += 1
      if (origin.busy) return reply({ code: status.UNAVAILABLE, details: 'busy' })
      const send = (): void => reply(null, Buffer.from(`${id} ${call.getHost()}`))
      if (call.request.toString() !== 'wait') return send()
      origin.#waiting.push(send)
      for (const wake of origin.#arrived.splice(0)) wake()
    }
    return origin
  }

  /** Resolves when the next call that waits has arrived. */
  arrival(): Promise<void> {
    return new Promise((resolve) => this.#arrived.push(resolve))
  }

  answerAll(): void {
    for (const send of this.#waiting.splice(0)) send()
  }

  /** As a process that was killed. */
  die(): void {
    this.#server.forceShutdown()
  }
}

export function instanceAt(id: string, port: number, zone = 'eu'): ServiceInstance {
  return Object.freeze({
    service: 'web',
    id,
    member: id,
    address: '127.0.0.1',
    port,
    tags: [`tag-${id}`],
    meta: { zone },
    checks: [],
    status: 'passing',
    version: 1,
  })
}

export class FakeRegistry implements ServiceSource {
  /** Watches under way. */
  watching = 0
  /** What `resolve` fails with; `watch` waits meanwhile, as that of a client does. */
  failure: Error | undefined
  #here: readonly ServiceInstance[] = []
  readonly #wake = new Set<() => void>()

  set(...here: readonly ServiceInstance[]): void {
    this.#here = here
    this.failure = undefined
    for (const wake of this.#wake) wake()
  }

  #find(service: string, tags: readonly string[]): readonly ServiceInstance[] {
    const found = service === 'web' ? this.#here : []
    return found.filter((one) => tags.every((tag) => one.tags.includes(tag)))
  }

  async resolve(
    service: string,
    { tags }: { readonly tags: readonly string[] },
  ): Promise<readonly ServiceInstance[]> {
    if (this.failure !== undefined) throw this.failure
    return this.#find(service, tags)
  }

  async *watch(
    service: string,
    { tags, signal }: { readonly tags: readonly string[]; readonly signal: AbortSignal },
  ): AsyncGenerator<readonly ServiceInstance[], void, undefined> {
    this.watching += 1
    try {
      while (!signal.aborted) {
        const changed = new Promise<void>((resolve) => {
          this.#wake.add(resolve)
          signal.addEventListener('abort', () => resolve(), { once: true })
        })
        if (this.failure === undefined) yield this.#find(service, tags)
        await changed
      }
    } finally {
      this.watching -= 1
    }
  }
}

/** A client of the one method; the answer is what the server said. */
export class Caller implements Disposable {
  readonly client: Client

  constructor(target: string, options: ClientOptions = {}) {
    this.client = new Client(target, credentials.createInsecure(), {
      'grpc.enable_http_proxy': 0,
      ...options,
    })
  }

  ask(word = '', metadata = new Metadata()): Promise<string> {
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + 10_000
      this.client.makeUnaryRequest(
        path,
        same,
        same,
        Buffer.from(word),
        metadata,
        { deadline },
        (cause: ServiceError | null, answer?: Buffer) =>
          cause === null ? resolve(String(answer)) : reject(cause),
      )
    })
  }

  /** Who answers, so many times one after the other. */
  async who(times: number): Promise<readonly string[]> {
    const names: string[] = []
    for (let at = 0; at < times; at += 1) names.push((await this.ask()).split(' ')[0] ?? '')
    return names
  }

  /** Asks until exactly these answer: connections stand one after the other. */
  async until(...ids: readonly string[]): Promise<void> {
    for (;;) {
      const names = new Set(await this.who(2 * ids.length))
      if (names.size === ids.length && ids.every((id) => names.has(id))) return
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  [Symbol.dispose](): void {
    this.client.close()
  }
}
