/** The kinds of checks against the suite for all kinds. */
import { randomInt } from 'node:crypto'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net'
import type { CheckKind, CheckTarget } from '@kith/interface'
import { systemClock } from '@kith/interface/node'
import { checkKindCases, type CheckKindSubject, failingCases, runConformance } from '@kith/testkit'
import { describe, expect, it } from 'vitest'
import {
  eventLoopCheck,
  functionCheck,
  httpCheck,
  scriptCheck,
  tcpCheck,
  ttlCheck,
} from '../src/index.ts'

const runner = { describe, it }

/** A subject whose servers close with it. */
class Subject implements AsyncDisposable {
  readonly kind: CheckKindSubject['kind']
  readonly clock = systemClock
  readonly target: CheckTarget = { address: '127.0.0.1', port: 9 }
  readonly bad: CheckKindSubject['bad']
  readonly #make: Record<'healthy' | 'sick' | 'waiting', (subject: Subject) => unknown>
  readonly #servers: Server[] = []

  constructor(
    kind: CheckKind<never>,
    bad: CheckKindSubject['bad'],
    make: Partial<Record<'healthy' | 'sick' | 'waiting', (subject: Subject) => unknown>>,
  ) {
    const none = (): unknown => undefined
    this.kind = kind
    this.bad = bad
    this.#make = { healthy: none, sick: none, waiting: none, ...make }
  }

  healthy(): Promise<unknown> {
    return Promise.resolve(this.#make.healthy(this))
  }

  sick(): Promise<unknown> {
    return Promise.resolve(this.#make.sick(this))
  }

  waiting(): Promise<unknown> {
    return Promise.resolve(this.#make.waiting(this))
  }

  async listen(server: Server): Promise<number> {
    this.#servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return (server.address() as AddressInfo).port
  }

  async serve(handler: RequestListener): Promise<{ url: string }> {
    return { url: `http://127.0.0.1:${await this.listen(createHttpServer(handler))}/` }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) {
      if ('closeAllConnections' in server) (server.closeAllConnections as () => void)()
      await new Promise((resolve) => server.close(resolve))
    }
  }
}

/** A port at which nobody listens: systems give others to whoever asks for any. */
function closedPort(): number {
  return randomInt(20_000, 32_768)
}

const never = (): Promise<never> => new Promise(() => {})

runConformance(
  'tcp',
  checkKindCases,
  runner,
  () =>
    new Subject(
      tcpCheck() as CheckKind<never>,
      [
        { options: { port: 0 }, field: 'port' },
        { options: { host: '' }, field: 'host' },
        { options: { prot: 1 }, field: 'prot' },
        { options: 'x', field: 'options' },
      ],
      {
        healthy: async (s) => ({ port: await s.listen(createTcpServer((socket) => socket.end())) }),
        sick: async () => ({ port: closedPort() }),
      },
    ),
  { absent: { waiting: 'no address on loopback swallows a connection without answering' } },
)

runConformance(
  'http',
  checkKindCases,
  runner,
  () =>
    new Subject(
      httpCheck() as CheckKind<never>,
      [
        { options: { url: 'ftp://x/' }, field: 'url' },
        { options: { url: '/path' }, field: 'url' },
        { options: { method: 'BREW' }, field: 'method' },
        { options: { headers: { 'bad name': 'x' } }, field: 'headers' },
        { options: { headers: { name: 'a\r\nb' } }, field: 'headers' },
        { options: { status: 99 }, field: 'status' },
        { options: { bodyIncludes: '' }, field: 'bodyIncludes' },
        { options: { uri: 'x' }, field: 'uri' },
        { options: { tls: { ca: 'x' } }, field: 'tls' },
        { options: { tls: { insecure: true } }, field: 'tls' },
      ],
      {
        healthy: (s) => s.serve((_, response) => response.end('fine')),
        sick: (s) => s.serve((_, response) => response.writeHead(503).end('not now')),
        waiting: (s) => s.serve(() => {}),
      },
    ),
)

runConformance(
  'ttl',
  checkKindCases,
  runner,
  () =>
    new Subject(ttlCheck() as CheckKind<never>, [{ options: { ttl: '10s' }, field: 'ttl' }], {}),
  {
    absent: {
      passing: 'its run only says what silence means',
      waiting: 'its run asks nobody',
    },
  },
)

runConformance('function', checkKindCases, runner, () => {
  const bad = [
    { options: {}, field: 'run' },
    { options: { run: 'x' }, field: 'run' },
    { options: { run() {}, timeout: 1 }, field: 'timeout' },
  ]
  return new Subject(functionCheck() as CheckKind<never>, bad, {
    healthy: () => ({ run: () => 'passing' }),
    sick: () => ({
      run() {
        throw new Error('out of order')
      },
    }),
    // It heeds its signal; one that does not is tested below.
    waiting: () => ({
      run: (signal: AbortSignal) =>
        new Promise((_, reject) =>
          signal.addEventListener('abort', () => reject(new Error('told'))),
        ),
    }),
  })
})

runConformance('script', checkKindCases, runner, () => {
  const bad = [
    { options: {}, field: 'command' },
    { options: { command: 'true' }, field: 'command' },
    { options: { command: [''] }, field: 'command' },
    { options: { command: ['a\0b'] }, field: 'command' },
    { options: { command: ['true'], environment: { 'A B': 'x' } }, field: 'environment' },
    { options: { command: ['true'], shell: true }, field: 'shell' },
  ]
  const node = (code: string): unknown => ({ command: [process.execPath, '-e', code] })
  return new Subject(scriptCheck() as CheckKind<never>, bad, {
    healthy: () => node('console.log("well")'),
    sick: () => node('process.exit(3)'),
    waiting: () => node('setInterval(() => {}, 1000)'),
  })
})

runConformance('event-loop', checkKindCases, runner, () => {
  const bad = [
    { options: { warningMs: 0 }, field: 'warningMs' },
    { options: { criticalMs: '1s' }, field: 'criticalMs' },
    { options: { warningMs: 200, criticalMs: 100 }, field: 'criticalMs' },
    { options: { windowMs: 700_000 }, field: 'windowMs' },
  ]
  const block = (): void => {
    const end = performance.now() + 60
    while (performance.now() < end);
  }
  return new Subject(eventLoopCheck() as CheckKind<never>, bad, {
    healthy: () => ({ windowMs: 50, warningMs: 60_000, criticalMs: 60_000 }),
    // Late by a whole turn of this loop.
    sick: () => {
      const timer = setInterval(block, 1)
      setTimeout(() => clearInterval(timer), 2_000)
      return { windowMs: 200, warningMs: 20, criticalMs: 20 }
    },
    waiting: () => ({ windowMs: 60_000 }),
  })
})

it('REG-21: an event loop that stood still all the while, so that no sample was taken, is late', async () => {
  const kind = eventLoopCheck()
  const target = { address: '127.0.0.1', port: 1 }
  const options = kind.parse({ windowMs: 100, warningMs: 120, criticalMs: 120 }, target)
  const context = { clock: systemClock, target } as never
  const run = kind.run(options, new AbortController().signal, context)
  const end = performance.now() + 150
  while (performance.now() < end);
  expect(await run).toMatchObject({ status: 'critical' })
})

describe('the suite', () => {
  it('notices kinds that break each clause', async () => {
    const broken: CheckKind<never> = {
      kind: 'Broken Kind',
      parse: () => ({}) as never,
      run: async (_options, signal) =>
        signal.aborted ? { status: 'passing', output: '' } : never(),
    }
    const subject = new Subject(broken, [{ options: {}, field: 'x' }], {})
    const stuck = checkKindCases.filter(({ id }) => id !== 'REG-21')
    const failures = await failingCases(stuck, () => subject)
    expect([...failures.keys()].sort()).toEqual(['REG-19', 'REG-20', 'REG-22', 'REG-23'])
    const liar: CheckKind<never> = {
      ...broken,
      run: async () => ({ status: 'fine' as never, output: '' }),
    }
    const lies = await failingCases(checkKindCases, () => new Subject(liar, [], {}))
    expect([...lies.keys()]).toContain('REG-21')
  })
})

describe('http', () => {
  it.each([
    [200, {}, 'passing'],
    [299, {}, 'passing'],
    [302, {}, 'critical'],
    [429, {}, 'warning'],
    [404, {}, 'critical'],
    [404, { status: 404 }, 'passing'],
    [200, { status: 204 }, 'critical'],
    [200, { bodyIncludes: 'well' }, 'passing'],
    [200, { bodyIncludes: 'ill' }, 'critical'],
    [200, { method: 'HEAD' }, 'passing'],
    [200, { headers: { 'x-asked': 'yes' } }, 'passing'],
  ] as const)('REG-21: %i with %o is %s', async (code, options, status) => {
    const subject = new Subject(httpCheck() as CheckKind<never>, [], {})
    const { url } = await subject.serve((_, response) =>
      response.writeHead(code, { location: '/elsewhere' }).end('all is well'),
    )
    const parsed = subject.kind.parse({ url, ...options }, subject.target)
    const context = { clock: systemClock } as never
    const result = await subject.kind.run(parsed, new AbortController().signal, context)
    expect(result.status).toBe(status)
    expect(result.output).toContain(String(code))
    await subject[Symbol.asyncDispose]()
  })

  it('REG-21: takes only the beginning of an endless body', async () => {
    const subject = new Subject(httpCheck() as CheckKind<never>, [], {})
    const { url } = await subject.serve((request, response) => {
      const more = (): void => {
        while (!request.destroyed && response.write('x'.repeat(65_536)));
      }
      response.on('drain', more)
      more()
    })
    const parsed = subject.kind.parse({ url }, subject.target)
    const result = await subject.kind.run(parsed, new AbortController().signal, {} as never)
    expect(result.status).toBe('passing')
    expect(result.output.length).toBeLessThan(70_000)
    await subject[Symbol.asyncDispose]()
  })

  it('asks the instance itself where no URL is given, also over IPv6', () => {
    const kind = httpCheck()
    expect(kind.parse(undefined, { address: '10.0.0.1', port: 80 }).url).toBe('http://10.0.0.1:80/')
    expect(kind.parse({}, { address: '::1', port: 80 }).url).toBe('http://[::1]:80/')
  })
})

describe('function', () => {
  it('REG-22: is not called again while a call that ignores its signal is still out', async () => {
    let calls = 0
    let end = (): void => {}
    const kind = functionCheck()
    const options = kind.parse(
      {
        run: () => {
          calls += 1
          return new Promise<undefined>((resolve) => {
            end = () => resolve(undefined)
          })
        },
      },
      { address: '', port: 1 },
    )
    const abort = new AbortController()
    const first = kind.run(options, abort.signal, {} as never)
    abort.abort()
    await expect(first).rejects.toMatchObject({ code: 'ERR_REGISTRY_CHECK_FAILED' })
    await expect(kind.run(options, new AbortController().signal, {} as never)).rejects.toThrow(
      'last call',
    )
    end()
    await new Promise((resolve) => setImmediate(resolve))
    const again = kind.run(options, new AbortController().signal, {} as never)
    end()
    expect(await again).toEqual({ status: 'passing', output: '' })
    expect(calls).toBe(2)
  })
})
