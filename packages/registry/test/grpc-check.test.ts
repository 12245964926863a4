/** `grpc` against a real server of @grpc/grpc-js that speaks the standard health service. */
import { type handleUnaryCall, Server, ServerCredentials, status } from '@grpc/grpc-js'
import type { CheckKind, CheckTarget } from '@kith/interface'
import { systemClock } from '@kith/interface/node'
import { checkKindCases, type CheckKindSubject, runConformance } from '@kith/testkit'
import { describe, expect, it } from 'vitest'
import { grpcCheck } from '../src/checks/grpc.ts'

type Answer = (service: string) => number | 'silence' | 'unknown'

/** The messages as bytes: what the check encodes is decoded here by hand, not by its own code. */
function health(answer: Answer): handleUnaryCall<Buffer, Buffer> {
  return (call, reply) => {
    const asked = call.request
    const service = asked.length === 0 ? '' : asked.subarray(2, 2 + (asked[1] ?? 0)).toString()
    const word = answer(service)
    if (word === 'silence') return
    if (word === 'unknown') reply({ code: status.NOT_FOUND, details: 'no such service' })
    else reply(null, Buffer.from(word === 0 ? [] : [0x08, word]))
  }
}

const same = (bytes: Buffer): Buffer => bytes
const definition = {
  check: {
    path: '/grpc.health.v1.Health/Check',
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
}

class HealthServer implements CheckKindSubject, AsyncDisposable {
  readonly kind = grpcCheck() as CheckKind<never>
  readonly clock = systemClock
  readonly target: CheckTarget = { address: '127.0.0.1', port: 9 }
  readonly bad = [
    { options: { port: 70_000 }, field: 'port' },
    { options: { service: 1 }, field: 'service' },
    { options: { tls: 'yes' }, field: 'tls' },
    { options: { url: 'x' }, field: 'url' },
  ]
  readonly #servers: Server[] = []

  async serve(answer: Answer): Promise<{ port: number }> {
    const server = new Server()
    server.addService(definition, { check: health(answer) })
    this.#servers.push(server)
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (cause, bound) =>
        cause === null ? resolve(bound) : reject(cause),
      )
    })
    return { port }
  }

  healthy = (): Promise<unknown> => this.serve(() => 1)
  sick = (): Promise<unknown> => this.serve(() => 2)
  waiting = (): Promise<unknown> => this.serve(() => 'silence')

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) server.forceShutdown()
  }
}

runConformance('grpc', checkKindCases, { describe, it }, () => new HealthServer())

describe('grpc', () => {
  it('REG-21: asks for one service by name, and says what it heard', async () => {
    await using subject = new HealthServer()
    const long = `shop.${'x'.repeat(100)}`
    const words: Record<string, number> = { '': 1, 'shop.Cart': 1, 'shop.Search': 2, [long]: 1 }
    const { port } = await subject.serve((service) => words[service] ?? 'unknown')
    const ask = async (service?: string): Promise<string> => {
      const options = subject.kind.parse({ port, ...(service && { service }) }, subject.target)
      const run = subject.kind.run(options, new AbortController().signal, {} as never)
      return await run.then(
        (result) => `${result.status}: ${result.output}`,
        (cause: Error) => `rejected: ${cause.message}`,
      )
    }
    expect(await ask()).toMatch(/^passing: .*SERVING/)
    expect(await ask('shop.Cart')).toMatch(/^passing: shop\.Cart at .*: SERVING/)
    expect(await ask(long)).toMatch(/^passing/)
    expect(await ask('shop.Search')).toMatch(/^critical: .*NOT_SERVING/)
    expect(await ask('shop.Nothing')).toMatch(/^rejected: .*no such service/)
  })

  it('REG-21: an empty answer is UNKNOWN, and nobody there is an error that names the place', async () => {
    await using subject = new HealthServer()
    const { port } = await subject.serve(() => 0)
    const run = (at: number) =>
      subject.kind.run(
        subject.kind.parse({ port: at }, subject.target),
        new AbortController().signal,
        {} as never,
      )
    expect(await run(port)).toMatchObject({ status: 'critical', output: /UNKNOWN/ })
    await expect(run(1)).rejects.toThrow('127.0.0.1:1')
  })
})
