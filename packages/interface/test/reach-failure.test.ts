import { createServer, type Server } from 'node:net'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { reachFailure } from '../src/node/index.ts'

const servers: Server[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) {
    await new Promise((resolve) => void server.close(resolve))
  }
})

async function listen(server: Server): Promise<number> {
  servers.push(server)
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

async function failure(url: string, timeoutMs = 20_000): Promise<ReturnType<typeof reachFailure>> {
  try {
    await fetch(url, { signal: AbortSignal.timeout(timeoutMs) })
  } catch (cause) {
    return reachFailure(cause)
  }
  throw new Error(`${url} answered`)
}

it('names what really comes between', async () => {
  const gone = createServer()
  const closed = await listen(gone)
  await new Promise((resolve) => void servers.pop()?.close(resolve))
  expect(await failure(`http://127.0.0.1:${closed}/`)).toEqual({
    problem: 'refused',
    text: 'nothing listens there (ECONNREFUSED)',
  })
  const rude = await listen(createServer((socket) => void socket.destroy()))
  expect((await failure(`http://127.0.0.1:${rude}/`)).problem).toBe('closed')
  const silent = await listen(createServer((socket) => void socket.on('error', () => {}).resume()))
  expect((await failure(`http://127.0.0.1:${silent}/`, 200)).problem).toBe('timedOut')
  const plain = await listen(
    createServer((socket) => void socket.resume().end('HTTP/1.1 400 no\r\n\r\n')),
  )
  expect(await failure(`https://127.0.0.1:${plain}/`)).toMatchObject({ problem: 'tls' })
  expect((await failure('http://nowhere.invalid/')).problem).toBe('nameUnknown')
})

it('looks through causes and lists of errors, to a bound', () => {
  const code = (text: string): Error => Object.assign(new Error('x'), { code: text })
  const inner = new AggregateError([code('ENETUNREACH'), code('ECONNREFUSED')])
  expect(reachFailure(new Error('hello failed', { cause: inner })).problem).toBe('noRoute')
  let deep: Error = code('ECONNREFUSED')
  for (let depth = 0; depth < 20; depth += 1) deep = new Error(`around ${depth}`, { cause: deep })
  expect(reachFailure(deep)).toEqual({ problem: 'other', text: 'it cannot be asked: around 19' })
  expect(reachFailure(undefined)).toEqual({
    problem: 'other',
    text: 'it cannot be asked: undefined',
  })
  expect(reachFailure(code('constructor')).problem).toBe('other')
  const expired = code('CERT_HAS_EXPIRED')
  expect(reachFailure({ cause: expired }).text).toBe(
    'its certificate is refused: it has expired (CERT_HAS_EXPIRED)',
  )
})
