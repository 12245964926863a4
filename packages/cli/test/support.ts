/** A command line run inside the test, against an agent that is made up. */
import { randomInt } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { type Io, runCli } from '../src/index.ts'

export interface Run {
  readonly code: number
  readonly out: string
  readonly err: string
}

export interface RunOptions {
  readonly input?: string | Uint8Array
  readonly env?: Record<string, string>
  readonly isTTY?: boolean
  readonly onStart?: (io: Io, signal: (name: 'SIGINT' | 'SIGTERM') => void) => void
}

export async function kith(args: readonly string[], options: RunOptions = {}): Promise<Run> {
  const stdout = Object.assign(new PassThrough(), { isTTY: options.isTTY ?? false })
  const stderr = Object.assign(new PassThrough(), { isTTY: options.isTTY ?? false })
  const out = text(stdout)
  const err = text(stderr)
  const listeners = new Set<(name: 'SIGINT' | 'SIGTERM') => void>()
  const io: Io = {
    stdin: Readable.from(options.input === undefined ? [] : [Buffer.from(options.input)]),
    stdout,
    stderr,
    env: options.env ?? {},
    onSignal(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    exit(code) {
      throw new Error(`the process would have ended with ${code}`)
    },
  }
  options.onStart?.(io, (name) => listeners.forEach((listener) => listener(name)))
  const code = await runCli(args, io)
  stdout.end()
  stderr.end()
  return { code, out: await out, err: await err }
}

export interface Asked {
  readonly method: string
  readonly url: string
  readonly body: string
  readonly type: string | undefined
}

export interface FakeAgent extends AsyncDisposable {
  readonly address: string
  readonly asked: Asked[]
}

/** Answers each request with what `answer` makes of it: JSON, or its own doing. */
export async function fakeAgent(
  answer: (asked: Asked, response: ServerResponse) => unknown,
): Promise<FakeAgent> {
  const asked: Asked[] = []
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const one: Asked = {
      method: request.method ?? '',
      url: request.url ?? '',
      body: await text(request),
      type: request.headers['content-type'],
    }
    asked.push(one)
    const result = await answer(one, response)
    if (result === undefined) return
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(result))
  }
  const server = createServer((request, response) => void handle(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** A port at which nobody listens: systems give others to whoever asks for any. */
export function closedPort(): number {
  return randomInt(20_000, 32_768)
}
