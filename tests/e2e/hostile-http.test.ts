/** Bodies against a real member's HTTP interface: many at once, nonsense, and a stop among them. */
import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { evidence } from '../support/tier.ts'
import { exchange, head, openSocket, post } from './hostile/http.ts'
import { peakRss, TargetProcess } from './hostile/process.ts'

const growthBytesMax = 32 * 1024 * 1024
const mib = 1024 * 1024
const octets = 'application/octet-stream'
const ndjson = 'application/x-ndjson'
const records = '/v1/log/records'

let target: TargetProcess
let witness: TargetProcess
let port: number

async function until(what: string, condition: () => Promise<boolean>, ms: number): Promise<void> {
  const end = performance.now() + ms
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}`)
    await pause(25)
  }
}

async function expectServing(): Promise<void> {
  const { status } = await exchange(port, [head('GET', '/v1/status')])
  expect(status).toBe(200)
}

async function recordCount(): Promise<number> {
  const { text } = await exchange(port, [head('GET', '/v1/log/status', { connection: 'close' })])
  return Number(/"records":(\d+)/.exec(text)?.[1])
}

beforeAll(async () => {
  target = await TargetProcess.start('target')
  witness = await TargetProcess.start('witness', `127.0.0.1:${target.first.gossip}`)
  port = target.first.http
  await until('both', async () => (await target.report()).view.length === 2, 30_000)
  // Ordinary work first: what a member keeps for it anyway, and compiles, is no growth.
  const lines = (count: number): Uint8Array =>
    new TextEncoder().encode(`{"value":"${'x'.repeat(1_000)}"}\n`.repeat(count))
  for (let round = 0; round < 40; round += 1) {
    const body = lines(round % 10 === 0 ? 2_000 : 200)
    await exchange(port, post(records, body, ndjson))
  }
}, 60_000)

afterAll(async () => {
  await Promise.all([target.kill(), witness.kill()])
})

describe('bodies', () => {
  it('uploaded side by side and bad in their last line grow no member, and leave nothing behind', async () => {
    const good = `{"value":"${'x'.repeat(1_850)}"}\n`
    // 8 MiB, which is what a body may have.
    const body = new TextEncoder().encode(`${good.repeat(4_480)}{"nonsense"\n`)
    const before = await recordCount()
    const attack = async (): Promise<void> => {
      const uploads = Array.from({ length: 8 }, () => exchange(port, post(records, body, ndjson)))
      for (const { status } of await Promise.all(uploads)) expect(status).toBe(400)
    }
    const { heldBytes: idle, rssBytes } = await target.collect()
    const peak = await peakRss(target, async () => {
      for (let round = 0; round < 4; round += 1) await attack()
    })
    evidence('hostile uploads side by side: growth MiB', ((peak - rssBytes) / mib).toFixed(1))
    console.log(
      `${(rssBytes / mib).toFixed(1)} MiB, grew by ${((peak - rssBytes) / mib).toFixed(1)}`,
    )
    expect(peak - rssBytes).toBeLessThan(growthBytesMax)
    // One collection does not free it all: buffers are swept behind its back.
    const growth = async (): Promise<number> => (await target.collect()).heldBytes - idle
    await expect.poll(growth, { timeout: 15_000, interval: 250 }).toBeLessThan(growthBytesMax)
    expect(await recordCount()).toBe(before)
    await expectServing()
  }, 60_000)

  it('of nonsense are refused with a problem that has a code', async () => {
    const text = (value: string): Uint8Array => new TextEncoder().encode(value)
    const deep = '{"a":'.repeat(10_000) + '1' + '}'.repeat(10_000)
    const services = ['', 'null', '[]', '{', '{"port":0}', '{"port":"80"}', '{"port":-1}', deep]
    const prototype = '{"__proto__":{"port":80},"constructor":{"prototype":{"port":80}}}'
    for (const body of [...services, prototype]) {
      const request = post('/v1/services/web', text(body), 'application/json', 'PUT')
      const { status, text: answer } = await exchange(port, request)
      expect([400, 413, 422], `${body.slice(0, 30)}: ${answer}`).toContain(status)
      expect(answer).toMatch(/"code":"ERR_[A-Z_]+"/)
    }
    const lines = [
      'nonsense',
      '{"value":1}',
      '{}',
      '{"valueBase64":"%%%"}',
      '{"value":"x","key":{}}',
    ]
    for (const line of lines) {
      const { status, text: answer } = await exchange(port, post(records, text(line), ndjson))
      expect([400, 413, 422], `${line}: ${answer}`).toContain(status)
    }
    await expectServing()
  })
})

describe('stop', () => {
  it('ends within 3 s with parked pulls, half requests, idle and unread connections', async () => {
    const open: Socket[] = []
    const hold = async (text: string): Promise<void> => {
      const socket = await openSocket(port)
      socket.write(text)
      open.push(socket)
    }
    for (let count = 0; count < 20; count += 1) {
      await hold('GET /v1/sta')
      await hold(head('GET', '/v1/status'))
      await hold(head('POST', records, { 'content-type': octets, 'content-length': 1_000 }))
      await hold(head('GET', `${records}?from=0&follow=true`))
    }
    // The witness has a pull parked here as well: it replicates.
    await expectServing()
    const stoppedMs = await target.stop()
    evidence('hostile stop ms', stoppedMs.toFixed(0))
    expect(stoppedMs).toBeLessThan(3_000)
    for (const socket of open) socket.destroy()
  }, 60_000)
})
