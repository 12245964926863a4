import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Asked, fakeAgent, kith } from './support.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kith-append-'))
})
afterAll(() => rm(folder, { recursive: true }))

function stored(asked: Asked): object {
  const count = asked.body.split('\n').length - 1
  return { origin: 'o'.repeat(32), first: 1, count, offset: 0, duplicate: false }
}

function producer(asked: Asked | undefined): [string | null, string | null] {
  const { searchParams } = new URL(asked?.url ?? '', 'http://x')
  return [searchParams.get('producer'), searchParams.get('producerSequence')]
}

describe('log append', () => {
  it('sends every line of files and of standard input once, in order', async () => {
    const file = join(folder, 'lines')
    await writeFile(file, 'one\n\nthree')
    await using agent = await fakeAgent(stored)
    const args = ['log', 'append', file, '-', '--durability', 'os', '--http-addr', agent.address]
    const run = await kith([...args, '--format', 'json'], { input: Buffer.from([0xff, 0x0a]) })
    expect(run.code).toBe(0)
    const lines = agent.asked.flatMap(({ body }) => body.split('\n').filter(Boolean))
    expect(lines.map((line) => JSON.parse(line) as object)).toEqual([
      { value: 'one' },
      { value: '' },
      { value: 'three' },
      { valueBase64: '/w==' },
    ])
    expect(agent.asked[0]?.type).toBe('application/x-ndjson')
    expect(agent.asked[0]?.url).toContain('durability=os')
    expect(JSON.parse(run.out)).toMatchObject({ records: 4, retries: 0, duplicates: 0 })
  })

  it('splits many lines into requests with rising numbers of one producer', async () => {
    await using agent = await fakeAgent(stored)
    const input = Array.from({ length: 2500 }, (_, at) => `line ${at}\n`).join('')
    const args = ['log', 'append', '--producer', 'me', '--http-addr', agent.address]
    const run = await kith(args, { input })
    expect(run.out).toContain('appended 2500 records')
    expect(agent.asked.map(producer)).toEqual([
      ['me', '1'],
      ['me', '2'],
      ['me', '3'],
    ])
  })

  it('repeats a request as it was until it is answered, and says how often', async () => {
    let failures = 3
    await using agent = await fakeAgent((asked, response) => {
      failures -= 1
      if (failures === 2) return void response.destroy()
      if (failures < 0) return { ...stored(asked), duplicate: true }
      response.statusCode = 503
      return { detail: 'not ready', code: 'ERR_LOG_NOT_READY' }
    })
    const args = ['log', 'append', '--format', 'json', '--http-addr', agent.address]
    const run = await kith(args, { input: 'a\nb\n' })
    expect(run.code).toBe(0)
    expect(JSON.parse(run.out)).toMatchObject({
      records: 2,
      requests: 1,
      retries: 3,
      duplicates: 2,
    })
    expect(new Set(agent.asked.map(({ body, url }) => body + url)).size).toBe(1)
    expect(run.err).toContain('trying again')
  })

  it('does not repeat what is refused for good, and says what is stored', async () => {
    await using agent = await fakeAgent((asked, response) => {
      if (producer(asked)[1] === '1') return stored(asked)
      response.statusCode = 409
      return { detail: 'too old', code: 'ERR_LOG_PRODUCER_STALE' }
    })
    const args = ['log', 'append', '--producer', 'me', '--http-addr', agent.address]
    const run = await kith(args, { input: 'x\n'.repeat(1500) })
    expect(run.code).toBe(1)
    expect(agent.asked).toHaveLength(2)
    expect(run.err).toContain('the first 1000 lines are appended, request 2 of producer me')
  })

  it('gives up after its time', async () => {
    await using agent = await fakeAgent((_asked, response) => {
      response.statusCode = 503
      return { detail: 'not ready', code: 'ERR_LOG_NOT_READY' }
    })
    const args = ['log', 'append', '--retry-ms', '100', '--http-addr', agent.address]
    expect(await kith(args, { input: 'x\n' })).toMatchObject({ code: 1 })
  })

  it('names the file that cannot be read and the line that is too long', async () => {
    await using agent = await fakeAgent(stored)
    const address = ['--http-addr', agent.address]
    const missing = await kith(['log', 'append', join(folder, 'none'), ...address])
    expect(missing).toMatchObject({ code: 1 })
    expect(missing.err).toContain('none')
    const long = await kith(['log', 'append', ...address], {
      input: `a\n${'x'.repeat(2 ** 20 + 1)}`,
    })
    expect(long.err).toContain('line 2 of standard input must have at most 1048576 bytes')
    expect(agent.asked).toHaveLength(0)
  })
})
