import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatAddress } from '@kith/interface'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Agent, createAgent } from '../src/index.ts'

let folder: string
let ada: Agent
let ben: Agent

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kith-http-'))
  ada = createAgent({ name: 'ada', profile: 'local', data: join(folder, 'ada') })
  await ada.start()
  const seed = formatAddress(ada.gossip.address)
  ben = createAgent({ name: 'ben', profile: 'local', data: join(folder, 'ben'), join: [seed] })
  await ben.start()
})
afterAll(async () => {
  await Promise.all([ada.stop(), ben.stop()])
  await rm(folder, { recursive: true })
})

interface Answer {
  readonly status: number
  readonly body: Record<string, unknown>
}

async function ask(method: string, path: string, body?: string, type?: string): Promise<Answer> {
  const answer = await fetch(`http://${formatAddress(ada.httpAddress)}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { body, headers: { 'content-type': type ?? 'application/json' } }),
  })
  const text = await answer.text()
  return { status: answer.status, body: text === '' ? {} : (JSON.parse(text) as Answer['body']) }
}

const lines = (count: number): string => '{"value":"x"}\n'.repeat(count)
const ndjson = 'application/x-ndjson'

describe('the HTTP interface over the real parts', () => {
  it('stores a repeated request once and answers it the same', async () => {
    const path = '/v1/log/records?producer=p&producerSequence=1'
    const first = await ask('POST', path, lines(3), ndjson)
    const second = await ask('POST', path, lines(3), ndjson)
    expect(first.body).toMatchObject({ count: 3, duplicate: false })
    expect(second.body).toEqual({ ...first.body, duplicate: true })
  })

  it('waits for another member to hold the records on its disk', async () => {
    const path = '/v1/log/records?replicas=1&timeoutMs=20000'
    const { body } = await ask('POST', path, lines(1), ndjson)
    expect(body['replicas']).toEqual({ needed: 1, acked: 1, timedOut: false })
    const held = ben.log.vector().find(({ member }) => member === 'ada')
    expect(held?.next).toBe((body['first'] as number) + 1)
  })

  it('says that others do not hold them yet, and keeps them all the same', async () => {
    const path = '/v1/log/records?replicas=5&timeoutMs=1'
    const { status, body } = await ask('POST', path, lines(1), ndjson)
    expect(status).toBe(200)
    expect(body['replicas']).toMatchObject({ needed: 5, timedOut: true })
  })

  it('answers each refusal of the log with its own status and code', async () => {
    const from = await ask('GET', '/v1/log/records?from=999999')
    expect(from).toMatchObject({ status: 416, body: { code: 'ERR_LOG_OFFSET_OUT_OF_RANGE' } })
    const key = JSON.stringify({ key: 'k'.repeat(2000), value: '' })
    const long = await ask('POST', '/v1/log/records', key, ndjson)
    expect(long.status).toBe(400)
    expect(long.body['code']).toMatch(/^ERR_LOG_RECORD/)
  })

  it('tells what is held, how far behind it is, and that it is whole', async () => {
    const { body } = await ask('GET', '/v1/log/status')
    expect(body['durable']).toBe(true)
    const origins = body['origins'] as { own: boolean; member: string; lag: unknown }[]
    expect(origins.find(({ own }) => own)).toMatchObject({ member: 'ada', lag: 0 })
    expect(await ask('POST', '/v1/log/verify')).toMatchObject({ status: 200, body: { ok: true } })
  })

  it('REP-40 retires no origin that it writes, or does not know', async () => {
    const { body } = await ask('GET', '/v1/log/status')
    const own = await ask('POST', `/v1/log/origins/${String(body['origin'])}/retire`)
    expect(own).toMatchObject({ status: 409, body: { code: 'ERR_REPLICATOR_RETIRE' } })
    const unknown = await ask('POST', `/v1/log/origins/${'ab'.repeat(16)}/retire`)
    expect(unknown).toMatchObject({ status: 409, body: { code: 'ERR_REPLICATOR_RETIRE' } })
    expect(await ask('POST', '/v1/log/origins/x/retire')).toMatchObject({ status: 400 })
  })

  it('LOG-44 LOG-47 drops what its bounds let go, and names the floor', async () => {
    const retention = { recordsMax: 2, checkMs: 10 }
    await using small = createAgent({ name: 'small', profile: 'local', retention })
    await small.start()
    const retained = new Promise((resolve) => small.log.on('retained', resolve))
    for (const value of ['a', 'b', 'c']) await small.log.append({ value: Buffer.from(value) })
    await retained
    const url = `http://${formatAddress(small.httpAddress)}/v1/log`
    const status = (await (await fetch(`${url}/status`)).json()) as { floor: number }
    expect(status).toMatchObject({ floor: 1, next: 3, records: 2 })
    const gone = await fetch(`${url}/records?from=0`)
    expect(gone.status).toBe(410)
    expect(await gone.json()).toMatchObject({ code: 'ERR_LOG_DROPPED', floor: 1 })
    const kept = await (await fetch(`${url}/records`)).text()
    expect(kept.trim().split('\n').length).toBe(2)
  })

  it('registers a service whose check is told from outside', async () => {
    const service = { service: 'db', port: 5432, checks: [{ kind: 'ttl', name: 'alive' }] }
    const put = await ask('PUT', '/v1/services/db-1', JSON.stringify(service))
    expect(put.body).toMatchObject({ id: 'db-1', member: 'ada', status: 'critical' })
    expect((await ask('GET', '/v1/services/db')).body['instances']).toEqual([])
    expect((await ask('PUT', '/v1/checks/db-1%2Falive/passing')).status).toBe(204)
    const { body } = await ask('GET', '/v1/services/db')
    expect(body['instances']).toMatchObject([{ id: 'db-1', status: 'passing' }])
    for await (const [instance] of ben.registry.watch('db')) if (instance) break
    expect((await ask('DELETE', '/v1/services/db-1')).status).toBe(204)
    for await (const [instance] of ben.registry.watch('db')) if (!instance) break
    const again = await ask('DELETE', '/v1/services/db-1')
    expect(again).toMatchObject({ status: 404, body: { code: 'ERR_REGISTRY_UNKNOWN_INSTANCE' } })
  })

  it('names the field where a service or a check is wrong', async () => {
    const service = { service: 'a b', port: 1, checks: [{ kind: 'tcp', intervalMs: 1 }] }
    const { status, body } = await ask('PUT', '/v1/services/x', JSON.stringify(service))
    expect(status).toBe(400)
    expect(body['detail']).toMatch(/service must be .*checks\[0\]\.intervalMs must be/)
    expect((await ask('PUT', '/v1/checks/no%2Fsuch/passing')).status).toBe(404)
  })
})
