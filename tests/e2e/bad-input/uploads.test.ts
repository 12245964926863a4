/**
 * Bodies over their limit, on every route that takes one: refused before they come where they are
 * announced, answered 413 where they are streamed, and kept by nobody.
 */
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { evidence } from '../../support/tier.ts'
import { peakRss, TargetProcess } from '../hostile/process.ts'
import { declaredRoutes } from './declared.ts'

const mebibyte = 1024 * 1024
const growthBytesMax = 32 * mebibyte
let target: TargetProcess
beforeAll(async () => {
  target = await TargetProcess.start('uploads')
}, 60_000)
afterAll(() => target.kill())

const urlOf = (of: TargetProcess): string => `http://127.0.0.1:${of.first.http}`

/** The first line that comes back. */
async function answerTo(bytes: string): Promise<string> {
  const socket = connect(target.first.http, '127.0.0.1')
  // Being cut off after the answer is no news.
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(bytes)
  let text = ''
  for await (const chunk of socket) {
    text += String(chunk)
    if (text.includes('\r\n\r\n')) break
  }
  socket.destroy()
  return text.split('\r\n')[0] ?? ''
}

const head = (line: string, ...headers: string[]): string =>
  [line, 'host: x', ...headers, '', ''].join('\r\n')

interface Upload {
  readonly method: string
  readonly path: string
  readonly type: string
}
const uploads: readonly Upload[] = [
  { method: 'POST', path: '/v1/log/records', type: 'application/x-ndjson' },
  { method: 'POST', path: '/v1/log/records', type: 'application/octet-stream' },
  { method: 'PUT', path: '/v1/services/web', type: 'application/json' },
  { method: 'PUT', path: '/v1/services/web/maintenance', type: 'application/json' },
  { method: 'PUT', path: '/v1/maintenance', type: 'application/json' },
  { method: 'PUT', path: '/v1/checks/web%2Fttl/passing', type: 'application/json' },
  { method: 'POST', path: '/v1/plugins/taker/1', type: 'application/json' },
  { method: 'PUT', path: '/v1/plugins/taker/1', type: 'application/json' },
  ...['hello', 'pull', 'chain', 'fetch'].map((operation) => ({
    method: 'POST',
    path: `/v1/replication/${operation}`,
    type: 'application/vnd.kith.replication',
  })),
]

/** Sends chunks until the answer came or so many bytes went; resolves with the status. */
function pour(target: TargetProcess, upload: Upload, bytes: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const { method, path, type } = upload
    const sending = request(urlOf(target) + path, {
      method,
      agent: false,
      headers: { 'content-type': type },
    })
    let status = 0
    let left = bytes
    const chunk = Buffer.alloc(65_536, 'x')
    const send = (): void => {
      while (left > 0 && status === 0 && !sending.destroyed) {
        left -= chunk.length
        if (!sending.write(chunk)) return void sending.once('drain', send)
      }
      if (status === 0) sending.end()
    }
    sending.on('response', (response) => {
      status = response.statusCode ?? 0
      response.resume()
      resolve(status)
      sending.destroy()
    })
    sending.on('error', (cause) => {
      if (status === 0) reject(new Error(`${method} ${path} broke off`, { cause }))
    })
    send()
  })
}

describe('bodies over their limit', () => {
  it('are tried on each route that takes a body', () => {
    const plain = (path: string): string =>
      path
        .replace(/^(\/v1\/services)\/[^/]*/, '$1/:id')
        .replace(/^(\/v1\/checks)\/.*/, '$1/:id/:status')
        .replace(/^(\/v1\/plugins)\/.*/, '$1/:plugin/*')
    const tried = new Set(uploads.map(({ method, path }) => `${method} ${plain(path)}`))
    const takesNone = /^(GET|DELETE) |\/v1\/log\/(verify|.*\/retire)$|\$\{operation\}$/
    const declared = declaredRoutes().filter((route) => !takesNone.test(route))
    expect([...tried].filter((route) => !route.includes('/replication/')).sort()).toEqual(declared)
  })

  it('are refused before they come where they are announced', async () => {
    for (const { method, path, type } of uploads) {
      for (const length of ['40000000', '4294967296', '99999999999999999999']) {
        const headers = [`content-type: ${type}`, `content-length: ${length}`]
        const answer = await answerTo(head(`${method} ${path} HTTP/1.1`, ...headers))
        expect(answer, `${path} ${length}`).toMatch(/^HTTP\/1\.1 4(13|00) /)
      }
    }
  }, 60_000)

  it('are answered 413 where they are streamed, and kept by nobody', async () => {
    // What the allocator keeps of a first round is no growth of a second.
    for (const upload of [...uploads, ...uploads]) await pour(target, upload, 40 * mebibyte)
    for (const upload of uploads) {
      // One at a time: what was let go of is garbage, and garbage of several would add up.
      const idle = (await target.collect()).rssBytes
      const peak = await peakRss(target, async () => {
        expect(await pour(target, upload, 200 * mebibyte), upload.path).toBe(413)
      })
      const growth = peak - idle
      evidence(`${upload.path} streamed without end: growth MiB`, (growth / mebibyte).toFixed(1))
      expect(growth, upload.path).toBeLessThan(growthBytesMax)
    }
    const status = await (await fetch(`${urlOf(target)}/v1/log/status`)).json()
    expect(status).toMatchObject({ records: 0 })
  }, 120_000)
})
